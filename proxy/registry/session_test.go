package registry_test

import (
	"context"
	"crypto/sha512"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"larder/cache"
	"larder/cache/badger"
	"larder/cache/disk"
	"larder/cache/memory"
	"larder/formats"
	"larder/policy"
	"larder/proxy/registry"
)

// world is a bench whose process can end and begin again over the same data.
type world struct {
	*bench
	opt     registry.Options
	restart func()
}

// worlds runs a test over the stores that keep sessions.
func worlds(t *testing.T, test func(w *world), settings ...setting) {
	t.Run("memory", func(t *testing.T) {
		w := newWorld(t, settings...)
		w.restart = func() {
			w.store = w.store.(*memory.Store).Restart()
			w.reopen()
		}
		test(w)
	})
	t.Run("disk", func(t *testing.T) {
		dir := t.TempDir()
		w := newWorld(t, append([]setting{func(b *bench, _ *registry.Options) { b.openData(dir) }}, settings...)...)
		w.restart = func() {
			w.closeData()
			w.openData(dir)
			w.reopen()
		}
		t.Cleanup(func() { w.closeData() })
		test(w)
	})
}

func newWorld(t *testing.T, settings ...setting) *world {
	w := &world{}
	w.bench = newBench(t, append(settings, func(_ *bench, o *registry.Options) { w.opt = *o })...)
	return w
}

// reopen builds another engine, which knows nothing of the one before.
func (w *world) reopen() {
	w.t.Helper()
	o := w.opt
	o.Store, o.Index = w.store, w.index
	w.open(o)
}

func (b *bench) openData(dir string) {
	b.t.Helper()
	store, err := disk.Open(dir, disk.Options{Room: disk.RoomOptions{Floor: 1 << 20}})
	if err != nil {
		b.t.Fatal(err)
	}
	index, err := badger.Open(filepath.Join(dir, "index"), badger.Options{})
	if err != nil {
		b.t.Fatal(err)
	}
	b.store, b.index = store, index
}

func (b *bench) closeData() {
	if err := errors.Join(b.index.Close(), b.store.(*disk.Store).Close()); err != nil {
		b.t.Error(err)
	}
}

// begin opens a session of a package for alice.
func (b *bench) begin(pkg string) string {
	b.t.Helper()
	id, err := b.as("alice", "").Begin(context.Background(), formats.UploadOptions{Package: pkg, Size: -1})
	if err != nil {
		b.t.Fatalf("begin: %v", err)
	}
	return id
}

// take resumes a session that must be there, at an offset.
func (b *bench) take(pkg, id string, offset int) formats.Session {
	b.t.Helper()
	s, err := b.as("alice", "").Resume(context.Background(), pkg, id)
	if err != nil {
		b.t.Fatalf("resume: %v", err)
	}
	b.t.Cleanup(func() { s.Close() })
	if s.Offset() != int64(offset) {
		b.t.Fatalf("it is at byte %d, want %d", s.Offset(), offset)
	}
	return s
}

// over insists that a session answers no more.
func (b *bench) over(pkg, id string) {
	b.t.Helper()
	if s, err := b.as("alice", "").Resume(context.Background(), pkg, id); !errors.Is(err, formats.ErrNoVersion) {
		b.t.Fatalf("resumed: %v, %v", s, err)
	}
}

// holds insists on what is counted.
func (b *bench) holds(sessions int, size int64) {
	b.t.Helper()
	n, bytes, err := b.engine.OpenUploads(context.Background())
	if err != nil || n != sessions || bytes != size {
		b.t.Fatalf("%d sessions, %d bytes, %v; want %d and %d", n, bytes, err, sessions, size)
	}
}

func (b *bench) ok(err error) {
	b.t.Helper()
	if err != nil {
		b.t.Fatal(err)
	}
}

// append writes to a session and leaves it.
func (b *bench) append(pkg, id string, offset int, data []byte) {
	b.t.Helper()
	s := b.take(pkg, id, offset)
	_, err := s.Write(data)
	b.ok(err)
	b.ok(s.Suspend(context.Background()))
}

// kept insists that bytes are stored and held by a lease.
func (b *bench) kept(data []byte) {
	b.t.Helper()
	d := cache.Digest(sumOf(data).Value)
	if blob, err := b.store.Stat(context.Background(), d); err != nil || blob.Size != int64(len(data)) {
		b.t.Fatalf("blob: %+v, %v", blob, err)
	}
	c := formats.Change{Package: "kept", Action: policy.Publish, Create: true}
	b.ok(b.as("alice", "").Change(context.Background(), c, func(tx formats.Tx) error {
		f := formats.ReleaseFile{Name: fmt.Sprintf("kept/%s", d), Blob: cache.Blob{Digest: d, Size: int64(len(data))}}
		if err := tx.Add(&formats.Release{Version: d.String(), Files: []formats.ReleaseFile{f}}); err != nil {
			return err
		}
		p, err := tx.Package()
		if err != nil {
			return err
		}
		return tx.Save(p)
	}))
}

