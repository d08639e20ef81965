package registry_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"larder/cache"
	"larder/cache/disk"
	"larder/cache/evict"
	"larder/cache/refs"
	"larder/cache/scrub"
	"larder/formats"
)

// collected is a bench with a garbage collector.
func collected(t *testing.T, settings ...setting) (*bench, *evict.Evictor) {
	t.Helper()
	b := newBench(t, settings...)
	gc, err := evict.New(b.index, b.store, evict.Options{Budget: 1 << 30, Clock: b.clock.now, Locks: b.locks})
	if err != nil {
		t.Fatal(err)
	}
	return b, gc
}

func (b *bench) collect(gc *evict.Evictor) {
	b.t.Helper()
	if r, err := gc.GC(context.Background(), false, nil); err != nil || r.Failures > 0 {
		b.t.Errorf("collection: %+v, %v", r, err)
	}
}

// verified insists that no row contradicts another and no bytes are missing.
func (b *bench) verified() {
	b.t.Helper()
	s := scrub.Scrubber{Index: b.index, Store: b.store.(*disk.Store), Locks: b.locks, Clock: b.clock.now}
	r, err := s.Check(context.Background(), false, nil)
	if err != nil || r.Hosted+r.Cached+r.Rows > 0 {
		b.t.Errorf("%+v, %v", r, err)
	}
}

// consistent insists that what edges say is there is there, as verified does on
// any store.
func (b *bench) consistent() {
	b.t.Helper()
	ctx := context.Background()
	err := b.index.View(ctx, func(r cache.Reader) error {
		for u, err := range refs.AllEdges(r, nil) {
			if err != nil {
				return err
			}
			if _, err := b.store.Stat(ctx, u.Digest); err != nil {
				return fmt.Errorf("%c %q: %w", u.Edge.Kind, u.Edge.Record, err)
			}
			if k := u.Edge.Kind; k != refs.Hosted && k != refs.Lease {
				continue
			}
			if _, err := r.Get(u.Edge.Record); err != nil {
				return fmt.Errorf("%c %q: %w", u.Edge.Kind, u.Edge.Record, err)
			}
		}
		return nil
	})
	if err != nil {
		b.t.Error(err)
	}
}

// TestPutAndSweepRace: the lease of a layer ends while a manifest that names it
// is put. Either the manifest is refused and the layer named, or the layer stays;
// and what a HEAD promised holds. The other layer is one that another package has.
func TestPutAndSweepRace(t *testing.T) {
	b, gc := collected(t)
	var kept, refused int
	for i := range 100 {
		name, version := fmt.Sprint("layer", i), fmt.Sprint(i)
		b.link("p", name, []byte(name))
		b.link("p", name+"-shared", []byte("shared"))
		b.link("q", name, []byte("shared"))
		b.clock.advance(formats.LinkLease)
		change := b.putting("p", version, "p/blobs/"+name, "p/blobs/"+name+"-shared")
		var wg sync.WaitGroup
		var promised atomic.Bool
		var put error
		wg.Go(func() { b.collect(gc) })
		wg.Go(func() { put = change() })
		if i%3 == 0 {
			wg.Go(func() { promised.Store(b.head(blobFile("p", name)) == nil) })
		}
		wg.Wait()
		b.clock.advance(time.Hour) // whatever of it is due
		b.collect(gc)
		var missing *formats.MissingError
		switch {
		case put == nil:
			kept++
			b.want(blobFile("p", name), []byte(name), formats.Hosted)
			b.want(blobFile("p", name+"-shared"), []byte("shared"), formats.Hosted)
			b.want(formats.File{Package: "p", Name: "p/" + version}, []byte("manifest "+version), formats.Hosted)
		case !errors.As(put, &missing):
			t.Fatalf("round %d: %v", i, put)
		case promised.Load(): // it was refused for the other layer
			if slices.Contains(missing.Names, "p/blobs/"+name) {
				t.Errorf("round %d: promised, and missing", i)
			}
			b.want(blobFile("p", name), []byte(name), formats.Hosted)
		default:
			refused++
			b.gone(blobFile("p", name))
		}
	}
	t.Logf("%d manifests were put, %d refused", kept, refused)
	b.consistent()
}

// putting is put with the upload done by now.
func (b *bench) putting(pkg, version string, uses ...string) func() error {
	b.t.Helper()
	blob, err := upload(b.as("alice", ""), pkg, []byte("manifest "+version))
	if err != nil {
		b.t.Fatal(err)
	}
	r := &formats.Release{Version: version, Uses: uses, Files: []formats.ReleaseFile{{Name: pkg + "/" + version, Blob: blob}}}
	return func() error { return b.edit(pkg, func(tx formats.Tx) error { return tx.Put(r) }) }
}

// TestRetractAndPutRace: two images share a layer, and one is deleted for good
// while the other is put.
func TestRetractAndPutRace(t *testing.T) {
	b, gc := collected(t)
	for i := range 100 {
		old, made, layer := fmt.Sprint("old", i), fmt.Sprint("new", i), fmt.Sprint("layer", i)
		b.link("p", layer, []byte(layer))
		if err := b.put("p", old, nil, "p/blobs/"+layer); err != nil {
			t.Fatal(err)
		}
		change := b.putting("p", made, "p/blobs/"+layer)
		var wg sync.WaitGroup
		var put error
		wg.Go(func() {
			if err := retract(b.as("alice", ""), "p", old); err != nil {
				t.Error(err)
			}
			err := b.edit("p", func(tx formats.Tx) error { return tx.Unlink("p/blobs/" + layer) })
			if err != nil && !errors.As(err, new(*formats.UsedError)) {
				t.Error(err)
			}
		})
		wg.Go(func() { put = change() })
		wg.Go(func() { b.collect(gc) })
		wg.Wait()
		b.clock.advance(40 * day)
		b.collect(gc)
		switch {
		case put == nil:
			b.want(blobFile("p", layer), []byte(layer), formats.Hosted)
		case errors.As(put, new(*formats.MissingError)):
			b.gone(blobFile("p", layer))
		default:
			t.Fatal(put)
		}
	}
	b.consistent()
}

// TestVerifyKnowsLinks in all their states.
func TestVerifyKnowsLinks(t *testing.T) {
	b, gc := collected(t, onDisk(1<<30))
	for _, name := range []string{"used", "shared", "loose", "dropped"} {
		b.link("p", name, []byte(name))
	}
	for version, uses := range map[string][]string{"1": {"p/blobs/used", "p/blobs/shared"}, "2": {"p/blobs/shared"}} {
		if err := errors.Join(b.put("p", version, []string{"x"}, uses...), b.tag("p", version, "tag"+version)); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.edit("p", func(tx formats.Tx) error { return tx.Unlink("p/blobs/dropped") }); err != nil {
		t.Fatal(err)
	}
	if err := retract(b.as("alice", ""), "p", "1"); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		b.verified()
		b.clock.advance(20 * day)
		b.collect(gc)
	}
	b.verified()
	b.want(blobFile("p", "shared"), []byte("shared"), formats.Hosted)
	b.gone(blobFile("p", "used"))
	if n := b.blobs(); n != 2 { // a layer and its manifest
		t.Errorf("%d blobs are left", n)
	}
}
