package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"

	"larder/upstream/upstreamtest/npmtest"
)

// contest is one thing that larder and its peers serve.
type contest struct {
	name   string
	target target
	ours   *server
	static *server // nginx with the same bytes in a file
	cached *server // nginx in front of that; nil: none
	line   standing
}

// standing is what larder must reach against nginx; 0 is no line.
type standing struct {
	rate   float64 // at least, of static's
	cpu    float64 // at most, of static's
	cached float64 // rate at least, of cached's
}

// hits compares what is cached, served over kept-alive connections, with the
// same bytes served by nginx.
func hits(ctx context.Context, b *bench) error {
	far, err := npmtest.Start()
	if err != nil {
		return err
	}
	defer far.Close()
	if err := addHits(far); err != nil {
		return err
	}
	pair, err := b.certificate()
	if err != nil {
		return err
	}
	plain, err := b.larder(filepath.Join(b.dir, "hits"), far.URL)
	if err != nil {
		return err
	}
	secure, err := b.larderTLS(filepath.Join(b.dir, "hits-tls"), far.URL, pair)
	if err != nil {
		return errors.Join(err, plain.end())
	}
	peers, err := b.nginx(filepath.Join(b.dir, "static"), pair)
	if err != nil {
		return errors.Join(err, plain.end(), secure.end())
	}
	all := contests(plain, secure, peers)
	err = b.compete(ctx, all)
	return errors.Join(err, plain.end(), secure.end(), peers.static.end())
}

// compete runs all contests and prints their tables.
func (b *bench) compete(ctx context.Context, all []contest) error {
	var full, half [][]string
	for _, c := range all {
		if err := b.prepare(ctx, &c); err != nil {
			return fmt.Errorf("%s: %w", c.name, err)
		}
		found, err := b.contend(ctx, c)
		if err != nil {
			return fmt.Errorf("%s: %w", c.name, err)
		}
		full = append(full, b.fullRow(c, found))
		row, err := b.halfRow(ctx, c, found)
		if err != nil {
			return fmt.Errorf("%s: %w", c.name, err)
		}
		half = append(half, row)
	}
	table(b.out, "at full load | larder req/s | nginx req/s | ratio, line | CPU ratio, line | nginx proxy_cache req/s | ratio, line | larder p50, p99 | nginx p50, p99", full)
	fmt.Fprintln(b.out)
	table(b.out, "at half load | larder req/s | p50, p99 | p99 against p50, line | nginx req/s | p50, p99", half)
	return nil
}

// results are the loads of a contest.
type results struct{ ours, static, cached loads }

// contend takes turns, so that what else goes on hits all of them.
func (b *bench) contend(ctx context.Context, c contest) (results, error) {
	var r results
	for range b.rounds {
		err := errors.Join(r.ours.add(b.drive(ctx, c.ours, c.target)), r.static.add(b.drive(ctx, c.static, c.target)))
		if c.cached != nil {
			err = errors.Join(err, r.cached.add(b.drive(ctx, c.cached, c.target)))
		}
		if err != nil {
			return r, err
		}
	}
	return r, nil
}

func (b *bench) fullRow(c contest, r results) []string {
	rate, cpu := over(median(r.ours.rate), median(r.static.rate)), over(median(r.ours.cpu), median(r.static.cpu))
	row := []string{
		c.name, perSecond(median(r.ours.rate)), perSecond(median(r.static.rate)),
		ratio(rate) + b.least(rate, c.line.rate), ratio(cpu) + b.most(cpu, c.line.cpu), "", "",
	}
	if c.cached != nil {
		against := over(median(r.ours.rate), median(r.cached.rate))
		row[5], row[6] = perSecond(median(r.cached.rate)), ratio(against)+b.least(against, c.line.cached)
	}
	return append(row, r.ours.latency(), r.static.latency())
}

// calm is how many times p50 the p99 of the smallest hits may be at half load.
const calm = 5

func (b *bench) halfRow(ctx context.Context, c contest, full results) ([]string, error) {
	ours, err := b.drives(ctx, c.ours, b.half(c.target, full.ours))
	if err != nil {
		return nil, err
	}
	static, err := b.drives(ctx, c.static, b.half(c.target, full.static))
	if err != nil {
		return nil, err
	}
	line, spread := 0.0, over(median(ours.p99), median(ours.p50))
	if c.target.size == hitSizes()[0] {
		line = calm
	}
	return []string{
		c.name, perSecond(median(ours.rate)), ours.latency(), ratio(spread) + b.most(spread, line),
		perSecond(median(static.rate)), static.latency(),
	}, nil
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
