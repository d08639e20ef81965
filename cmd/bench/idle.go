package main

import (
	"context"
	"errors"
	"path/filepath"
	"time"

	"larder/cmd/bench/process"
	"larder/upstream/upstreamtest/npmtest"
)

// settle is how long a fresh process may work before it counts as idle.
const settle = 3 * time.Second

// idle measures the start and the memory of a server that does nothing.
func idle(ctx context.Context, b *bench) error {
	far, err := npmtest.Start()
	if err != nil {
		return err
	}
	defer far.Close()
	data := filepath.Join(b.dir, "idle")
	first, _, err := b.restart(ctx, data, far.URL, 0)
	if err != nil {
		return err
	}
	var starts []time.Duration
	for range b.rounds {
		took, _, err := b.restart(ctx, data, far.URL, 0)
		if err != nil {
			return err
		}
		starts = append(starts, took)
	}
	_, memory, err := b.restart(ctx, data, far.URL, settle)
	if err != nil {
		return err
	}
	table(b.out, "idle | found", [][]string{
		{"first start, until ready", millis(first)},
		{"later starts, until ready", millis(median(starts))},
		{"memory when idle", bytesText(memory)},
	})
	return nil
}

// restart starts and ends larder, and returns how long the start took and how
// much memory it held after a while.
func (b *bench) restart(ctx context.Context, data, upstream string, wait time.Duration) (time.Duration, int64, error) {
	begin := time.Now()
	s, err := b.larder(data, upstream)
	if err != nil {
		return 0, 0, err
	}
	took := time.Since(begin)
	select {
	case <-time.After(wait):
	case <-ctx.Done():
	}
	now, _, err := process.Memory(s.ID())
	return took, now, errors.Join(err, ctx.Err(), s.end())
}
