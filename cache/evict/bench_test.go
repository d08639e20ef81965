package evict

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"larder/cache"
	"larder/cache/badger"
	"larder/cache/disk"
	"larder/cache/refs"
)

// onNode is a bench over the store and the index of a node, with a budget that
// nothing passes.
func onNode(tb testing.TB) *bench {
	tb.Helper()
	dir := tb.TempDir()
	store, err := disk.Open(dir, disk.Options{Room: disk.RoomOptions{Floor: 1 << 20}})
	if err != nil {
		tb.Fatal(err)
	}
	index, err := badger.Open(filepath.Join(dir, "index"), badger.Options{})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := errors.Join(index.Close(), store.Close()); err != nil {
			tb.Error(err)
		}
	})
	return newBenchOn(tb, 1<<40, index, store)
}

// link records n cached blobs, in pages.
func (b *bench) link(blobs []cache.Blob) {
	b.t.Helper()
	for page := range 1 + len(blobs)/1000 {
		err := b.index.Update(context.Background(), func(w cache.Writer) error {
			for _, blob := range blobs[page*1000 : min(page*1000+1000, len(blobs))] {
				record := append([]byte("f"), blob.Digest[:]...)
				if err := w.Put(record, []byte("record")); err != nil {
					return err
				}
				if err := refs.Link(w, blob, refs.Edge{Kind: refs.Cached, Record: record}, b.now); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			b.t.Fatal(err)
		}
	}
}

// numbered is a small body that no other number has.
func numbered(i int) []byte { return binary.BigEndian.AppendUint64(make([]byte, 1000), uint64(i)) }

// BenchmarkFlush notes 100 000 uses, each of a blob in the first queue: the most
// that one can cost.
func BenchmarkFlush(b *testing.B) {
	const n = 100_000
	x := onNode(b)
	blobs := make([]cache.Blob, n)
	next := 0
	for b.Loop() {
		b.StopTimer()
		for i := range blobs {
			binary.BigEndian.PutUint64(blobs[i].Digest[:], uint64(next)*0x9e3779b97f4a7c15) // spread like digests
			blobs[i].Size = 1000
			next++
		}
		x.link(blobs)
		before := x.usage()
		b.StartTimer()
		for _, blob := range blobs {
			x.evict.Touch(blob.Digest)
		}
		if err := x.evict.Flush(b.Context()); err != nil {
			b.Fatal(err)
		}
		if moved := x.usage().MainBytes - before.MainBytes; moved != n*refs.Cost(1000) {
			b.Fatalf("%d bytes were moved, want those of %d blobs", moved, n)
		}
	}
}

// BenchmarkEvict evicts 10 000 blobs, with their files.
func BenchmarkEvict(b *testing.B) {
	const n = 10_000
	x := onNode(b)
	next := 0
	for b.Loop() {
		b.StopTimer()
		blobs := make([]cache.Blob, n)
		var group errgroup.Group
		group.SetLimit(16)
		for i := range blobs {
			body := numbered(next + i)
			group.Go(func() error {
				var err error
				blobs[i], err = cache.Put(b.Context(), x.store, bytes.NewReader(body), int64(len(body)))
				return err
			})
		}
		if err := group.Wait(); err != nil {
			b.Fatal(err)
		}
		next += n
		x.link(blobs)
		b.StartTimer()
		if err := x.evict.shrink(b.Context(), hurried(), func(u refs.Usage) int64 { return u.CachedBytes }); err != nil {
			b.Fatal(err)
		}
		if u := x.usage(); u.CachedBlobs != 0 {
			b.Fatalf("%d blobs are left", u.CachedBlobs)
		}
		if _, err := x.store.Stat(b.Context(), blobs[0].Digest); !errors.Is(err, cache.ErrNotExist) {
			b.Fatalf("a file is left: %v", err)
		}
	}
}

// BenchmarkCollect looks for garbage among 10 000 files and finds none.
func BenchmarkCollect(b *testing.B) {
	const n = 10_000
	x := onNode(b)
	blobs := make([]cache.Blob, n)
	for i := range blobs {
		body := numbered(i)
		var err error
		if blobs[i], err = cache.Put(b.Context(), x.store, bytes.NewReader(body), int64(len(body))); err != nil {
			b.Fatal(err)
		}
	}
	x.link(blobs)
	x.now = time.Now().Add(48 * time.Hour)
	for b.Loop() {
		looked := 0
		r, err := x.evict.GC(b.Context(), false, func(n int) { looked = n })
		if err != nil || r.Blobs != 0 || looked != n {
			b.Fatalf("%+v, %d files looked at, %v", r, looked, err)
		}
	}
}
