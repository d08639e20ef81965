package evict

import (
	"context"
	"errors"
	"fmt"

	"larder/cache"
	"larder/cache/refs"
)

// unlink deletes the files of blobs that intents doom, then the intents in one
// transaction. A file in use again stays. failed hears of files that could not
// be deleted; their intents stay. It returns the bytes of each file deleted.
func (e *Evictor) unlink(ctx context.Context, doomed []cache.Digest, failed func(cache.Digest, error)) ([]int64, error) {
	type swept struct {
		digest cache.Digest
		intent refs.Intent
	}
	var done []swept
	var sizes []int64
	for _, d := range doomed {
		in, err := e.unlinkOne(ctx, d)
		switch {
		case ctx.Err() != nil:
			return sizes, ctx.Err()
		case errors.Is(err, cache.ErrNotExist):
		case err != nil:
			failed(d, fmt.Errorf("delete %s: %w", d, err))
		default:
			done = append(done, swept{d, in})
			sizes = append(sizes, in.Size)
		}
	}
	if len(done) == 0 {
		return nil, nil
	}
	err := e.index.Update(ctx, func(w cache.Writer) error {
		for _, s := range done {
			if err := refs.Swept(w, s.digest, s.intent); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return sizes, fmt.Errorf("forget what was deleted: %w", err)
	}
	return sizes, nil
}

// unlinkOne deletes a file unless it is in use again, which is
// cache.ErrNotExist. Who has it open goes on reading.
func (e *Evictor) unlinkOne(ctx context.Context, d cache.Digest) (refs.Intent, error) {
	unlock := e.opt.Locks.Lock(d)
	defer unlock()
	var in refs.Intent
	err := e.index.View(ctx, func(r cache.Reader) error {
		var err error
		in, err = refs.Unused(r, d)
		return err
	})
	if err != nil {
		return in, err
	}
	return in, e.store.Delete(ctx, d)
}
