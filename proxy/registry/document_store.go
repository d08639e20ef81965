package registry

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/gzip"

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
)

// storeDocument reads the body once: kept as it came, and decoded for the
// format's check and the identity. Nothing replaces the old document before
// all of it proved good.
func (e *Engine) storeDocument(ctx context.Context, r *Registry, s Source, d formats.Document, rec *documentRecord, resp *upstream.Response) error {
	partial, err := e.opt.Store.Begin(ctx, resp.Size)
	if err != nil {
		return err
	}
	defer partial.Abort(nil)
	var small bytes.Buffer
	raw := io.TeeReader(&exactly{resp.Body, resp.Size}, io.MultiWriter(partial, &limited{&small, inlineBody}))
	identity, err := inspect(raw, rec.Encoding, d)
	if err != nil {
		if errors.Is(err, cache.ErrFull) || ctx.Err() != nil {
			return err
		}
		var known *upstream.Error
		if errors.As(err, &known) {
			return err
		}
		return fmt.Errorf("document %s from upstream %s: %w: %w", d.Name, s.ID, upstream.ErrUnavailable, err)
	}
	rec.Identity = identity
	blob, err := partial.Verify()
	if err != nil {
		return fmt.Errorf("document %s from upstream %s: %w: %w", d.Name, s.ID, upstream.ErrUnavailable, err)
	}
	rec.Size = blob.Size
	if blob.Size <= inlineBody {
		rec.body = small.Bytes()
		return e.recordDocument(ctx, r, s, d, rec, nil)
	}
	rec.Blob = blob.Digest.String()
	unlock := e.opt.Locks.Lock(blob.Digest)
	defer unlock()
	if err := e.opt.Room.Reserve(ctx, blob.Size); err != nil {
		return err
	}
	if err := partial.Commit(ctx); err != nil {
		return err
	}
	return e.recordDocument(ctx, r, s, d, rec, &blob)
}

// inspect reads all of raw, lets the format check the decoded bytes and
// returns their SHA-256.
func inspect(raw io.Reader, encoding string, d formats.Document) (string, error) {
	decoded, err := decode(raw, encoding)
	if err != nil {
		return "", err
	}
	sum := sha256.New()
	all := io.TeeReader(&bounded{decoded, maxDocument}, sum)
	if d.Check != nil {
		if err := d.Check(all); err != nil {
			return "", err
		}
	}
	if _, err := io.Copy(io.Discard, all); err != nil {
		return "", err
	}
	if _, err := io.Copy(io.Discard, &bounded{raw, maxTransport}); err != nil {
		return "", err
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}

func decode(r io.Reader, encoding string) (io.Reader, error) {
	switch encoding {
	case "":
		return r, nil
	case "gzip":
		return gzip.NewReader(r)
	}
	return nil, fmt.Errorf("content encoding %q was not asked for", encoding)
}

// recordDocument makes the new document the one that is served: its row, its
// blob's edge, and the note that the name came from this upstream.
func (e *Engine) recordDocument(ctx context.Context, r *Registry, s Source, d formats.Document, rec *documentRecord, blob *cache.Blob) error {
	k := documentKey(s.ID, d.Package, d.Name)
	row, err := withBody(rec, rec.body)
	if err != nil {
		return err
	}
	fresh := false
	err = e.opt.Index.Update(ctx, func(w cache.Writer) error {
		if err := unlinkOld(w, k, rec.Blob, e); err != nil {
			return err
		}
		if err := w.Put(k, row); err != nil {
			return err
		}
		if blob != nil {
			if err := refs.Link(w, *blob, refs.Edge{Kind: refs.Cached, Record: k}, e.now()); err != nil {
				return err
			}
		}
		if d.Package == "" {
			return nil
		}
		n := nameKey(r.spec.Format.Name(), d.Package)
		if _, err := w.Get(n); !errors.Is(err, cache.ErrNotExist) {
			return err
		}
		fresh = true
		return w.Put(n, []byte(s.ID))
	})
	if fresh {
		e.names.Remove(r.spec.Format.Name() + "\x00" + d.Package)
	}
	return err
}

// unlinkOld gives up the blob of the document that is being replaced.
func unlinkOld(w cache.Writer, k []byte, next string, e *Engine) error {
	value, err := w.Get(k)
	if errors.Is(err, cache.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var old documentRecord
	if _, err := splitBody(value, &old); err != nil || old.Blob == "" || old.Blob == next {
		return err
	}
	d, err := cache.ParseDigest(old.Blob)
	if err != nil {
		return err
	}
	return refs.Unlink(w, d, refs.Edge{Kind: refs.Cached, Record: k}, e.now())
}

func (e *Engine) dropDocument(ctx context.Context, s Source, d formats.Document, _ *documentRecord) error {
	k := documentKey(s.ID, d.Package, d.Name)
	return e.opt.Index.Update(ctx, func(w cache.Writer) error {
		if err := unlinkOld(w, k, "", e); err != nil {
			return err
		}
		return w.Delete(k)
	})
}

// limited keeps the first max bytes and swallows the rest.
type limited struct {
	to  *bytes.Buffer
	max int
}

func (l *limited) Write(p []byte) (int, error) {
	if room := l.max - l.to.Len(); room > 0 {
		l.to.Write(p[:min(room, len(p))])
	}
	return len(p), nil
}

// bounded fails, instead of ending, where a reader passes its limit.
type bounded struct {
	from io.Reader
	left int64
}

func (b *bounded) Read(p []byte) (int, error) {
	n, err := b.from.Read(p)
	b.left -= int64(n)
	if b.left < 0 {
		return 0, errors.New("larger than the limit for documents")
	}
	return n, err
}

// exactly turns an early end of an announced length into an error.
type exactly struct {
	from io.Reader
	left int64 // negative: not announced
}

func (x *exactly) Read(p []byte) (int, error) {
	n, err := x.from.Read(p)
	if x.left >= 0 {
		x.left = max(0, x.left-int64(n))
		if err == io.EOF && x.left > 0 {
			return n, io.ErrUnexpectedEOF
		}
	}
	return n, err
}
