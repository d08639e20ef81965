package scrub

import (
	"context"
	"errors"
	"fmt"

	"larder/cache"
	"larder/cache/refs"
)

// checkRows compares rows with each other, and the store with the rows.
func (s *Scrubber) checkRows(ctx context.Context, repair bool, report *Report) error {
	for _, step := range []func(context.Context, bool, *Report) error{
		s.checkKinds, s.checkEdges, s.checkUsage, s.checkOrphans,
	} {
		if err := step(ctx, repair, report); err != nil {
			return fmt.Errorf("scrub: %w", err)
		}
	}
	return nil
}

// row notes rows that disagree, and puts them right if it is allowed.
func (s *Scrubber) row(ctx context.Context, report *Report, what string, repair func(cache.Writer) error) error {
	report.Rows++
	if repair == nil {
		report.find("%s", what)
		return nil
	}
	err := s.Index.Update(ctx, repair)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		report.find("%s; not repaired: %v", what, err)
		return nil
	}
	report.Repaired++
	report.find("%s; put right", what)
	return nil
}

// checkKinds compares each blob's row and place in the order with its edges.
func (s *Scrubber) checkKinds(ctx context.Context, repair bool, report *Report) error {
	return s.walk(ctx, nil, func(info refs.Info) error {
		d := info.Blob.Digest
		var linked refs.Info
		wrong := false
		err := s.Index.View(ctx, func(r cache.Reader) error {
			var err error
			if info, err = refs.Lookup(r, d); err != nil {
				return err
			}
			if linked, err = refs.Linked(r, d); err != nil {
				return err
			}
			wrong, err = refs.Unsettled(r, d)
			return err
		})
		if errors.Is(err, cache.ErrNotExist) || err == nil && !wrong {
			return nil
		}
		if err != nil {
			return err
		}
		if info.Has(refs.Hosted) && !linked.Has(refs.Hosted) {
			// To put it right would be to let go of hosted bytes: left to people.
			return s.row(ctx, report, fmt.Sprintf("blob %s is recorded as hosted, and no package uses it", d), nil)
		}
		var put func(cache.Writer) error
		if repair {
			put = func(w cache.Writer) error {
				_, err := refs.Resettle(w, d, s.Clock())
				return err
			}
		}
		return s.row(ctx, report, fmt.Sprintf("the rows of blob %s disagree with its uses", d), put)
	})
}

// use is an edge with what is missing around it.
type use struct {
	refs.Use
	blob, record bool // there
}

// checkEdges looks for records that name a blob without a row, and for uses by
// records that are gone.
func (s *Scrubber) checkEdges(ctx context.Context, repair bool, report *Report) error {
	var after []byte
	for {
		found, last, err := s.oddUses(ctx, after)
		if err != nil || last == nil {
			return err
		}
		after = last
		for _, u := range found {
			if err := s.checkUse(ctx, u, repair, report); err != nil {
				return err
			}
		}
	}
}

// odd looks at one edge; false if all is well with it, or if it is gone.
func odd(r cache.Reader, edge refs.Use) (use, bool, error) {
	u := use{Use: edge, record: true}
	if _, err := r.Get(edge.Key); errors.Is(err, cache.ErrNotExist) {
		return u, false, nil
	} else if err != nil {
		return u, false, err
	}
	var err error
	if u.blob, err = there(refs.Lookup(r, edge.Digest)); err != nil {
		return u, false, err
	}
	// The names of other edges need not be those of records.
	if k := edge.Edge.Kind; k == refs.Hosted || k == refs.Lease || k.Evictable() {
		if u.record, err = there(r.Get(edge.Edge.Record)); err != nil {
			return u, false, err
		}
	}
	return u, !u.blob || !u.record, nil
}

