package badger

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"larder/cache"
)

func benchKey(i uint64) []byte {
	key := make([]byte, 34)
	binary.BigEndian.PutUint64(key[1:], i*0x9e3779b97f4a7c15) // spread like digests
	return key
}

func BenchmarkUpdate(b *testing.B) {
	for _, writers := range []int{1, 16, 64} {
		b.Run(fmt.Sprintf("writers=%d", writers), func(b *testing.B) {
			ix := openHere(b, Options{})
			value := make([]byte, 64)
			var next atomic.Uint64
			var all sync.WaitGroup
			b.ResetTimer()
			for range writers {
				all.Go(func() {
					for i := next.Add(1); i <= uint64(b.N); i = next.Add(1) {
						if err := ix.Update(b.Context(), func(w cache.Writer) error { return w.Put(benchKey(i), value) }); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			all.Wait()
		})
	}
}

func fill(b *testing.B, ix *Index, n uint64) {
	b.Helper()
	value := make([]byte, 64)
	for at := uint64(0); at < n; at += 1000 {
		if err := ix.Update(b.Context(), func(w cache.Writer) error {
			for i := at; i < at+1000; i++ {
				if err := w.Put(benchKey(i), value); err != nil {
					return err
				}
			}
			return nil
		}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkGet(b *testing.B) {
	const n = 100_000
	ix := openHere(b, Options{})
	fill(b, ix, n)
	b.ReportAllocs()
	b.ResetTimer()
	for i := range b.N {
		if err := ix.View(b.Context(), func(r cache.Reader) error {
			_, err := r.Get(benchKey(uint64(i) % n))
			return err
		}); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkAbsent looks for records that are not there, as every miss does.
func BenchmarkAbsent(b *testing.B) {
	const n = 100_000
	ix := openHere(b, Options{})
	fill(b, ix, n)
	b.ReportAllocs()
	b.ResetTimer()
	for i := range b.N {
		if err := ix.View(b.Context(), func(r cache.Reader) error {
			_, err := r.Get(benchKey(n + uint64(i)))
			return err
		}); !errors.Is(err, cache.ErrNotExist) {
			b.Fatal(err)
		}
	}
}

func BenchmarkScan(b *testing.B) {
	const n = 100_000
	ix := openHere(b, Options{})
	fill(b, ix, n)
	var after []byte
	b.ResetTimer()
	for done := 0; done < b.N; {
		rows := 0
		if err := ix.View(b.Context(), func(r cache.Reader) error {
			for row, err := range r.Scan(nil, after) {
				if err != nil || rows == 1000 {
					return err
				}
				rows++
				after = row.Key
			}
			return nil
		}); err != nil {
			b.Fatal(err)
		}
		if done += rows; rows < 1000 {
			after = nil
		}
	}
}

func BenchmarkOpen(b *testing.B) {
	dir := b.TempDir()
	ix, err := Open(dir, Options{})
	if err != nil {
		b.Fatal(err)
	}
	fill(b, ix, 100_000)
	if err := ix.Close(); err != nil {
		b.Fatal(err)
	}
	b.ResetTimer()
	for range b.N {
		ix, err := Open(dir, Options{})
		if err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		if err := ix.Close(); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
}
