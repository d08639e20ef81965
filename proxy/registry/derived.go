package registry

import (
	"context"
	"crypto/sha256"
	"io"
	"strings"

	"larder/cache"
	"larder/cache/refs"
	"larder/formats"
)

// derivedFrom is the size in bytes from which a rendering is kept as a blob
// too: memory may be too small for it, and after a restart it need not be made
// again. It counts as cached and may be evicted.
const derivedFrom = 256 << 10

// derivedKey names a rendering by its tag, which says all that it was made from.
func derivedKey(etag string) []byte {
	return append([]byte{rowDerived}, strings.Trim(etag, `"`)...)
}

// derived returns a rendering that is kept as a blob, in the form that memory
// has it. Errors: cache.ErrNotExist.
func (e *Engine) derived(ctx context.Context, etag string) ([]byte, error) {
	k := derivedKey(etag)
	rec, err := e.record(ctx, k)
	if err != nil {
		return nil, err
	}
	if rec.Size < derivedFrom {
		return nil, errRow
	}
	c, err := e.open(ctx, rec, formats.File{})
	if err == nil {
		defer c.Close()
		body := make([]byte, rec.Size)
		if _, err = io.ReadFull(c.File, body); err == nil && sha256.Sum256(body) != rec.Digest {
			err = cache.ErrCorrupt
		}
		if err == nil {
			e.opt.Room.Touch(rec.Digest)
			return body, nil
		}
	}
	if ctx.Err() == nil && !exhausted(err) {
		e.forget(k, rec)
	}
	return nil, err
}

// keepDerived stores a rendering. Failing costs the next reader the work of
// making it again, which is what happens without room anyway.
func (e *Engine) keepDerived(ctx context.Context, etag string, body []byte) {
	if len(body) < derivedFrom || e.opt.Room.Reserve(ctx, int64(len(body))) != nil {
		return
	}
	p, err := e.opt.Store.Begin(ctx, int64(len(body)))
	if err != nil {
		return
	}
	defer p.Abort(nil)
	if _, err := p.Write(body); err != nil {
		return
	}
	blob, err := p.Verify()
	if err != nil {
		return
	}
	k := derivedKey(etag)
	rec := &fileRecord{Digest: blob.Digest, Size: blob.Size, Fetched: e.now().UTC()}
	_ = e.commitCached(ctx, p, blob, refs.Edge{Kind: refs.Cached, Record: k}, func(w cache.Writer) error { return rec.put(w, k) })
}

// commitCached makes bytes durable and, under the lock of their digest, notes
// that a record uses them; write puts that record.
func (e *Engine) commitCached(ctx context.Context, p cache.Partial, blob cache.Blob, by refs.Edge, write func(cache.Writer) error) error {
	unlock := e.opt.Locks.Lock(blob.Digest)
	defer unlock()
	if err := p.Commit(ctx); err != nil {
		return err
	}
	return e.opt.Index.Update(ctx, func(w cache.Writer) error {
		if err := write(w); err != nil {
			return err
		}
		return refs.Link(w, blob, by, e.now())
	})
}
