package registry

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"time"

	"larder/cache"
	"larder/formats"
)

// Bounds of the work on sessions that has no caller to wait for, or one that may
// have left.
const (
	sessionTimeout = time.Minute // for each step: a save or a commit
	strayAge       = time.Hour   // after which a file that belongs to no session goes
)

// sessionStore returns the part of the Store that keeps sessions.
func (e *Engine) sessionStore() (cache.Sessions, error) {
	s, ok := e.opt.Store.(cache.Sessions)
	if !ok {
		return nil, formats.Refuse(formats.ErrUnsupported, "the store of this server keeps no uploads over several requests")
	}
	return s, nil
}

// loadSessions fills the book of sessions, where that was not done yet.
func (e *Engine) loadSessions(ctx context.Context) error {
	store, _ := e.opt.Store.(cache.Sessions) // nil: no session has bytes
	return e.sessions.load(ctx, e.opt.Index, store)
}

// Begin writes a row. The first bytes make the file: many sessions get none,
// and others all of theirs in one request.
func (b *bound) Begin(ctx context.Context, u formats.UploadOptions) (string, error) {
	limit, err := b.uploadable(ctx, u)
	if err != nil {
		return "", err
	}
	if _, err := b.engine.sessionStore(); err != nil {
		return "", err
	}
	if _, err := cache.NewHasher(u.Also...); err != nil {
		return "", err
	}
	e, now := b.engine, b.engine.now()
	if err := e.loadSessions(ctx); err != nil {
		return "", err
	}
	row := sessionRow{
		Format: b.spec.Format.Name(), Package: u.Package, User: b.caller.User, Also: u.Also, Max: limit,
		Begun: now.UTC(), Touched: now.UTC(),
	}
	id := rand.Text()
	booking := booked{format: row.Format, pkg: row.Package, user: row.User, touched: now}
	if err := e.sessions.begin(id, &booking); err != nil {
		return "", err
	}
	if err := e.opt.Index.Update(ctx, func(w cache.Writer) error { return row.put(w, id) }); err != nil {
		e.sessions.end(id) // should the row be there after all, nobody knows its name, and a sweep takes it
		return "", fmt.Errorf("begin an upload for %s: %w", u.Package, err)
	}
	return id, nil
}

// sessions returns what is needed to look at a session of a package. It asks for
// the right to publish again: a session is bound to that and not to a credential.
func (b *bound) sessions(ctx context.Context, pkg string) (cache.Sessions, error) {
	if err := b.publishable(ctx, pkg); err != nil {
		return nil, err
	}
	store, err := b.engine.sessionStore()
	if err != nil {
		return nil, err
	}
	return store, b.engine.loadSessions(ctx)
}

// Resume takes a session for a request.
func (b *bound) Resume(ctx context.Context, pkg, id string) (formats.Session, error) {
	store, err := b.sessions(ctx, pkg)
	if err != nil {
		return nil, err
	}
	e := b.engine
	if !e.enter() {
		return nil, errClosed
	}
	if err := e.sessions.take(id, booked{format: b.spec.Format.Name(), pkg: pkg}, e.now()); err != nil {
		e.work.Done()
		return nil, err
	}
	s := &session{engine: e, store: store, id: id}
	if err := s.open(ctx); err != nil {
		return nil, err
	}
	return s, nil
}

// session is an upload session that one request has.
type session struct {
	engine *Engine
	store  cache.Sessions
	id     string
	row    sessionRow // as it was saved last
	part   cache.Session
	blob   cache.Blob
	over   bool // let go of, or at its end
}

// errLeft is a mistake of a format.
var errLeft = errors.New("an upload session was used that had been let go of")

// open finds the bytes of a session that was taken, or lets go of it.
func (s *session) open(ctx context.Context) error {
	err := s.engine.opt.Index.View(ctx, func(r cache.Reader) error {
		var err error
		s.row, err = readSession(r, s.id)
		return err
	})
	if err == nil {
		s.part, err = s.take(ctx)
	}
	var lost *rotten
	switch {
	case err == nil:
		return nil
	case errors.As(err, &lost):
		return errors.Join(err, s.end(ctx))
	case errors.Is(err, cache.ErrNotExist):
		// The row is gone, or the bytes are: a commit or a save that ended half way.
		return errors.Join(noSession(), s.end(ctx))
	}
	defer s.letGo()
	return fmt.Errorf("resume an upload for %s: %w", s.row.Package, errors.Join(err, s.leave(s.row.Size)))
}

// letGo ends the use of a session by its request, for which the end of the engine
// waits: what came before the server was stopped is to be saved.
func (s *session) letGo() {
	s.over = true
	s.engine.work.Done()
}

// take opens the bytes. What was written and never saved is no use.
func (s *session) take(ctx context.Context) (cache.Session, error) {
	if len(s.row.State) > 0 {
		return s.store.ResumeSession(ctx, s.id, s.row.State)
	}
	if err := s.store.DropSession(ctx, s.id); err != nil {
		return nil, err
	}
	part, err := s.store.BeginSession(ctx, s.id, s.row.Also...)
	if errors.Is(err, cache.ErrFull) {
		return noRoom{err: err}, nil
	}
	return part, err
}

