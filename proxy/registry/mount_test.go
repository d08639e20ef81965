package registry_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"larder/cache"
	"larder/cache/refs"
	"larder/formats"
	"larder/policy"
	"larder/policy/rules"
	"larder/proxy/registry"
	"larder/upstream/upstreamtest"
)

// mount of the blob 1 of one package into another.
func mount(to, from, source string) formats.Mount {
	return formats.Mount{Package: to, Name: blobFile(to, "1").Name, From: from, Source: func(string) string { return blobFile(source, "1").Name }}
}

// mounts tries one, and insists on what comes of it: if nothing does, nothing is
// in the package that did not get it.
func (b *bench) mounts(r formats.Registry, m formats.Mount, want bool) {
	b.t.Helper()
	rows := len(b.rows("f")) + len(b.rows("p")) + len(b.rows("x"))
	got, err := r.Mount(context.Background(), m)
	if err != nil || got != want {
		b.t.Fatalf("mount from %q: %v, %v; want %v", m.From, got, err, want)
	}
	if now := len(b.rows("f")) + len(b.rows("p")) + len(b.rows("x")); !want && now != rows {
		b.t.Errorf("mount from %q: %d rows came of it", m.From, now-rows)
	}
}

// TestMount: a file of a package that the caller may read is one of the other, on
// its own, as if it had been sent.
func TestMount(t *testing.T) {
	worlds(t, func(w *world) {
		data := text(100 << 10)
		w.link("p", "1", data)
		alice := w.as("alice", "")
		w.mounts(alice, mount("q", "p", "p"), true)
		w.mounts(alice, mount("q", "p", "p"), true) // again
		w.mounts(alice, mount("q", "q", "q"), true) // its own
		w.want(blobFile("q", "1"), data, formats.Hosted)
		w.ok(w.edit("p", func(tx formats.Tx) error { return tx.Unlink(blobFile("p", "1").Name) }))
		w.clock.advance(2 * time.Hour) // more than an upload is held
		w.sweep()
		w.want(blobFile("q", "1"), data, formats.Hosted)
		w.ok(w.put("q", "v1", nil, blobFile("q", "1").Name))
		w.clock.advance(40 * day)
		w.sweep()
		w.want(blobFile("q", "1"), data, formats.Hosted)
		w.mounts(alice, mount("r", "p", "p"), false) // it has it no more
	})
}

// TestMountOfWhatIsNotTheirs: whatever speaks against it is one answer, and leaves
// nothing behind.
func TestMountOfWhatIsNotTheirs(t *testing.T) {
	b := newBench(t)
	ctx := context.Background()
	alice, sam := b.as("alice", ""), b.as("sam", "")
	b.access.claim("hidden", "acme/secret")
	blob, err := upload(sam, "hidden", text(100))
	b.ok(err)
	c := formats.Change{Package: "hidden", Action: policy.Publish, Create: true}
	b.ok(sam.Change(ctx, c, func(tx formats.Tx) error {
		return tx.Link(formats.ReleaseFile{Name: blobFile("hidden", "1").Name, Blob: blob})
	}))
	b.link("p", "1", text(200))
	b.link("other", "2", text(300))

	b.mounts(alice, mount("q", "hidden", "hidden"), false)
	b.mounts(alice, mount("q", "p", "hidden"), false) // a file of another package than it says
	b.mounts(alice, mount("q", "nothing", "nothing"), false)
	b.mounts(alice, mount("q", "other", "other"), false)
	b.mounts(alice, mount("q", "mirror/no/hidden", "hidden"), false)
	b.mounts(alice, mount("q", "mirror/no/p", "p"), false)
	b.mounts(alice, mount("q", "", "p"), false)
	narrow := user("alice")
	narrow.Grants = policy.NewGrants([]policy.Grant{{Format: b.format.Name(), Package: "q", Actions: []policy.Action{policy.Read, policy.Publish}}})
	b.mounts(b.reg.For(narrow, "", base), mount("q", "p", "p"), false)

	root := b.as("root", "")
	b.mounts(root, mount("q", "hidden", "hidden"), true) // it was there

	// A lack of rights to the package that is to get it is told.
	if _, err := b.as("bob", "").Mount(ctx, mount("p", "other", "other")); !errors.Is(err, policy.ErrDenied) {
		t.Errorf("by who may not publish: %v", err)
	}
	if _, err := b.reader.Mount(ctx, mount("p", "other", "other")); !errors.Is(err, policy.ErrUnauthenticated) {
		t.Errorf("by nobody: %v", err)
	}
	if _, err := b.apart("one", b.far).For(user("root"), "", base).Mount(ctx, mount("p", "q", "q")); !errors.Is(err, formats.ErrUnsupported) {
		t.Errorf("to a mirror: %v", err)
	}
}

