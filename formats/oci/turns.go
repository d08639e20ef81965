package oci

import (
	"context"
	"sync/atomic"

	"golang.org/x/sync/semaphore"

	"larder/formats"
)

// Limits of the work on manifests. One of 8 MiB takes up to ten times its size
// while it is looked at, so that few are at once: the work waits for nobody.
const (
	checksAtOnce = 2
	// maxQueued is how many bytes of manifests, which lie in files meanwhile, may
	// wait for their turn.
	maxQueued = 256 << 20
)

// turns lets a few manifests at once be in memory, in the order in which they came.
type turns struct {
	slots  *semaphore.Weighted
	queued atomic.Int64 // bytes that wait or have a turn
	limit  int64        // of queued
}

func newTurns() *turns {
	return &turns{slots: semaphore.NewWeighted(checksAtOnce), limit: maxQueued}
}

// queue waits for the turn of a manifest of size bytes that has arrived whole;
// leave ends it. Errors: formats.ErrTooMany at once if too much waits, that of ctx.
func (t *turns) queue(ctx context.Context, size int64) (leave func(), err error) {
	if t.queued.Add(size) > t.limit {
		t.queued.Add(-size)
		return nil, refuse(formats.ErrTooMany, codeTooManyRequests,
			"manifests of %d MiB are waiting to be looked at, as much as this server takes at once: try again in a moment", t.limit>>20)
	}
	end, err := t.wait(ctx)
	if err != nil {
		t.queued.Add(-size)
		return nil, err
	}
	return func() { t.queued.Add(-size); end() }, nil
}

// wait is queue for those who are few anyway.
func (t *turns) wait(ctx context.Context) (leave func(), err error) {
	if err := t.slots.Acquire(ctx, 1); err != nil {
		return nil, err
	}
	return func() { t.slots.Release(1) }, nil
}
