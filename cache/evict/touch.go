package evict

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"larder/cache"
	"larder/cache/refs"
)

const (
	maxTouches  = 1 << 20 // digests noted in memory; more are dropped
	touchShards = 64
)

// touches are the digests used since the last flush.
type touches [touchShards]struct {
	mu  sync.Mutex
	set map[cache.Digest]struct{}
}

func (t *touches) add(d cache.Digest) {
	s := &t[d[0]%touchShards]
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.set == nil {
		s.set = map[cache.Digest]struct{}{}
	}
	if len(s.set) < maxTouches/touchShards {
		s.set[d] = struct{}{}
	}
}

// take empties one shard.
func (t *touches) take(shard int) []cache.Digest {
	s := &t[shard]
	s.mu.Lock()
	defer s.mu.Unlock()
	used := make([]cache.Digest, 0, len(s.set))
	for d := range s.set {
		used = append(used, d)
	}
	s.set = nil // a burst must not hold its memory for ever
	return used
}

// Touch notes that a cached blob was used. It never blocks on anything but
// memory; past a million notes between two flushes further ones are dropped.
func (e *Evictor) Touch(d cache.Digest) { e.touches.add(d) }

// Flush writes the notes, for as long as ctx lasts. What cannot be written is
// dropped: only the order of eviction is at stake.
func (e *Evictor) Flush(ctx context.Context) error {
	err := e.flushAll(ctx, hurried())
	if ctx.Err() == nil {
		return err
	}
	for shard := range touchShards {
		e.touches.take(shard)
	}
	return nil
}

func (e *Evictor) flushAll(ctx context.Context, p pace) error {
	var used []cache.Digest
	for shard := range touchShards {
		used = append(used, e.touches.take(shard)...)
		for len(used) >= p.blobs || shard == touchShards-1 && len(used) > 0 {
			n := min(len(used), p.blobs)
			if err := e.flush(ctx, used[:n]); err != nil {
				return err
			}
			if err := p.rest(ctx); err != nil {
				return err
			}
			used = used[n:]
		}
	}
	return nil
}

func (e *Evictor) flush(ctx context.Context, used []cache.Digest) error {
	now := e.opt.Clock()
	err := e.index.Update(ctx, func(w cache.Writer) error {
		for _, d := range used {
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
	return nil
}
