package rulebook

import (
	"context"
	"errors"
	"slices"
	"time"

	"larder/cache"
	"larder/policy"
)

// beat is how often Run looks for waivers that ended.
const beat = time.Minute

// Run drops waivers that ended until ctx ends. report hears of failures; the
// work goes on after them.
func (b *Book) Run(ctx context.Context, report func(error)) {
	tick := time.NewTicker(beat)
	defer tick.Stop()
	for {
		// Below the free-space floor nothing can be recorded: later, then.
		if err := b.Purge(ctx); err != nil && !errors.Is(err, cache.ErrFull) && ctx.Err() == nil {
			report(err)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// maxDrop is how many waivers one transaction drops.
const maxDrop = 50

// Purge drops the waivers that have ended.
func (b *Book) Purge(ctx context.Context) error {
	for {
		n, err := b.purge(ctx)
		if err != nil || n < maxDrop {
			return err
		}
	}
}

func (b *Book) purge(ctx context.Context) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := b.opt.Clock()
	ended := slices.DeleteFunc(slices.Clone(b.now.Load().given), func(g given) bool { return now.Before(g.Until) })
	ended = ended[:min(len(ended), maxDrop)]
	if len(ended) == 0 {
		return 0, nil
	}
	return len(ended), b.drop(ctx, ended, func(w cache.Writer) error {
		for _, g := range ended {
			if err := b.record(ctx, w, policy.Subject{}, deed{"waiver.end", g, stateOf(g), nil}); err != nil {
				return err
			}
		}
		return nil
	})
}
