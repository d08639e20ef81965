// Package evict keeps cached blobs within a budget of bytes: what was used long
// ago goes first, in two queues whose order is kept in the Index (cache/refs),
// so that neither memory nor start-up grows with the number of blobs.
//
// Blobs with a hosted, upload or pin edge are never touched. A use is noted in
// memory and written once a minute; losing those notes loses an hour of order.
package evict

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"larder/cache"
	"larder/cache/refs"
)

// Fixed rhythms and sizes.
const (
	flushEvery  = time.Minute
	sweepEvery  = 10 * time.Second // at the latest after an eviction or a lowered cap
	batch       = 256              // blobs per transaction
	lowWater    = 95               // percent of the budget that eviction stops at
	probation   = 10               // percent of the cached bytes that the first queue may hold
	maxTouches  = 1 << 20          // digests noted in memory; more are dropped
	touchShards = 64
)

// Options of an Evictor.
type Options struct {
	Budget int64 // bytes of cached blobs, by refs.Cost
	Clock  func() time.Time
	Locks  *refs.Locks
	// Pressure reports that the volume is short of room: then cached blobs go
	// although the budget is kept. nil: never.
	Pressure func() bool
	// OnEvict hears of every round that freed something. nil: nobody does.
	OnEvict func(blobs int, bytes int64)
}

// Evictor is the one goroutine that deletes, and the notes of what was used.
type Evictor struct {
	index  cache.Index
	store  cache.Store
	opt    Options
	wake   chan struct{}
	shards [touchShards]touches

	mu       sync.Mutex
	budget   int64
	reserved int64 // bytes promised to fills since the usage was last read
	round    sync.Mutex
}

type touches struct {
	mu  sync.Mutex
	set map[cache.Digest]struct{}
}

// New makes an Evictor; Run starts it.
func New(index cache.Index, store cache.Store, opt Options) (*Evictor, error) {
	if opt.Budget <= 0 {
		return nil, fmt.Errorf("evict: a budget of %d bytes", opt.Budget)
	}
	if opt.Clock == nil {
		opt.Clock = time.Now
	}
	if opt.Locks == nil {
		opt.Locks = &refs.Locks{}
	}
	if opt.Pressure == nil {
		opt.Pressure = func() bool { return false }
	}
	if opt.OnEvict == nil {
		opt.OnEvict = func(int, int64) {}
	}
	e := &Evictor{index: index, store: store, opt: opt, wake: make(chan struct{}, 1), budget: opt.Budget}
	for i := range e.shards {
		e.shards[i].set = map[cache.Digest]struct{}{}
	}
	return e, nil
}

// Touch notes that a cached blob was used. It never blocks on anything but
// memory; past a million notes between two flushes further ones are dropped.
func (e *Evictor) Touch(d cache.Digest) {
	s := &e.shards[d[0]%touchShards]
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.set) < maxTouches/touchShards {
		s.set[d] = struct{}{}
	}
}

// Flush writes the notes. What cannot be written is dropped: only the order of
// eviction is at stake.
func (e *Evictor) Flush(ctx context.Context) error {
	var used []cache.Digest
	for i := range e.shards {
		s := &e.shards[i]
		s.mu.Lock()
		for d := range s.set {
			used = append(used, d)
		}
		clear(s.set)
		s.mu.Unlock()
	}
	for len(used) > 0 {
		n := min(len(used), batch)
		now := e.opt.Clock()
		err := e.index.Update(ctx, func(w cache.Writer) error {
			for _, d := range used[:n] {
				if _, err := refs.Touch(w, d, now); err != nil {
					return err
				}
			}
			return nil
		})
		if errors.Is(err, cache.ErrFull) {
			return nil // below the floor the order is not worth a write
		}
		if err != nil {
			return fmt.Errorf("note what was used: %w", err)
		}
		used = used[n:]
	}
	return nil
}

// SetBudget changes the budget; a lower one is reached within a minute.
func (e *Evictor) SetBudget(n int64) {
	e.mu.Lock()
	e.budget = n
	e.mu.Unlock()
	e.poke()
}

func (e *Evictor) limit() int64 {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.budget
}

// poke makes Run look now.
func (e *Evictor) poke() {
	select {
	case e.wake <- struct{}{}:
	default:
	}
}

// Reserve makes room for a cached blob of n bytes. Errors: cache.ErrFull for
// what can never fit, or when nothing more can go.
func (e *Evictor) Reserve(ctx context.Context, n int64) error {
	cost := refs.Cost(n)
	limit := e.limit()
	if cost > limit {
		return fmt.Errorf("a blob of %d bytes does not fit the cache of %d: %w", n, limit, cache.ErrFull)
	}
	usage, err := e.usage(ctx)
	if err != nil {
		return err
	}
	e.mu.Lock()
	e.reserved += cost
	over := usage.CachedBytes+e.reserved > limit
	e.mu.Unlock()
	if !over {
		return nil
	}
	if err := e.shrink(ctx, limit-cost); err != nil {
		return err
	}
	if usage, err = e.usage(ctx); err != nil {
		return err
	}
	if usage.CachedBytes+cost > limit {
		return fmt.Errorf("no cached blob can be evicted for %d bytes: %w", n, cache.ErrFull)
	}
	return nil
}

