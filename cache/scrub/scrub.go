// Package scrub compares what is stored with what is recorded: on demand
// (Check, for `larder verify`) and slowly in the background (Run), so that rot
// is found before a client meets it.
//
// A damaged cached blob is quarantined and its records dropped: it is fetched
// again. A damaged hosted blob keeps its record and is reported; it is never
// served and never removed, because a backup may bring it back.
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
	page        = 256      // rows per transaction
	maxFindings = 100      // sentences kept
	rate        = 20 << 20 // bytes hashed per second in the background
	passEvery   = 30 * 24 * time.Hour
	idleCheck   = time.Minute
)

// Store is what a scrub needs of a store beside the bytes.
type Store interface {
	cache.Store
	// VerifyBlob reads the whole blob and compares its digest.
	// Errors: cache.ErrNotExist, cache.ErrCorrupt.
	VerifyBlob(ctx context.Context, d cache.Digest) (cache.Blob, error)
	// Quarantine takes a blob out of service and keeps it for inspection.
	Quarantine(ctx context.Context, d cache.Digest) error
}

// Scrubber checks one store against one index.
type Scrubber struct {
	Index cache.Index
	Store Store
	Locks *refs.Locks
	Clock func() time.Time
	// Damaged hears of every damaged blob that the background pass finds. nil: nobody does.
	Damaged func(d cache.Digest, hosted bool, err error)
}

// Report is what a check found.
type Report struct {
	Blobs, Bytes   int64
	Hosted, Cached int64 // damaged or missing
	Repaired       int64
	Findings       []string
}

func (r *Report) find(format string, args ...any) {
	if len(r.Findings) < maxFindings {
		r.Findings = append(r.Findings, fmt.Sprintf(format, args...))
	}
}

// Check looks at every recorded blob and hashes its bytes. repair drops damaged
// cached blobs. progress, if not nil, hears of blobs done and in all.
func (s *Scrubber) Check(ctx context.Context, repair bool, progress func(done, total int64)) (Report, error) {
	var report Report
	total, err := s.total(ctx)
	if err != nil {
		return report, err
	}
	err = s.walk(ctx, nil, func(info refs.Info) error {
		report.Blobs++
		report.Bytes += info.Blob.Size
		if progress != nil {
			progress(report.Blobs, total)
		}
		return s.check(ctx, info, repair, &report)
	})
	return report, err
}

func (s *Scrubber) total(ctx context.Context) (int64, error) {
	var u refs.Usage
	err := s.Index.View(ctx, func(r cache.Reader) error {
		var err error
		u, err = refs.ReadUsage(r)
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("scrub: %w", err)
	}
	return u.CachedBlobs + u.KeptBlobs, nil
}

// walk calls fn for the recorded blobs after a digest, a page per transaction.
func (s *Scrubber) walk(ctx context.Context, after *cache.Digest, fn func(refs.Info) error) error {
	for {
		var rows []refs.Info
		err := s.Index.View(ctx, func(r cache.Reader) error {
			rows = rows[:0]
			for info, err := range refs.Blobs(r, after) {
				if err != nil {
					return err
				}
				if rows = append(rows, info); len(rows) == page {
					return nil
				}
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("scrub: %w", err)
		}
		if len(rows) == 0 {
			return nil
		}
		for _, info := range rows {
			if err := ctx.Err(); err != nil {
				return err
			}
			if err := fn(info); err != nil {
				return err
			}
		}
		after = &rows[len(rows)-1].Blob.Digest
	}
}

// inspect returns what is wrong with a blob, nil for nothing.
func (s *Scrubber) inspect(ctx context.Context, info refs.Info) error {
	found, err := s.Store.VerifyBlob(ctx, info.Blob.Digest)
	if err == nil && found.Size != info.Blob.Size {
		return fmt.Errorf("%d bytes stored, %d recorded: %w", found.Size, info.Blob.Size, cache.ErrCorrupt)
	}
	return err
}

func (s *Scrubber) check(ctx context.Context, info refs.Info, repair bool, report *Report) error {
	bad := s.inspect(ctx, info)
	if bad == nil {
		return nil
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if !errors.Is(bad, cache.ErrCorrupt) && !errors.Is(bad, cache.ErrNotExist) {
		return fmt.Errorf("scrub %s: %w", info.Blob.Digest, bad)
	}
	still, err := s.recorded(ctx, info)
	if err != nil || !still {
		return err // evicted or deleted meanwhile
	}
	if !info.Evictable() {
		report.Hosted++
		report.find("hosted %s: %v", info.Blob.Digest, bad)
		return nil
	}
	report.Cached++
	report.find("cached %s: %v", info.Blob.Digest, bad)
	if !repair {
		return nil
	}
	if err := s.drop(ctx, info.Blob.Digest); err != nil {
		return err
	}
	report.Repaired++
	return nil
}

func (s *Scrubber) recorded(ctx context.Context, info refs.Info) (bool, error) {
	err := s.Index.View(ctx, func(r cache.Reader) error {
		_, err := refs.Lookup(r, info.Blob.Digest)
		return err
	})
	if errors.Is(err, cache.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// drop takes a damaged cached blob and its records away; the next request
// fetches it again.
func (s *Scrubber) drop(ctx context.Context, d cache.Digest) error {
	unlock := s.Locks.Lock(d)
	defer unlock()
	if err := s.Store.Quarantine(ctx, d); err != nil && !errors.Is(err, cache.ErrNotExist) {
		return fmt.Errorf("scrub: quarantine %s: %w", d, err)
	}
	for {
		var ev refs.Evicted
		err := s.Index.Update(ctx, func(w cache.Writer) error {
			var err error
			ev, err = refs.DropCached(w, d, s.Clock())
			return err
		})
		if err != nil {
			return fmt.Errorf("scrub: %w", err)
		}
		if ev.Gone {
			return nil
		}
	}
}

// cursorKey holds how far the background pass has come, and when it began.
const cursorKey = "mscrub"

// Run hashes everything once in 30 days at 20 MB/s, resuming where it was
// after a restart; report hears what failed.
func (s *Scrubber) Run(ctx context.Context, report func(error)) {
	for ctx.Err() == nil {
		if err := s.pass(ctx); err != nil && ctx.Err() == nil {
			report(err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(idleCheck):
		}
	}
}

type cursor struct {
	began time.Time
	at    *cache.Digest // nil: at the beginning, or the pass is done
	done  bool
}

func (s *Scrubber) pass(ctx context.Context) error {
	c, err := s.cursor(ctx)
	if err != nil {
		return err
	}
	now := s.Clock()
	if c.done || c.began.IsZero() {
		if now.Sub(c.began) < passEvery {
			return nil
		}
		c = cursor{began: now}
	}
	var since int64
	err = s.walk(ctx, c.at, func(info refs.Info) error {
		var found Report
		if err := s.check(ctx, info, true, &found); err != nil {
			return err
		}
		if found.Hosted+found.Cached > 0 && s.Damaged != nil {
			s.Damaged(info.Blob.Digest, found.Hosted > 0, cache.ErrCorrupt)
		}
		c.at = &info.Blob.Digest
		if since += info.Blob.Size; since < rate {
			return nil
		}
		wait := time.Duration(since) * time.Second / rate
		since = 0
		if err := s.save(ctx, c); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(wait):
			return nil
		}
	})
	if err != nil {
		return err
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
	return err
}

const layout = 1

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
