package evict

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"larder/cache"
	"larder/cache/memory"
	"larder/cache/refs"
)

type bench struct {
	t     testing.TB
	index cache.Index
	store cache.Store
	evict *Evictor
	now   time.Time
}

func newBench(t testing.TB, budget int64) *bench {
	return newBenchOn(t, budget, memory.NewIndex(), memory.NewStore())
}

func newBenchOn(t testing.TB, budget int64, index cache.Index, store cache.Store) *bench {
	t.Helper()
	b := &bench{t: t, index: index, store: store, now: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}
	var err error
	b.evict, err = New(b.index, b.store, Options{Budget: budget, Clock: func() time.Time { return b.now }})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// keep runs one round of the background and returns what it would report.
func (b *bench) keep() error { return b.evict.keep(context.Background()) }

func (b *bench) usage() refs.Usage {
	b.t.Helper()
	u, err := b.evict.usage(context.Background())
	if err != nil {
		b.t.Fatal(err)
	}
	return u
}

// gc collects and fails the test on any failure.
func (b *bench) gc(dry bool) Report {
	b.t.Helper()
	r, err := b.evict.GC(context.Background(), dry, nil)
	if err != nil || r.Failures != 0 {
		b.t.Fatalf("%+v, %v", r, err)
	}
	return r
}

func body(name string) []byte { return bytes.Repeat([]byte(name+"."), 3<<10)[:3<<10] }

// add stores a blob of 3 KiB, which costs 5 KiB, under one edge.
func (b *bench) add(name string, kind refs.Kind) cache.Blob {
	b.t.Helper()
	body := body(name)
	blob, err := cache.Put(context.Background(), b.store, bytes.NewReader(body), int64(len(body)))
	if err != nil {
		b.t.Fatal(err)
	}
	record := []byte("f" + name)
	err = b.index.Update(context.Background(), func(w cache.Writer) error {
		if err := w.Put(record, []byte("record")); err != nil {
			return err
		}
		return refs.Link(w, blob, refs.Edge{Kind: kind, Record: record}, b.now)
	})
	if err != nil {
		b.t.Fatal(err)
	}
	return blob
}

func (b *bench) there(blob cache.Blob) bool {
	b.t.Helper()
	_, err := b.store.Stat(context.Background(), blob.Digest)
	if err != nil && !errors.Is(err, cache.ErrNotExist) {
		b.t.Fatal(err)
	}
	return err == nil
}

func (b *bench) record(name string) bool {
	err := b.index.View(context.Background(), func(r cache.Reader) error {
		_, err := r.Get([]byte("f" + name))
		return err
	})
	return err == nil
}

func TestOldestGoFirst(t *testing.T) {
	b := newBench(t, 50<<10)
	var blobs []cache.Blob
	for i := range 10 {
		blobs = append(blobs, b.add(fmt.Sprint("n", i), refs.Cached))
		b.now = b.now.Add(time.Hour)
	}
	if err := b.evict.Reserve(context.Background(), 3<<10); err != nil {
		t.Fatal(err)
	}
	if b.there(blobs[0]) || b.record("n0") {
		t.Error("the oldest blob or its record is still there")
	}
	if !b.there(blobs[9]) || !b.record("n9") {
		t.Error("the newest blob is gone")
	}
}

func TestUsedAgainStays(t *testing.T) {
	b := newBench(t, 50<<10)
	var blobs []cache.Blob
	for i := range 10 {
		blobs = append(blobs, b.add(fmt.Sprint("n", i), refs.Cached))
		b.now = b.now.Add(time.Hour)
	}
	b.evict.Touch(blobs[0].Digest) // only in memory when the eviction begins
	if err := b.evict.Reserve(context.Background(), 20<<10); err != nil {
		t.Fatal(err)
	}
	if !b.there(blobs[0]) {
		t.Error("what was used a second ago was evicted")
	}
	if b.there(blobs[1]) {
		t.Error("what was used once, long ago, is still there")
	}
}

func TestKeptBlobsAreNeverEvicted(t *testing.T) {
	for _, kind := range []refs.Kind{refs.Hosted, refs.Upload, refs.Pin} {
		b := newBench(t, 50<<10)
		kept := b.add("ours", kind)
		for i := range 9 {
			b.add(fmt.Sprint("n", i), refs.Cached)
		}
		b.evict.SetBudget(1)
		if err := b.evict.keep(context.Background()); err != nil {
			t.Fatal(err)
		}
		if !b.there(kept) || !b.record("ours") {
			t.Errorf("a blob with an edge of kind %c was evicted", kind)
		}
		if u := b.usage(); u.CachedBytes != 0 {
			t.Errorf("%d cached bytes left over a budget of nothing", u.CachedBytes)
		}
	}
}

func TestTooLargeForTheBudget(t *testing.T) {
	b := newBench(t, 50<<10)
	if err := b.evict.Reserve(context.Background(), 1<<20); !errors.Is(err, cache.ErrFull) {
		t.Errorf("got %v, want ErrFull", err)
	}
}

func TestPressureEvictsBelowTheBudget(t *testing.T) {
	b := newBench(t, 1<<20)
	for i := range 40 {
		b.add(fmt.Sprint("n", i), refs.Cached)
	}
	before, _ := b.evict.usage(context.Background())
	b.evict.opt.Pressure = func() bool { return true }
	if err := b.evict.keep(context.Background()); err != nil {
		t.Fatal(err)
	}
	after, _ := b.evict.usage(context.Background())
	if after.CachedBytes >= before.CachedBytes {
		t.Errorf("%d bytes cached, %d before: nothing went", after.CachedBytes, before.CachedBytes)
	}
}
