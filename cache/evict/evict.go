// Package evict keeps cached blobs within a budget of bytes: what was used long
// ago goes first, in two queues whose order is kept in the Index (cache/refs),
// so that neither memory nor start-up grows with the number of blobs.
//
// Blobs with a hosted, upload or pin edge are never touched. A use is noted in
// memory and written once a minute; losing those notes loses an hour of order.
//
// The same goroutine deletes what is due for other reasons: bytes of retracted
// packages, leases that ended, and files that a crash left without a record.
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
	flushEvery   = time.Minute
	keepEvery    = 10 * time.Second // at the latest after an eviction or a lowered cap
	orphansEvery = 10 * time.Minute // one of the 256 folders each
	retryAfter   = 10 * time.Minute // of what could not be deleted

	batch      = 256       // blobs per transaction, at most
	batchBytes = 512 << 10 // written per transaction, at most
	// Eviction runs in the background from highWater to lowWater, in percent of
	// the budget; above the budget itself a fill waits for it.
	highWater = 98
	lowWater  = 95
	probation = 10 // percent of the cached bytes that the first queue may hold
	// A volume short of room gets back this part of the cached bytes per round.
	pressureShare = 20
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
	index   cache.Index
	store   cache.Store
	opt     Options
	wake    chan struct{}
	touches touches
	round   chan struct{} // holds one token: who has it chooses what to evict

	// breathe is a rest of the background; tests put a counting one here.
	breathe func(context.Context) error

	mu       sync.Mutex
	budget   int64
	promises promises
	rounds   int64     // of keepEvery
	passed   []error   // failures that eviction went past, for Run to report
	retry    time.Time // when deletions that failed are tried again
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
	return &Evictor{
		index: index, store: store, opt: opt, budget: opt.Budget,
		wake: make(chan struct{}, 1), round: make(chan struct{}, 1), breathe: breathe,
	}, nil
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
	keep := time.NewTicker(keepEvery)
	defer keep.Stop()
	orphans := time.NewTicker(orphansEvery)
	defer orphans.Stop()
	e.poke() // what an earlier run left undone
	for {
		var err error
		select {
		case <-ctx.Done():
			return
		case <-flush.C:
			err = e.flushAll(ctx, e.calm(notes))
		case <-keep.C:
			e.age(ctx)
			err = e.keep(ctx)
		case <-e.wake:
			err = e.keep(ctx)
		case <-orphans.C:
			err = e.orphanFolder(ctx)
		}
		if err != nil && ctx.Err() == nil {
			report(err)
		}
	}
}

// keep brings the cache below its budget and deletes what is due.
func (e *Evictor) keep(ctx context.Context) error {
	usage, err := e.usage(ctx)
	if err != nil {
		return err
	}
	limit := e.limit()
	target, p := usage.CachedBytes, e.calm(deletions) // no more than now
	if e.opt.Pressure() {
		target -= target / pressureShare
		p = hurried()
	}
	full := e.expected(usage) > limit/100*highWater
	if full || target < usage.CachedBytes {
		err = e.shrink(ctx, p, func(u refs.Usage) int64 {
			over := u.CachedBytes - target
			if full {
				over = max(over, e.expected(u)-limit/100*lowWater)
			}
			return over
		})
	}
	if errors.Is(err, errNothingLeft) {
		err = nil // kept blobs fill the volume, or fills under way the budget: nothing to be done here
	}
	return errors.Join(err, e.sweepDue(ctx), e.takePassed())
}

// pass notes a failure that eviction goes past.
func (e *Evictor) pass(err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.passed) < maxErrors {
		e.passed = append(e.passed, err)
	}
}

func (e *Evictor) takePassed() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	err := errors.Join(e.passed...)
	e.passed = nil
	return err
}
