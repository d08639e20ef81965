package registry

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"

	"github.com/klauspost/compress/gzip"

	"larder/cache"
	"larder/formats"
)

// gzipLevel weighs the size of a rendering against the time to make it: it is
// made once and served many times, but the first client waits for it.
const gzipLevel = 4

// compressFrom is the size in bytes below which compression gains nothing.
const compressFrom = 512

// input is what a rendering is made from.
type input interface {
	// render writes the variant.
	render(ctx context.Context, dst io.Writer, d formats.Document, v formats.View) error
}

// upstreamInput is the body as it came. It was read whole before it was
// recorded, so that failing to read the same now means that it is damaged.
type upstreamInput struct {
	engine *Engine
	record *documentRecord
}

func (u upstreamInput) render(ctx context.Context, dst io.Writer, d formats.Document, v formats.View) error {
	var src io.Reader = bytes.NewReader(u.record.body)
	if u.record.Blob != "" {
		digest, err := cache.ParseDigest(u.record.Blob)
		if err != nil {
			return err
		}
		f, err := u.engine.opt.Store.Open(ctx, digest)
		if err != nil {
			return err
		}
		defer f.Close()
		src = f
	}
	decoded, err := decode(src, u.record.Encoding)
	if err != nil {
		return fmt.Errorf("%w: %w", cache.ErrCorrupt, err)
	}
	sum := sha256.New()
	whole := io.TeeReader(decoded, sum)
	err = d.Render(dst, whole, v)
	if _, rest := io.Copy(io.Discard, whole); rest != nil {
		return fmt.Errorf("%w: %w", cache.ErrCorrupt, rest)
	}
	if got := hex.EncodeToString(sum.Sum(nil)); got != u.record.Identity {
		return fmt.Errorf("document %s: SHA-256 %s, was %s: %w", d.Name, got, u.record.Identity, cache.ErrCorrupt)
	}
	return err
}

type hostedInput struct {
	registry *Registry
	pkg      string
	guard    *guard // nil: nothing is hidden
}

func (h hostedInput) render(ctx context.Context, dst io.Writer, d formats.Document, v formats.View) error {
	format := h.registry.spec.Format.Name()
	return h.registry.engine.opt.Index.View(ctx, func(r cache.Reader) error {
		state, err := readHead(r, format, h.pkg)
		if err != nil {
			return err
		}
		p, releases := &state.Package, living(r, format, h.pkg)
		if h.guard != nil {
			p, releases = h.guard.without(p, releases)
		}
		return d.Build(dst, p, releases, v)
	})
}

// rendered returns a variant of a document as bytes, made once per change and
// kept in memory. What it is made from names it, so that it can never be old.
func (b *bound) rendered(ctx context.Context, d formats.Document, identity string, v formats.View, in input) (*formats.Content, error) {
	etag := tag(b.spec.Format.Name(), identity, d, v)
	c := &formats.Content{MediaType: d.MediaType, ETag: etag}
	body, ok := b.engine.rendered.Get(etag)
	if !ok {
		var err error
		if body, err = b.make(ctx, d, etag, v, in); err != nil {
			return nil, err
		}
	}
	// The first byte says whether the rest is compressed.
	if body[0] == 'z' {
		c.Encoding = "gzip"
	}
	c.Bytes = body[1:]
	c.Size = int64(len(c.Bytes))
	return c, nil
}

func (b *bound) make(ctx context.Context, d formats.Document, etag string, v formats.View, in input) ([]byte, error) {
	e := b.engine
	ch := e.rendering.DoChan(etag, func() (any, error) {
		if !e.enter() {
			return nil, errClosed
		}
		defer e.work.Done()
		if body, ok := e.rendered.Get(etag); ok {
			return body, nil // made while this caller was on the way
		}
		if !d.Transient {
			if body, err := e.derived(e.life, etag); err == nil {
				e.rendered.Add(etag, body)
				return body, nil
			}
		}
		if err := e.renderers.Acquire(e.life, 1); err != nil {
			return nil, err
		}
		defer e.renderers.Release(1)
		var body []byte
		err := guarded(func() error {
			var err error
			body, err = render(e.life, d, v, in)
			return err
		})
		if err == nil && !d.Transient {
			e.rendered.Add(etag, body)
			e.work.Go(func() {
				// A rendering that is made is kept, also while the server ends.
				ctx, cancel := context.WithTimeout(context.WithoutCancel(e.life), linkTimeout)
				defer cancel()
				e.keepDerived(ctx, etag, body)
			})
		}
		return body, err
	})
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case got := <-ch:
		if got.Err != nil {
			return nil, got.Err
		}
		return got.Val.([]byte), nil
	}
}

func render(ctx context.Context, d formats.Document, v formats.View, in input) ([]byte, error) {
	out := &rendering{}
	if err := in.render(ctx, out, d, v); err != nil {
		return nil, err
	}
	return out.bytes()
}

// rendering collects a body and compresses it once it is worth it.
type rendering struct {
	plain bytes.Buffer
	zip   *gzip.Writer
	out   bytes.Buffer
}

func (r *rendering) Write(p []byte) (int, error) {
	if r.zip != nil {
		return r.zip.Write(p)
	}
	if r.plain.Len()+len(p) < compressFrom {
		return r.plain.Write(p)
	}
	r.out.WriteByte('z')
	zip, err := gzip.NewWriterLevel(&r.out, gzipLevel)
	if err != nil {
		return 0, err
	}
	r.zip = zip
	if _, err := r.zip.Write(r.plain.Bytes()); err != nil {
		return 0, err
	}
	return r.zip.Write(p)
}

func (r *rendering) bytes() ([]byte, error) {
	if r.zip == nil {
		return append([]byte{'p'}, r.plain.Bytes()...), nil
	}
	if err := r.zip.Close(); err != nil {
		return nil, err
	}
	return bytes.Clone(r.out.Bytes()), nil
}
