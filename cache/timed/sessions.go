package timed

import (
	"context"
	"iter"
	"time"

	"larder/cache"
)

// sessions is a store whose writes may outlive the process.
type sessions struct {
	store
	inner cache.Sessions
}

var _ cache.Sessions = sessions{}

// BeginSession implements cache.Sessions.
func (s sessions) BeginSession(ctx context.Context, id string, also ...cache.Algorithm) (cache.Session, error) {
	start := time.Now()
	return s.begun(start)(s.inner.BeginSession(ctx, id, also...))
}

// ResumeSession implements cache.Sessions.
func (s sessions) ResumeSession(ctx context.Context, id string, state []byte) (cache.Session, error) {
	start := time.Now()
	return s.begun(start)(s.inner.ResumeSession(ctx, id, state))
}

// begun tells of a session that was opened, or was not.
func (s sessions) begun(start time.Time) func(cache.Session, error) (cache.Session, error) {
	return func(x cache.Session, err error) (cache.Session, error) {
		s.observe.since("begin", start, err)
		if err != nil {
			return nil, err
		}
		return session{x, s.observe}, nil
	}
}

// DropSession implements cache.Sessions.
func (s sessions) DropSession(ctx context.Context, id string) error {
	start := time.Now()
	err := s.inner.DropSession(ctx, id)
	s.observe.since("delete", start, err)
	return err
}

// SessionIDs implements cache.Sessions.
func (s sessions) SessionIDs(ctx context.Context) iter.Seq2[string, error] {
	return s.inner.SessionIDs(ctx)
}

// session times the steps that wait for the disk.
type session struct {
	cache.Session
	observe Observe
}

// Save implements cache.Session.
func (x session) Save(ctx context.Context) ([]byte, error) {
	start := time.Now()
	state, err := x.Session.Save(ctx)
	x.observe.since("save", start, err)
	return state, err
}

// Commit implements cache.Partial.
func (x session) Commit(ctx context.Context) error {
	start := time.Now()
	err := x.Session.Commit(ctx)
	x.observe.since("commit", start, err)
	return err
}
