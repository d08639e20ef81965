package registry

import (
	"context"
	"errors"
	"fmt"

	"larder/cache"
	"larder/cache/refs"
	"larder/formats"
	"larder/policy"
)

func (b *bound) Forget(ctx context.Context, f formats.Forgotten) error {
	if b.spec.Hosted {
		return formats.Refuse(formats.ErrUnsupported, fmt.Sprintf("the registry %s has packages of its own: nothing of it is merely a copy", b.spec.Name))
	}
	if _, err := b.allow(ctx, policy.Administer, f.Package, ""); err != nil {
		return err
	}
	sources, err := b.spec.Upstreams(ctx)
	if err != nil {
		return err
	}
	for _, s := range sources {
		if err := b.engine.evict(ctx, s.ID, f); err != nil {
			return fmt.Errorf("forget %s%s of %s: %w", f.File, f.Pointer, f.Package, err)
		}
	}
	return nil
}

// evict drops what is held of one upstream, and what is remembered of failures.
func (e *Engine) evict(ctx context.Context, id string, f formats.Forgotten) error {
	if f.Pointer != "" {
		k := pointerKey(id, f.Package, f.Pointer)
		if err := e.dropPointer(ctx, k); err != nil {
			return err
		}
		e.unremember(k)
	}
	if f.File == "" {
		return nil
	}
	k := upstreamFileKey(id, f.File)
	err := e.opt.Index.Update(ctx, func(w cache.Writer) error {
		value, err := w.Get(k)
		if errors.Is(err, cache.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		rec, err := decodeFile(value)
		if err != nil {
			return w.Delete(k) // it named nothing
		}
		if rec.Package != f.Package {
			return nil // another package's, whose name the caller did not give
		}
		if err := w.Delete(k); err != nil {
			return err
		}
		return refs.Unlink(w, rec.Digest, refs.Edge{Kind: refs.Cached, Record: k}, e.now())
	})
	e.unremember(k)
	return err
}

// unremember drops what memory has under a key.
func (e *Engine) unremember(k []byte) {
	e.records.Remove(string(k))
	e.negative.Remove(string(k))
	e.backoff.Remove(string(k))
}
