package registry

import (
	"context"
	"errors"
	"fmt"
	"maps"

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
		defer e.parts.drop(id, formats.Forgotten{Package: f.Package, Pointer: f.Pointer})
		defer e.dropping(k, f.Package)()
		if err := e.dropPointer(ctx, k); err != nil {
			return err
		}
	}
	if f.File == "" {
		return nil
	}
	return e.evictFile(ctx, id, f)
}

func (e *Engine) evictFile(ctx context.Context, id string, f formats.Forgotten) error {
	k := upstreamFileKey(id, f.File)
	defer e.parts.drop(id, formats.Forgotten{File: f.File})
	defer e.dropping(k, f.Package)()
	return e.opt.Index.Update(ctx, func(w cache.Writer) error {
		value, err := w.Get(k)
		if errors.Is(err, cache.ErrNotExist) {
			// A write, so that a fill that records the file at this moment does it
			// before, and is seen, or after, and sees that it is void.
			return w.Delete(k)
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
}

// dropping begins to drop what is cached under a key, so that nothing that is
// under way brings it back; the function that it returns ends that.
func (e *Engine) dropping(k []byte, pkg string) func() {
	e.mu.Lock()
	if fl := e.flights[string(k)]; fl != nil && fl.file.Package == pkg {
		fl.void.Store(true)
		delete(e.flights, string(k)) // who comes now asks anew
		maps.DeleteFunc(e.leaders, func(_ part, leader *flight) bool { return leader == fl })
	}
	e.mu.Unlock()
	e.dropsOf(k).Add(1)
	return func() {
		e.dropsOf(k).Add(1) // for who has read it since
		e.unremember(k)
	}
}

// unremember drops what memory has under a key.
func (e *Engine) unremember(k []byte) {
	e.records.Remove(string(k))
	e.negative.Remove(string(k))
	e.backoff.Remove(string(k))
}
