package badger

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync/atomic"

	"larder/cache"
)

// A batch ends when one of these is reached; the functions that queue up
// meanwhile form the next.
const (
	maxBatchFunctions = 1024
	maxBatchBytes     = 512 << 10
	maxBatchRows      = 8 << 10
)

// What one Update may write: the largest image, of a thousand layers, needs most
// of it. Together with a batch that is nearly full it is below what Badger takes
// in one transaction (15 % of a memory table).
const (
	maxUpdateBytes = 1792 << 10
	maxUpdateRows  = 8 << 10
)

var (
	errTooBig = fmt.Errorf("one update may write at most %d bytes in %d records", maxUpdateBytes, maxUpdateRows)
	errExited = errors.New("the update ended its goroutine instead of returning")
)

// request is one call of Update on its way through the writer.
type request struct {
	ctx  context.Context
	fn   func(cache.Writer) error
	took atomic.Bool // by the writer, or by the caller who gave up
	err  error
	done chan struct{} // closed when err is set
}

func (r *request) answer(err error) {
	r.err = err
	close(r.done)
}

// Update runs fn in the writer, together with other calls that wait there, and
// returns once the batch is synced. What fn returned is passed on as it is; a
// panic of fn becomes an error. One call may write at most 1.75 MiB in 8 192
// records. When ctx ends while fn waits for its turn nothing happens; once fn
// runs, Update waits for the outcome.
func (ix *Index) Update(ctx context.Context, fn func(cache.Writer) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := ix.enter(); err != nil {
		return err
	}
	defer ix.leave()
	if err := ix.Healthy(); err != nil {
		return err
	}
	if ix.critical != nil && ix.critical() {
		return fmt.Errorf("write to the index: %w", cache.ErrFull)
	}
	r := &request{ctx: ctx, fn: fn, done: make(chan struct{})}
	select {
	case ix.queue <- r:
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case <-r.done:
		return r.err
	case <-ctx.Done():
	}
	if r.took.CompareAndSwap(false, true) {
		return ctx.Err()
	}
	<-r.done
	return r.err
}

// write is the writer goroutine. Should a function end it (runtime.Goexit), a
// new one takes its place.
func (ix *Index) write() {
	stopped := false
	defer func() {
		if stopped {
			ix.loops.Done()
			return
		}
		go ix.write()
	}()
	for {
		select {
		case <-ix.stop:
			stopped = true
			return
		case r := <-ix.queue:
			ix.run(r)
		}
	}
}

// batch is one group of functions and what they wrote.
type batch struct {
	overlay
	snapshot
	ran []ran
}

// ran is a function that had its turn, and what to answer once the batch is durable.
type ran struct {
	*request
	failed error
}

// run takes first and all that waits behind it through one commit. Nobody is
// answered before, not even who failed: the failure may rest on what others of
// the batch wrote.
func (ix *Index) run(first *request) {
	// Nobody else changes the latest epoch, so it outlives the batch.
	b := &batch{snapshot: snapshot{ix.latest.txn}}
	outcome := errExited
	defer func() {
		for _, r := range b.ran {
			if outcome != nil {
				r.failed = outcome
			}
			r.answer(r.failed)
		}
	}()
	if outcome = ix.Healthy(); outcome != nil {
		b.ran = append(b.ran, ran{request: first})
		return
	}
	outcome = errExited
	for r := first; r != nil; r = ix.more(b) {
		b.step(r)
	}
	if outcome = ix.commit(&b.overlay); outcome != nil {
		ix.fail(outcome)
		outcome = ix.Healthy()
		return
	}
	if len(b.writes) > 0 {
		ix.advance()
	}
}

// more returns the next waiting request, or nil when none waits or b is full.
func (ix *Index) more(b *batch) *request {
	if len(b.ran) >= maxBatchFunctions || b.size >= maxBatchBytes || len(b.writes) >= maxBatchRows {
		return nil
	}
	select {
	case r := <-ix.queue:
		return r
	default:
		return nil
	}
}

// step runs one function and keeps what it wrote, or nothing of it.
func (b *batch) step(r *request) {
	if !r.took.CompareAndSwap(false, true) {
		return // given up while it waited; its caller is gone
	}
	b.ran = append(b.ran, ran{request: r})
	last := &b.ran[len(b.ran)-1]
	if last.failed = r.ctx.Err(); last.failed != nil {
		return
	}
	w := &writer{batch: b, size: b.size}
	last.failed = call(r.fn, w)
	if last.failed == nil {
		last.failed = w.broken
	}
	if last.failed != nil {
		b.rollback()
		return
	}
	b.keep()
}

// call runs fn and turns a panic into an error, so that one bad caller does not
// take the writer along.
func call(fn func(cache.Writer) error, w cache.Writer) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the update panicked: %v\n%s", p, debug.Stack())
		}
	}()
	return fn(w)
}

// apply writes an overlay to the database in one synced transaction.
func (ix *Index) apply(o *overlay) error {
	if len(o.writes) == 0 {
		return nil
	}
	txn := ix.db.NewTransaction(true)
	defer txn.Discard()
	for _, w := range o.writes {
		var err error
		if w.deleted {
			err = txn.Delete(w.key)
		} else {
			err = txn.Set(w.key, w.value)
		}
		if err != nil {
			return fmt.Errorf("batch of %d records, %d bytes: %w", len(o.writes), o.size, err)
		}
	}
	if err := txn.Commit(); err != nil {
		return fmt.Errorf("commit %d records, %d bytes: %w", len(o.writes), o.size, err)
	}
	return nil
}
