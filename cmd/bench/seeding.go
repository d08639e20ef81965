package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"larder/cmd/bench/seed"
	"larder/upstream/upstreamtest/npmtest"
)

// The packages that are seeded, each with one file of 1 KiB.
const (
	seedSize = 1 << 10
	hot      = 8              // of them come through a server, and stay in use
	cold     = 48 * time.Hour // the others were used that long ago
)

// seeding is a data folder that holds many packages.
type seeding struct {
	*bench
	far    *npmtest.Registry
	data   string
	sample *seed.Sample
	make   func(int) seed.Package
	held   int // packages so far
}

// seeding lets a server cache the first packages, to seed more like them. The
// caller closes far.
func (b *bench) seeding(ctx context.Context, name string) (*seeding, error) {
	far, err := npmtest.Start()
	if err != nil {
		return nil, err
	}
	s := &seeding{bench: b, far: far, data: filepath.Join(b.dir, name), held: hot, make: seeds()}
	if err := s.learn(ctx); err != nil {
		far.Close()
		return nil, err
	}
	return s, nil
}

func (s *seeding) learn(ctx context.Context) error {
	for i := range hot {
		p := s.make(i)
		if err := s.far.Add(map[string]any{"name": p.Name, "version": "1.0.0"}, p.Tarball); err != nil {
			return err
		}
	}
	ours, err := s.larder(s.data, s.far.URL)
	if err != nil {
		return err
	}
	for i := range hot {
		if err == nil {
			_, err = expect(ctx, ours.url+seedPath(i), seedSize)
		}
	}
	if err := errors.Join(err, ours.end()); err != nil {
		return err
	}
	s.sample, err = seed.Learn(ctx, s.data, s.make(0), s.make(1))
	return err
}

// fill seeds up to so many packages, and returns how long their records took.
func (s *seeding) fill(ctx context.Context, to int) (time.Duration, error) {
	took, err := s.sample.Fill(ctx, s.data, seed.Packages{From: s.held, To: to, Make: s.make, Unused: cold})
	if err == nil {
		s.held = to
	}
	return took, err
}

// seeds returns what makes the packages, each with other bytes.
func seeds() func(int) seed.Package {
	filler := noise(seedSize)
	return func(i int) seed.Package {
		tarball := fmt.Appendf(make([]byte, 0, seedSize), "%08d", i)
		return seed.Package{Name: seedName(i), Tarball: append(tarball, filler[len(tarball):]...)}
	}
}

// Names are equally long, so that one can stand for another in every record.
func seedName(i int) string { return fmt.Sprintf("p%08d", i) }

func seedPath(i int) string { return fmt.Sprintf("/npm/%[1]s/-/%[1]s-1.0.0.tgz", seedName(i)) }

// anySeed asks for the files of the first packages at random.
func anySeed(packages int) target {
	return target{path: "/npm/p%08d/-/p%08d-1.0.0.tgz", paths: packages, size: seedSize}
}
