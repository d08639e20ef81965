package registry_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"larder/cache"
	"larder/formats"
	"larder/proxy/registry"
)

// crowd lets so many users write to acme/packages, and returns their names.
func (a *access) crowd(n int) []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	var names []string
	for i := range n {
		name := fmt.Sprint("user", i)
		a.writers[name] = "acme/packages"
		names = append(names, name)
	}
	return names
}

// refused insists on a refusal that tells a number.
func (b *bench) refused(err, kind error, number string) {
	b.t.Helper()
	if !errors.Is(err, kind) || !strings.Contains(err.Error(), number) {
		b.t.Fatalf("refused with %v, want %v with %q", err, kind, number)
	}
}

func (b *bench) tryBegin(name string) (string, error) {
	return b.as(name, "").Begin(context.Background(), formats.UploadOptions{Package: "p", Size: -1})
}

// TestSessionLimits opens as many sessions as a server has by default: of a user
// and of all. A restart counts the same.
func TestSessionLimits(t *testing.T) {
	w := newWorld(t)
	ctx := context.Background()
	names := w.access.crowd(11)
	ids := map[string]string{}
	for _, name := range names[:10] {
		for range 1000 {
			id, err := w.tryBegin(name)
			w.ok(err)
			ids[id] = name
		}
		if name == names[0] {
			_, err := w.tryBegin(name)
			w.refused(err, formats.ErrTooMany, "1000")
		}
	}
	for range 2 {
		_, err := w.tryBegin(names[10])
		w.refused(err, formats.ErrTooMany, "10000")
		w.holds(10_000, 0)
		w.reopen()
	}
	for id, name := range ids {
		s, err := w.as(name, "").Resume(ctx, "p", id)
		w.ok(err)
		w.ok(s.Cancel(ctx))
		_, err = w.tryBegin(name)
		w.ok(err)
		break
	}
	w.clock.advance(day + time.Second)
	w.ok(w.engine.SweepUploads(ctx))
	w.holds(0, 0)
	if n := len(w.rows("u")); n != 0 {
		t.Errorf("%d rows are left", n)
	}
	_, err := w.tryBegin(names[0])
	w.ok(err)
}

// TestSessionBytes: a file has a limit, and all unfinished ones have one together.
func TestSessionBytes(t *testing.T) {
	few := func(_ *bench, o *registry.Options) { o.MaxUpload, o.Uploads.Bytes = 100, 150 }
	worlds(t, func(w *world) {
		ctx := context.Background()
		alice := w.as("alice", "")
		_, err := alice.Begin(ctx, formats.UploadOptions{Package: "p", Size: 101})
		w.refused(err, formats.ErrTooLarge, "100")
		id := w.begin("p")
		w.append("p", id, 0, text(90))
		s := w.take("p", id, 90)
		_, err = s.Write(text(11))
		w.refused(err, formats.ErrTooLarge, "100")
		w.ok(s.Close())
		w.append("p", id, 90, text(10))

		other := w.begin("p")
		s = w.take("p", other, 0)
		_, err = s.Write(text(50))
		w.ok(err)
		_, err = s.Write(text(1))
		w.refused(err, formats.ErrTooMany, "150")
		_, err = w.tryBegin("alice")
		w.refused(err, formats.ErrTooMany, "150")
		w.ok(s.Close()) // what it had not saved is free again
		w.holds(2, 100)
		w.restart()
		w.holds(2, 100)
		s = w.take("p", id, 100)
		_, err = s.Verify(sumOf(append(text(90), text(10)...)))
		w.ok(err)
		w.ok(s.Keep(ctx))
		w.holds(1, 0)
		w.append("p", other, 0, text(100))
	}, few)
}

// TestUploadMax: an upload has the limit that the format says, larger or smaller
// than that of the server, in one request or in several.
func TestUploadMax(t *testing.T) {
	small := func(_ *bench, o *registry.Options) { o.MaxUpload = 100 }
	worlds(t, func(w *world) {
		ctx := context.Background()
		for _, limit := range []int{10, 1000} {
			options := formats.UploadOptions{Package: "p", Size: -1, Max: int64(limit)}
			id, err := w.as("alice", "").Begin(ctx, options)
			w.ok(err)
			w.restart()
			alice := w.as("alice", "")
			up, err := alice.Upload(ctx, options)
			w.ok(err)
			defer up.Close()
			for _, x := range []formats.Upload{up, w.take("p", id, 0)} {
				_, err = x.Write(text(limit))
				w.ok(err)
				_, err = x.Write([]byte("x"))
				w.refused(err, formats.ErrTooLarge, fmt.Sprint(limit))
			}
			options.Size = int64(limit) + 1
			_, err = alice.Upload(ctx, options)
			w.refused(err, formats.ErrTooLarge, fmt.Sprint(limit))
			_, err = alice.Begin(ctx, options)
			w.refused(err, formats.ErrTooLarge, fmt.Sprint(limit))
		}
	}, small)
}

