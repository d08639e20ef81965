package registry_test

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"larder/cache"
	"larder/cache/disk"
	"larder/cache/memory"
	"larder/formats"
	"larder/proxy/registry"
)

// unsure is an index whose next commit is done, or is not, and looks failed.
type unsure struct {
	cache.Index
	next, done bool
}

var errUnsure = errors.New("the outcome is unknown")

func (u *unsure) Update(ctx context.Context, fn func(cache.Writer) error) error {
	if !u.next {
		return u.Index.Update(ctx, fn)
	}
	u.next = false
	if u.done {
		if err := u.Index.Update(ctx, fn); err != nil {
			return err
		}
	}
	return errUnsure
}

// TestSessionCommitUnknown: where it is not known which state is recorded, none is
// gone on from; and who was told of a failure begins again.
func TestSessionCommitUnknown(t *testing.T) {
	ctx := context.Background()
	for _, done := range []bool{false, true} {
		w := newWorld(t)
		index := &unsure{Index: w.index, done: done}
		w.index = index
		w.reopen()

		index.next = true
		if id, err := w.tryBegin("alice"); !errors.Is(err, errUnsure) {
			t.Fatalf("begun: %q, %v", id, err)
		}
		w.ok(w.engine.SweepUploads(ctx))
		w.holds(0, 0)
		if n := len(w.rows("u")); n != 0 {
			t.Errorf("%d rows of what was not begun", n)
		}

		id := w.begin("p")
		w.append("p", id, 0, []byte("abc"))
		s := w.take("p", id, 3)
		_, err := s.Write([]byte("def"))
		w.ok(err)
		index.next = true
		if err := s.Suspend(ctx); !errors.Is(err, errUnsure) {
			t.Errorf("suspended: %v", err)
		}
		w.ok(s.Close())
		w.over("p", id)
		w.holds(0, 0)

		id = w.begin("p")
		s = w.take("p", id, 0)
		_, err = s.Write([]byte("abc"))
		w.ok(err)
		_, err = s.Verify()
		w.ok(err)
		index.next = true
		if err := s.Keep(ctx); !errors.Is(err, errUnsure) {
			t.Errorf("kept: %v", err)
		}
		w.over("p", id)
		w.holds(0, 0)

		id = w.begin("p")
		index.next = true
		if err := w.take("p", id, 0).Cancel(ctx); !errors.Is(err, errUnsure) {
			t.Errorf("cancelled: %v", err)
		}
		w.holds(1, 0) // until it is asked for, or its time is over
		if left := w.ids(); len(left) != 0 {
			t.Errorf("bytes of what is over: %q", left)
		}
	}
}

// TestSessionUnrecorded: a state that could not be recorded takes the session with
// it, also where that cannot be recorded either.
func TestSessionUnrecorded(t *testing.T) {
	ctx := context.Background()
	worlds(t, func(w *world) {
		dead := &readOnly{Index: w.index}
		alive := w.index
		w.index = dead
		w.reopen()
		id := w.begin("p")
		w.append("p", id, 0, []byte("abc"))
		s := w.take("p", id, 3)
		_, err := s.Write([]byte("def"))
		w.ok(err)
		dead.now.Store(true)
		if err := s.Suspend(ctx); !errors.Is(err, cache.ErrFull) {
			t.Fatalf("suspended: %v", err)
		}
		w.ok(s.Close())
		w.holds(1, 0)
		dead.now.Store(false)
		w.over("p", id)
		w.holds(0, 0)
		if left := w.ids(); len(left) != 0 || len(w.rows("u")) != 0 {
			t.Errorf("left: %q, %q", left, w.rows("u"))
		}
		w.index = alive
	})
}

