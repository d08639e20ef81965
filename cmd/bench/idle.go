package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"larder/cmd/bench/process"
	"larder/upstream/upstreamtest/npmtest"
)

// settle is how long a fresh process may work before it counts as idle.
const settle = 3 * time.Second

// What an idle server must hold to.
const (
	startLine = 500 * time.Millisecond
	idleLine  = 60 << 20 // bytes
)

// idle measures the start and the memory of a server that does nothing.
func idle(ctx context.Context, b *bench) error {
	far, err := npmtest.Start()
	if err != nil {
		return err
	}
	defer far.Close()
	var firsts, starts []time.Duration
	for i := range b.rounds {
		took, _, err := b.restart(ctx, filepath.Join(b.dir, fmt.Sprintf("idle-%d", i)), far.URL, 0)
		if err != nil {
			return err
		}
		firsts = append(firsts, took)
	}
	data := filepath.Join(b.dir, "idle-0")
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
	first, later := median(firsts), median(starts)
	table(b.out, "idle | found | line", [][]string{
		{"start with an empty data folder, until ready", millis(first), b.hold(first <= startLine, "≤ "+millis(startLine))},
		{"later starts, until ready", millis(later), b.hold(later <= startLine, "≤ "+millis(startLine))},
		{"memory when idle", bytesText(memory), b.hold(memory < idleLine, "< "+bytesText(idleLine))},
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
