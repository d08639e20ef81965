package registry_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"larder/formats"
)

// crowd is many clients at a few sessions. Whatever a session holds are the first
// bytes of data, so that each writer knows what comes next.
type crowd struct {
	*world
	data []byte
	mu   sync.Mutex
	ids  []string
}

// pick returns one of the sessions, over or not, or begins one.
func (c *crowd) pick(r *rand.Rand) (string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.ids) < 4 || r.IntN(10) == 0 {
		id, err := c.as("alice", "").Begin(context.Background(), formats.UploadOptions{Package: "p", Size: -1})
		c.ids = append(c.ids, id)
		return id, err
	}
	return c.ids[len(c.ids)-1-r.IntN(4)], nil
}

// act takes a session up and does something to it, or does so to one that others
// have.
func (c *crowd) act(r *rand.Rand) error {
	ctx := context.Background()
	id, err := c.pick(r)
	if err != nil {
		return err
	}
	switch r.IntN(20) {
	case 0:
		return c.as("alice", "").Cancel(ctx, "p", id)
	case 1:
		at, err := c.as("alice", "").Progress(ctx, "p", id)
		if err == nil && at > int64(len(c.data)) {
			return fmt.Errorf("%d bytes in a session", at)
		}
		return err
	}
	s, err := c.as("alice", "").Resume(ctx, "p", id)
	if err != nil {
		return err
	}
	defer s.Close()
	at := int(s.Offset())
	if _, err := s.Write(c.data[at:min(at+r.IntN(20_000), len(c.data))]); err != nil {
		return err
	}
	switch r.IntN(8) {
	case 0:
		return s.Cancel(ctx)
	case 1:
		if _, err := s.Verify(sumOf(c.data[:s.Offset()])); err != nil {
			return err
		}
		return s.Keep(ctx)
	case 2:
		return s.Close()
	}
	return s.Suspend(ctx)
}

// TestSessionCrowd: requests for a few sessions at once, with the sweep between
// them, never mix their bytes, and in the end nothing is left.
func TestSessionCrowd(t *testing.T) {
	worlds(t, func(w *world) {
		c := &crowd{world: w, data: text(300_000)}
		var wg sync.WaitGroup
		for seed := range uint64(6) {
			wg.Go(func() {
				r := rand.New(rand.NewPCG(seed, 1))
				for range 60 {
					err := c.act(r)
					if err != nil && !errors.Is(err, formats.ErrConflict) && !errors.Is(err, formats.ErrNoVersion) {
						t.Errorf("client %d: %v", seed, err)
						return
					}
					if r.IntN(10) == 0 {
						if err := w.engine.SweepUploads(context.Background()); err != nil {
							t.Errorf("sweep: %v", err)
						}
					}
				}
			})
		}
		wg.Wait()
		w.clock.advance(day + time.Second)
		w.ok(w.engine.SweepUploads(context.Background()))
		w.holds(0, 0)
		if left := w.bench.ids(); len(left) != 0 || len(w.rows("u")) != 0 {
			t.Errorf("left: %q, %q", left, w.rows("u"))
		}
	})
}
