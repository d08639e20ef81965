package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"

	"larder/upstream/upstreamtest/npmtest"
)

// The far upstream of misses, and what is asked of it.
const (
	farDelay   = 40 * time.Millisecond
	farRate    = 50 << 20 // bytes per second of one connection
	missSize   = 8 << 20
	crowd      = 64
	crowdSize  = 32 << 20
	crowdTries = 3
)

// What misses must hold to, against direct and against one client.
const (
	missFirst  = 5 * time.Millisecond // later
	missWhole  = 1.15
	crowdWhole = 3
)

// misses compares files that are not cached yet with the same files fetched
// directly, for one client and for a crowd.
func misses(ctx context.Context, b *bench) error {
	far, err := npmtest.Start()
	if err != nil {
		return err
	}
	defer far.Close()
	if err := addCold(far, "cold", b.rounds, missSize); err != nil {
		return err
	}
	if err := addCold(far, "crowd", 2*crowdTries, crowdSize); err != nil {
		return err
	}
	ours, err := b.larder(filepath.Join(b.dir, "misses"), far.URL)
	if err != nil {
		return err
	}
	// The documents are known before, so that only files are measured.
	for _, name := range []string{"cold", "crowd"} {
		if _, err := fetch(ctx, ours.url+"/npm/"+name); err != nil {
			return errors.Join(err, ours.end())
		}
	}
	far.Fail(npmtest.Fault{Delay: farDelay, Rate: farRate})
	rows, err := b.one(ctx, ours, far)
	table(b.out, "one client, "+bytesText(missSize)+" | direct | larder, not cached | difference or ratio | line", rows)
	if err == nil {
		fmt.Fprintln(b.out)
		rows, err = b.many(ctx, ours, far)
		table(b.out, fmt.Sprintf("%d clients, one file of %s | one client | all, the last one done | ratio, line | upstream requests, line", crowd, bytesText(crowdSize)), rows)
	}
	return errors.Join(err, ours.end())
}

// addCold adds n versions of a package, each with other bytes.
func addCold(far *npmtest.Registry, name string, n, size int) error {
	data := noise(size)
	for i := range n {
		own := append([]byte(nil), data...)
		own[0], own[1] = byte(i), byte(i>>8)
		if err := far.Add(map[string]any{"name": name, "version": fmt.Sprintf("1.0.%d", i)}, own); err != nil {
			return err
		}
	}
	return nil
}

func coldPath(name string, i int) string { return fmt.Sprintf("/%[1]s/-/%[1]s-1.0.%[2]d.tgz", name, i) }

func (b *bench) one(ctx context.Context, ours *server, far *npmtest.Registry) ([][]string, error) {
	var first, total [2][]time.Duration
	for i := range b.rounds {
		for side, url := range []string{far.URL, ours.url + "/npm"} {
			got, err := expect(ctx, url+coldPath("cold", i), missSize)
			if err != nil {
				return nil, err
			}
			first[side], total[side] = append(first[side], got.first), append(total[side], got.total)
		}
	}
	direct, through := median(first[0]), median(first[1])
	whole := over(median(total[1]), median(total[0]))
	return [][]string{
		{"first byte", millis(direct), millis(through), "+" + millis(through-direct), b.hold(through-direct <= missFirst, "≤ +"+millis(missFirst))},
		{"whole file", millis(median(total[0])), millis(median(total[1])), ratio(whole), b.hold(whole <= missWhole, "≤ "+ratio(missWhole))},
	}, nil
}

func (b *bench) many(ctx context.Context, ours *server, far *npmtest.Registry) ([][]string, error) {
	var rows [][]string
	for try := range crowdTries {
		alone, err := expect(ctx, ours.url+"/npm"+coldPath("crowd", 2*try), crowdSize)
		if err != nil {
			return rows, err
		}
		file := coldPath("crowd", 2*try+1)
		begin := time.Now()
		var group errgroup.Group
		for range crowd {
			group.Go(func() error {
				_, err := expect(ctx, ours.url+"/npm"+file, crowdSize)
				return err
			})
		}
		if err := group.Wait(); err != nil {
			return rows, err
		}
		all, asked := time.Since(begin), len(far.Log(file))
		spread := over(all, alone.total)
		rows = append(rows, []string{
			fmt.Sprintf("try %d", try+1), millis(alone.total), millis(all),
			ratio(spread) + b.most(spread, crowdWhole), fmt.Sprint(asked) + b.hold(asked == 1, ", = 1"),
		})
	}
	return rows, nil
}
