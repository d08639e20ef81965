package memory

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"

	"larder/cache"
)

var _ cache.Sessions = (*Store)(nil)

// session is a partial that is found again by its name.
type session struct {
	*partial
	id    string
	saved int64 // bytes of the newest state; -1: none was given out
	over  bool  // closed, dropped or committed
}

// BeginSession starts a session. Errors: cache.ErrFull.
func (s *Store) BeginSession(ctx context.Context, id string, also ...cache.Algorithm) (cache.Session, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("begin session %s: %w", id, err)
	}
	hasher, err := cache.NewHasher(also...)
	if err == nil {
		err = s.book.Begin(id)
	}
	if err != nil {
		return nil, fmt.Errorf("begin session %s: %w", id, err)
	}
	x := &session{partial: &partial{store: s, hash: hasher, announced: -1}, id: id, saved: -1}
	if !s.put(x) {
		s.book.End(id)
		return nil, fmt.Errorf("begin session %s: it is there already", id)
	}
	return x, nil
}

// put keeps a new session, unless one of that name is left of an earlier process.
func (s *Store) put(x *session) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.sessions[x.id] != nil {
		return false
	}
	s.sessions[x.id] = x
	return true
}

// ResumeSession goes on from a state. Errors: see cache.Sessions.
func (s *Store) ResumeSession(ctx context.Context, id string, state []byte) (cache.Session, error) {
	err := ctx.Err()
	var hasher *cache.Hasher
	if err == nil {
		hasher, err = s.book.Resume(id, state)
	}
	if err != nil {
		return nil, fmt.Errorf("resume session %s: %w", id, err)
	}
	size := hasher.Size()
	s.mu.Lock()
	defer s.mu.Unlock()
	old := s.sessions[id]
	if old == nil || int64(len(old.prefix())) < size {
		s.book.End(id)
		return nil, fmt.Errorf("resume session %s at %d bytes: %w", id, size, cache.ErrNotExist)
	}
	p := &partial{store: s, hash: hasher, announced: -1, taken: size, bytes: old.prefix()[:size:size]}
	p.mark.Grow(size)
	s.room += old.taken - size
	x := &session{partial: p, id: id, saved: size}
	s.sessions[id] = x
	return x, nil
}

// DropSession forgets a session. Errors: cache.ErrBusy.
func (s *Store) DropSession(ctx context.Context, id string) error {
	err := ctx.Err()
	if err == nil {
		err = s.book.Take(id)
	}
	if err != nil {
		return fmt.Errorf("drop session %s: %w", id, err)
	}
	s.mu.Lock()
	if old := s.sessions[id]; old != nil {
		s.room += old.taken
	}
	delete(s.sessions, id)
	s.mu.Unlock()
	s.book.End(id)
	return nil
}

// SessionIDs yields the sessions that are here when it begins.
func (s *Store) SessionIDs(ctx context.Context) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		if err := ctx.Err(); err != nil {
			yield("", fmt.Errorf("list sessions: %w", err))
			return
		}
		s.mu.RLock()
		ids := slices.Collect(maps.Keys(s.sessions))
		s.mu.RUnlock()
		for _, id := range ids {
			if !yield(id, nil) {
				return
			}
		}
	}
}

// Restart returns what a process finds that begins after this one was killed:
// the blobs, and the sessions as far as they were written. Who still holds
// something of the old Store changes nothing in the new one.
func (s *Store) Restart() *Store {
	s.mu.Lock()
	defer s.mu.Unlock()
	next := NewStoreOf(s.total)
	for d, b := range s.blobs {
		next.blobs[d] = b
		next.room -= int64(len(b))
	}
	for id, old := range s.sessions {
		b := old.prefix()
		next.sessions[id] = left(next, id, b)
		next.room -= int64(len(b))
	}
	return next
}

// Size returns the bytes written so far.
func (x *session) Size() int64 { return x.hash.Size() }

// Save returns the state that resumes the session.
func (x *session) Save(ctx context.Context) ([]byte, error) {
	err := x.failed
	if err == nil && x.ended {
		err = errors.New("it was ended by Verify")
	}
	if err == nil {
		err = ctx.Err()
	}
	var state []byte
	if err == nil {
		state, err = x.hash.State(x.id)
	}
	if err != nil {
		return nil, fmt.Errorf("save session %s: %w", x.id, err)
	}
	x.store.book.Saved(x.id, state)
	x.saved = x.hash.Size()
	return state, nil
}

// Commit makes a blob of the bytes. The session is gone after it in any case.
func (x *session) Commit(ctx context.Context) error {
	err := x.partial.Commit(ctx)
	if err != nil {
		x.partial.Abort(err)
	}
	x.end()
	return err
}

// Abort drops the session for good.
func (x *session) Abort(cause error) {
	if !x.over {
		x.partial.Abort(cause)
		x.end()
	}
}

// Close leaves the bytes that were saved.
func (x *session) Close() error {
	if x.over {
		return nil
	}
	if x.saved < 0 {
		x.Abort(nil)
		return nil
	}
	x.over = true
	x.store.mu.Lock()
	x.store.sessions[x.id] = left(x.store, x.id, x.prefix()[:x.saved:x.saved])
	x.store.room += x.taken - x.saved
	x.store.mu.Unlock()
	x.fail(fmt.Errorf("it was closed: %w", cache.ErrAborted))
	x.mark.Fail(x.failed)
	x.store.book.Close(x.id)
	return nil
}

// left is a session that nobody has open.
func left(s *Store, id string, b []byte) *session {
	return &session{partial: &partial{store: s, taken: int64(len(b)), bytes: b}, id: id, over: true}
}

// end forgets a session that is no more to be resumed.
func (x *session) end() {
	if x.over {
		return
	}
	x.over = true
	x.store.mu.Lock()
	delete(x.store.sessions, x.id)
	x.store.mu.Unlock()
	x.store.book.End(x.id)
}
