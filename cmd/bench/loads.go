package main

import (
	"context"
	"time"
)

// loads are the rounds of one target.
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

// drives loads a server once for every round.
func (b *bench) drives(ctx context.Context, s *server, t target) (loads, error) {
	var all loads
	for range b.rounds {
		if err := all.add(b.drive(ctx, s, t)); err != nil {
			return all, err
		}
	}
	return all, nil
}

// half is a target asked about half as often as full loads were: a connection
// waits as long as it took for three requests in two, and then for its reply.
func (b *bench) half(t target, full loads) target {
	t.pause = time.Duration(1.5 * float64(b.connections) / median(full.rate) * float64(time.Second))
	return t
}

// latency is the medians of p50 and p99.
func (l *loads) latency() string { return millis(median(l.p50)) + ", " + millis(median(l.p99)) }
