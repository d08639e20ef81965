package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"golang.org/x/sync/errgroup"

	"larder/upstream/upstreamtest/npmtest"
)

// fillers are how many clients fill the cache at once.
const fillers = 16

// growth looks at start, memory and speed of the same server as it holds more
// and more packages. None of them may grow with that number.
func growth(ctx context.Context, b *bench) error {
	far, err := npmtest.Start()
	if err != nil {
		return err
	}
	defer far.Close()
	data := filepath.Join(b.dir, "growth")
	var rows [][]string
	held := 0
	for _, n := range b.entries {
		if err := b.fill(ctx, data, far, held, n); err != nil {
			return err
		}
		held = n
		row, err := b.held(ctx, data, far, n)
		if err != nil {
			return err
		}
		rows = append(rows, row)
	}
	table(b.out, "packages held | start | memory after it | hits of 1 KiB | p50, p99", rows)
	return nil
}

// fill makes larder hold the packages from a number on up to another, each with
// a document and a file of 1 KiB.
func (b *bench) fill(ctx context.Context, data string, far *npmtest.Registry, from, to int) error {
	bytes := noise(1 << 10)
	for i := from; i < to; i++ {
		own := append([]byte(fmt.Sprintf("%08d", i)), bytes[8:]...)
		if err := far.Add(map[string]any{"name": grown(i), "version": "1.0.0"}, own); err != nil {
			return err
		}
	}
	s, err := b.larder(data, far.URL)
	if err != nil {
		return err
	}
	group, inner := errgroup.WithContext(ctx)
	group.SetLimit(fillers)
	for i := from; i < to && inner.Err() == nil; i++ {
		group.Go(func() error {
			if _, err := fetch(inner, s.url+"/npm/"+grown(i)); err != nil {
				return err
			}
			_, err := fetch(inner, s.url+grownPath(i))
			return err
		})
	}
	return errors.Join(group.Wait(), s.end())
}

func grown(i int) string { return fmt.Sprintf("p%d", i) }

func grownPath(i int) string { return fmt.Sprintf("/npm/p%[1]d/-/p%[1]d-1.0.0.tgz", i) }

func (b *bench) held(ctx context.Context, data string, far *npmtest.Registry, n int) ([]string, error) {
	took, memory, err := b.restart(ctx, data, far.URL, settle)
	if err != nil {
		return nil, err
	}
	s, err := b.larder(data, far.URL)
	if err != nil {
		return nil, err
	}
	l, err := b.drive(ctx, s, grownPath(n/2))
	if err := errors.Join(err, s.end()); err != nil {
		return nil, err
	}
	return []string{
		fmt.Sprint(n), millis(took), bytesText(memory), fmt.Sprintf("%.0f req/s", l.rate), millis(l.p50) + ", " + millis(l.p99),
	}, nil
}