func (e *Evictor) usage(ctx context.Context) (refs.Usage, error) {
	var u refs.Usage
	err := e.index.View(ctx, func(r cache.Reader) error {
		var err error
		u, err = refs.ReadUsage(r)
		return err
	})
	if err != nil {
		return u, fmt.Errorf("usage of the cache: %w", err)
	}
	return u, nil
}

// Run flushes, evicts and sweeps until ctx ends; report hears what failed.
func (e *Evictor) Run(ctx context.Context, report func(error)) {
	flush := time.NewTicker(flushEvery)
	defer flush.Stop()
	sweep := time.NewTicker(sweepEvery)
	defer sweep.Stop()
	for {
		var err error
		select {
		case <-ctx.Done():
			return
		case <-flush.C:
			err = e.Flush(ctx)
		case <-sweep.C:
			err = e.keep(ctx)
		case <-e.wake:
			err = e.keep(ctx)
		}
		if err != nil && ctx.Err() == nil {
			report(err)
		}
	}
}

// keep brings the cache below its budget and deletes what is due.
func (e *Evictor) keep(ctx context.Context) error {
	e.mu.Lock()
	e.reserved = 0 // what was promised before is counted by now, or was given up
	e.mu.Unlock()
	target := e.limit()
	if e.opt.Pressure() {
		usage, err := e.usage(ctx)
		if err != nil {
			return err
		}
		// A twentieth at a time, until the volume has room again.
		target = min(target, usage.CachedBytes-usage.CachedBytes/20-1)
	}
	if err := e.shrink(ctx, target); err != nil {
		return err
	}
	_, err := e.sweep(ctx, false)
	return err
}

// shrink evicts until at most target bytes are cached, with some air below.
func (e *Evictor) shrink(ctx context.Context, target int64) error {
	e.round.Lock()
	defer e.round.Unlock()
	usage, err := e.usage(ctx)
	if err != nil || usage.CachedBytes <= target {
		return err
	}
	// What was used a second ago must not look old.
	if err := e.Flush(ctx); err != nil {
		return err
	}
	low := max(0, target/100*lowWater)
	for usage.CachedBytes > low {
		queue := refs.Main
		if usage.CachedBytes-usage.MainBytes > usage.CachedBytes/100*probation || usage.MainBytes == 0 {
			queue = refs.Probation
		}
		gone, err := e.evictFrom(ctx, queue, usage.CachedBytes-low)
		if err != nil {
			return err
		}
		before := usage.CachedBytes
		if usage, err = e.usage(ctx); err != nil {
			return err
		}
		if gone == 0 && usage.CachedBytes >= before {
			return nil // nothing that may go is left
		}
	}
	return nil
}

// evictFrom takes up to a batch of blobs from the old end of a queue, and
// their files.
func (e *Evictor) evictFrom(ctx context.Context, q refs.Queue, want int64) (int, error) {
	var oldest []refs.Candidate
	err := e.index.View(ctx, func(r cache.Reader) error {
		oldest = oldest[:0]
		for c, err := range refs.Oldest(r, q, nil) {
			if err != nil {
				return err
			}
			if oldest = append(oldest, c); len(oldest) == batch {
				return nil
			}
		}
		return nil
	})
	if err != nil {
		return 0, fmt.Errorf("choose what to evict: %w", err)
	}
	var gone []cache.Digest
	var freed int64
	now := e.opt.Clock()
	err = e.index.Update(ctx, func(w cache.Writer) error {
		gone, freed = gone[:0], 0
		for _, c := range oldest {
			if freed >= want {
				return nil
			}
			ev, err := refs.Evict(w, c, now)
			if err != nil {
				return err
			}
			if ev.Gone {
				gone = append(gone, c.Digest)
				freed += ev.Bytes
			}
		}
		return nil
	})
	if err != nil {
		return 0, fmt.Errorf("evict: %w", err)
	}
	for _, d := range gone {
		if _, err := e.remove(ctx, d); err != nil {
			return len(gone), err
		}
	}
	if len(gone) > 0 {
		e.opt.OnEvict(len(gone), freed)
	}
	return len(gone), nil
}

// remove deletes a file that an intent dooms, unless it is in use again. Who
// has it open goes on reading.
func (e *Evictor) remove(ctx context.Context, d cache.Digest) (int64, error) {
	unlock := e.opt.Locks.Lock(d)
	defer unlock()
	var doomed refs.Intent
	err := e.index.View(ctx, func(r cache.Reader) error {
		var err error
		doomed, err = refs.Unused(r, d)
		return err
	})
	if errors.Is(err, cache.ErrNotExist) {
		return 0, nil
	}
	if err == nil {
		err = e.store.Delete(ctx, d)
	}
	if err == nil {
		err = e.index.Update(ctx, func(w cache.Writer) error { return refs.Swept(w, d, doomed) })
	}
	if err != nil {
		return 0, fmt.Errorf("delete %s: %w", d, err)
	}
	return doomed.Size, nil
}
