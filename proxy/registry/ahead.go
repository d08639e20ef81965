package registry

import (
	"context"
	"errors"
	"io"

	"larder/cache"
)

// ahead reads a range that the flight will not reach soon straight from the
// upstream, unstored, provided that it is of the same body. The last block of
// the file comes from the flight all the same, and so not before the whole is
// verified. It returns nil where the reader has to wait for the flight.
func (fl *flight) ahead(ctx context.Context, off, n int64) (io.ReadCloser, error) {
	fl.mu.Lock()
	size, from, etag := fl.size, fl.from, fl.etag
	fl.mu.Unlock()
	if etag == "" || size < 0 || off-fl.written.Load() <= fl.engine.opt.Pace.Ahead {
		return nil, nil
	}
	end := size
	if n >= 0 && n < size-off {
		end = off + n
	}
	direct := min(end, size-cache.HoldBack) - off
	if direct <= 0 {
		return nil, nil
	}
	d := newDownload(ctx, fl.source.Fetcher, from, fl.engine.opt.Pace)
	if err := d.openPart(off, direct, size, etag); err != nil {
		d.close()
		return nil, ctx.Err() // what the upstream does not give in parts, the flight brings
	}
	body := &aheadBody{Reader: io.MultiReader(io.LimitReader(d, direct), lastWord{fl}), download: d}
	if end == off+direct {
		return body, nil
	}
	// Opened now, though it is read last: the flight must not end for want of readers.
	tail, err := fl.open(ctx, off+direct, end-off-direct)
	if err != nil {
		d.close()
		return nil, err
	}
	body.Reader, body.tail = io.MultiReader(io.LimitReader(d, direct), tail), tail
	return body, nil
}

// aheadBody is a range from the upstream, perhaps with its end from the flight.
type aheadBody struct {
	io.Reader
	download *download
	tail     io.Closer // nil: none
}

func (a *aheadBody) Close() error {
	a.download.close()
	if a.tail == nil {
		return nil
	}
	return a.tail.Close()
}

// lastWord ends a body, unless the flight has found the bytes to be wrong meanwhile.
type lastWord struct{ flight *flight }

func (l lastWord) Read([]byte) (int, error) {
	l.flight.mu.Lock()
	defer l.flight.mu.Unlock()
	if l.flight.err != nil {
		return 0, errors.Join(errLost, l.flight.err)
	}
	return 0, io.EOF
}
