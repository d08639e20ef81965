package disk

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"strings"

	"larder/cache"
)

// session is a partial whose file has a name that is found again.
type session struct {
	*partial
	id    string
	saved int64 // bytes of the newest state; -1: none was given out
	named bool  // the name in tmp is durable
	over  bool  // closed, dropped or committed
}

// BeginSession starts a session. Errors: cache.ErrFull, cache.ErrUnhealthy, ErrClosed.
func (s *Store) BeginSession(ctx context.Context, id string, also ...cache.Algorithm) (cache.Session, error) {
	x, err := s.beginSession(ctx, id, also)
	if err != nil {
		return nil, fmt.Errorf("begin session %s: %w", id, err)
	}
	return x, nil
}

func (s *Store) beginSession(ctx context.Context, id string, also []cache.Algorithm) (*session, error) {
	hasher, err := cache.NewHasher(also...)
	if err != nil {
		return nil, err
	}
	if err := s.book.Begin(id); err != nil {
		return nil, err
	}
	p, err := s.begin(ctx, keptPrefix+id, -1, hasher)
	if err != nil {
		s.book.End(id)
		return nil, err
	}
	p.resumable = true
	x := &session{partial: p, id: id, saved: -1}
	if err := s.opened(x); err != nil {
		x.Abort(err)
		return nil, err
	}
	return x, nil
}

// ResumeSession opens the file of a session and cuts it to the length of the
// state. Errors: see cache.Sessions; cache.ErrUnhealthy, ErrClosed.
func (s *Store) ResumeSession(ctx context.Context, id string, state []byte) (cache.Session, error) {
	x, err := s.resumeSession(ctx, id, state)
	if err != nil {
		return nil, fmt.Errorf("resume session %s: %w", id, err)
	}
	return x, nil
}

func (s *Store) resumeSession(ctx context.Context, id string, state []byte) (*session, error) {
	if err := s.writable(ctx); err != nil {
		return nil, err
	}
	hasher, err := s.book.Resume(id, state)
	if err != nil {
		return nil, err
	}
	f, err := s.reopen(id, hasher.Size())
	if errors.Is(err, cache.ErrNotExist) {
		s.book.End(id)
		return nil, err
	}
	if err != nil {
		s.book.Close(id)
		return nil, classify(err)
	}
	size := hasher.Size()
	p := &partial{store: s, hash: hasher, announced: -1, allocated: size, file: f, path: s.layout.session(id), resumable: true}
	p.mark.Grow(size)
	x := &session{partial: p, id: id, saved: size, named: true}
	if err := s.opened(x); err != nil {
		return nil, errors.Join(err, x.Close())
	}
	return x, nil
}

// reopen opens the file of a session with exactly its first size bytes.
// Errors: cache.ErrNotExist if it does not have so many.
func (s *Store) reopen(id string, size int64) (File, error) {
	f, has, err := s.fs.Append(s.layout.session(id))
	if err != nil {
		return nil, asMissing(err)
	}
	if has < size {
		err = fmt.Errorf("%d bytes are left of %d: %w", has, size, cache.ErrNotExist)
	} else {
		err = f.Truncate(size) // also for blocks that a killed process had taken beyond
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// opened lets Close know the file of a session.
func (s *Store) opened(x *session) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return ErrClosed
	}
	s.files[x] = x.file
	return nil
}

// ended forgets the file and what else is kept of an open session. gone says
// that its bytes are.
func (s *Store) ended(x *session, gone bool) {
	s.mu.Lock()
	delete(s.files, x)
	s.mu.Unlock()
	x.over = true
	if gone {
		s.book.End(x.id)
	} else {
		s.book.Close(x.id)
	}
}

// DropSession removes the file of a session. The folder is not synced: one that
// comes back after a power cut is still what its newest state says.
// Errors: cache.ErrBusy.
func (s *Store) DropSession(ctx context.Context, id string) error {
	err := s.writableFolder(ctx)
	if err == nil {
		err = s.book.Take(id)
	}
	if err != nil {
		return fmt.Errorf("drop session %s: %w", id, err)
	}
	if err := s.discard(s.layout.session(id)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		s.book.Close(id)
		return fmt.Errorf("drop session %s: %w", id, err)
	}
	s.book.End(id)
	return nil
}

// writableFolder reports whether files may be removed: also from a store that
// takes no more writes.
func (s *Store) writableFolder(ctx context.Context) error {
	if err := s.writable(ctx); !errors.Is(err, cache.ErrUnhealthy) {
		return err
	}
	return nil
}

// SessionIDs reads the folder in pages.
func (s *Store) SessionIDs(ctx context.Context) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		dir, err := s.fs.Open(s.layout.tmp())
		if err != nil {
			yield("", fmt.Errorf("list sessions: %w", err))
			return
		}
		defer dir.Close()
		for err == nil {
			var names []string
			if err = ctx.Err(); err == nil {
				names, err = dir.Readdirnames(listPage)
			}
			for _, name := range names {
				id, ok := strings.CutPrefix(name, keptPrefix)
				if ok && cache.CheckSessionID(id) == nil && !yield(id, nil) {
					return
				}
			}
		}
		if err != io.EOF {
			yield("", fmt.Errorf("list sessions: %w", err))
		}
	}
}

// Size returns the bytes written so far.
func (x *session) Size() int64 { return x.hash.Size() }

// Save syncs the file, and its name the first time, and only then gives out the
// state: see cache.Session.
func (x *session) Save(ctx context.Context) ([]byte, error) {
	state, err := x.save(ctx)
	if err != nil {
		return nil, fmt.Errorf("save session %s: %w", x.id, err)
	}
	return state, nil
}

func (x *session) save(ctx context.Context) ([]byte, error) {
	if x.failed != nil {
		return nil, x.failed
	}
	if x.ended {
		return nil, errors.New("it was ended by Verify")
	}
	if err := x.store.writable(ctx); err != nil {
		return nil, err
	}
	if err := x.sync(); err != nil {
		x.fail(err)
		x.drop()
		x.store.ended(x, true)
		return nil, err
	}
	if !x.named {
		if err := x.store.syncFolder(x.store.layout.tmp()); err != nil {
			return nil, err
		}
		x.named = true
	}
	state, err := x.hash.State(x.id)
	if err != nil {
		return nil, err
	}
	x.store.book.Saved(x.id, state)
	x.saved = x.hash.Size()
	return state, nil
}

// Commit makes a blob of the file; see cache.Partial.
func (x *session) Commit(ctx context.Context) error {
	err := x.partial.Commit(ctx)
	if !x.over {
		x.store.ended(x, true)
	}
	return err
}

// Abort drops the session for good.
func (x *session) Abort(cause error) {
	if x.over {
		return
	}
	x.partial.Abort(cause)
	x.store.ended(x, true)
}

// Close leaves the file with the bytes of the newest state and gives back the
// blocks that were taken beyond them.
func (x *session) Close() error {
	if x.over {
		return nil
	}
	if x.saved < 0 {
		x.Abort(nil)
		return nil
	}
	err := x.file.Truncate(x.saved)
	err = errors.Join(err, x.leave())
	x.store.ended(x, false)
	if err != nil && !errors.Is(err, fs.ErrClosed) { // by Store.Close, which came first
		return fmt.Errorf("close session %s: %w", x.id, err)
	}
	return nil
}
