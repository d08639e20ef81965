package decide

import (
	"context"
	"fmt"
	"runtime"
	"time"
)

// Cost is that of one decision, in the mean.
type Cost struct {
	Time   time.Duration
	Allocs float64
}

// Active is how many requests take turns in Everybody: one of every user of a
// large instance. Few is how many do in Hot, as many in any instance.
const (
	Active = 10_000
	Few    = 100
)

// asked is how many decisions one figure is made of, at least.
const asked = 20_000

// Hot is the cost for a few callers in turn, who have just asked.
func (i *Instance) Hot(ctx context.Context) (Cost, error) { return i.inTurn(ctx, Few) }

// Everybody is the cost for all users in turn. What is remembered of so many is
// no longer near the processor.
func (i *Instance) Everybody(ctx context.Context) (Cost, error) { return i.inTurn(ctx, Active) }

func (i *Instance) inTurn(ctx context.Context, callers int) (Cost, error) {
	some := i.questions[:callers]
	for range 2 {
		if err := i.all(ctx, some); err != nil {
			return Cost{}, err
		}
	}
	return i.cost(func() (int, error) {
		n := 0
		for ; n < asked; n += len(some) {
			if err := i.all(ctx, some); err != nil {
				return n, err
			}
		}
		return n, nil
	})
}

// Cold is the cost of the first decision about a caller, of whom nothing is
// remembered.
func (i *Instance) Cold(ctx context.Context) (Cost, error) {
	some := i.questions[:min(Active, i.callers)]
	var sum Cost
	n := 0
	for ; n < asked; n += len(some) {
		if err := i.forget(ctx); err != nil {
			return Cost{}, err
		}
		one, err := i.cost(func() (int, error) { return len(some), i.all(ctx, some) })
		if err != nil {
			return Cost{}, err
		}
		sum.Time += one.Time * time.Duration(len(some))
		sum.Allocs += one.Allocs * float64(len(some))
	}
	return Cost{sum.Time / time.Duration(n), sum.Allocs / float64(n)}, nil
}

// Any is the cost for tokens drawn from all there are, once the first Active
// callers have asked. Where there are no others, those ask again.
func (i *Instance) Any(ctx context.Context) (Cost, error) {
	if err := i.all(ctx, i.questions[:Active]); err != nil {
		return Cost{}, err
	}
	others := i.questions[Active:]
	if len(others) == 0 {
		others = i.questions
	}
	return i.cost(func() (int, error) { return len(others), i.all(ctx, others) })
}

func (i *Instance) all(ctx context.Context, some []question) error {
	now := time.Now()
	for _, q := range some {
		if err := i.decide(ctx, q, now); err != nil {
			return fmt.Errorf("decide: %w", err)
		}
	}
	return nil
}

// cost measures fn, which returns how many decisions it made.
func (i *Instance) cost(fn func() (int, error)) (Cost, error) {
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	begin := time.Now()
	n, err := fn()
	took := time.Since(begin)
	runtime.ReadMemStats(&after)
	if err != nil {
		return Cost{}, err
	}
	return Cost{took / time.Duration(n), float64(after.Mallocs-before.Mallocs) / float64(n)}, nil
}
