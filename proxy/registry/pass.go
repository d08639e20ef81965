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
// still holding back its end until the checksums agree.
func (e *Engine) pass(ctx context.Context, s Source, f formats.File) (*formats.Content, error) {
	loc, err := f.Locate(ctx)
	if err != nil {
		return nil, err
	}
	pin, err := e.firstSeen(ctx, s.ID, f.Name)
	if err != nil {
		return nil, err
	}
	want := append(append([]cache.Sum{}, loc.Want...), pin...)
	d := newDownload(ctx, s.Fetcher, loc.Ref)
	if err := d.open(); err != nil {
		d.close()
		return nil, e.notFound(err, nil, f.Name, s.ID)
	}
	hasher, err := cache.NewHasher(algorithms(want)...)
	if err != nil {
		d.close()
		return nil, err
	}
	body := &passBody{download: d, hasher: hasher, want: want}
	// Without a size no part of it can be asked for: only the whole is verified.
	return &formats.Content{
		Size: -1, MediaType: f.MediaType, Result: formats.Pass, Immutable: true,
		Follow: func(_ context.Context, off, n int64) (io.ReadCloser, error) {
			if off != 0 || n >= 0 {
				d.close()
				return nil, errors.New("a part of a file that is passed through")
			}
			return body, nil
		},
	}, nil
}

// passBody holds back the last cache.HoldBack bytes until the whole is verified.
type passBody struct {
	download *download
	hasher   *cache.Hasher
	want     []cache.Sum
	held     []byte
	done     bool
}

func (p *passBody) Read(out []byte) (int, error) {
	for !p.done && len(p.held) <= cache.HoldBack {
		buf := make([]byte, readSize)
		n, err := p.download.read(buf)
		p.hasher.Write(buf[:n])
		p.held = append(p.held, buf[:n]...)
		if err == io.EOF {
			if err := p.hasher.Blob().Check(p.want...); err != nil {
				return 0, fmt.Errorf("%w: %w", upstream.ErrCorrupt, err)
			}
			p.done = true
		} else if err != nil {
			return 0, err
		}
	}
	ready := p.held
	if !p.done {
		ready = p.held[:len(p.held)-cache.HoldBack]
	}
	if len(ready) == 0 {
		return 0, io.EOF
	}
	n := copy(out, ready)
	p.held = p.held[n:]
	return n, nil
}

func (p *passBody) Close() error {
	p.download.close()
	return nil
}