// TestSessionIdle: the time begins anew with every request, and a clock that is
// set back or forth by a day ends nothing that is in use.
func TestSessionIdle(t *testing.T) {
	worlds(t, func(w *world) {
		ctx := context.Background()
		id := w.begin("p")
		for i := range 3 {
			w.clock.advance(day - time.Second)
			w.ok(w.engine.SweepUploads(ctx))
			w.append("p", id, i, []byte("x"))
		}
		w.clock.advance(-day)
		w.ok(w.engine.SweepUploads(ctx))
		w.append("p", id, 3, []byte("x"))
		w.clock.advance(day - time.Second)
		w.restart()
		w.ok(w.engine.SweepUploads(ctx))
		s := w.take("p", id, 4)
		w.clock.advance(3 * day) // a slow one, and it has not left
		w.ok(w.engine.SweepUploads(ctx))
		_, err := s.Write([]byte("x"))
		w.ok(err)
		w.ok(s.Suspend(ctx))
		w.clock.advance(day + time.Second)
		w.over("p", id)
		w.holds(1, 5)
		w.ok(w.engine.SweepUploads(ctx))
		w.holds(0, 0)
		if left := w.ids(); len(left) != 0 {
			t.Errorf("left: %q", left)
		}
	})
}

// TestSessionStrays: files of no session go after an hour, and no others.
func TestSessionStrays(t *testing.T) {
	worlds(t, func(w *world) {
		ctx := context.Background()
		mine := w.begin("p")
		w.append("p", mine, 0, []byte("abc"))
		s, err := w.store.(cache.Sessions).BeginSession(ctx, "stray")
		w.ok(err)
		_, err = s.Save(ctx)
		w.ok(err)
		w.ok(s.Close())
		for _, after := range []struct {
			wait time.Duration
			left int
		}{{0, 2}, {time.Hour, 2}, {time.Second, 1}, {time.Hour, 1}} {
			w.clock.advance(after.wait)
			w.ok(w.engine.SweepUploads(ctx))
			if left := w.ids(); len(left) != after.left {
				t.Fatalf("after %s: %q", after.wait, left)
			}
		}
		w.take("p", mine, 3)
	})
}

// TestLimitsOfWholeUploads: what comes in one request has the limits of sessions until
// it is kept or dropped, and sessions that were left take nothing from it.
func TestLimitsOfWholeUploads(t *testing.T) {
	few := func(_ *bench, o *registry.Options) {
		o.MaxUpload, o.Uploads = 100, registry.UploadLimits{PerUser: 2, Open: 3, Bytes: 150}
	}
	worlds(t, func(w *world) {
		ctx := context.Background()
		names := w.access.crowd(2)
		begin := func(name string) (formats.Upload, error) {
			return w.as(name, "").Upload(ctx, formats.UploadOptions{Package: "p", Size: -1})
		}
		mustBegin := func(name string) formats.Upload {
			t.Helper()
			up, err := begin(name)
			w.ok(err)
			t.Cleanup(func() { up.Close() })
			return up
		}
		for range 2 {
			w.append("p", w.begin("p"), 0, text(75))
		}
		first, second := mustBegin("alice"), mustBegin("alice")
		w.holds(4, 150)
		_, err := begin("alice")
		w.refused(err, formats.ErrTooMany, "uploads.per_user")
		other := mustBegin(names[0])
		_, err = begin(names[1])
		w.refused(err, formats.ErrTooMany, "uploads.open")
		_, err = w.tryBegin(names[1])
		w.refused(err, formats.ErrTooMany, "uploads.max_size") // of the sessions

		_, err = first.Write(text(90))
		w.ok(err)
		_, err = second.Write(text(60))
		w.ok(err)
		w.holds(5, 300)
		_, err = other.Write(text(1))
		w.refused(err, formats.ErrTooMany, "uploads.max_size")
		blob, err := first.Verify()
		w.ok(err)
		w.ok(first.Keep(ctx))
		w.holds(4, 210)
		w.ok(first.Close())
		w.holds(4, 210)
		if _, err := w.store.Stat(ctx, blob.Digest); err != nil {
			t.Errorf("what was kept is gone: %v", err)
		}
		_, err = other.Write(text(90))
		w.ok(err)
		w.ok(other.Close())
		w.ok(second.Close())
		w.holds(2, 150)
	}, few)
}
