package evict

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"larder/cache"
	"larder/cache/disk"
	"larder/cache/memory"
	"larder/cache/refs"
)

var _ folders = (*disk.Store)(nil)

// onDisk is a bench over files, with a way to make them old.
func onDisk(t *testing.T) (*bench, func(cache.Blob, time.Duration)) {
	t.Helper()
	dir := t.TempDir()
	store, err := disk.Open(dir, disk.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	b := newBenchOn(t, 1<<20, memory.NewIndex(), store)
	return b, func(blob cache.Blob, age time.Duration) {
		t.Helper()
		hex, at := blob.Digest.String(), b.now.Add(-age)
		if err := os.Chtimes(filepath.Join(dir, "blobs", hex[:2], hex), at, at); err != nil {
			t.Fatal(err)
		}
	}
}

// orphan leaves bytes without any row, as a crash does.
func (b *bench) orphan(name string) cache.Blob {
	b.t.Helper()
	blob := b.add(name, refs.Cached)
	b.forget(blob, b.now)
	return blob
}

// forget deletes the rows of a cached blob, and the intent if it is due.
func (b *bench) forget(blob cache.Blob, due time.Time) {
	b.t.Helper()
	err := b.index.Update(context.Background(), func(w cache.Writer) error {
		if _, err := refs.DropCached(w, blob.Digest, due); err != nil || due.After(b.now) {
			return err
		}
		in, err := refs.Unused(w, blob.Digest)
		if err != nil {
			return err
		}
		return refs.Swept(w, blob.Digest, in)
	})
	if err != nil {
		b.t.Fatal(err)
	}
}

func TestOrphans(t *testing.T) {
	b, old := onDisk(t)
	gone, young := b.orphan("old orphan"), b.orphan("young orphan")
	recorded, later := b.add("recorded", refs.Hosted), b.add("due later", refs.Cached)
	b.forget(later, b.now.Add(time.Hour))
	for _, blob := range []cache.Blob{gone, recorded, later} {
		old(blob, orphanAge)
	}
	old(young, orphanAge-time.Second)
	all := []cache.Blob{gone, young, recorded, later}

	if r := b.gc(true); r.Orphans != 1 || r.Blobs != 1 || r.Bytes != gone.Size || len(b.left(all)) != 4 {
		t.Errorf("dry run: %+v, left %v", r, b.left(all))
	}
	looked := 0
	r, err := b.evict.GC(context.Background(), false, func(n int) { looked = n })
	if err != nil || r.Orphans != 1 || r.Blobs != 1 || r.Bytes != gone.Size || r.Failures != 0 || looked != 4 {
		t.Errorf("%+v, %v, looked at %d", r, err, looked)
	}
	if left := b.left(all); len(left) != 3 || b.there(gone) {
		t.Errorf("left %v", left)
	}
	if r := b.gc(false); r.Blobs != 0 {
		t.Errorf("the second time: %+v", r)
	}
}

// The background takes one folder at a time; after 256 turns it has seen all.
func TestOrphansByTurns(t *testing.T) {
	b, old := onDisk(t)
	gone := b.orphan("orphan")
	for range 256 {
		old(gone, orphanAge)
		turn := byte(b.now.UnixNano() / int64(orphansEvery))
		if err := b.evict.orphanFolder(context.Background()); err != nil {
			t.Fatal(err)
		}
		if !b.there(gone) {
			if turn != gone.Digest[0] {
				t.Errorf("folder %02x went in turn %02x", gone.Digest[0], turn)
			}
			return
		}
		b.now = b.now.Add(orphansEvery)
	}
	t.Error("no turn came to its folder")
}

// Bytes that are published again just when they are collected stay.
func TestOrphanThatIsUsedAgain(t *testing.T) {
	b, old := onDisk(t)
	blob := b.orphan("orphan")
	old(blob, orphanAge)
	unlock := b.evict.opt.Locks.Lock(blob.Digest) // the publish holds it over commit and link
	done := make(chan Report)
	go func() {
		r, err := b.evict.GC(context.Background(), false, nil)
		if err != nil {
			t.Error(err)
		}
		done <- r
	}()
	b.add("orphan", refs.Hosted)
	unlock()
	if r := <-done; r.Blobs != 0 || !b.there(blob) {
		t.Errorf("%+v, there: %v", r, b.there(blob))
	}
}