// TestSession goes through the states of an upload, with and without a restart
// between any two requests.
func TestSession(t *testing.T) {
	data := text(3 << 20)
	sum := sha512.Sum512(data)
	ctx := context.Background()
	for name, between := range map[string]func(*world){
		"one process": func(*world) {},
		"restarts":    func(w *world) { w.restart() },
	} {
		t.Run(name, func(t *testing.T) {
			worlds(t, func(w *world) {
				id := w.begin("p")
				if len(id) < 26 {
					t.Errorf("the id %q has less than 128 random bits", id)
				}
				between(w)
				w.append("p", id, 0, data[:1<<20])
				between(w)
				w.holds(1, 1<<20)
				w.append("p", id, 1<<20, nil) // an empty PATCH
				between(w)
				s := w.take("p", id, 1<<20) // asked where it is
				w.ok(s.Close())
				between(w)
				s = w.take("p", id, 1<<20)
				_, err := s.Write(data[1<<20:])
				w.ok(err)
				// The checksum is named only now.
				_, err = s.Verify(cache.Sum{Algorithm: cache.SHA512, Value: sum[:]}, sumOf(data))
				w.ok(err)
				w.ok(s.Keep(ctx))
				w.ok(s.Close())
				w.over("p", id)
				w.holds(0, 0)
				between(w)
				w.over("p", id)
				w.holds(0, 0)
				w.kept(data)
				if n := len(w.rows("u")); n != 0 {
					t.Errorf("%d rows are left", n)
				}
			})
		})
	}
}

// TestSessionOfOneWriter: everybody else is told at once.
func TestSessionOfOneWriter(t *testing.T) {
	worlds(t, func(w *world) {
		id := w.begin("p")
		s := w.take("p", id, 0)
		var busy atomic.Int64
		clients(t, 8, func() {
			if _, err := w.as("alice", "").Resume(context.Background(), "p", id); errors.Is(err, formats.ErrConflict) {
				busy.Add(1)
			}
		})
		if busy.Load() != 8 {
			t.Errorf("%d of 8 were refused", busy.Load())
		}
		_, err := s.Write([]byte("abc"))
		w.ok(err)
		w.ok(s.Suspend(context.Background()))
		w.take("p", id, 3)
	})
}

// TestSessionBounds: it is its package's and its format's, and needs the right to
// publish there at every step.
func TestSessionBounds(t *testing.T) {
	worlds(t, func(w *world) {
		id := w.begin("p")
		w.over("q", id)
		w.over("p", "")
		w.over("p", "../../"+id)
		w.over("p", id+"A")
		ctx := context.Background()
		if _, err := w.as("bob", "").Resume(ctx, "p", id); !errors.Is(err, policy.ErrDenied) {
			t.Errorf("by who may not publish: %v", err)
		}
		if _, err := w.as("bob", "").Begin(ctx, formats.UploadOptions{Package: "p"}); !errors.Is(err, policy.ErrDenied) {
			t.Errorf("begun by who may not publish: %v", err)
		}
		if _, err := w.reader.Begin(ctx, formats.UploadOptions{Package: "p"}); !errors.Is(err, policy.ErrUnauthenticated) {
			t.Errorf("begun by nobody: %v", err)
		}
		// Another of the same right goes on: it is bound to that.
		s, err := w.as("root", "").Resume(ctx, "p", id)
		w.ok(err)
		w.ok(s.Close())
		mirror := w.engine.Registry(registry.Spec{Name: "mirror", Format: w.format}).For(user("root"), "", base)
		if _, err := mirror.Begin(ctx, formats.UploadOptions{Package: "p"}); !errors.Is(err, formats.ErrUnsupported) {
			t.Errorf("begun on a mirror: %v", err)
		}
		if _, err := mirror.Resume(ctx, "p", id); !errors.Is(err, formats.ErrUnsupported) {
			t.Errorf("resumed on a mirror: %v", err)
		}
		other := w.engine.Registry(registry.Spec{Name: "other", Format: named{w.format}, Hosted: true}).For(user("root"), "", base)
		if _, err := other.Resume(ctx, "p", id); !errors.Is(err, formats.ErrNoVersion) {
			t.Errorf("resumed as another format: %v", err)
		}
	})
}

// named is a format of another name.
type named struct{ *plain }

func (named) Name() string { return "named" }

