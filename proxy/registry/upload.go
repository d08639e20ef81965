package registry

import (
	"cmp"
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"runtime"
	"time"

	"larder/cache"
	"larder/cache/refs"
	"larder/formats"
	"larder/policy"
)

// lease is how long uploaded bytes are held before a change refers to them.
const lease = time.Hour

func (b *bound) Upload(ctx context.Context, u formats.UploadOptions) (formats.Upload, error) {
	limit, err := b.uploadable(ctx, u)
	if err != nil {
		return nil, err
	}
	e, id := b.engine, rand.Text()
	if err := e.uploads.begin(id, &booked{user: b.caller.User, busy: true}); err != nil {
		return nil, err
	}
	p, err := e.opt.Store.Begin(ctx, u.Size, u.Also...)
	if err != nil {
		e.uploads.end(id)
		return nil, fmt.Errorf("upload for %s: %w", u.Package, err)
	}
	return &upload{engine: e, id: id, partial: p, limit: limit, left: limit}, nil
}

// uploadable says whether the caller may send a file for a package, and of how
// many bytes.
func (b *bound) uploadable(ctx context.Context, u formats.UploadOptions) (limit int64, err error) {
	if err := b.publishable(ctx, u.Package); err != nil {
		return 0, err
	}
	limit = cmp.Or(u.Max, b.engine.opt.MaxUpload)
	if u.Size > limit {
		return 0, tooLarge(limit)
	}
	return limit, nil
}

// publishable says whether the caller may publish a package to this registry.
func (b *bound) publishable(ctx context.Context, pkg string) error {
	if !b.spec.Hosted {
		return formats.Refuse(formats.ErrUnsupported, fmt.Sprintf("the registry %s only mirrors; nothing is published to it", b.spec.Name))
	}
	_, err := b.allow(ctx, policy.Publish, pkg, "")
	return err
}

func tooLarge(limit int64) error {
	return formats.Refuse(formats.ErrTooLarge, fmt.Sprintf(
		"the file is larger than %d bytes, the limit of this server (publish.max_size)", limit))
}

// appendsAtOnce is how many pieces of uploads are hashed and written at once: enough
// for every processor while others wait for the disk.
func appendsAtOnce() int { return 2 * runtime.GOMAXPROCS(0) }

// append writes a piece that has arrived, in its turn. Without that any number of
// fast uploads would stand before every other request for a processor, and be no
// faster.
func (e *Engine) append(dst io.Writer, p []byte) (int, error) {
	e.hashing <- struct{}{}
	defer func() { <-e.hashing }()
	return dst.Write(p)
}

// upload is a Partial with limits and a lease.
type upload struct {
	engine      *Engine
	id          string // in Engine.uploads
	partial     cache.Partial
	limit, left int64
	blob        cache.Blob
}

func (u *upload) Write(p []byte) (int, error) {
	if int64(len(p)) > u.left {
		return 0, tooLarge(u.limit)
	}
	if err := u.engine.uploads.grow(u.id, int64(len(p))); err != nil {
		return 0, err
	}
	n, err := u.engine.append(u.partial, p)
	u.left -= int64(n)
	return n, err
}

func (u *upload) Verify(want ...cache.Sum) (cache.Blob, error) {
	var err error
	u.blob, err = u.partial.Verify(want...)
	return u.blob, err
}

func (u *upload) Open() (io.ReadSeekCloser, error) { return u.partial.Open() }

func (u *upload) Keep(ctx context.Context) error {
	err := u.engine.keep(ctx, u.partial, u.blob, func(cache.Writer) error { return nil })
	if err == nil {
		u.engine.uploads.end(u.id)
	}
	return err
}

func (u *upload) Close() error {
	u.partial.Abort(nil)
	u.engine.uploads.end(u.id)
	return nil
}

// keep commits under the digest's lock, so that a sweep of equal bytes cannot
// take them away between the commit and the lease. also is part of the
// transaction that gives them one.
func (e *Engine) keep(ctx context.Context, p cache.Partial, b cache.Blob, also func(cache.Writer) error) error {
	unlock := e.opt.Locks.Lock(b.Digest)
	defer unlock()
	if err := p.Commit(ctx); err != nil {
		return fmt.Errorf("keep %s: %w", b.Digest, err)
	}
	err := e.opt.Index.Update(ctx, func(w cache.Writer) error {
		if err := e.hold(w, b); err != nil {
			return err
		}
		return also(w)
	})
	if err != nil {
		return fmt.Errorf("keep %s: %w", b.Digest, err)
	}
	return nil
}

// hold gives bytes a lease. The caller holds the digest's lock.
func (e *Engine) hold(w cache.Writer, b cache.Blob) error {
	now := e.now()
	edge := refs.Edge{Kind: refs.Upload, Record: append([]byte{'u'}, b.Digest[:]...), Expires: now.Add(lease)}
	return refs.Link(w, b, edge, now)
}
