package memory_test

import (
	"testing"

	"larder/cache"
	"larder/cache/cachetest"
	"larder/cache/memory"
)

func TestStore(t *testing.T) {
	cachetest.Store(t, func(*testing.T) cache.Store { return memory.NewStore() })
}

func TestStoreRoom(t *testing.T) {
	cachetest.StoreRoom(t, func(_ *testing.T, room int64) cache.Store { return memory.NewStoreOf(room) })
}
