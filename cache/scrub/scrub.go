// Package scrub compares what is stored with what is recorded: on demand
// (Check, for `larder verify`) and slowly in the background (Run), so that rot
// is found before a client meets it.
//
// Damaged bytes are taken out of service and kept in quarantine: no client gets
// them, and good ones can come in their place. The records of a cached blob go
// with them, and it is fetched again. Those of a hosted blob stay: its readers
// get an error until it is published again or comes back from a backup.
package scrub

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"time"

	"larder/cache"
	"larder/cache/refs"
)

const (
	page        = 256 // rows per transaction
	maxFindings = 100 // sentences kept
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
	// Damaged hears of every damaged or missing blob that the background pass
	// finds; hosted says that it is more than a copy of an upstream's. nil:
	// nobody does.
	Damaged func(d cache.Digest, hosted bool, err error)

	sleep func(context.Context, time.Duration) error // nil: by the machine's clock
}

// Report is what a check found.
type Report struct {
	Blobs, Bytes int64 // recorded
	// Hosted and Cached blobs that are damaged, missing or cannot be read.
	// Everything that is not merely cached counts as hosted.
	Hosted, Cached int64
	// Rows that contradict each other: they endanger no bytes that are read.
	Rows     int64
	Repaired int64 // of Hosted, Cached and Rows
	// Orphans are stored blobs that no record knows, and OrphanBytes their
	// size. The next garbage collection takes those older than a day.
	Orphans, OrphanBytes int64
	// Findings are sentences for people, the first hundred.
	Findings []string
}

func (r *Report) find(format string, args ...any) {
	if len(r.Findings) < maxFindings {
		r.Findings = append(r.Findings, fmt.Sprintf(format, args...))
	}
}

// Check looks at every recorded blob and hashes its bytes, then compares
// records with blobs in both directions. It works online and offline. Damaged
// bytes go out of service in any case; repair also drops the records of cached
// ones and puts rows right. progress, if not nil, hears of blobs done and in all. A blob that
// cannot be dealt with is a finding; an error means that the check itself could
// not go on.
func (s *Scrubber) Check(ctx context.Context, repair bool, progress func(done, total int64)) (Report, error) {
	var report Report
	if progress == nil {
		progress = func(int64, int64) {}
	}
	total, err := s.total(ctx)
	if err != nil {
		return report, err
	}
	err = s.walk(ctx, nil, func(info refs.Info) error {
		report.Blobs++
		report.Bytes += info.Blob.Size
		progress(report.Blobs, total)
		f, err := s.check(ctx, info.Blob.Digest, repair)
		report.add(f)
		return err
	})
	if err != nil {
		return report, err
	}
	return report, s.checkRows(ctx, repair, &report)
}

// Suspect looks at one blob that a reader found wrong, and takes it out of service
// if it is.
func (s *Scrubber) Suspect(ctx context.Context, d cache.Digest) error {
	f, err := s.check(ctx, d, false)
	return errors.Join(err, f.failed)
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

// fault is what is wrong with one blob.
type fault struct {
	digest   cache.Digest
	cause    error // nil: nothing is wrong
	hosted   bool
	repaired bool
	failed   error // of the repair
}

func (r *Report) add(f fault) {
	if f.cause == nil {
		return
	}
	class, done := "cached", ""
	if f.hosted {
		class = "hosted"
		r.Hosted++
	} else {
		r.Cached++
	}
	if f.repaired {
		done = "; dropped, it comes again with the next request"
		r.Repaired++
	}
	if f.failed != nil {
		done = fmt.Sprintf("; not repaired: %v", f.failed)
	}
	r.find("%s %s: %v%s", class, f.digest, f.cause, done)
}

// check looks at one blob. The first look is without its lock, since hashing
// takes time; what it finds is looked at again with it.
func (s *Scrubber) check(ctx context.Context, d cache.Digest, repair bool) (fault, error) {
	f, err := s.inspect(ctx, d)
	if f.cause == nil || err != nil {
		return f, err
	}
	unlock := s.Locks.Lock(d)
	defer unlock()
	f, err = s.inspect(ctx, d)
	if f.cause == nil || err != nil {
		return f, err
	}
	if f.failed = s.isolate(ctx, f); f.failed == nil && repair {
		f.repaired, f.failed = s.takeOut(ctx, f)
	}
	return f, ctx.Err()
}

// isolate keeps bytes that are known to be wrong from being served.
func (s *Scrubber) isolate(ctx context.Context, f fault) error {
	if !errors.Is(f.cause, cache.ErrCorrupt) {
		return nil
	}
	if err := s.Store.Quarantine(ctx, f.digest); err != nil && !errors.Is(err, cache.ErrNotExist) {
		return err
	}
	return nil
}

// inspect compares a blob with its row; one without a row is not wrong. An
// error says nothing of the blob.
func (s *Scrubber) inspect(ctx context.Context, d cache.Digest) (fault, error) {
	f := fault{digest: d}
	var info refs.Info
	err := s.Index.View(ctx, func(r cache.Reader) error {
		var err error
		info, err = refs.Lookup(r, d)
		return err
	})
	if errors.Is(err, cache.ErrNotExist) {
		return f, nil // evicted or deleted meanwhile
	}
	if err != nil {
		return f, fmt.Errorf("scrub: %w", err)
	}
	if info.Has(refs.Inline) {
		return f, nil // its bytes lie in the record
	}
	f.hosted = !info.Evictable()
	found, err := s.Store.VerifyBlob(ctx, d)
	switch {
	case ctx.Err() != nil:
		return f, ctx.Err()
	case exhausted(err):
		return f, fmt.Errorf("scrub: %w", err)
	case err != nil:
		f.cause = err
	case found.Size != info.Blob.Size:
		f.cause = fmt.Errorf("%d bytes stored, %d recorded: %w", found.Size, info.Blob.Size, cache.ErrCorrupt)
	}
	return f, nil
}

// exhausted reports whether err is about the process and not about the blob.
func exhausted(err error) bool {
	return errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE) || errors.Is(err, syscall.ENOMEM)
}

// takeOut forgets a damaged blob that is cached, and reports whether it can be
// had again without anybody's help. Bytes that could not be read at all
// stay where they are, unless the medium failed under a cached blob: a missing
// permission must not cost the whole cache. The caller holds the lock.
func (s *Scrubber) takeOut(ctx context.Context, f fault) (bool, error) {
	if !errors.Is(f.cause, cache.ErrCorrupt) && !errors.Is(f.cause, cache.ErrNotExist) && !errors.Is(f.cause, syscall.EIO) {
		return false, nil
	}
	if f.hosted {
		return false, nil
	}
	for {
		var ev refs.Evicted
		err := s.Index.Update(ctx, func(w cache.Writer) error {
			var err error
			ev, err = refs.DropCached(w, f.digest, s.Clock())
			return err
		})
		if err != nil || !ev.More {
			return err == nil, err
		}
	}
}
