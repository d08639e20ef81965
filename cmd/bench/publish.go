package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"larder/cmd/bench/seed"
	"larder/upstream/upstreamtest/npmtest"
)

// batch is a number of publishes of one size by so many writers at once.
type batch struct {
	size    int // bytes that do not compress, of each package
	writers int
	count   int
}

func batches() []batch {
	return []batch{
		{1 << 10, 1, 200}, {1 << 10, 16, 1600}, {1 << 10, 64, 3200},
		{1 << 20, 1, 20}, {1 << 20, 16, 64}, {1 << 20, 64, 128},
	}
}

// publication is one package on its way.
type publication struct {
	name    string
	body    []byte
	tarball []byte
}

// publishes measures how fast packages are taken in and made durable, beside
// the same bytes put into a store of larder's by itself.
func (b *bench) publishes(ctx context.Context) error {
	far, err := npmtest.Start()
	if err != nil {
		return err
	}
	defer far.Close()
	s, err := b.larder(filepath.Join(b.dir, "publish"), far.URL)
	if err != nil {
		return err
	}
	var rows [][]string
	for i, one := range batches() {
		row, rowErr := b.publishBatch(ctx, s, i, one)
		if err = rowErr; err != nil {
			break
		}
		rows = append(rows, row)
	}
	table(b.out, "publishes, fsync on | writers | per second | p50, p99 | bytes alone, per second | ratio", rows)
	return errors.Join(err, s.end())
}

func (b *bench) publishBatch(ctx context.Context, s *server, number int, what batch) ([]string, error) {
	all, err := packages(number, what)
	if err != nil {
		return nil, err
	}
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: what.writers}}
	defer client.CloseIdleConnections()
	begin := time.Now()
	took, err := each(ctx, what.writers, all, func(p publication) error { return s.publish(ctx, client, p) })
	if err != nil {
		return nil, err
	}
	rate := float64(len(all)) / time.Since(begin).Seconds()
	if _, err := each(ctx, what.writers, all, func(p publication) error { return s.published(ctx, client, p) }); err != nil {
		return nil, err
	}
	tarballs := make([][]byte, len(all))
	for i, p := range all {
		tarballs[i] = p.tarball
	}
	alone, err := seed.Put(ctx, filepath.Join(b.dir, fmt.Sprintf("alone-%d", number)), what.writers, tarballs)
	if err != nil {
		return nil, err
	}
	bare := float64(len(all)) / alone.Seconds()
	return []string{
		bytesText(int64(what.size)), fmt.Sprint(what.writers), perSecond(rate),
		millis(median(took)) + ", " + millis(quantile(took, 0.99)), perSecond(bare), ratio(rate / bare),
	}, nil
}

// packages makes what is published, before any clock runs.
func packages(number int, what batch) ([]publication, error) {
	filler := noise(what.size)
	all := make([]publication, what.count)
	for i := range all {
		name := fmt.Sprintf("published-%d-%d", number, i)
		binary.BigEndian.PutUint64(filler, uint64(i))
		manifest := map[string]any{"name": name, "version": "1.0.0"}
		tarball, err := npmtest.Pack(map[string][]byte{
			"package.json": fmt.Appendf(nil, `{"name": %q, "version": "1.0.0"}`, name), "filler": filler,
		})
		if err != nil {
			return nil, err
		}
		body, err := npmtest.PublishBody(manifest, tarball, "latest")
		if err != nil {
			return nil, err
		}
		all[i] = publication{name, body, tarball}
	}
	return all, nil
}

// each lets so many writers work through a list, and returns what each call took.
func each(ctx context.Context, writers int, all []publication, do func(publication) error) ([]time.Duration, error) {
	var next atomic.Int64
	var mu sync.Mutex
	var took []time.Duration
	group, ctx := errgroup.WithContext(ctx)
	for range writers {
		group.Go(func() error {
			for i := next.Add(1) - 1; i < int64(len(all)) && ctx.Err() == nil; i = next.Add(1) - 1 {
				begin := time.Now()
				if err := do(all[i]); err != nil {
					return fmt.Errorf("%s: %w", all[i].name, err)
				}
				mu.Lock()
				took = append(took, time.Since(begin))
				mu.Unlock()
			}
			return nil
		})
	}
	return took, group.Wait()
}

func (s *server) publish(ctx context.Context, client *http.Client, p publication) error {
	q, err := http.NewRequestWithContext(ctx, http.MethodPut, s.url+"/npm/"+p.name, bytes.NewReader(p.body))
	if err != nil {
		return err
	}
	q.Header.Set("Authorization", "Bearer "+s.token)
	q.Header.Set("Content-Type", "application/json")
	status, answer, err := exchange(client, q)
	if err == nil && status != http.StatusCreated {
		err = fmt.Errorf("publish answered %d: %s", status, answer)
	}
	return err
}

// published wants the package back.
func (s *server) published(ctx context.Context, client *http.Client, p publication) error {
	q, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url+fmt.Sprintf("/npm/%[1]s/-/%[1]s-1.0.0.tgz", p.name), nil)
	if err != nil {
		return err
	}
	status, got, err := exchange(client, q)
	if err == nil && (status != http.StatusOK || !bytes.Equal(got, p.tarball)) {
		err = fmt.Errorf("what was published came back as %d with %d bytes, want %d", status, len(got), len(p.tarball))
	}
	return err
}

func exchange(client *http.Client, q *http.Request) (int, []byte, error) {
	w, err := client.Do(q)
	if err != nil {
		return 0, nil, err
	}
	defer w.Body.Close()
	body, err := io.ReadAll(w.Body)
	return w.StatusCode, body, err
}
