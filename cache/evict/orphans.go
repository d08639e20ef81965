package evict

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"time"

	"larder/cache"
	"larder/cache/refs"
)

// orphanAge is how old a file without a record must be before it may go: longer
// than any upload or fill takes to get its record.
const orphanAge = 24 * time.Hour

// folders is implemented by stores on files: they can be walked in steps, and
// know when a blob was written. In others nothing is left by a crash.
type folders interface {
	// ListFolder yields the blobs whose digests begin with first.
	ListFolder(ctx context.Context, first byte) iter.Seq2[cache.Blob, error]
	// Modified returns when a blob was written. Errors: cache.ErrNotExist.
	Modified(ctx context.Context, d cache.Digest) (time.Time, error)
}

// orphanFolder collects in the folder whose turn it is. The clock says which,
// so nothing has to be remembered over a restart.
func (e *Evictor) orphanFolder(ctx context.Context) error {
	turn := e.opt.Clock().UnixNano() / int64(orphansEvery)
	var report Report
	if err := e.orphans(ctx, byte(turn), false, &report, func(int) {}); err != nil {
		return err
	}
	return report.err()
}

// orphans collects old files of one folder that no record knows.
func (e *Evictor) orphans(ctx context.Context, first byte, dry bool, report *Report, progress func(n int)) error {
	store, ok := e.store.(folders)
	if !ok {
		return nil
	}
	var page []cache.Blob
	flush := func() error {
		if len(page) == 0 {
			return nil
		}
		progress(len(page))
		err := e.orphanPage(ctx, store, page, dry, report)
		page = page[:0]
		return err
	}
	for blob, err := range store.ListFolder(ctx, first) {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			report.fail(err)
			continue
		}
		if page = append(page, blob); len(page) < looks {
			continue
		}
		if err := errors.Join(flush(), e.breathe(ctx)); err != nil {
			return err
		}
	}
	return flush()
}

func (e *Evictor) orphanPage(ctx context.Context, store folders, page []cache.Blob, dry bool, report *Report) error {
	unknown, err := e.unknown(ctx, page)
	if err != nil || len(unknown) == 0 {
		return err
	}
	now := e.opt.Clock()
	var old []cache.Blob
	for _, b := range unknown {
		switch at, err := store.Modified(ctx, b.Digest); {
		case errors.Is(err, cache.ErrNotExist):
		case err != nil:
			report.fail(err)
		case now.Sub(at) >= orphanAge:
			old = append(old, b)
		}
	}
	if dry {
		for _, b := range old {
			report.Orphans++
			report.deleted([]int64{b.Size})
		}
		return nil
	}
	for some := range slices.Chunk(old, deletions) {
		if err := errors.Join(e.collect(ctx, some, now, report), e.breathe(ctx)); err != nil {
			return err
		}
	}
	return nil
}

// unknown returns the blobs of a page that have no row and no intent.
func (e *Evictor) unknown(ctx context.Context, page []cache.Blob) ([]cache.Blob, error) {
	var unknown []cache.Blob
	err := e.index.View(ctx, func(r cache.Reader) error {
		for _, b := range page {
			known, err := refs.Known(r, b.Digest)
			if err != nil {
				return err
			}
			if !known {
				unknown = append(unknown, b)
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("look for files without a record: %w", err)
	}
	return unknown, nil
}

// collect dooms orphans and deletes them, in the order that evictions follow,
// so that a crash or a publish in between finds the same state.
func (e *Evictor) collect(ctx context.Context, old []cache.Blob, now time.Time, report *Report) error {
	var doomed []cache.Digest
	err := e.index.Update(ctx, func(w cache.Writer) error {
		doomed = nil
		for _, b := range old {
			ok, err := refs.Doom(w, b.Digest, b.Size, now)
			if err != nil {
				return err
			}
			if ok {
				doomed = append(doomed, b.Digest)
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("collect files without a record: %w", err)
	}
	sizes, err := e.unlink(ctx, doomed, func(_ cache.Digest, err error) { report.fail(err) })
	report.Orphans += len(sizes)
	report.deleted(sizes)
	return err
}
