package memory_test

import (
	"testing"

	"larder/cache/cachetest"
	"larder/cache/memory"
)

// restarts opens s and lets it go through restarts.
func restarts(s *memory.Store) (cachetest.SessionStore, func() cachetest.SessionStore) {
	return s, func() cachetest.SessionStore {
		s = s.Restart()
		return s
	}
}

func TestSessions(t *testing.T) {
	cachetest.Sessions(t, func(*testing.T) (cachetest.SessionStore, func() cachetest.SessionStore) {
		return restarts(memory.NewStore())
	})
}

func TestSessionsRoom(t *testing.T) {
	cachetest.SessionsRoom(t, func(_ *testing.T, room int64) (cachetest.SessionStore, func() cachetest.SessionStore) {
		return restarts(memory.NewStoreOf(room))
	})
}
