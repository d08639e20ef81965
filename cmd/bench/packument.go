package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
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
	warmRequests     = 20                     // of each client
	documentLine     = 150 * time.Millisecond // p99 of a warm one
	documentMemory   = 400 << 20              // bytes, while cold
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
	table(b.out, "document of "+bytesText(direct.size)+" | found | line", rows)
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
	first, err := crowdOf(ctx, crowd, 1, url)
	if err != nil {
		return nil, err
	}
	cold, requests := time.Since(begin), len(far.Log("/huge"))
	_, coldPeak, err := process.Memory(ours.ID())
	if err != nil {
		return nil, err
	}
	later, err := crowdOf(ctx, warmClients, warmRequests, url)
	if err != nil {
		return nil, err
	}
	_, peak, err := process.Memory(ours.ID())
	if err != nil {
		return nil, err
	}
	if err := whole(ctx, ours, direct.size, append(first, later...)); err != nil {
		return nil, err
	}
	warm := totals(later)
	p99 := quantile(warm, 0.99)
	return [][]string{
		{"direct, one client, document made before", millis(direct.total), ""},
		{fmt.Sprintf("%d clients at once, cold, all done after", crowd), millis(cold), ""},
		{"upstream requests for it", fmt.Sprint(requests), b.hold(requests == 1, "= 1")},
		{"memory before", bytesText(idle), ""},
		{"memory at the highest while cold", bytesText(coldPeak), b.hold(coldPeak < documentMemory, "< "+bytesText(documentMemory))},
		{fmt.Sprintf("%d clients, warm, compressed: p50", warmClients), millis(median(warm)), ""},
		{"p99", millis(p99), b.hold(p99 < documentLine, "< "+millis(documentLine))},
		{"memory at the highest after that", bytesText(peak), ""},
	}, nil
}

// whole wants all replies to be one compressed document, and that to be about
// as large as the upstream's: only URLs in it change.
func whole(ctx context.Context, ours *server, size int64, all []fetched) error {
	var zipped bytes.Buffer
	f, err := ours.read(ctx, "/npm/huge", &zipped, "Accept-Encoding", "gzip")
	if err != nil {
		return err
	}
	for _, one := range all {
		if one.size != f.size {
			return fmt.Errorf("one document came as %d bytes and as %d", one.size, f.size)
		}
	}
	plain, err := gzip.NewReader(&zipped)
	if err != nil {
		return fmt.Errorf("read the document: %w", err)
	}
	n, err := io.Copy(io.Discard, plain)
	if err != nil {
		return fmt.Errorf("read the document: %w", err)
	}
	if n < size*9/10 || n > size*11/10 {
		return fmt.Errorf("a document of %d bytes came as %d", size, n)
	}
	return nil
}

func totals(all []fetched) []time.Duration {
	took := make([]time.Duration, len(all))
	for i, f := range all {
		took[i] = f.total
	}
	return took
}

// crowdOf lets several clients ask for a compressed document several times, and
// returns how each answer went.
func crowdOf(ctx context.Context, clients, requests int, url string) ([]fetched, error) {
	var mu sync.Mutex
	var all []fetched
	group, ctx := errgroup.WithContext(ctx)
	for range clients {
		group.Go(func() error {
			for range requests {
				got, err := fetch(ctx, url, "Accept-Encoding", "gzip")
				if err != nil {
					return err
				}
				mu.Lock()
				all = append(all, got)
				mu.Unlock()
			}
			return nil
		})
	}
	return all, group.Wait()
}
