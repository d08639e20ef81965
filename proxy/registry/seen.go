package registry

import (
	"bytes"
	"context"
	"errors"
	"iter"

	"larder/cache"
	"larder/formats"
)

// seen yields the packages of a mirror, by name, that come after the one given:
// those with a pointer or a version that is held. Nobody here has asked for others,
// or it was too long ago.
func (b *bound) seen(ctx context.Context, after string) iter.Seq2[*formats.Package, error] {
	return func(yield func(*formats.Package, error) bool) {
		sources, err := b.spec.Upstreams(ctx)
		if err != nil {
			yield(nil, err)
			return
		}
		for {
			first, err := b.nextSeen(ctx, sources, after)
			if errors.Is(err, cache.ErrNotExist) {
				return
			}
			if !yield(&formats.Package{Name: first}, err) || err != nil {
				return
			}
			after = first
		}
	}
}

// nextSeen finds the first name of all sources; a transaction each, as next does.
func (b *bound) nextSeen(ctx context.Context, sources []Source, after string) (first string, err error) {
	h := &heldNames{}
	h.composer, _ = b.spec.Format.(Composer)
	err = b.engine.opt.Index.View(ctx, func(r cache.Reader) error {
		first, h.gone = "", nil
		for _, s := range sources {
			for _, find := range []func(cache.Reader, string, string) (string, error){firstPointed, h.first} {
				name, err := find(r, s.ID, after)
				if err != nil {
					return err
				}
				if name != "" && (first == "" || name < first) {
					first = name
				}
			}
		}
		if first == "" {
			return cache.ErrNotExist
		}
		return nil
	})
	return first, errors.Join(err, b.engine.sweepNames(ctx, h))
}

// firstPointed is the first package of an upstream with a pointer, "" for none.
func firstPointed(r cache.Reader, upstream, after string) (string, error) {
	prefix := append(key(rowPointer, upstream), 0)
	var from []byte
	if after != "" {
		from = append(append(append([]byte(nil), prefix...), after...), 0, 0xff)
	}
	for row, err := range r.Scan(prefix, from) {
		if err != nil {
			return "", err
		}
		if name, _, ok := bytes.Cut(row.Key[len(prefix):], []byte{0}); ok && len(name) > 0 {
			return string(name), nil
		}
		// The hash of a name that is too long for a key tells nothing.
	}
	return "", nil
}