// noRoom is what a session without bytes has while the disk takes none: it tells
// so, and can be left and cancelled, but not written.
type noRoom struct {
	cache.Session // nil: for what nobody calls of a session
	err           error
}

func (noRoom) Size() int64                               { return 0 }
func (n noRoom) Write([]byte) (int, error)               { return 0, n.err }
func (n noRoom) Verify(...cache.Sum) (cache.Blob, error) { return cache.Blob{}, n.err }
func (n noRoom) Save(context.Context) ([]byte, error)    { return nil, n.err }
func (n noRoom) Commit(context.Context) error            { return n.err }
func (n noRoom) Open() (io.ReadSeekCloser, error)        { return nil, n.err }
func (noRoom) Abort(error)                               {}
func (noRoom) Close() error                              { return nil }

func (s *session) Offset() int64 { return s.part.Size() }

func (s *session) Write(p []byte) (int, error) {
	if s.over {
		return 0, errLeft
	}
	if s.part.Size()+int64(len(p)) > s.row.Max {
		return 0, tooLarge(s.row.Max)
	}
	if err := s.engine.sessions.grow(s.id, int64(len(p))); err != nil {
		return 0, err
	}
	return s.engine.append(s.part, p)
}

func (s *session) Verify(want ...cache.Sum) (cache.Blob, error) {
	var err error
	s.blob, err = s.part.Verify(want...)
	return s.blob, err
}

func (s *session) Open() (io.ReadSeekCloser, error) { return s.part.Open() }

// Suspend saves the bytes and then their state, so that no state vouches for
// bytes that a power cut can take.
func (s *session) Suspend(ctx context.Context) error {
	if s.over {
		return errLeft
	}
	if err := s.save(ctx); err != nil {
		return errors.Join(fmt.Errorf("save an upload for %s: %w", s.row.Package, err), s.Close())
	}
	return s.Close()
}

func (s *session) save(ctx context.Context) error {
	bounded, cancel := detached(ctx)
	defer cancel()
	state, err := s.part.Save(bounded)
	if err != nil {
		return err
	}
	row := s.row
	row.State, row.Size, row.Touched = state, s.part.Size(), s.engine.now().UTC()
	again, cancelUpdate := detached(ctx) // the sync may have taken all of that time
	defer cancelUpdate()
	err = s.engine.opt.Index.Update(again, func(w cache.Writer) error {
		if err := stillThere(w, s.id); err != nil {
			return err
		}
		return row.put(w, s.id)
	})
	if err == nil {
		s.row = row
		return nil
	}
	// Which state the row has is not known, and one that is not the newest must
	// never be gone on from: see cache.Sessions.
	s.part.Abort(err)
	return errors.Join(err, s.end(ctx))
}

// detached is a context for work that has to be done also for a client that left.
func detached(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), sessionTimeout)
}

// Keep ends the session in the transaction that gives the bytes their lease. A
// crash before it leaves a row without bytes, which is no session any more.
func (s *session) Keep(ctx context.Context) error {
	if s.over {
		return errLeft
	}
	bounded, cancel := detached(ctx)
	defer cancel()
	err := s.engine.sessions.alive(s.id)
	if err == nil {
		err = s.engine.keep(bounded, s.part, s.blob, func(w cache.Writer) error { return endSession(w, s.id) })
	}
	if err != nil {
		s.part.Abort(err)
		return errors.Join(err, s.end(ctx))
	}
	s.engine.sessions.end(s.id)
	s.letGo()
	return nil
}

// Close leaves the session as it was saved last.
func (s *session) Close() error {
	if s.over {
		return nil
	}
	defer s.letGo()
	if err := errors.Join(s.part.Close(), s.leave(s.row.Size)); err != nil {
		return fmt.Errorf("leave an upload for %s: %w", s.row.Package, err)
	}
	return nil
}

func (s *session) Cancel(ctx context.Context) error {
	if s.over {
		return errLeft
	}
	s.part.Abort(nil)
	return s.end(ctx)
}

// end takes the row of a session whose bytes are gone. If it cannot be taken now
// the next to resume the session tries again, and so does the sweep in its time.
func (s *session) end(ctx context.Context) error {
	if s.over {
		return nil
	}
	defer s.letGo()
	if err := s.engine.dropSessionRow(ctx, s.id); err != nil {
		return fmt.Errorf("end an upload for %s: %w", s.row.Package, errors.Join(err, s.leave(0)))
	}
	s.engine.sessions.end(s.id)
	return nil
}

func (e *Engine) dropSessionRow(ctx context.Context, id string) error {
	bounded, cancel := detached(ctx)
	defer cancel()
	return e.opt.Index.Update(bounded, func(w cache.Writer) error { return w.Delete(sessionKey(id)) })
}
