package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"larder/cmd/bench/process"
	"larder/upstream/upstreamtest/npmtest"
)

// The document of packument is as large as the largest that npm users meet.
const (
	documentVersions = 2600
	documentBytes    = 20 << 20
	warmClients      = 16
	warmRequests     = 20 // of each client
)

// packument asks for one very large document: many clients at once while it is
// not known yet, then over and over.
func packument(ctx context.Context, b *bench) error {
	far, err := npmtest.Start()
	if err != nil {
		return err
	}
	defer far.Close()
	if err := addHuge(far); err != nil {
		return err
	}
	// What the upstream takes to make the document is not larder's.
	direct, err := fetch(ctx, far.URL+"/huge")
	if err != nil {
		return err
	}
	far.Forget()
	ours, err := b.larder(filepath.Join(b.dir, "packument"), far.URL)
	if err != nil {
		return err
	}
	rows, err := b.document(ctx, ours, far, direct)
	table(b.out, "document of "+bytesText(direct.size)+" | found", rows)
	return errors.Join(err, ours.end())
}

func addHuge(far *npmtest.Registry) error {
	filler := strings.Repeat("dependency-of-some-length ", documentBytes/documentVersions/26-16)
	for i := range documentVersions {
		manifest := map[string]any{
			"name": "huge", "version": fmt.Sprintf("1.%d.%d", i/100, i%100),
			"dependencies": map[string]string{"left": "^1.0.0"}, "x-filler": filler,
		}
		if err := far.Add(manifest, []byte("tarball")); err != nil {
			return err
		}
	}
	return nil
}

func (b *bench) document(ctx context.Context, ours *server, far *npmtest.Registry, direct fetched) ([][]string, error) {
	idle, _, err := process.Memory(ours.ID())
	if err != nil {
		return nil, err
	}
	url := ours.url + "/npm/huge"
	begin := time.Now()
	if _, err := crowdOf(ctx, crowd, 1, url); err != nil {
		return nil, err
	}
	cold := time.Since(begin)
	requests := len(far.Log("/huge"))
	_, coldPeak, err := process.Memory(ours.ID())
	if err != nil {
		return nil, err
	}
	warm, err := crowdOf(ctx, warmClients, warmRequests, url)
	if err != nil {
		return nil, err
	}
	_, peak, err := process.Memory(ours.ID())
	if err != nil {
		return nil, err
	}
	return [][]string{
		{"direct, one client, document made before", millis(direct.total)},
		{fmt.Sprintf("%d clients at once, cold, all done after", crowd), millis(cold)},
		{"upstream requests for it", fmt.Sprint(requests)},
		{"memory before, at the highest while cold", bytesText(idle) + ", " + bytesText(coldPeak)},
		{fmt.Sprintf("%d clients, warm, compressed: p50, p99", warmClients), millis(median(warm)) + ", " + millis(quantile(warm, 0.99))},
		{"memory at the highest after that", bytesText(peak)},
	}, nil
}

// crowdOf lets several clients ask for a compressed document several times, and
// returns how long each answer took.
func crowdOf(ctx context.Context, clients, requests int, url string) ([]time.Duration, error) {
	var mu sync.Mutex
	var took []time.Duration
	group, ctx := errgroup.WithContext(ctx)
	for range clients {
		group.Go(func() error {
			for range requests {
				got, err := fetch(ctx, url, "Accept-Encoding", "gzip")
				if err != nil {
					return err
				}
				mu.Lock()
				took = append(took, got.total)
				mu.Unlock()
			}
			return nil
		})
	}
	return took, group.Wait()
}
