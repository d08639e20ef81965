package evict

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"testing"

	"larder/cache"
	"larder/cache/refs"
)

// rests makes the background count its rests instead of taking them, and fails
// the test where more than most was done since the one before; done counts.
func (b *bench) rests(most int, done func() int) *int {
	n, before := 0, done()
	b.evict.breathe = func(context.Context) error {
		now := done()
		if now-before > most || before-now > most {
			b.t.Errorf("from %d to %d without a rest", before, now)
		}
		before = now
		n++
		return nil
	}
	return &n
}

func (b *bench) cachedBlobs() int { return int(b.usage().CachedBlobs) }

// Readers get their turn while the background evicts, but a fill that waits for
// room is not kept waiting by rests.
func TestEvictionRests(t *testing.T) {
	b := newBench(t, 1<<30)
	b.fill(10 * deletions)
	rests := b.rests(deletions, b.cachedBlobs)
	b.evict.SetBudget(5 * deletions * 5 << 10)
	if err := b.keep(); err != nil {
		t.Fatal(err)
	}
	if left := b.cachedBlobs(); left > 5*deletions || *rests < 5 {
		t.Errorf("%d blobs are left after %d rests", left, *rests)
	}
	*rests = 0
	if err := b.evict.Reserve(context.Background(), 3*deletions*5<<10); err != nil || *rests != 0 {
		t.Errorf("a fill waited for %d rests (%v)", *rests, err)
	}
	b.evict.opt.Pressure = func() bool { return true }
	if err := b.keep(); err != nil || *rests != 0 {
		t.Errorf("%d rests on a volume short of room (%v)", *rests, err)
	}
}

func TestFlushRests(t *testing.T) {
	b := newBench(t, 1<<30)
	blobs := b.fill(5*notes + 1)
	touch := func() {
		for _, blob := range blobs {
			b.evict.Touch(blob.Digest)
		}
	}
	moved := func() int { return int(b.usage().MainBytes / refs.Cost(3<<10)) }
	rests := b.rests(notes, moved)
	touch()
	if err := b.evict.flushAll(context.Background(), b.evict.calm(notes)); err != nil || *rests < 5 || moved() != len(blobs) {
		t.Errorf("%d uses written with %d rests (%v)", moved(), *rests, err)
	}
	*rests = 0
	touch()
	if err := b.evict.Flush(context.Background()); err != nil || *rests != 0 {
		t.Errorf("the end of the server waited for %d rests (%v)", *rests, err)
	}
}

// Most folders hold few files, so rests must not depend on any holding many.
func TestCollectionRests(t *testing.T) {
	b, old := onDisk(t)
	for i := range 6 * looks {
		old(b.add(fmt.Sprint("known ", i), refs.Cached), orphanAge)
	}
	looked := 0
	rests := b.rests(2*looks, func() int { return looked })
	r, err := b.evict.GC(context.Background(), false, func(n int) { looked = n })
	if err != nil || r.Blobs != 0 || looked != 6*looks || *rests < 3 {
		t.Errorf("%+v, looked at %d with %d rests (%v)", r, looked, *rests, err)
	}
}

func TestDeletionRests(t *testing.T) {
	b, old := onDisk(t)
	var lost []cache.Blob
	for i := 0; len(lost) < 5*deletions; i++ {
		// All in one folder.
		name := fmt.Sprint("lost ", i)
		if sha256.Sum256(body(name))[0] == 0 {
			lost = append(lost, b.orphan(name))
			old(lost[len(lost)-1], orphanAge)
		}
	}
	rests := b.rests(deletions, func() int { return len(b.left(lost)) })
	if r := b.gc(false); r.Orphans != len(lost) || *rests < 4 {
		t.Errorf("%+v with %d rests", r, *rests)
	}
}

func TestSweepRests(t *testing.T) {
	b := newBench(t, 1<<30)
	blobs := b.fill(5*deletions + 1)
	if err := b.index.Update(context.Background(), func(w cache.Writer) error {
		for _, blob := range blobs {
			if _, err := refs.DropCached(w, blob.Digest, b.now); err != nil {
				return err
			}
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	rests := b.rests(deletions, func() int { return len(b.left(blobs)) })
	if err := b.keep(); err != nil || *rests < 5 || len(b.left(blobs)) != 0 {
		t.Errorf("%d blobs are left after %d rests (%v)", len(b.left(blobs)), *rests, err)
	}
}

// A rest ends with the server.
func TestRestEnds(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := breathe(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	b := newBench(t, 1<<30)
	b.fill(5 * deletions)
	b.evict.SetBudget(5 << 10)
	b.evict.breathe = func(context.Context) error { return context.Canceled }
	if err := b.keep(); !errors.Is(err, context.Canceled) || b.cachedBlobs() != 4*deletions {
		t.Errorf("%d blobs are left, %v", b.cachedBlobs(), err)
	}
}