// there tells from the answer of a reader whether something is.
func there[T any](_ T, err error) (bool, error) {
	if errors.Is(err, cache.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// oddUses returns, of the page of edges after a row, those that lack something,
// and the last row of the page, nil if there is none.
func (s *Scrubber) oddUses(ctx context.Context, after []byte) (found []use, last []byte, err error) {
	err = s.Index.View(ctx, func(r cache.Reader) error {
		found, last = nil, nil
		n := 0
		for edge, err := range refs.AllEdges(r, after) {
			if err != nil {
				return err
			}
			u, wrong, err := odd(r, edge)
			if err != nil {
				return err
			}
			if wrong {
				found = append(found, u)
			}
			last = edge.Key
			if n++; n == page {
				return nil
			}
		}
		return nil
	})
	return found, last, err
}

// ifStill runs fn unless all has become well meanwhile.
func (u use) ifStill(fn func(cache.Writer) error) func(cache.Writer) error {
	return func(w cache.Writer) error {
		if now, wrong, err := odd(w, u.Use); err != nil || !wrong || now.blob != u.blob || now.record != u.record {
			return err
		}
		return fn(w)
	}
}

func (s *Scrubber) checkUse(ctx context.Context, u use, repair bool, report *Report) error {
	d, kept := u.Digest, !u.Edge.Kind.Evictable()
	switch {
	case !u.blob && kept:
		return s.relink(ctx, u, repair, report)
	case u.Edge.Kind == refs.Lease:
		return s.unlease(ctx, u, repair, report)
	case kept:
		return s.row(ctx, report, fmt.Sprintf("blob %s is kept for a package file that has no record", d), nil)
	}
	var put func(cache.Writer) error
	if repair {
		put = u.ifStill(func(w cache.Writer) error {
			// A record that names a blob without a row could never be evicted.
			return errors.Join(w.Delete(u.Edge.Record), refs.Unlink(w, d, u.Edge, s.Clock()))
		})
	}
	return s.row(ctx, report, fmt.Sprintf("a cached record and blob %s do not know each other", d), put)
}

// unlease deals with a lease whose record is gone: nobody can ask for the bytes
// any more, so it ends now and not in its time.
func (s *Scrubber) unlease(ctx context.Context, u use, repair bool, report *Report) error {
	var put func(cache.Writer) error
	if repair {
		put = u.ifStill(func(w cache.Writer) error { return refs.Unlink(w, u.Digest, u.Edge, s.Clock()) })
	}
	return s.row(ctx, report, fmt.Sprintf("blob %s is held for a pushed file that has no record", u.Digest), put)
}

// relink deals with a kept edge whose blob has no row: the bytes say whether
// one can be made.
func (s *Scrubber) relink(ctx context.Context, u use, repair bool, report *Report) error {
	unlock := s.Locks.Lock(u.Digest)
	defer unlock()
	blob, err := s.Store.VerifyBlob(ctx, u.Digest)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if exhausted(err) {
		return err
	}
	if err != nil {
		report.Hosted++
		report.find("hosted %s: it has no row, and %v", u.Digest, err)
		return nil
	}
	var put func(cache.Writer) error
	if repair {
		put = u.ifStill(func(w cache.Writer) error { return refs.Link(w, blob, u.Edge, s.Clock()) })
	}
	return s.row(ctx, report, fmt.Sprintf("hosted blob %s is stored and has no row", u.Digest), put)
}

// checkUsage compares the counters with what there is, in one snapshot. The
// difference is what is put right, so it does no harm if they move meanwhile.
func (s *Scrubber) checkUsage(ctx context.Context, repair bool, report *Report) error {
	var wrong refs.Usage
	err := s.Index.View(ctx, func(r cache.Reader) error {
		counted, err := refs.CountUsage(r)
		if err != nil {
			return err
		}
		recorded, err := refs.ReadUsage(r)
		wrong = counted.Minus(recorded)
		return err
	})
	if err != nil || wrong == (refs.Usage{}) {
		return err
	}
	var put func(cache.Writer) error
	if repair {
		put = func(w cache.Writer) error {
			u, err := refs.ReadUsage(w)
			if err != nil {
				return err
			}
			return refs.WriteUsage(w, u.Plus(wrong))
		}
	}
	what := fmt.Sprintf("the counters are off by %d cached and %d hosted blobs, %d and %d bytes",
		wrong.CachedBlobs, wrong.KeptBlobs, wrong.CachedBytes, wrong.KeptBytes)
	return s.row(ctx, report, what, put)
}

// checkOrphans counts stored blobs that no record knows. They may be on their
// way to one, so they are left to the garbage collection.
func (s *Scrubber) checkOrphans(ctx context.Context, _ bool, report *Report) error {
	var batch []cache.Blob
	count := func() error {
		return s.Index.View(ctx, func(r cache.Reader) error {
			for _, b := range batch {
				known, err := refs.Known(r, b.Digest)
				if err != nil {
					return err
				}
				if !known {
					report.Orphans++
					report.OrphanBytes += b.Size
				}
			}
			return nil
		})
	}
	for b, err := range s.Store.List(ctx) {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			report.find("%v", err)
			continue
		}
		if batch = append(batch, b); len(batch) == page {
			if err := count(); err != nil {
				return err
			}
			batch = batch[:0]
		}
	}
	return count()
}
