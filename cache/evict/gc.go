package evict

import (
	"context"
	"errors"
	"fmt"
	"time"

	"larder/cache"
	"larder/cache/refs"
)

// Report is what a collection did, or with a dry run what it would do.
type Report struct {
	Blobs    int   `json:"blobs" doc:"Files deleted."`
	Bytes    int64 `json:"bytes" doc:"Bytes deleted."`
	Expired  int   `json:"expired" doc:"Leases and restore windows that ended."`
	Orphans  int   `json:"orphans" doc:"Of blobs, files that no record knew."`
	Failures int   `json:"failures" doc:"Files that could not be deleted."`
	// Errors holds the first few failures; each was passed over.
	Errors []string `json:"errors,omitempty" doc:"The first few failures; each was passed over."`
}

const maxErrors = 10

func (r *Report) fail(err error) {
	r.Failures++
	if len(r.Errors) < maxErrors {
		r.Errors = append(r.Errors, err.Error())
	}
}

func (r *Report) deleted(sizes []int64) {
	for _, n := range sizes {
		r.Blobs++
		r.Bytes += n
	}
}

// err returns the failures of a collection that nobody asked for.
func (r *Report) err() error {
	if r.Failures == 0 {
		return nil
	}
	return fmt.Errorf("%d files could not be deleted, the first: %s", r.Failures, r.Errors[0])
}

// GC ends what has expired, deletes what is due, and collects files that no
// record knows. It works online; progress, if not nil, hears of files looked at.
// Interrupted, it is simply run again: what it did needs no doing twice.
func (e *Evictor) GC(ctx context.Context, dry bool, progress func(looked int)) (Report, error) {
	var report Report
	if err := e.sweep(ctx, dry, &report); err != nil {
		return report, err
	}
	if progress == nil {
		progress = func(int) {}
	}
	looked, rested := 0, 0
	for first := range 256 {
		err := e.orphans(ctx, byte(first), dry, &report, func(n int) {
			looked += n
			progress(looked)
		})
		if err != nil {
			return report, err
		}
		if looked-rested < looks {
			continue // folders of few files take no time
		}
		rested = looked
		if err := e.breathe(ctx); err != nil {
			return report, err
		}
	}
	return report, nil
}

// sweepDue is the sweep of the background. What fails is reported once and
// tried again later, not every few seconds.
func (e *Evictor) sweepDue(ctx context.Context) error {
	now := e.opt.Clock()
	e.mu.Lock()
	wait := now.Before(e.retry) && e.retry.Sub(now) <= retryAfter // a clock set back must not stop it
	e.mu.Unlock()
	if wait {
		return nil
	}
	var report Report
	if err := e.sweep(ctx, false, &report); err != nil {
		return err
	}
	if report.Failures > 0 {
		e.mu.Lock()
		e.retry = now.Add(retryAfter)
		e.mu.Unlock()
	}
	return report.err()
}

// sweep works through what is due, in pages.
func (e *Evictor) sweep(ctx context.Context, dry bool, report *Report) error {
	var after []byte
	now := e.opt.Clock()
	for {
		page, err := e.due(ctx, now, after)
		if err != nil || len(page) == 0 {
			return err
		}
		if after != nil {
			if err := e.breathe(ctx); err != nil {
				return err
			}
		}
		after = page[len(page)-1].Key()
		if dry {
			err = e.estimate(ctx, page, report)
		} else {
			err = e.settle(ctx, page, now, report)
		}
		if err != nil {
			return err
		}
	}
}

func (e *Evictor) due(ctx context.Context, now time.Time, after []byte) ([]refs.Due, error) {
	var page []refs.Due
	err := e.index.View(ctx, func(r cache.Reader) error {
		for d, err := range refs.DueBy(r, now, after) {
			if err != nil {
				return err
			}
			if page = append(page, d); len(page) == deletions {
				return nil
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("what is due: %w", err)
	}
	return page, nil
}

// estimate counts what settle would do with a page.
func (e *Evictor) estimate(ctx context.Context, page []refs.Due, report *Report) error {
	return e.index.View(ctx, func(r cache.Reader) error {
		for _, due := range page {
			outcome, size, err := refs.Assess(r, due)
			if err != nil {
				report.fail(err)
				continue
			}
			if outcome == refs.Expired {
				report.Expired++
				if size, err = lastUse(r, due.Digest); err != nil {
					report.fail(err)
				}
			}
			if size > 0 || outcome == refs.Unneeded {
				report.deleted([]int64{size})
			}
		}
		return nil
	})
}

// lastUse returns a blob's size if it has no more than one edge, else 0.
func lastUse(r cache.Reader, d cache.Digest) (int64, error) {
	edges := 0
	for _, err := range refs.Edges(r, d) {
		if err != nil {
			return 0, err
		}
		if edges++; edges > 1 {
			return 0, nil
		}
	}
	info, err := refs.Lookup(r, d)
	if errors.Is(err, cache.ErrNotExist) {
		return 0, nil
	}
	return info.Blob.Size, err
}

// settle deals with a page of due rows in one transaction, or in one each if
// that fails, and deletes the files that are to go.
func (e *Evictor) settle(ctx context.Context, page []refs.Due, now time.Time, report *Report) error {
	outcomes, err := e.settleRows(ctx, page, now)
	if err != nil && (ctx.Err() != nil || errors.Is(err, cache.ErrFull) || errors.Is(err, cache.ErrUnhealthy)) {
		return err
	}
	if err != nil {
		outcomes = make([]refs.Outcome, len(page)) // stale: nothing to do
		for i := range page {
			one, err := e.settleRows(ctx, page[i:i+1], now)
			if err != nil {
				report.fail(err)
				continue
			}
			outcomes[i] = one[0]
		}
	}
	var doomed []cache.Digest
	for i, o := range outcomes {
		switch o {
		case refs.Expired:
			report.Expired++
		case refs.Unneeded:
			doomed = append(doomed, page[i].Digest)
		}
	}
	sizes, err := e.unlink(ctx, doomed, func(_ cache.Digest, err error) { report.fail(err) })
	report.deleted(sizes)
	return err
}

func (e *Evictor) settleRows(ctx context.Context, page []refs.Due, now time.Time) ([]refs.Outcome, error) {
	var outcomes []refs.Outcome
	err := e.index.Update(ctx, func(w cache.Writer) error {
		outcomes = nil
		for _, due := range page {
			o, err := refs.Settle(w, due, now)
			if err != nil {
				return err
			}
			outcomes = append(outcomes, o)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("end what has expired: %w", err)
	}
	return outcomes, nil
}
