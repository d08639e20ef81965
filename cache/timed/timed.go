// Package timed tells how long a Store and an Index take, and how they fail.
package timed

import (
	"context"
	"errors"
	"io"
	"time"

	"larder/cache"
)

// Observe hears of one operation that ended: begin, save, open, commit or delete
// of a Store, view or update of an Index. To resume a session is to begin. err is what its caller got. It is called on
// the caller's goroutine and must not block.
type Observe func(op string, took time.Duration, err error)

// Failed reports whether an error of an operation is the storage's fault, and
// not an answer ("not there", "full") or the caller's own doing.
func Failed(err error) bool {
	for _, answer := range []error{cache.ErrNotExist, cache.ErrFull, cache.ErrCorrupt, cache.ErrBusy, context.Canceled, context.DeadlineExceeded} {
		if errors.Is(err, answer) {
			return false
		}
	}
	return err != nil
}

func (o Observe) since(op string, start time.Time, err error) { o(op, time.Since(start), err) }

type store struct {
	cache.Store
	observe Observe
}

// Store passes everything on to inner, sessions too if it has them.
func Store(inner cache.Store, observe Observe) cache.Store {
	s := store{inner, observe}
	if with, ok := inner.(cache.Sessions); ok {
		return sessions{s, with}
	}
	return s
}

// Begin implements cache.Store.
func (s store) Begin(ctx context.Context, size int64, also ...cache.Algorithm) (cache.Partial, error) {
	start := time.Now()
	p, err := s.Store.Begin(ctx, size, also...)
	s.observe.since("begin", start, err)
	if err != nil {
		return nil, err
	}
	return partial{p, s.observe}, nil
}

// Open implements cache.Store.
func (s store) Open(ctx context.Context, d cache.Digest) (io.ReadSeekCloser, error) {
	start := time.Now()
	f, err := s.Store.Open(ctx, d)
	s.observe.since("open", start, err)
	return f, err
}

// Delete implements cache.Store.
func (s store) Delete(ctx context.Context, d cache.Digest) error {
	start := time.Now()
	err := s.Store.Delete(ctx, d)
	s.observe.since("delete", start, err)
	return err
}

// partial times the one step of a write that waits for the disk.
type partial struct {
	cache.Partial
	observe Observe
}

// Commit implements cache.Partial.
func (p partial) Commit(ctx context.Context) error {
	start := time.Now()
	err := p.Partial.Commit(ctx)
	p.observe.since("commit", start, err)
	return err
}

type index struct {
	cache.Index
	observe Observe
}

// Index passes everything on to inner. The error of a function given to it is
// its caller's, and no failure of the index.
func Index(inner cache.Index, observe Observe) cache.Index { return index{inner, observe} }

// View implements cache.Index.
func (x index) View(ctx context.Context, fn func(cache.Reader) error) error {
	start := time.Now()
	var own error
	err := x.Index.View(ctx, func(r cache.Reader) error {
		own = fn(r)
		return own
	})
	x.tell("view", start, err, own)
	return err
}

// Update implements cache.Index.
func (x index) Update(ctx context.Context, fn func(cache.Writer) error) error {
	start := time.Now()
	var own error
	err := x.Index.Update(ctx, func(w cache.Writer) error {
		own = fn(w)
		return own
	})
	x.tell("update", start, err, own)
	return err
}

func (x index) tell(op string, start time.Time, err, own error) {
	if own != nil && errors.Is(err, own) {
		err = nil
	}
	x.observe.since(op, start, err)
}
