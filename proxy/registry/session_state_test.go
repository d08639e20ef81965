package registry_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"larder/cache"
	"larder/formats"
)

// progress insists on what is told of a session.
func (b *bench) progress(id string, want int64) {
	b.t.Helper()
	got, err := b.as("alice", "").Progress(context.Background(), "p", id)
	if err != nil || got != want {
		b.t.Fatalf("it is told to be at byte %d, %v; want %d", got, err, want)
	}
}

// ended insists that nothing is told of a session, and that nothing is left to cancel.
func (b *bench) ended(pkg, id string) {
	b.t.Helper()
	ctx := context.Background()
	if _, err := b.as("alice", "").Progress(ctx, pkg, id); !errors.Is(err, formats.ErrNoVersion) {
		b.t.Fatalf("progress: %v", err)
	}
	if err := b.as("alice", "").Cancel(ctx, pkg, id); !errors.Is(err, formats.ErrNoVersion) {
		b.t.Fatalf("cancelled: %v", err)
	}
}

// TestSessionProgress: it is what is recorded, whoever writes, and asking is as good
// as writing against the end of the session.
func TestSessionProgress(t *testing.T) {
	worlds(t, func(w *world) {
		ctx := context.Background()
		id := w.begin("p")
		w.progress(id, 0)
		w.append("p", id, 0, []byte("abc"))
		w.progress(id, 3)
		s := w.take("p", id, 3)
		_, err := s.Write([]byte("def"))
		w.ok(err)
		w.progress(id, 3)
		w.ok(s.Suspend(ctx))
		w.progress(id, 6)
		w.ended("other", id)
		if _, err := w.as("bob", "").Progress(ctx, "p", id); err == nil {
			t.Error("told to somebody who may not publish")
		}
		if err := w.as("bob", "").Cancel(ctx, "p", id); err == nil {
			t.Error("cancelled by somebody who may not publish")
		}
		w.restart()
		for range 3 {
			w.clock.advance(day - time.Second)
			w.progress(id, 6)
		}
		w.clock.advance(day + time.Second)
		w.ended("p", id)
	})
}

// TestSessionWithoutItsBytes: the process ended while a session was kept, between the
// bytes and the index. It is over, for whoever asks of it, and counts no more.
func TestSessionWithoutItsBytes(t *testing.T) {
	worlds(t, func(w *world) {
		ctx := context.Background()
		id, other := w.begin("p"), w.begin("p")
		w.append("p", id, 0, []byte("abc"))
		w.ok(w.store.(cache.Sessions).DropSession(ctx, id))
		w.restart()
		w.ended("p", id)
		w.progress(other, 0)
		if n, bytes, err := w.engine.OpenUploads(ctx); n != 1 || bytes != 0 || err != nil {
			t.Errorf("%d sessions of %d bytes, %v", n, bytes, err)
		}
		w.ok(w.engine.SweepUploads(ctx))
		w.restart()
		w.ended("p", id)
		w.progress(other, 0)
	})
}

// TestSessionCancelledWhileBusy: whatever the writer does next, it finds the session
// over, and nothing is left of it.
func TestSessionCancelledWhileBusy(t *testing.T) {
	ctx := context.Background()
	for name, next := range map[string]func(s formats.Session) error{
		"writes":   func(s formats.Session) error { _, err := s.Write([]byte("x")); return err },
		"suspends": func(s formats.Session) error { return s.Suspend(ctx) },
		"keeps": func(s formats.Session) error {
			if _, err := s.Verify(); err != nil {
				return err
			}
			return s.Keep(ctx)
		},
		"leaves": func(s formats.Session) error { return errors.Join(formats.ErrNoVersion, s.Close()) },
	} {
		t.Run(name, func(t *testing.T) {
			worlds(t, func(w *world) {
				id := w.begin("p")
				w.append("p", id, 0, []byte("abc"))
				s := w.take("p", id, 3)
				_, err := s.Write([]byte("def"))
				w.ok(err)
				w.ok(w.as("alice", "").Cancel(ctx, "p", id))
				w.ended("p", id)
				w.over("p", id)
				w.holds(1, 6) // the bytes are there until the writer has left
				if err := next(s); !errors.Is(err, formats.ErrNoVersion) {
					t.Errorf("the writer is told %v", err)
				}
				w.ok(s.Close())
				w.holds(0, 0)
				if left := w.ids(); len(left) != 0 || len(w.rows("u")) != 0 {
					t.Errorf("left: %q, %q", left, w.rows("u"))
				}
				w.restart()
				w.ended("p", id)
				w.holds(0, 0)
			})
		})
	}
}
