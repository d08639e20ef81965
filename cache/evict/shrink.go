package evict

import (
	"context"
	"errors"
	"fmt"

	"larder/cache"
	"larder/cache/refs"
)

// hunt is the state of one shrink: how far it has come in each queue.
type hunt struct {
	blobs int       // of one turn, at most
	after [2][]byte // the last row dealt with
	empty [2]bool   // no row is left
	// unlinked are bytes whose rows could not be deleted for lack of room.
	unlinked int64
}

// choose returns the queue to take from and how many of the wanted bytes it
// should give; false if nothing is left.
func (h *hunt) choose(u refs.Usage, want int64) (refs.Queue, int64, bool) {
	excess := u.CachedBytes - u.MainBytes - u.CachedBytes/100*probation
	switch {
	case h.empty[refs.Main] && h.empty[refs.Probation]:
		return 0, 0, false
	case h.empty[refs.Main]:
		return refs.Probation, want, true
	case excess > 0 && !h.empty[refs.Probation]:
		return refs.Probation, min(want, excess), true
	}
	return refs.Main, want, true
}

// errNothingLeft says that a shrink ended before it had freed enough.
var errNothingLeft = fmt.Errorf("no other cached blob can be evicted: %w", cache.ErrFull)

// shrink evicts while over finds bytes too many, or until nothing more can go,
// which is errNothingLeft. Several may run at once, they take turns batch by
// batch: a fill that needs room does not wait for the end of a long one.
func (e *Evictor) shrink(ctx context.Context, p pace, over func(refs.Usage) int64) error {
	// What was used a second ago must not look old.
	if err := e.flushAll(ctx, p); err != nil {
		return err
	}
	h := hunt{blobs: p.blobs}
	for {
		more, err := e.turn(ctx, &h, over)
		if err != nil || !more {
			return err
		}
		if err := p.rest(ctx); err != nil {
			return err
		}
	}
}

// turn evicts one batch and reports whether another may be needed.
func (e *Evictor) turn(ctx context.Context, h *hunt, over func(refs.Usage) int64) (bool, error) {
	select {
	case e.round <- struct{}{}:
		defer func() { <-e.round }()
	case <-ctx.Done():
		return false, ctx.Err()
	}
	usage, err := e.usage(ctx)
	if err != nil {
		return false, err
	}
	want := over(usage) - h.unlinked
	if want <= 0 {
		return false, nil
	}
	q, want, ok := h.choose(usage, want)
	if !ok {
		return false, errNothingLeft
	}
	oldest, err := e.oldest(ctx, q, h)
	if err != nil {
		return false, err
	}
	if len(oldest) == 0 {
		h.empty[q] = true
		return true, nil
	}
	return true, e.evict(ctx, h, oldest, want)
}

// oldest returns up to a batch from the old end of a queue.
func (e *Evictor) oldest(ctx context.Context, q refs.Queue, h *hunt) ([]refs.Candidate, error) {
	var oldest []refs.Candidate
	err := e.index.View(ctx, func(r cache.Reader) error {
		for c, err := range refs.Oldest(r, q, h.after[q]) {
			if err != nil {
				return err
			}
			if oldest = append(oldest, c); len(oldest) == h.blobs {
				return nil
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("choose what to evict: %w", err)
	}
	return oldest, nil
}

// evict takes candidates until want bytes are freed. One that cannot be taken
// does not keep the others.
func (e *Evictor) evict(ctx context.Context, h *hunt, oldest []refs.Candidate, want int64) error {
	err := e.evictRows(ctx, h, oldest, want)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, cache.ErrFull):
		return e.unlinkUnrecorded(ctx, h, oldest, want)
	case ctx.Err() != nil || errors.Is(err, cache.ErrUnhealthy):
		return err
	}
	went := false
	for _, c := range oldest {
		if one := e.evictRows(ctx, h, []refs.Candidate{c}, want); one != nil {
			e.pass(one)
			h.after[c.Access.Queue] = c.Key()
			continue
		}
		went = true
	}
	if !went {
		return err
	}
	return nil
}

// evictRows takes the rows of candidates in one transaction, then their files.
func (e *Evictor) evictRows(ctx context.Context, h *hunt, oldest []refs.Candidate, want int64) error {
	var gone []cache.Digest
	var done []byte
	var freed int64
	now := e.opt.Clock()
	err := e.index.Update(ctx, func(w cache.Writer) error {
		gone, done, freed = nil, nil, 0
		written := 0
		for _, c := range oldest {
			if freed >= want || written >= batchBytes {
				return nil
			}
			ev, err := refs.Evict(w, c, now)
			if err != nil {
				return err
			}
			if ev.More {
				return nil // the same one comes first next time
			}
			written += ev.Written
			done = c.Key()
			if ev.Gone {
				gone, freed = append(gone, c.Digest), freed+ev.Bytes
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("evict: %w", err)
	}
	if done != nil {
		h.after[oldest[0].Access.Queue] = done
	}
	if len(gone) == 0 {
		return nil
	}
	e.mu.Lock()
	e.promises.evicted(freed)
	e.mu.Unlock()
	e.opt.OnEvict(len(gone), freed)
	// A file that cannot be deleted is due: the sweep tries again and reports.
	_, err = e.unlink(ctx, gone, func(cache.Digest, error) {})
	return err
}

// unlinkUnrecorded deletes the files of candidates and leaves their rows, when
// the Index takes no writes for lack of room: a cached blob may be missing at
// any time, and the next eviction that can write takes the rows.
func (e *Evictor) unlinkUnrecorded(ctx context.Context, h *hunt, oldest []refs.Candidate, want int64) error {
	for _, c := range oldest {
		if want <= 0 {
			return nil
		}
		freed, err := e.unlinkCached(ctx, c)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			e.pass(fmt.Errorf("evict %s: %w", c.Digest, err))
		}
		h.after[c.Access.Queue] = c.Key()
		h.unlinked += freed
		want -= freed
	}
	return nil
}

func (e *Evictor) unlinkCached(ctx context.Context, c refs.Candidate) (int64, error) {
	unlock := e.opt.Locks.Lock(c.Digest)
	defer unlock()
	blob, err := e.store.Stat(ctx, c.Digest)
	if errors.Is(err, cache.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	keep := false
	err = e.index.View(ctx, func(r cache.Reader) error {
		at, err := refs.ReadAccess(r, c.Digest)
		if errors.Is(err, cache.ErrNotExist) || err == nil && at != c.Access {
			keep = true // no longer what it was when it was chosen
			return nil
		}
		if err == nil {
			keep, err = refs.Kept(r, c.Digest)
		}
		return err
	})
	if err != nil || keep {
		return 0, err
	}
	return refs.Cost(blob.Size), e.store.Delete(ctx, c.Digest)
}
