// Package watermark says how far the readers of a growing blob may read, and
// wakes them when that changes. Backends of cache.Store build their Partial on
// it, so that the hold-back of unverified bytes is written once.
package watermark

import (
	"context"
	"io"
	"sync"

	"larder/cache"
)

// Mark is the state of one growing blob as its followers see it. The zero
// value is ready: nothing written, nothing verified. All methods may be called
// concurrently.
type Mark struct {
	mu       sync.Mutex
	written  int64 // bytes
	verified bool
	cause    error         // why the write was given up; nil while it was not
	wake     chan struct{} // made by the first waiter, closed by the next change
}

// Grow says that the blob is now written bytes long. Bytes must be readable
// before they are announced here.
func (m *Mark) Grow(written int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	before := m.released()
	m.written = written
	if m.released() > before {
		m.broadcast()
	}
}

// Verified releases all bytes written: they are what was announced.
func (m *Mark) Verified() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.verified = true
	m.broadcast()
}

// Fail gives up the blob with cause (nil: cache.ErrAborted). The first cause
// stays. Who reads verified bytes already is not disturbed: they are right,
// and cutting a good body would help nobody.
func (m *Mark) Fail(cause error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.cause != nil {
		return
	}
	if cause == nil {
		cause = cache.ErrAborted
	}
	m.cause = cause
	m.broadcast()
}

// Err returns the cause given to Fail, or nil.
func (m *Mark) Err() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.cause
}

// Wait blocks until bytes from offset off may be read, and returns how many.
// end bounds them (exclusive; negative: the end of the blob). Errors: io.EOF
// when off has reached the end and everything is verified, the cause of Fail,
// the cause of ctx.
func (m *Mark) Wait(ctx context.Context, off, end int64) (int64, error) {
	for {
		if ctx.Err() != nil {
			return 0, context.Cause(ctx)
		}
		n, wake, err := m.ready(off, end)
		if n > 0 || err != nil {
			return n, err
		}
		select {
		case <-ctx.Done():
		case <-wake:
		}
	}
}

// ready is one look: bytes, a final error, or what to wait for.
func (m *Mark) ready(off, end int64) (int64, <-chan struct{}, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.cause != nil && !m.verified {
		return 0, nil, m.cause
	}
	limit := m.released()
	if end >= 0 {
		limit = min(limit, end)
	}
	if off < limit {
		return limit - off, nil, nil
	}
	if m.verified {
		return 0, nil, io.EOF
	}
	if m.wake == nil {
		m.wake = make(chan struct{})
	}
	return 0, m.wake, nil
}

// released is how many bytes from the start followers may have.
func (m *Mark) released() int64 {
	if m.verified {
		return m.written
	}
	return max(0, m.written-cache.HoldBack)
}

func (m *Mark) broadcast() {
	if m.wake != nil {
		close(m.wake)
		m.wake = nil
	}
}