// TestSessionKilledInKeep: the bytes are a blob already, and the process ends before
// the record of it. The session is over, and nothing keeps the client from
// sending the file again.
func TestSessionKilledInKeep(t *testing.T) {
	ctx := context.Background()
	for _, saved := range []bool{false, true} {
		worlds(t, func(w *world) {
			dead := &readOnly{Index: w.index}
			alive := w.index
			w.index = dead
			w.reopen()
			id, data := w.begin("p"), text(100<<10)
			s := w.take("p", id, 0)
			_, err := s.Write(data)
			w.ok(err)
			if saved {
				w.ok(s.Suspend(ctx))
				s = w.take("p", id, len(data))
			}
			_, err = s.Verify()
			w.ok(err)
			dead.now.Store(true)
			if err := s.Keep(ctx); !errors.Is(err, cache.ErrFull) {
				t.Fatalf("kept: %v", err)
			}
			w.index = alive
			w.restart()
			if saved {
				w.over("p", id)
				w.holds(0, 0)
				w.ok(w.engine.SweepUploads(ctx))
				if n := len(w.rows("u")); n != 0 {
					t.Errorf("%d rows are left", n)
				}
				id = w.begin("p")
			} // else nothing ever vouched for a byte: it is where it began
			s = w.take("p", id, 0)
			_, err = s.Write(data)
			w.ok(err)
			_, err = s.Verify(sumOf(data))
			w.ok(err)
			w.ok(s.Keep(ctx))
			w.kept(data)
		})
	}
}

// TestSessionOnAFullDisk (F7): it goes back to what was saved, and on from there
// when there is room.
func TestSessionOnAFullDisk(t *testing.T) {
	ctx := context.Background()
	w := newWorld(t, func(b *bench, _ *registry.Options) { b.store = memory.NewStoreOf(100) })
	hog, err := w.store.Begin(ctx, 50)
	w.ok(err)
	id := w.begin("p")
	w.append("p", id, 0, text(30))
	s := w.take("p", id, 30)
	if _, err := s.Write(text(40)); !errors.Is(err, cache.ErrFull) {
		t.Fatalf("written: %v", err)
	}
	if err := s.Suspend(ctx); !errors.Is(err, cache.ErrFull) {
		t.Errorf("suspended: %v", err)
	}
	w.ok(s.Close())
	w.holds(1, 30)
	hog.Abort(nil)
	w.append("p", id, 30, text(40))
	s = w.take("p", id, 70)
	_, err = s.Verify(sumOf(append(text(30), text(40)...)))
	w.ok(err)
	w.ok(s.Keep(ctx))
}

// TestEmptySessionOnAFullDisk (F7): one that got no bytes yet tells so, and can be
// cancelled, as every other; bytes are refused for want of room.
func TestEmptySessionOnAFullDisk(t *testing.T) {
	ctx := context.Background()
	w := newWorld(t, func(b *bench, _ *registry.Options) {
		store, err := disk.Open(t.TempDir(), disk.Options{Room: disk.RoomOptions{Floor: 1 << 20}})
		b.ok(err)
		t.Cleanup(func() { b.ok(store.Close()) })
		b.store = &crowded{Store: store}
	})
	store := w.store.(*crowded)
	ids := []string{w.begin("p"), w.begin("p")}
	store.full.Store(true)
	for _, step := range []func(formats.Session) error{
		func(s formats.Session) error { _, err := s.Write(text(1)); return err },
		func(s formats.Session) error { _, err := s.Verify(sumOf(nil)); return err },
		func(s formats.Session) error { return s.Suspend(ctx) },
	} {
		s := w.take("p", ids[0], 0)
		if err := step(s); !errors.Is(err, cache.ErrFull) {
			t.Errorf("a full disk: %v", err)
		}
		w.ok(s.Close())
	}
	w.ok(w.take("p", ids[0], 0).Cancel(ctx))
	w.over("p", ids[0])
	w.holds(1, 0)
	store.full.Store(false)
	w.append("p", ids[1], 0, text(10))
	w.holds(1, 10)
}

// crowded is a disk on which no file can be begun at times.
type crowded struct {
	*disk.Store
	full atomic.Bool
}