// TestMountFromAMirror takes what is held under that very name, asks no upstream,
// and keeps it whatever the cache loses.
func TestMountFromAMirror(t *testing.T) {
	worlds(t, func(w *world) {
		far := upstreamtest.New(t)
		m := w.apart("one", far).For(policy.Subject{}, "", base)
		alice, data := w.as("alice", ""), text(100<<10)
		f := blobFile("p", "1")
		f.Locate = func(context.Context) (formats.Location, error) {
			return formats.Location{Ref: "blob", Want: []cache.Sum{sumOf(data)}}, nil
		}
		far.Serve("/blob", upstreamtest.Answer{Body: data})
		w.mounts(alice, mount("q", "mirror/one/p", "p"), false) // not held yet
		if len(far.Log()) != 0 {
			t.Errorf("asked: %v", far.Log())
		}
		held(t, m, f)
		far.Forget()
		w.mounts(alice, mount("q", "mirror/one/other", "p"), false)
		w.mounts(alice, mount("q", "mirror/one/other", "other"), false)
		w.mounts(alice, mount("q", "mirror/two/p", "p"), false)
		w.mounts(alice, mount("q", "p", "p"), false) // the hosted one of that name
		w.access.claim("p", "acme/secret")
		w.mounts(alice, mount("q", "mirror/one/p", "p"), false) // the name is ours now
		w.access.unclaim("p")
		w.mounts(alice, mount("q", "mirror/one/p", "p"), true)
		if len(far.Log()) != 0 {
			t.Errorf("asked: %v", far.Log())
		}
		w.evictFile("one", f.Name, data)
		w.want(blobFile("q", "1"), data, formats.Hosted)
		w.mounts(alice, mount("r", "mirror/one/p", "p"), false)
	})
}

func (a *access) unclaim(name string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.claims, name)
	a.generation.Add(1)
}

// evictFile drops a cached file as the evictor does: the bytes too, if nothing else
// has them.
func (b *bench) evictFile(upstream, name string, data []byte) {
	b.t.Helper()
	ctx, d := context.Background(), cache.Digest(sumOf(data).Value)
	k := []byte("fu" + upstream + "\x00" + name)
	unused := false
	b.ok(b.index.Update(ctx, func(w cache.Writer) error {
		if err := w.Delete(k); err != nil {
			return err
		}
		if err := refs.Unlink(w, d, refs.Edge{Kind: refs.Cached, Record: k}, b.clock.now()); err != nil {
			return err
		}
		_, err := refs.Unused(w, d)
		unused = err == nil
		return nil
	}))
	if unused {
		b.ok(b.store.Delete(ctx, d))
	}
}

