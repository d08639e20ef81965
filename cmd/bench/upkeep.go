package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"larder/cmd/bench/seed"
)

const (
	kept       = 20_000 // packages that the server of upkeep holds
	orphans    = 10_000 // files that a collection deletes
	orphansAt  = 60_000_000
	upkeepLine = 1.5 // p99 of hits meanwhile, against a quiet server
)

// upkeep looks at hits while a server evicts or collects, and at publishes.
func upkeep(ctx context.Context, b *bench) error {
	s, err := b.seeding(ctx, "upkeep")
	if err != nil {
		return err
	}
	defer s.far.Close()
	if _, err := s.fill(ctx, kept); err != nil {
		return err
	}
	t, err := s.halfLoad(ctx)
	if err != nil {
		return err
	}
	evicting, err := s.whileEvicting(ctx, t)
	if err != nil {
		return err
	}
	collecting, err := s.whileCollecting(ctx, t)
	if err != nil {
		return err
	}
	table(b.out, "hits of 1 KiB at half load | quiet, req/s | p50, p99 | meanwhile, req/s | p50, p99 | p99 against quiet, line", [][]string{
		b.upkeepRow("eviction", evicting), b.upkeepRow("larder cache gc", collecting),
	})
	fmt.Fprintln(b.out)
	return b.publishes(ctx)
}

func (b *bench) upkeepRow(name string, u upkept) []string {
	against := over(median(u.busy.p99), median(u.quiet.p99))
	return []string{
		name, perSecond(median(u.quiet.rate)), u.quiet.latency(), perSecond(median(u.busy.rate)), u.busy.latency(),
		ratio(against) + b.most(against, upkeepLine),
	}
}

// halfLoad finds what half load is.
func (s *seeding) halfLoad(ctx context.Context) (target, error) {
	ours, err := s.larder(s.data, s.far.URL)
	if err != nil {
		return target{}, err
	}
	full, err := s.drives(ctx, ours, anySeed(hot))
	return s.half(anySeed(hot), full), errors.Join(err, ours.end())
}

// whileCollecting loads a server that is quiet, and one whose garbage is
// collected over and over. The first time there is much.
func (s *seeding) whileCollecting(ctx context.Context, t target) (upkept, error) {
	var found upkept
	data := filepath.Join(s.dir, "collecting")
	defer os.RemoveAll(data)
	if err := seed.Copy(s.data, data); err != nil {
		return found, err
	}
	lost := seed.Packages{From: orphansAt, To: orphansAt + orphans, Make: s.make, Unused: cold}
	if err := seed.Orphans(ctx, data, lost); err != nil {
		return found, err
	}
	t.last = moment
	ours, err := s.larder(data, s.far.URL)
	if err != nil {
		return found, err
	}
	if found.quiet, err = s.drives(ctx, ours, t); err != nil {
		return found, errors.Join(err, ours.end())
	}
	var over atomic.Bool
	var group errgroup.Group
	deleted := 0
	group.Go(func() error {
		for !over.Load() {
			n, err := s.collect(ctx, ours)
			if err != nil {
				return err
			}
			deleted += n
		}
		return nil
	})
	found.busy, err = s.drives(ctx, ours, t)
	over.Store(true)
	err = errors.Join(err, group.Wait())
	if err == nil && deleted != orphans {
		err = fmt.Errorf("collections deleted %d files, want %d", deleted, orphans)
	}
	return found, errors.Join(err, ours.end())
}

// collect runs one collection and returns how many files it deleted.
func (b *bench) collect(ctx context.Context, s *server) (int, error) {
	cmd := exec.CommandContext(ctx, b.program, "cache", "gc", "--quiet", "--json")
	cmd.Env = append(os.Environ(), "LARDER_URL="+s.url, "LARDER_TOKEN="+s.token)
	out, err := cmd.Output()
	if err != nil {
		return 0, fmt.Errorf("larder cache gc: %w", err)
	}
	var report struct{ Blobs int }
	if err := json.Unmarshal(out, &report); err != nil {
		return 0, fmt.Errorf("larder cache gc printed %q: %w", out, err)
	}
	return report.Blobs, nil
}
