package registry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"larder/upstream"
)

// download reads one upstream body to its end, resuming where the upstream
// allows it.
type download struct {
	ctx     context.Context
	cancel  context.CancelFunc
	fetcher Fetcher
	ref     string

	resp    *upstream.Response
	attempt context.CancelFunc
	silence *time.Timer
	size    int64
	offset  int64
	etag    string
	resumes int
}

func newDownload(ctx context.Context, f Fetcher, ref string) *download {
	d := &download{fetcher: f, ref: ref, size: -1}
	d.ctx, d.cancel = context.WithCancel(ctx)
	return d
}

func (d *download) close() {
	d.drop()
	d.cancel()
}

func (d *download) drop() {
	if d.resp != nil {
		d.silence.Stop()
		d.resp.Body.Close()
		d.attempt()
		d.resp = nil
	}
}

// open asks for the whole body.
func (d *download) open() error {
	if err := d.ask(upstream.Request{Ref: d.ref}); err != nil {
		return err
	}
	if d.resp.Encoding != "" {
		return fmt.Errorf("a file arrived with content encoding %q: %w", d.resp.Encoding, upstream.ErrUnavailable)
	}
	if d.resp.Status != 200 {
		return fmt.Errorf("a whole file was asked, status %d came: %w", d.resp.Status, upstream.ErrUnavailable)
	}
	d.size = d.resp.Size
	if tag := d.resp.ETag; d.resp.Header.Get("Accept-Ranges") == "bytes" && strings.HasPrefix(tag, `"`) {
		d.etag = tag
	}
	return d.limit()
}

// limit gives the whole download a deadline by its size.
func (d *download) limit() error {
	size := d.size
	if size < 0 {
		size = unknownSize
	}
	old := d.cancel
	timer := time.AfterFunc(baseDeadline+time.Duration(size/minRate)*time.Second, old)
	d.cancel = func() { timer.Stop(); old() }
	return nil
}

func (d *download) ask(req upstream.Request) error {
	ctx, cancel := context.WithCancel(d.ctx)
	resp, err := d.fetcher.Fetch(ctx, req)
	if err != nil {
		cancel()
		return err
	}
	d.resp, d.attempt = resp, cancel
	d.silence = time.AfterFunc(stall, cancel)
	return nil
}

// read returns what comes next. It ends with io.EOF only at the announced
// length; without one, at a clean end of the response.
func (d *download) read(p []byte) (int, error) {
	for {
		n, err := d.resp.Body.Read(p)
		d.silence.Reset(stall)
		d.offset += int64(n)
		if err == io.EOF && d.size >= 0 && d.offset < d.size {
			err = io.ErrUnexpectedEOF
		}
		if n > 0 && err != nil && err != io.EOF {
			return n, nil // the error comes again with the next read
		}
		if err == nil || err == io.EOF {
			return n, err
		}
		if err := d.resume(err); err != nil {
			return 0, err
		}
	}
}

// resume asks for the rest after a broken body, if the upstream can prove that
// it still has the same one.
func (d *download) resume(cause error) error {
	d.drop()
	broken := fmt.Errorf("body ended at byte %d of %d: %w", d.offset, d.size, upstream.ErrUnavailable)
	if d.ctx.Err() != nil {
		return fmt.Errorf("%w: %w", upstream.ErrTimeout, d.ctx.Err())
	}
	if errors.Is(cause, context.Canceled) {
		broken = fmt.Errorf("no byte for %s at byte %d of %d: %w", stall, d.offset, d.size, upstream.ErrTimeout)
	}
	if d.etag == "" || d.resumes == maxResumes {
		return broken
	}
	d.resumes++
	err := d.ask(upstream.Request{Ref: d.ref, Range: fmt.Sprintf("bytes=%d-", d.offset), IfRange: d.etag})
	if err != nil {
		return err
	}
	from := fmt.Sprintf("bytes %d-", d.offset)
	if d.resp.Status != 206 || !strings.HasPrefix(d.resp.Header.Get("Content-Range"), from) {
		return broken // another body: the readers have bytes of the old one
	}
	return nil
}
