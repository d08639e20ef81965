package evict

import (
	"context"
	"errors"
	"fmt"
	"time"

	"larder/cache"
	"larder/cache/refs"
)

// orphanAge is how old a file without a record must be before it may go: longer
// than any upload or fill takes to get its record.
const orphanAge = 24 * time.Hour

// Report is what a collection did, or with a dry run what it would do.
type Report struct {
	Blobs    int   `json:"blobs"` // files deleted
	Bytes    int64 `json:"bytes"`
	Expired  int   `json:"expired"` // leases and restore windows that ended
	Orphans  int   `json:"orphans"` // of Blobs, files that no record knew
	Failures int   `json:"failures"`
	// Errors holds the first few failures; each was passed over.
	Errors []string `json:"errors,omitempty"`
}

const maxErrors = 10

func (r *Report) fail(err error) {
	r.Failures++
	if len(r.Errors) < maxErrors {
		r.Errors = append(r.Errors, err.Error())
	}
}

// modified is implemented by stores that know when a blob was written.
type modified interface {
	Modified(ctx context.Context, d cache.Digest) (time.Time, error)
}

// GC ends what has expired, deletes what is due, and collects files that no
// record knows. It works online; progress, if not nil, hears of files looked at.
func (e *Evictor) GC(ctx context.Context, dry bool, progress func(looked int)) (Report, error) {
	report, err := e.sweep(ctx, dry)
	if err != nil {
		return report, err
	}
	store, ok := e.store.(modified)
	if !ok {
		return report, nil
	}
	looked := 0
	for blob, err := range e.store.List(ctx) {
		if ctx.Err() != nil {
			return report, ctx.Err()
		}
		if err != nil {
			report.fail(err)
			continue
		}
		if looked++; progress != nil {
			progress(looked)
		}
		if err := e.orphan(ctx, store, blob, dry, &report); err != nil {
			report.fail(err)
		}
	}
	return report, nil
}

// orphan deletes one file if nothing knows it and it is old.
func (e *Evictor) orphan(ctx context.Context, store modified, blob cache.Blob, dry bool, report *Report) error {
	err := e.index.View(ctx, func(r cache.Reader) error {
		_, err := refs.Lookup(r, blob.Digest)
		return err
	})
	if !errors.Is(err, cache.ErrNotExist) {
		return err
	}
	at, err := store.Modified(ctx, blob.Digest)
	if errors.Is(err, cache.ErrNotExist) || (err == nil && e.opt.Clock().Sub(at) < orphanAge) {
		return nil
	}
	if err != nil {
		return err
	}
	if !dry {
		doomed := false
		err := e.index.Update(ctx, func(w cache.Writer) error {
			var err error
			doomed, err = refs.Doom(w, blob.Digest, blob.Size, e.opt.Clock())
			return err
		})
		if err != nil || !doomed {
			return err
		}
		if _, err := e.remove(ctx, blob.Digest); err != nil {
			return err
		}
	}
	report.Orphans++
	report.Blobs++
	report.Bytes += blob.Size
	return nil
}

// sweep works through what is due, in pages.
func (e *Evictor) sweep(ctx context.Context, dry bool) (Report, error) {
	var report Report
	var after []byte
	now := e.opt.Clock()
	for {
		var page []refs.Due
		err := e.index.View(ctx, func(r cache.Reader) error {
			page = page[:0]
			for d, err := range refs.DueBy(r, now, after) {
				if err != nil {
					return err
				}
				if page = append(page, d); len(page) == batch {
					return nil
				}
			}
			return nil
		})
		if err != nil {
			return report, fmt.Errorf("what is due: %w", err)
		}
		if len(page) == 0 {
			return report, nil
		}
		after = page[len(page)-1].Key()
		for _, due := range page {
			if err := e.settle(ctx, due, now, dry, &report); err != nil {
				if ctx.Err() != nil {
					return report, ctx.Err()
				}
				report.fail(err)
			}
		}
	}
}

func (e *Evictor) settle(ctx context.Context, due refs.Due, now time.Time, dry bool, report *Report) error {
	if dry {
		if due.Expiry() {
			report.Expired++
			return nil
		}
		return e.index.View(ctx, func(r cache.Reader) error {
			in, err := refs.Unused(r, due.Digest)
			if err == nil {
				report.Blobs++
				report.Bytes += in.Size
			}
			if errors.Is(err, cache.ErrNotExist) {
				return nil
			}
			return err
		})
	}
	gone := false
	err := e.index.Update(ctx, func(w cache.Writer) error {
		var err error
		gone, err = refs.Settled(w, due, now)
		return err
	})
	if err != nil {
		return err
	}
	if due.Expiry() {
		report.Expired++
	}
	if !gone {
		return nil
	}
	freed, err := e.remove(ctx, due.Digest)
	if err != nil {
		return err
	}
	report.Blobs++
	report.Bytes += freed
	return nil
}
