package registry

import (
	"context"
	"errors"
	"fmt"

	"larder/cache"
	"larder/cache/refs"
	"larder/formats"
	"larder/upstream"
)

// Limits of documents.
const (
	inlineBody   = 24 << 10  // bytes; smaller bodies live in the row
	maxDocument  = 256 << 20 // bytes, decoded
	maxTransport = 256 << 20 // bytes as sent
	maxUnstored  = 32 << 20  // bytes as sent, while the store takes nothing
)

// errNonsense marks a body that is not the document it should be.
var errNonsense = fmt.Errorf("not a usable document: %w", upstream.ErrUnavailable)

// errNotKept says that the store took a document up to a point and no further.
// What came of it is lost, and has to be asked for again.
var errNotKept = errors.New("the store did not take a document")

// storeDocument reads the body once: kept as it came, and decoded for the
// format's check and the identity. Nothing replaces the old document before
// all of it proved good. What cannot be stored now is served all the same.
// Errors: those of inspect, errNotKept.
func (e *Engine) storeDocument(ctx context.Context, q query, d formats.Document, rec *documentRecord, in incoming) error {
	sink, err := e.spool(ctx, in)
	if err != nil {
		return err
	}
	defer sink.abort()
	if rec.Identity, err = inspect(in, sink, rec.Encoding, d); err == nil {
		err = e.keepDocument(ctx, q, d, rec, sink)
	}
	if unstorable(err) && sink.partial != nil {
		err = fmt.Errorf("%w: %w", errNotKept, err)
	}
	if err != nil {
		return fmt.Errorf("document %s from upstream %s: %w", d.Name, q.source.ID, err)
	}
	return nil
}

// keepDocument commits what the sink has of a good document, and its record.
func (e *Engine) keepDocument(ctx context.Context, q query, d formats.Document, rec *documentRecord, sink *spool) error {
	rec.Size = sink.size
	if sink.partial == nil || sink.size <= inlineBody {
		rec.body = sink.kept.Bytes()
		if sink.size > inlineBody {
			return nil
		}
		return e.recordDocument(ctx, q, d, rec, nil)
	}
	blob, err := sink.partial.Verify()
	if err != nil {
		return fmt.Errorf("%w: %w", upstream.ErrUnavailable, err)
	}
	rec.Blob = blob.Digest.String()
	unlock := e.opt.Locks.Lock(blob.Digest)
	defer unlock()
	if err := sink.partial.Commit(ctx); err != nil {
		return err
	}
	return e.recordDocument(ctx, q, d, rec, &blob)
}

// spool takes in a document: into the store, or into memory where it is small
// or the store takes nothing now. Room is made before any lock is held, since
// eviction takes locks too.
func (e *Engine) spool(ctx context.Context, in incoming) (*spool, error) {
	if in.unstored {
		return &spool{max: maxUnstored}, nil
	}
	err := e.opt.Room.Reserve(ctx, max(in.size, 0))
	if err == nil && (in.size < 0 || in.size > inlineBody) {
		var partial cache.Partial
		if partial, err = e.opt.Store.Begin(ctx, in.size); err == nil {
			return &spool{partial: partial, max: inlineBody}, nil
		}
	}
	if err == nil || unstorable(err) {
		return &spool{max: maxUnstored}, nil
	}
	return nil, err
}

// recordDocument makes the new document the one that is served: its row, its
// blob's edge, when it was first seen, and the note that the name came from
// this upstream. Below the free-space floor nothing cached is recorded; the
// answer is still right.
func (e *Engine) recordDocument(ctx context.Context, q query, d formats.Document, rec *documentRecord, blob *cache.Blob) error {
	k := documentKey(q.source.ID, d.Package, d.Name)
	format, named := q.registry.spec.Format.Name(), false
	err := e.opt.Index.Update(ctx, func(w cache.Writer) error {
		if err := firstFetched(w, seenDocumentKey(q.source.ID, d.Package, d.Name), rec); err != nil {
			return err
		}
		row, err := withBody(rec, rec.body)
		if err != nil {
			return err
		}
		if err := e.unlinkOld(w, k, rec.Blob); err != nil {
			return err
		}
		if err := w.Put(k, row); err != nil {
			return err
		}
		inline, edge := refs.Inlined(k, int64(len(row)))
		if blob != nil {
			inline, edge = *blob, refs.Edge{Kind: refs.Cached, Record: k}
		}
		if err := refs.Link(w, inline, edge, e.now()); err != nil {
			return err
		}
		if q.registry.spec.World == "" {
			named, err = ingested(w, format, d.Package, nameRecord{Upstream: q.source.ID, First: rec.First})
		}
		return err
	})
	if named {
		e.changes.of(format, d.Package).Add(1)
	}
	if unstorable(err) {
		return nil
	}
	return err
}

// firstFetched sets rec.First to when the document was first fetched, which
// outlives the document.
func firstFetched(w cache.Writer, k []byte, rec *documentRecord) error {
	at, err := readTime(w, k)
	if errors.Is(err, cache.ErrNotExist) {
		return writeTime(w, k, rec.First)
	}
	if err == nil {
		rec.First = at
	}
	return err
}

// ingested notes where a name came from, and reports whether that is news.
func ingested(w cache.Writer, format, pkg string, n nameRecord) (bool, error) {
	if pkg == "" {
		return false, nil
	}
	k := nameKey(format, pkg)
	if _, err := w.Get(k); !errors.Is(err, cache.ErrNotExist) {
		return false, err
	}
	row, err := encodeRow(n)
	if err != nil {
		return false, err
	}
	return true, w.Put(k, row)
}

// unlinkOld gives up the bytes of the document that is being replaced.
func (e *Engine) unlinkOld(w cache.Writer, k []byte, next string) error {
	value, err := w.Get(k)
	if errors.Is(err, cache.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	old := decodeDocument(value)
	if old == nil || old.Blob == "" {
		inline, edge := refs.Inlined(k, 0)
		return refs.Unlink(w, inline.Digest, edge, e.now())
	}
	d, err := cache.ParseDigest(old.Blob)
	if err != nil || old.Blob == next {
		return nil // it named no blob, or the same
	}
	return refs.Unlink(w, d, refs.Edge{Kind: refs.Cached, Record: k}, e.now())
}

// rewriteDocument changes what is noted of a document whose bytes stay, if it
// is still there: it may have been evicted meanwhile, with its bytes.
func (e *Engine) rewriteDocument(ctx context.Context, q query, d formats.Document, rec *documentRecord) error {
	row, err := withBody(rec, rec.body)
	if err != nil {
		return err
	}
	k := documentKey(q.source.ID, d.Package, d.Name)
	err = e.opt.Index.Update(ctx, func(w cache.Writer) error {
		value, err := w.Get(k)
		if errors.Is(err, cache.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		if now := decodeDocument(value); now == nil || now.Identity != rec.Identity || now.Blob != rec.Blob {
			return nil
		}
		return w.Put(k, row)
	})
	if unstorable(err) {
		return nil
	}
	return err
}

func (e *Engine) dropDocument(ctx context.Context, q query, d formats.Document) error {
	k := documentKey(q.source.ID, d.Package, d.Name)
	return e.opt.Index.Update(ctx, func(w cache.Writer) error {
		if err := e.unlinkOld(w, k, ""); err != nil {
			return err
		}
		return w.Delete(k)
	})
}
