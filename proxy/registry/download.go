package registry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"larder/formats"
	"larder/upstream"
)

// download reads one upstream body to its end, resuming where the upstream
// allows it. It belongs to one goroutine.
type download struct {
	ctx     context.Context
	cancel  context.CancelFunc
	fetcher Fetcher
	from    formats.Location
	pace    Pace

	resp    *upstream.Response
	attempt context.CancelFunc
	silence *time.Timer   // runs while a read waits
	silent  atomic.Bool   // it has run out
	waited  time.Duration // in reads: a slow client must not count against the upstream
	size    int64         // bytes announced, or -1
	offset  int64
	etag    string // strong, of a body that can be resumed
	resumes int
}

func newDownload(ctx context.Context, f Fetcher, from formats.Location, pace Pace) *download {
	d := &download{fetcher: f, from: from, pace: pace, size: -1}
	d.ctx, d.cancel = context.WithCancel(ctx)
	return d
}

func (d *download) close() {
	d.drop()
	d.cancel()
}

// openPart asks for the n bytes from off, of a body of that size and tag: what
// lies beyond them is not to be read.
func (d *download) openPart(off, n, size int64, etag string) error {
	d.offset, d.size, d.etag = off, size, etag
	err := d.ask(upstream.Request{Ref: d.from.Ref, Accept: d.from.Accept, Range: fmt.Sprintf("bytes=%d-%d", off, off+n-1), IfRange: etag})
	if err == nil && !d.continues() {
		err = fmt.Errorf("another body, or all of it, came for a part: %w", upstream.ErrUnavailable)
	}
	return err
}

func (d *download) drop() {
	if d.resp != nil {
		d.silence.Stop()
		d.resp.Body.Close()
		d.attempt()
		d.resp = nil
	}
}

// open asks for the whole body. vouched says that a checksum will tell whether
// it is whole: without one, no body is taken whose end cannot be told from a cut.
func (d *download) open(media string, vouched bool) error {
	if err := d.ask(upstream.Request{Ref: d.from.Ref, Accept: d.from.Accept}); err != nil {
		return err
	}
	if err := fileReply(d.resp, media); err != nil {
		return err
	}
	if d.resp.Status != http.StatusOK {
		return fmt.Errorf("a whole file was asked, status %d came: %w", d.resp.Status, upstream.ErrUnavailable)
	}
	if d.resp.Unframed && !vouched {
		return fmt.Errorf("neither a length nor a checksum tells whether the file is whole: %w", upstream.ErrUnavailable)
	}
	d.size = d.resp.Size
	if err := d.bounded(d.size); err != nil {
		return err
	}
	if tag := d.resp.ETag; d.resp.Header.Get("Accept-Ranges") == "bytes" && strings.HasPrefix(tag, `"`) {
		d.etag = tag
	}
	return nil
}

// bounded holds a length to what the format takes.
func (d *download) bounded(n int64) error {
	if d.from.Limit > 0 && n > d.from.Limit {
		return fmt.Errorf("more than the %d bytes that such a file may have: %w", d.from.Limit, upstream.ErrCorrupt)
	}
	return nil
}

// fileReply refuses what cannot be the bytes of a file: other ones than are
// stored there, or the page of a portal or a failing server that says 200.
func fileReply(r *upstream.Response, media string) error {
	if r.Encoding != "" {
		return fmt.Errorf("a file arrived with content encoding %q: %w", r.Encoding, upstream.ErrUnavailable)
	}
	if isHTML(r.Header.Get("Content-Type")) && !isHTML(media) {
		return fmt.Errorf("a web page came instead of a file: %w", upstream.ErrUnavailable)
	}
	return nil
}

func isHTML(contentType string) bool {
	media, _, _ := strings.Cut(contentType, ";")
	media = strings.ToLower(strings.TrimSpace(media))
	return media == "text/html" || media == "application/xhtml+xml"
}

func (d *download) ask(req upstream.Request) error {
	ctx, cancel := context.WithCancel(d.ctx)
	resp, err := d.fetcher.Fetch(ctx, req)
	if err != nil {
		cancel()
		return err
	}
	d.resp, d.attempt = resp, cancel
	d.silent.Store(false)
	d.silence = time.AfterFunc(d.pace.Stall, func() {
		d.silent.Store(true)
		cancel()
	})
	d.silence.Stop()
	return nil
}

// allowance is how long the upstream may take for the whole body.
func (d *download) allowance() time.Duration {
	size := d.size
	if size < 0 {
		size = unknownSize
	}
	return d.pace.Base + time.Duration(size/minRate)*time.Second
}

// Read returns what comes next. It ends with io.EOF only at the announced
// length; without one, at a clean end of the response. Errors: those of upstream.
func (d *download) Read(p []byte) (int, error) {
	for {
		n, err := d.wait(p)
		d.offset += int64(n)
		if d.size >= 0 && d.offset > d.size {
			return 0, fmt.Errorf("more than the %d bytes announced: %w", d.size, upstream.ErrCorrupt)
		}
		if err := d.bounded(d.offset); err != nil {
			return 0, err
		}
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

// wait is one read, within the time for a silence and that for the whole.
func (d *download) wait(p []byte) (int, error) {
	left := d.allowance() - d.waited
	if left <= 0 {
		return 0, errSlow
	}
	d.silence.Reset(min(d.pace.Stall, left))
	start := time.Now()
	n, err := d.resp.Body.Read(p)
	d.silence.Stop()
	d.waited += time.Since(start)
	return n, err
}

var errSlow = errors.New("slower than any useful upstream")

// resume asks for the rest after a broken body, if the upstream can prove that
// it still has the same one. A broken attempt, of any cause, ends the download
// in an error of upstream.
func (d *download) resume(cause error) error {
	d.drop()
	if err := d.ctx.Err(); err != nil {
		return err
	}
	at := fmt.Sprintf("at byte %d", d.offset)
	if d.size >= 0 {
		at += fmt.Sprintf(" of %d", d.size)
	}
	broken := fmt.Errorf("body ended %s: %w", at, upstream.ErrUnavailable)
	if d.silent.Load() || errors.Is(cause, errSlow) {
		broken = fmt.Errorf("nothing more came %s within %s: %w", at, d.waited.Round(time.Millisecond), upstream.ErrTimeout)
	}
	if d.etag == "" || d.resumes == maxResumes || d.waited >= d.allowance() {
		return broken
	}
	d.resumes++
	err := d.ask(upstream.Request{Ref: d.from.Ref, Accept: d.from.Accept, Range: fmt.Sprintf("bytes=%d-", d.offset), IfRange: d.etag})
	if err != nil {
		// Not %w: that it is gone now says nothing of what was begun.
		return fmt.Errorf("%w; and then: %v", broken, err)
	}
	if !d.continues() {
		return broken // another body: the readers have bytes of the old one
	}
	return nil
}

// continues reports whether the reply is the rest of the same body. Not every
// upstream heeds If-Range, so the tag is looked at too.
func (d *download) continues() bool {
	from, total, ok := strings.Cut(d.resp.Header.Get("Content-Range"), "/")
	return ok && d.resp.Status == http.StatusPartialContent && d.resp.Encoding == "" &&
		(d.resp.ETag == "" || d.resp.ETag == d.etag) &&
		strings.HasPrefix(from, fmt.Sprintf("bytes %d-", d.offset)) &&
		(d.size < 0 || total == "*" || total == fmt.Sprint(d.size))
}