// TestSessionEnds: whatever ended it, it answers as unknown, before a restart and
// after, and its bytes are gone.
func TestSessionEnds(t *testing.T) {
	ctx := context.Background()
	for name, end := range map[string]func(*world, formats.Session){
		"cancelled": func(w *world, s formats.Session) { w.ok(s.Cancel(ctx)) },
		"wrong digest": func(w *world, s formats.Session) {
			if _, err := s.Verify(sumOf([]byte("other"))); !errors.Is(err, cache.ErrCorrupt) {
				w.t.Errorf("verify: %v", err)
			}
			w.ok(s.Cancel(ctx))
		},
		"kept": func(w *world, s formats.Session) {
			_, err := s.Verify()
			w.ok(err)
			w.ok(s.Keep(ctx))
		},
		"left for too long": func(w *world, s formats.Session) {
			w.ok(s.Close())
			w.clock.advance(day + time.Second)
			w.over("p", w.ids()[0])
			w.ok(w.engine.SweepUploads(ctx))
		},
	} {
		t.Run(name, func(t *testing.T) {
			worlds(t, func(w *world) {
				id := w.begin("p")
				w.append("p", id, 0, []byte("abc"))
				s := w.take("p", id, 3)
				end(w, s)
				w.ok(s.Close())
				for range 2 {
					w.over("p", id)
					w.holds(0, 0)
					if left := w.ids(); len(left) != 0 || len(w.rows("u")) != 0 {
						t.Errorf("left: files %q, rows %q", left, w.rows("u"))
					}
					w.restart()
				}
				if _, err := s.Write([]byte("d")); err == nil {
					t.Error("written to after its end")
				}
				for what, err := range map[string]error{"suspend": s.Suspend(ctx), "keep": s.Keep(ctx), "cancel": s.Cancel(ctx)} {
					if err == nil {
						t.Errorf("%s after its end", what)
					}
				}
			})
		})
	}
}

// ids are the sessions that have bytes in the store.
func (b *bench) ids() []string {
	b.t.Helper()
	var all []string
	for id, err := range b.store.(cache.Sessions).SessionIDs(context.Background()) {
		b.ok(err)
		all = append(all, id)
	}
	return all
}

// TestSessionGoesBack: what was not suspended is as if it had not come, as for a
// chunk shorter than it said.
func TestSessionGoesBack(t *testing.T) {
	worlds(t, func(w *world) {
		id := w.begin("p")
		s := w.take("p", id, 0)
		_, err := s.Write([]byte("never saved"))
		w.ok(err)
		w.ok(s.Close())
		w.holds(1, 0)
		w.append("p", id, 0, []byte("abc"))
		s = w.take("p", id, 3)
		_, err = s.Write([]byte("too short"))
		w.ok(err)
		w.ok(s.Close())
		w.holds(1, 3)
		w.append("p", id, 3, []byte("def"))
		s = w.take("p", id, 6)
		_, err = s.Verify(sumOf([]byte("abcdef")))
		w.ok(err)
		w.ok(s.Keep(context.Background()))
	})
}

// TestSessionOfAClientThatLeft: what came stays, though its request is over.
func TestSessionOfAClientThatLeft(t *testing.T) {
	worlds(t, func(w *world) {
		ctx, leave := context.WithCancel(context.Background())
		id := w.begin("p")
		s, err := w.as("alice", "").Resume(ctx, "p", id)
		w.ok(err)
		_, err = s.Write([]byte("abc"))
		w.ok(err)
		leave()
		w.ok(s.Suspend(ctx))
		w.restart()
		s = w.take("p", id, 3)
		_, err = s.Verify()
		w.ok(err)
		w.ok(s.Keep(ctx)) // all of it came
		w.kept([]byte("abc"))
	})
}

// TestSessionKilled: of what was written and not saved nothing is left, with the
// process killed in the middle of it.
func TestSessionKilled(t *testing.T) {
	w := newWorld(t)
	fresh, id := w.begin("p"), w.begin("p")
	w.append("p", id, 0, []byte("abc"))
	for _, x := range []struct {
		id string
		at int
	}{{fresh, 0}, {id, 3}} {
		_, err := w.take("p", x.id, x.at).Write([]byte("in the middle"))
		w.ok(err)
	}
	w.store = w.store.(*memory.Store).Restart()
	w.reopen()
	w.holds(2, 3)
	w.append("p", fresh, 0, []byte("abc"))
	w.append("p", id, 3, []byte("def"))
	for id, all := range map[string]string{fresh: "abc", id: "abcdef"} {
		s := w.take("p", id, len(all))
		_, err := s.Verify(sumOf([]byte(all)))
		w.ok(err)
		w.ok(s.Keep(context.Background()))
	}
}

// TestSessionsOfOneDigest at once: both succeed, and one blob is left.
func TestSessionsOfOneDigest(t *testing.T) {
	worlds(t, func(w *world) {
		data := text(1 << 20)
		var ids []string
		for range 4 {
			ids = append(ids, w.begin("p"))
		}
		var wg sync.WaitGroup
		for _, id := range ids {
			wg.Go(func() {
				s, err := w.as("alice", "").Resume(context.Background(), "p", id)
				if err == nil {
					defer s.Close()
					_, err = s.Write(data)
				}
				if err == nil {
					_, err = s.Verify(sumOf(data))
				}
				if err == nil {
					err = s.Keep(context.Background())
				}
				if err != nil {
					t.Errorf("session: %v", err)
				}
			})
		}
		wg.Wait()
		if n := w.blobs(); n != 1 {
			t.Errorf("%d blobs", n)
		}
		w.holds(0, 0)
		w.kept(data)
	})
}
