package scrub

import (
	"context"
	"errors"
	"fmt"
	"time"

	"larder/cache"
	"larder/cache/refs"
)

const (
	rate      = 20 << 20 // bytes hashed per second in the background
	least     = 64 << 10 // what any blob counts as, for small ones cost the disk a seek
	burst     = 1 << 20  // bytes between two pauses
	passEvery = 30 * 24 * time.Hour
	idleCheck = time.Minute
)

// cursorKey holds how far the background pass has come, and when it began.
const cursorKey = "mscrub"

// Run hashes everything once in 30 days at 20 MB/s, resuming where it was
// after a restart; report hears what failed.
func (s *Scrubber) Run(ctx context.Context, report func(error)) {
	for ctx.Err() == nil {
		if err := s.pass(ctx); err != nil && ctx.Err() == nil {
			report(err)
		}
		if err := s.wait(ctx, idleCheck); err != nil {
			return
		}
	}
}

func (s *Scrubber) wait(ctx context.Context, d time.Duration) error {
	if s.sleep != nil {
		return s.sleep(ctx, d)
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

type cursor struct {
	began time.Time
	at    *cache.Digest // nil: at the beginning, or the pass is done
	done  bool
}

// pass goes on with the pass under way, or begins one if it is time.
func (s *Scrubber) pass(ctx context.Context) error {
	c, err := s.cursor(ctx)
	if err != nil {
		return err
	}
	now := s.Clock()
	if c.done || c.began.IsZero() {
		if !c.began.IsZero() && now.Sub(c.began) < passEvery {
			return nil
		}
		c = cursor{began: now}
	}
	var since, unsaved int64
	err = s.walk(ctx, c.at, func(info refs.Info) error {
		f, err := s.check(ctx, info.Blob.Digest, true)
		if err != nil {
			return err
		}
		if f.cause != nil && s.Damaged != nil {
			s.Damaged(f.digest, f.hosted, errors.Join(f.cause, f.failed))
		}
		c.at = &info.Blob.Digest
		if since += max(info.Blob.Size, least); since < burst {
			return nil
		}
		pause := time.Duration(float64(since) / rate * float64(time.Second))
		unsaved += since
		since = 0
		if unsaved >= rate {
			unsaved = 0
			if err := s.save(ctx, c); err != nil {
				return err
			}
		}
		return s.wait(ctx, pause)
	})
	if err != nil {
		// The next try goes on behind what has been looked at.
		return errors.Join(err, s.save(context.WithoutCancel(ctx), c))
	}
	return s.save(ctx, cursor{began: c.began, done: true})
}

func (s *Scrubber) cursor(ctx context.Context) (cursor, error) {
	var c cursor
	err := s.Index.View(ctx, func(r cache.Reader) error {
		value, err := r.Get([]byte(cursorKey))
		if errors.Is(err, cache.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		return c.decode(value)
	})
	if err != nil {
		return c, fmt.Errorf("scrub: %w", err)
	}
	return c, nil
}

func (s *Scrubber) save(ctx context.Context, c cursor) error {
	err := s.Index.Update(ctx, func(w cache.Writer) error { return w.Put([]byte(cursorKey), c.encode()) })
	if errors.Is(err, cache.ErrFull) {
		return nil // a pass that forgets how far it was is repeated, that is all
	}
	if err != nil {
		return fmt.Errorf("scrub: %w", err)
	}
	return nil
}

const layout = 1 // version byte of the cursor

func (c cursor) encode() []byte {
	b := []byte{layout, 0}
	if c.done {
		b[1] = 1
	}
	b = append(b, c.began.UTC().Format(time.RFC3339)...)
	if c.at != nil {
		b = append(append(b, ' '), c.at.String()...)
	}
	return b
}

func (c *cursor) decode(b []byte) error {
	const stamp = len("2006-01-02T15:04:05Z")
	if len(b) < 2+stamp || b[0] != layout {
		return errors.New("scrub cursor of an unknown version")
	}
	began, err := time.Parse(time.RFC3339, string(b[2:2+stamp]))
	if err != nil {
		return fmt.Errorf("scrub cursor: %w", err)
	}
	c.began, c.done = began, b[1] == 1
	if rest := b[2+stamp:]; len(rest) > 1 {
		d, err := cache.ParseDigest(string(rest[1:]))
		if err != nil {
			return fmt.Errorf("scrub cursor: %w", err)
		}
		c.at = &d
	}
	return nil
}
