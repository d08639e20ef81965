package registry

import (
	"context"
	"errors"
	"fmt"

	"larder/cache"
	"larder/formats"
)

// Progress reads what is recorded, which a request that writes does not change
// before it ends.
func (b *bound) Progress(ctx context.Context, pkg, id string) (int64, error) {
	if _, err := b.sessions(ctx, pkg); err != nil {
		return 0, err
	}
	e := b.engine
	if err := e.sessions.touch(id, booked{format: b.spec.Format.Name(), pkg: pkg}, e.now()); err != nil {
		return 0, err
	}
	var row sessionRow
	err := e.opt.Index.View(ctx, func(r cache.Reader) error {
		var err error
		row, err = readSession(r, id)
		return err
	})
	switch {
	case errors.Is(err, cache.ErrNotExist):
		return 0, noSession()
	case err != nil:
		return 0, fmt.Errorf("look at an upload for %s: %w", pkg, err)
	}
	return row.Size, nil
}

// Cancel takes the row of a session that a request has away from it: whether the
// session was kept or cancelled is decided by the one transaction that finds it.
func (b *bound) Cancel(ctx context.Context, pkg, id string) error {
	s, err := b.Resume(ctx, pkg, id)
	switch {
	case err == nil:
		return s.Cancel(ctx)
	case !errors.Is(err, formats.ErrConflict):
		return err
	}
	e := b.engine
	if !e.enter() {
		return errClosed
	}
	defer e.work.Done()
	store, err := e.sessionStore()
	if err != nil {
		return err
	}
	bounded, cancel := detached(ctx)
	defer cancel()
	err = e.opt.Index.Update(bounded, func(w cache.Writer) error { return endSession(w, id) })
	switch {
	case errors.Is(err, formats.ErrNoVersion):
		return err
	case err != nil:
		return fmt.Errorf("cancel an upload for %s: %w", pkg, err)
	case e.sessions.cancel(id):
		return nil // the request that has it drops the bytes
	}
	e.sessions.end(id)
	return store.DropSession(bounded, id) // else it is a stray
}

// stillThere refuses to go on with a session that has no row any more. Errors:
// formats.ErrNoVersion.
func stillThere(r cache.Reader, id string) error {
	_, err := r.Get(sessionKey(id))
	if errors.Is(err, cache.ErrNotExist) {
		return noSession()
	}
	return err
}

// endSession takes the row of a session that must be there, as stillThere has it.
func endSession(w cache.Writer, id string) error {
	if err := stillThere(w, id); err != nil {
		return err
	}
	return w.Delete(sessionKey(id))
}

// leave lets another request have the session, or drops the bytes of one that was
// cancelled: its row is gone.
func (s *session) leave(size int64) error {
	e := s.engine
	if !e.sessions.leave(s.id, size, e.now()) {
		return nil
	}
	ctx, cancel := detached(e.life) // whoever sent the bytes may have left
	defer cancel()
	e.sessions.end(s.id)
	return s.store.DropSession(ctx, s.id) // else it is a stray
}
