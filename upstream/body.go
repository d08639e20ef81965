package upstream

import (
	"context"
	"io"
	"net/url"
	"sync"
	"sync/atomic"
	"time"
)

// body is a response's body that keeps the books.
type body struct {
	*call
	raw     io.ReadCloser
	url     *url.URL
	pass    *ticket
	stop    context.CancelCauseFunc
	start   time.Time
	attempt Attempt
	final   bool // the caller has it; its end is the end of the call
	bytes   atomic.Int64
	closed  atomic.Bool
	once    sync.Once

	mu  sync.Mutex
	err error // that broke it off
}

// Read reads on. Errors other than io.EOF are those of Fetch.
func (b *body) Read(p []byte) (int, error) {
	n, err := b.raw.Read(p)
	b.bytes.Add(int64(n))
	if err == nil || err == io.EOF {
		return n, err
	}
	return n, b.broken(err)
}

func (b *body) broken(err error) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.err != nil {
		return b.err
	}
	if b.closed.Load() {
		return b.ended(&failure{}, context.Canceled).err
	}
	if b.ctx.Err() != nil {
		b.err = b.ended(&failure{}, context.Cause(b.ctx)).err
		return b.err
	}
	e := b.fault(b.url, ErrUnavailable, err)
	e.cause = errBroken{err}
	b.record.failed(b.transport.options.Now(), e.Public())
	b.err = e
	return b.err
}

// errBroken says where in the exchange an error happened.
type errBroken struct{ cause error }

func (e errBroken) Error() string { return "the body broke off: " + e.cause.Error() }
func (e errBroken) Unwrap() error { return e.cause }

// Close gives the slot back. It may be called while another goroutine reads.
func (b *body) Close() error {
	b.closed.Store(true)
	err := b.raw.Close()
	b.mu.Lock()
	broken := b.err
	b.mu.Unlock()
	b.finish(broken)
	return err
}

// finish reports the attempt, once.
func (b *body) finish(err error) {
	b.once.Do(func() {
		b.stop(context.Canceled)
		if b.final {
			b.cancel(context.Canceled)
		}
		b.pass.release()
		b.attempt.Err = err
		b.attempt.Bytes = b.bytes.Load()
		b.attempt.Duration = b.transport.options.Now().Sub(b.start)
		b.record.read(b.attempt.Bytes)
		b.transport.options.Hooks.Attempt(b.attempt)
	})
}
