package evict

import (
	"context"
	"time"
)

// Work that nobody waits for is done in small pieces with a rest after each:
// on few cores a reader would wait for the whole of a large one.
const (
	breath    = 5 * time.Millisecond
	looks     = 32  // files looked at between two rests
	deletions = 8   // blobs evicted or deleted
	notes     = 128 // uses written
)

// breathe is a rest.
func breathe(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(breath):
		return nil
	}
}

// pace is how much an eviction or a flush does at once, and what it does then.
type pace struct {
	blobs int
	rest  func(context.Context) error
}

// hurried is the pace of what somebody waits for.
func hurried() pace { return pace{batch, func(context.Context) error { return nil }} }

// calm is that of the background.
func (e *Evictor) calm(blobs int) pace { return pace{blobs, e.breathe} }