func (c *crowded) BeginSession(ctx context.Context, id string, also ...cache.Algorithm) (cache.Session, error) {
	if c.full.Load() {
		return nil, cache.ErrFull
	}
	return c.Store.BeginSession(ctx, id, also...)
}

// bare is a store that keeps nothing unfinished.
type bare struct{ cache.Store }

// TestSessionsUnsupported: without such a store they are refused, and what else
// there is goes on.
func TestSessionsUnsupported(t *testing.T) {
	w := newWorld(t, func(b *bench, _ *registry.Options) { b.store = bare{b.store} })
	if _, err := w.tryBegin("alice"); !errors.Is(err, formats.ErrUnsupported) {
		t.Errorf("begun: %v", err)
	}
	if _, err := w.as("alice", "").Resume(context.Background(), "p", "id"); !errors.Is(err, formats.ErrUnsupported) {
		t.Errorf("resumed: %v", err)
	}
	w.ok(w.engine.SweepUploads(context.Background()))
	w.ok(publish(w.as("alice", ""), "p", "1", []byte("one")))
}

// TestSessionOfAServerThatEnds: the index stays open until what came is saved, and
// the session goes on after the restart.
func TestSessionOfAServerThatEnds(t *testing.T) {
	worlds(t, func(w *world) {
		id, other := w.begin("p"), w.begin("p")
		s := w.take("p", id, 0)
		_, err := s.Write([]byte("abc"))
		w.ok(err)
		ended := make(chan error, 1)
		go func() { ended <- errors.Join(w.engine.Close(), w.index.Close()) }()
		eventually(t, "no session is taken up any more", func() bool {
			x, err := w.as("alice", "").Resume(context.Background(), "p", other)
			if err == nil {
				w.ok(x.Close())
			}
			return err != nil && !errors.Is(err, formats.ErrNotFound)
		})
		for range 1000 {
			runtime.Gosched() // so that an end that does not wait has come
		}
		w.ok(s.Suspend(context.Background()))
		w.ok(<-ended)
		if _, ok := w.store.(*memory.Store); ok {
			return // its index does not outlive the process
		}
		w.restart()
		w.take("p", id, 3)
	})
}

// TestRottenSessionRow: a row that cannot be read costs the one session that it is
// of, and the sweep that takes it away tells of it.
func TestRottenSessionRow(t *testing.T) {
	ctx := context.Background()
	worlds(t, func(w *world) {
		rot := func(id string, row ...byte) {
			w.ok(w.index.Update(ctx, func(tx cache.Writer) error { return tx.Put(append([]byte("u"), id...), row) }))
		}
		good, bad, worse, live := w.begin("p"), w.begin("p"), w.begin("p"), w.begin("p")
		for _, id := range []string{good, bad, worse, live} {
			w.append("p", id, 0, []byte("abc"))
		}
		rot(bad, 1, '{')
		rot(worse)
		w.restart()
		w.append("p", good, 3, []byte("def"))
		w.over("p", bad)
		w.over("p", worse)
		w.append("p", w.begin("p"), 0, []byte("xyz"))
		w.holds(3, 12)
		err := w.engine.SweepUploads(ctx)
		if err == nil || !strings.Contains(err.Error(), bad) || !strings.Contains(err.Error(), worse) {
			t.Errorf("the sweep tells of: %v", err)
		}
		w.ok(w.engine.SweepUploads(ctx))
		if n, left := len(w.rows("u")), w.ids(); n != 3 || slices.Contains(left, bad) || slices.Contains(left, worse) {
			t.Errorf("%d rows, and the files %q", n, left)
		}

		rot(live, 9) // while its session is known
		if _, err := w.as("alice", "").Resume(ctx, "p", live); err == nil || errors.Is(err, formats.ErrNotFound) {
			t.Errorf("resumed: %v", err)
		}
		w.over("p", live)
		w.holds(2, 9)
		w.take("p", good, 6)
	})
}
