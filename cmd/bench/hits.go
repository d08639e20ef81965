package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"

	"larder/upstream/upstreamtest/npmtest"
)

// hitSizes are the tarballs that hits serves.
func hitSizes() []int { return []int{1 << 10, 16 << 10, 64 << 10, 1 << 20, 10 << 20} }

// hits compares cached tarballs, served over kept-alive connections, with the
// same bytes served by nginx.
func hits(ctx context.Context, b *bench) error {
	far, err := npmtest.Start()
	if err != nil {
		return err
	}
	defer far.Close()
	root := filepath.Join(b.dir, "static")
	for _, size := range hitSizes() {
		data := noise(size)
		if err := far.Add(map[string]any{"name": hitName(size), "version": "1.0.0"}, data); err != nil {
			return err
		}
		file := filepath.Join(root, hitPath(size))
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(file, data, 0o644); err != nil {
			return err
		}
	}
	ours, err := b.larder(filepath.Join(b.dir, "hits"), far.URL)
	if err != nil {
		return err
	}
	theirs, err := b.nginx(root)
	if err != nil {
		return errors.Join(err, ours.end())
	}
	rows, err := b.compare(ctx, ours, theirs)
	table(b.out, "size | larder req/s | nginx req/s | req/s | CPU per request | larder p50, p99 | nginx p50, p99", rows)
	return errors.Join(err, ours.end(), theirs.end())
}

func hitName(size int) string { return fmt.Sprintf("hit-%d", size) }

func hitPath(size int) string {
	return fmt.Sprintf("/npm/%[1]s/-/%[1]s-1.0.0.tgz", hitName(size))
}

func (b *bench) compare(ctx context.Context, ours, theirs *server) ([][]string, error) {
	var rows [][]string
	for _, size := range hitSizes() {
		for _, s := range []*server{ours, theirs} {
			got, err := fetch(ctx, s.url+hitPath(size))
			if err != nil {
				return rows, err
			}
			if got.size != int64(size) {
				return rows, fmt.Errorf("%s sent %d bytes, want %d", s.url+hitPath(size), got.size, size)
			}
		}
		var a, c loads
		for range b.rounds {
			if err := errors.Join(a.add(b.drive(ctx, ours, hitPath(size))), c.add(b.drive(ctx, theirs, hitPath(size)))); err != nil {
				return rows, err
			}
		}
		rows = append(rows, []string{
			bytesText(int64(size)), fmt.Sprintf("%.0f", median(a.rate)), fmt.Sprintf("%.0f", median(c.rate)),
			ratio(median(a.rate), median(c.rate)), ratio(float64(median(a.cpu)), float64(median(c.cpu))),
			millis(median(a.p50)) + ", " + millis(median(a.p99)), millis(median(c.p50)) + ", " + millis(median(c.p99)),
		})
	}
	return rows, nil
}

// loads are the rounds of one server.
type loads struct {
	rate          []float64
	cpu, p50, p99 []time.Duration
}

func (l *loads) add(one load, err error) error {
	if err != nil {
		return err
	}
	l.rate = append(l.rate, one.rate)
	l.cpu, l.p50, l.p99 = append(l.cpu, one.cpu), append(l.p50, one.p50), append(l.p99, one.p99)
	return nil
}

// noise returns bytes that do not compress, the same for the same size.
func noise(size int) []byte {
	data := make([]byte, size)
	source := rand.New(rand.NewPCG(uint64(size), 1))
	for i := range data {
		data[i] = byte(source.Uint32())
	}
	return data
}
