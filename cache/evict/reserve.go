package evict

import (
	"context"
	"fmt"

	"larder/cache"
	"larder/cache/refs"
)

// promises are the bytes of fills under way: reserved, and not yet counted as
// cached. Nobody says when a fill is given up, so promises are forgotten with
// the older of two windows; until then they count, or the bytes that came of
// them do, whichever is more.
type promises struct {
	windows [2]window // the older one first
	open    bool      // both have begun
}

// window is what was cached when it began, less what was evicted since, and
// what was promised since.
type window struct{ base, promised int64 }

// expected is what will be cached once the promises are kept.
func (p *promises) expected(cached int64) int64 {
	if !p.open {
		p.begin(cached)
		p.begin(cached)
		p.open = true
	}
	for _, w := range p.windows {
		cached = max(cached, w.base+w.promised)
	}
	return cached
}

func (p *promises) begin(cached int64) {
	p.windows[0], p.windows[1] = p.windows[1], window{base: cached}
}

func (p *promises) add(n int64) {
	for i := range p.windows {
		p.windows[i].promised = max(0, p.windows[i].promised+n) // what is taken back may be of an older window
	}
}

func (p *promises) evicted(n int64) {
	for i := range p.windows {
		p.windows[i].base -= n
	}
}

func (e *Evictor) expected(u refs.Usage) int64 {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.promises.expected(u.CachedBytes)
}

// windowKeeps is how many rounds of keepEvery a window of promises lasts: long
// enough for most fills, and short enough that those given up do not keep
// others out for long.
const windowKeeps = 3

// age begins a new window now and then.
func (e *Evictor) age(ctx context.Context) {
	e.mu.Lock()
	e.rounds++
	due := e.rounds%windowKeeps == 0
	e.mu.Unlock()
	if !due {
		return
	}
	usage, err := e.usage(ctx)
	if err != nil {
		e.pass(err)
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.promises.expected(usage.CachedBytes)
	e.promises.begin(usage.CachedBytes)
}

// Reserve makes room for a cached blob of n bytes that is about to be fetched,
// beside all others under way. A fill of unknown length reserves nothing but
// its records. Errors: cache.ErrFull for what can never fit, or when nothing
// more can go.
func (e *Evictor) Reserve(ctx context.Context, n int64) error {
	limit := e.limit()
	cost := refs.Cost(min(max(0, n), limit)) // upstreams may announce the largest number there is
	if n > limit || cost > limit {
		return fmt.Errorf("a blob of %d bytes does not fit the cache of %d: %w", n, limit, cache.ErrFull)
	}
	usage, err := e.usage(ctx)
	if err != nil {
		return err
	}
	e.mu.Lock()
	e.promises.expected(usage.CachedBytes)
	e.promises.add(cost)
	expected := e.promises.expected(usage.CachedBytes)
	e.mu.Unlock()
	if expected <= limit/100*highWater {
		return nil
	}
	e.poke() // the rest goes behind the caller's back
	if expected <= limit {
		return nil
	}
	// No more than it takes to keep all promises.
	err = e.shrink(ctx, hurried(), func(u refs.Usage) int64 { return e.expected(u) - limit })
	if err != nil {
		e.mu.Lock()
		defer e.mu.Unlock()
		e.promises.add(-cost)
		return fmt.Errorf("room for %d bytes: %w", n, err)
	}
	return nil
}