// TestMountUnderRules: what rules keep from clients of a mirror is not to be had by
// a mount of it either.
func TestMountUnderRules(t *testing.T) {
	m := newMirror(t, false)
	alice := m.engine.Registry(registry.Spec{Name: "images", Format: images{m.format}, Hosted: true}).For(user("alice"), "", base)
	f := blobFile("p", "1")
	f.Locate = func(context.Context) (formats.Location, error) { return formats.Location{Ref: "blob"}, nil }
	m.far.Serve("/blob", upstreamtest.Answer{Body: text(100)})
	held(t, m, f)
	m.rules(rules.Rule{ID: "r", Kind: rules.Deny, Match: []string{"pkg:oci/p"}})
	m.mounts(alice, mount("q", "mirror/far/p", "p"), false)
	m.rules()
	m.mounts(alice, mount("q", "mirror/far/p", "p"), true)
}

// held fetches a file and waits until it is stored.
func held(t *testing.T, r formats.Registry, f formats.File) {
	t.Helper()
	eventually(t, "the file is held", func() bool {
		c, err := r.File(context.Background(), f)
		if err != nil {
			return false
		}
		_, err = body(c)
		return err == nil && c.Result == formats.Hit
	})
}

// TestMountOfLostBytes promises nothing; and a server that cannot look says so.
func TestMountOfLostBytes(t *testing.T) {
	worlds(t, func(w *world) {
		data := text(100)
		w.link("p", "1", data)
		w.want(blobFile("p", "1"), data, formats.Hosted) // it is in memory too
		w.ok(w.store.Delete(context.Background(), cache.Digest(sumOf(data).Value)))
		w.mounts(w.as("alice", ""), mount("q", "p", "p"), false)
		w.link("p", "2", text(200))
		dead := &readOnly{Index: w.index}
		alive := w.index
		w.index = dead
		w.reopen()
		dead.now.Store(true)
		m := mount("q", "p", "p")
		m.Source = func(pkg string) string { return blobFile(pkg, "2").Name }
		if _, err := w.as("alice", "").Mount(context.Background(), m); !errors.Is(err, cache.ErrFull) {
			t.Errorf("into a full index: %v", err)
		}
		w.index = alive
	})
}

// nth is an index beside whose n-th transaction from now something happens.
type nth struct {
	cache.Index
	left int
	do   func()
}

func (n *nth) View(ctx context.Context, fn func(cache.Reader) error) error {
	n.left--
	if n.left == 0 {
		n.do()
	}
	return n.Index.View(ctx, fn)
}

func (n *nth) Update(ctx context.Context, fn func(cache.Writer) error) error {
	n.left--
	if n.left == 0 {
		n.do()
	}
	return n.Index.Update(ctx, fn)
}

// TestMountMeanwhile: the file goes from its package at any moment of a mount, and
// the bytes with it if the mount did not hold them.
func TestMountMeanwhile(t *testing.T) {
	over := false
	for step := 1; !over; step++ {
		w := newWorld(t)
		data := text(100)
		w.link("p", "1", data)
		w.link("q", "2", text(200))
		index := &nth{Index: w.index, left: step}
		w.index = index
		w.reopen()
		fired := false
		alive := w.as("alice", "")
		index.do = func() {
			fired = true
			w.ok(w.edit("p", func(tx formats.Tx) error { return tx.Unlink(blobFile("p", "1").Name) }))
			w.clock.advance(2 * time.Hour) // the upload is no longer held either
			w.sweep()
			w.ok(w.dropUnused(data))
		}
		mounted, err := alive.Mount(context.Background(), mount("q", "p", "p"))
		w.ok(err)
		over = !fired
		index.left = 0
		if mounted {
			w.want(blobFile("q", "1"), data, formats.Hosted)
			continue
		}
		w.gone(blobFile("q", "1"))
		if step > 20 {
			t.Fatal("it never ends")
		}
	}
}

// dropUnused deletes bytes that may be deleted.
func (b *bench) dropUnused(data []byte) error {
	d := cache.Digest(sumOf(data).Value)
	err := b.index.View(context.Background(), func(r cache.Reader) error {
		_, err := refs.Unused(r, d)
		return err
	})
	if errors.Is(err, cache.ErrNotExist) {
		return nil
	}
	if err == nil {
		err = b.store.Delete(context.Background(), d)
	}
	return err
}
