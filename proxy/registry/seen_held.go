package registry

import (
	"context"
	"errors"

	"larder/cache"
)

// maxGone is how many names of packages are swept at once.
const maxGone = 1000

// heldNames reads the names of packages of upstreams of which a version was held.
type heldNames struct {
	composer Composer // nil: there are none
	gone     []goneName
}

// goneName is one of which no version is held any more.
type goneName struct{ upstream, name string }

// first is the first package of an upstream with a version that is held, "" for
// none.
func (h *heldNames) first(r cache.Reader, upstream, after string) (string, error) {
	if h.composer == nil {
		return "", nil
	}
	prefix := heldNameKey(upstream, "")
	var from []byte
	if after != "" {
		from = heldNameKey(upstream, after)
	}
	for row, err := range r.Scan(prefix, from) {
		if err != nil {
			return "", err
		}
		n := goneName{upstream, string(row.Key[len(prefix):])}
		if held, err := h.held(r, n); err != nil || held {
			return n.name, err
		}
		if len(h.gone) < maxGone {
			h.gone = append(h.gone, n)
		}
	}
	return "", nil
}

// held looks for a version of a package.
func (h *heldNames) held(r cache.Reader, n goneName) (bool, error) {
	looked := 0
	for row, err := range r.Scan(upstreamFileKey(n.upstream, h.composer.Whole(n.name)), nil) {
		if err != nil {
			return false, err
		}
		if rec, err := decodeFile(row.Value); err == nil && rec.Package == n.name {
			return true, nil
		}
		if looked++; looked == learnedRows {
			break // all are of a package whose name looks like a file of this one
		}
	}
	return false, nil
}

// sweepNames drops the names whose versions are gone: eviction, which takes them,
// does not know of names.
func (e *Engine) sweepNames(ctx context.Context, h *heldNames) error {
	if len(h.gone) == 0 {
		return nil
	}
	err := e.opt.Index.Update(ctx, func(w cache.Writer) error {
		for _, n := range h.gone {
			k := heldNameKey(n.upstream, n.name)
			// Read, so that a version recorded at this moment makes it run again.
			if _, err := w.Get(k); errors.Is(err, cache.ErrNotExist) {
				continue
			} else if err != nil {
				return err
			}
			if held, err := h.held(w, n); err != nil {
				return err
			} else if held {
				continue
			}
			if err := w.Delete(k); err != nil {
				return err
			}
		}
		return nil
	})
	if unstorable(err) {
		return nil // the next listing tries again
	}
	return err
}

// noteName lets the package of a file that is about to be recorded be listed. It
// writes although the row may be there: see sweepNames.
func (fl *flight) noteName(w cache.Writer) error {
	if fl.file.Check == nil {
		return nil
	}
	return w.Put(heldNameKey(fl.source.ID, fl.file.Package), []byte{rowVersion})
}
