package registry

import (
	"context"
	"errors"
	"fmt"
	"io"

	"larder/cache"
	"larder/formats"
	"larder/upstream"
)

// pass serves a file that cannot be stored now straight from the upstream,
// still holding back its end until the checksums agree. A body that nobody
// follows ends with the request's context.
func (e *Engine) pass(ctx context.Context, q query, f formats.File) (*formats.Content, error) {
	loc, err := f.Locate(ctx)
	if err != nil {
		return nil, err
	}
	want, err := e.wanted(ctx, q.source.ID, f.Name, loc)
	if err != nil {
		return nil, err
	}
	hasher, err := cache.NewHasher(algorithms(want)...)
	if err != nil {
		return nil, err
	}
	d := newDownload(ctx, q.source.Fetcher, loc, e.opt.Pace)
	if err := d.open(f.MediaType, len(want) > 0); err != nil {
		d.close()
		return nil, e.notFound(err, nil, f.Name, q.source.ID)
	}
	body := &passBody{
		download: d, hasher: hasher, want: want, buf: make([]byte, cache.HoldBack+readSize),
		wrong: func(err error) { e.distrust(q.registry, upstreamFileKey(q.source.ID, f.Name), f.Package, err) },
	}
	return &formats.Content{Size: d.size, MediaType: mediaType(f, d.resp.Header), Result: formats.Pass, Immutable: true, Follow: body.follow}, nil
}

// passBody holds back the last cache.HoldBack bytes until the whole is verified.
type passBody struct {
	download   *download
	hasher     *cache.Hasher
	want       []cache.Sum
	wrong      func(error)
	buf        []byte
	start, end int   // what is held of buf
	err        error // io.EOF: all is there and verified
	used       bool
}

var errPassed = fmt.Errorf("a body that is passed through can be read once: %w", upstream.ErrUnavailable)

// follow reads a part. Only the whole can be verified, so what lies before the
// part is fetched too. The request's context is the download's.
func (p *passBody) follow(_ context.Context, off, n int64) (io.ReadCloser, error) {
	if p.used {
		return nil, errPassed
	}
	p.used = true
	if _, err := io.CopyN(io.Discard, p, off); err != nil {
		return nil, errors.Join(fmt.Errorf("before byte %d: %w", off, err), p.Close())
	}
	if n < 0 {
		return p, nil
	}
	return limited(p, n, p), nil
}

func (p *passBody) Read(out []byte) (int, error) {
	for p.err == nil && p.end-p.start <= cache.HoldBack {
		p.fetch()
	}
	ready := p.end - p.start
	switch {
	case p.err == nil:
		ready -= cache.HoldBack
	case p.err != io.EOF, ready == 0:
		return 0, p.err
	}
	n := copy(out, p.buf[p.start:p.start+ready])
	p.start += n
	return n, nil
}

// fetch reads on, and at the end verifies.
func (p *passBody) fetch() {
	p.end = copy(p.buf, p.buf[p.start:p.end])
	p.start = 0
	n, err := p.download.Read(p.buf[p.end:])
	p.hasher.Write(p.buf[p.end : p.end+n]) // never fails
	p.end += n
	if err == io.EOF {
		if wrong := p.hasher.Blob().Check(p.want...); wrong != nil {
			err = fmt.Errorf("%w: %w", upstream.ErrCorrupt, wrong)
		}
	}
	if errors.Is(err, upstream.ErrCorrupt) {
		p.wrong(err)
	}
	p.err = err
}

func (p *passBody) Close() error {
	p.download.close()
	return nil
}
