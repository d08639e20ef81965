package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"larder/cmd/bench/process"
	"larder/cmd/bench/seed"
)

// growth looks at start, index, memory and speed of one server as it holds more
// and more. None of them may grow with that number.
func growth(ctx context.Context, b *bench) error {
	s, err := b.seeding(ctx, "growth")
	if err != nil {
		return err
	}
	defer s.far.Close()
	var all []grown
	for _, n := range b.entries {
		one, err := s.grow(ctx, n)
		if err != nil {
			return fmt.Errorf("%d entries: %w", n, err)
		}
		all = append(all, one)
	}
	b.growthTable(all)
	return nil
}

// grown is what was found at one size.
type grown struct {
	entries     int           // of the index
	fill        time.Duration // of what was added
	added       int           // entries in that time
	index       seed.Figures
	write, bare time.Duration // of one more blob, durably: here, and in an empty folder
	ready       time.Duration // of the server
	anonymous   int64         // memory of the server after loads, in bytes
	hot, all    loads         // hits of a few files, and of any
	upkeep      upkept        // hits of a few files while blobs are evicted
}

// writes is how many blobs are written for one figure.
const writes = 200

// grow brings the data folder to n entries and measures it.
func (s *seeding) grow(ctx context.Context, n int) (grown, error) {
	found := grown{entries: n}
	to, from := n/s.sample.PerPackage(), s.held
	if to <= from {
		return found, fmt.Errorf("too few: one package makes %d, and there are %d", s.sample.PerPackage(), from)
	}
	var err error
	if found.fill, err = s.fill(ctx, to); err != nil {
		return found, err
	}
	found.added = (to - from) * s.sample.PerPackage()
	empty := filepath.Join(s.dir, fmt.Sprintf("empty-%d", n))
	found.write, found.bare, err = seed.Write(ctx, s.data, empty, seed.Packages{From: to, To: to + writes, Make: s.make})
	if err != nil {
		return found, err
	}
	found.index, err = s.sample.Measure(ctx, s.data, s.rounds, seed.Packages{To: to, Make: s.make})
	if err != nil {
		return found, err
	}
	if err := s.serving(ctx, &found); err != nil {
		return found, err
	}
	found.upkeep, err = s.whileEvicting(ctx, s.half(anySeed(hot), found.hot))
	return found, err
}

// serving measures a server over the data folder.
func (s *seeding) serving(ctx context.Context, found *grown) error {
	var starts []time.Duration
	for range s.rounds {
		took, _, err := s.restart(ctx, s.data, s.far.URL, 0)
		if err != nil {
			return err
		}
		starts = append(starts, took)
	}
	found.ready = median(starts)
	ours, err := s.larder(s.data, s.far.URL)
	if err != nil {
		return err
	}
	if found.hot, err = s.drives(ctx, ours, anySeed(hot)); err == nil {
		found.all, err = s.drives(ctx, ours, anySeed(s.held))
	}
	if err == nil {
		found.anonymous, err = process.Anonymous(ours.ID())
	}
	return errors.Join(err, ours.end())
}
