package evict

import (
	"context"
	"errors"
	"iter"
	"sync"
	"sync/atomic"

	"larder/cache"
)

// spy is an Index that counts the rows it reads and writes and can be told to
// refuse updates.
type spy struct {
	cache.Index
	refuse error // by Update; nil: none
	rows   atomic.Int64
}

func (s *spy) View(ctx context.Context, fn func(cache.Reader) error) error {
	return s.Index.View(ctx, func(r cache.Reader) error { return fn(spyReader{r, &s.rows}) })
}

func (s *spy) Update(ctx context.Context, fn func(cache.Writer) error) error {
	if s.refuse != nil {
		return s.refuse
	}
	return s.Index.Update(ctx, func(w cache.Writer) error { return fn(spyWriter{spyReader{w, &s.rows}, w}) })
}

type spyReader struct {
	cache.Reader
	rows *atomic.Int64
}

func (s spyReader) Get(key []byte) ([]byte, error) {
	s.rows.Add(1)
	return s.Reader.Get(key)
}

func (s spyReader) Scan(prefix, after []byte) iter.Seq2[cache.Row, error] {
	return func(yield func(cache.Row, error) bool) {
		for row, err := range s.Reader.Scan(prefix, after) {
			s.rows.Add(1)
			if !yield(row, err) {
				return
			}
		}
	}
}

type spyWriter struct {
	spyReader
	w cache.Writer
}

func (s spyWriter) Put(key, value []byte) error {
	s.rows.Add(1)
	return s.w.Put(key, value)
}

func (s spyWriter) Delete(key []byte) error {
	s.rows.Add(1)
	return s.w.Delete(key)
}

var errDisk = errors.New("the disk does not answer")

// stubborn is a Store that cannot delete some blobs.
type stubborn struct {
	cache.Store
	mu    sync.Mutex
	stuck map[cache.Digest]bool // guarded by mu
}

func (s *stubborn) Delete(ctx context.Context, d cache.Digest) error {
	s.mu.Lock()
	stuck := s.stuck[d]
	s.mu.Unlock()
	if stuck {
		return errDisk
	}
	return s.Store.Delete(ctx, d)
}

func (s *stubborn) set(d cache.Digest, stuck bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stuck[d] = stuck
}
