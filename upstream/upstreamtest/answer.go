package upstreamtest

import (
	"bytes"
	"compress/gzip"
	"context"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"larder/upstream/upstreamtest/faulty"
)

// Answer is one scripted reply. The zero value is an empty 200.
type Answer struct {
	Status       int // default 200
	Body         []byte
	ContentType  string // default application/octet-stream
	Header       http.Header
	ETag         string // with its quotes
	LastModified time.Time
	Gzip         bool   // compresses for clients that accept it
	Redirect     string // Location; Status defaults to 302

	Chunked    bool          // without Content-Length
	Delay      time.Duration // before the headers
	NoReply    bool          // the connection is closed instead of an answer
	Wrong      bool          // one bit in the middle of the body is flipped
	Cut        bool          // the connection breaks after CutAfter bytes of the body
	CutAfter   int
	Stall      bool // nothing comes after StallAfter bytes of the body
	StallAfter int
	Drip       int           // bytes at a time, every DripEvery
	DripEvery  time.Duration // default 10 ms
	NoRanges   bool          // Range is ignored
	NoMatch    bool          // conditions are ignored
	// Wait holds the headers back until it is closed, for tests that want
	// several clients to meet.
	Wait <-chan struct{}
}

func (a Answer) write(w http.ResponseWriter, r *http.Request, done <-chan struct{}) {
	ctx, cancel := faulty.Until(r.Context(), done)
	defer cancel()
	if a.Wait != nil {
		select {
		case <-a.Wait:
		case <-ctx.Done():
		}
	}
	faulty.Pause(ctx, a.Delay)
	if a.NoReply || ctx.Err() != nil {
		panic(http.ErrAbortHandler)
	}
	a.headers(w.Header())
	body := a.payload(w.Header(), r)
	fw := &faultWriter{ResponseWriter: w, answer: a, ctx: ctx, size: len(body)}
	status := a.Status
	if a.Redirect != "" && status == 0 {
		status = http.StatusFound
	}
	if status == 0 || status == http.StatusOK {
		http.ServeContent(fw, request(r, a), "", a.LastModified, bytes.NewReader(body))
		fw.end(r.Method)
		return
	}
	fw.WriteHeader(status)
	if r.Method != http.MethodHead && status != http.StatusNotModified && status != http.StatusNoContent {
		// A client that went away is no concern of the script.
		_, _ = fw.Write(body)
	}
	fw.end(r.Method)
}

// request returns r as ServeContent should see it.
func request(r *http.Request, a Answer) *http.Request {
	r = r.Clone(r.Context())
	if r.Method == http.MethodPost {
		r.Method = http.MethodGet // conditions are for reads, and there are none
	}
	if a.NoRanges {
		r.Header.Del("Range")
	}
	if a.NoMatch {
		r.Header.Del("If-None-Match")
		r.Header.Del("If-Modified-Since")
	}
	return r
}

func (a Answer) headers(h http.Header) {
	h.Set("Content-Type", "application/octet-stream")
	if a.ContentType != "" {
		h.Set("Content-Type", a.ContentType)
	}
	if a.ETag != "" {
		h.Set("ETag", a.ETag)
	}
	if !a.LastModified.IsZero() {
		h.Set("Last-Modified", a.LastModified.UTC().Format(http.TimeFormat))
	}
	if a.Redirect != "" {
		h.Set("Location", a.Redirect)
	}
	for name, values := range a.Header {
		h[http.CanonicalHeaderKey(name)] = values
	}
}

// payload returns the bytes to send: compressed, and with the bit flipped.
func (a Answer) payload(h http.Header, r *http.Request) []byte {
	body := a.Body
	if a.Gzip {
		h.Set("Vary", "Accept-Encoding")
		if acceptsGzip(r.Header.Get("Accept-Encoding")) {
			h.Set("Content-Encoding", "gzip")
			var b bytes.Buffer
			z := gzip.NewWriter(&b)
			// Writing to memory does not fail.
			_, _ = z.Write(body)
			_ = z.Close()
			body = b.Bytes()
		}
	}
	if a.Wrong {
		body = faulty.Flipped(body)
	}
	return body
}

func acceptsGzip(field string) bool {
	for part := range bytes.SplitSeq([]byte(field), []byte(",")) {
		name, q, _ := bytes.Cut(bytes.TrimSpace(part), []byte(";"))
		if string(bytes.TrimSpace(name)) == "gzip" && string(bytes.TrimSpace(q)) != "q=0" {
			return true
		}
	}
	return false
}

// faultWriter sends a body with the faults of its answer.
type faultWriter struct {
	http.ResponseWriter
	answer Answer
	ctx    context.Context
	size   int // of the whole body
	sent   int
	begun  bool
}

func (w *faultWriter) WriteHeader(status int) {
	if w.begun {
		return
	}
	w.begun = true
	h := w.Header()
	switch {
	case w.answer.Chunked:
		h.Del("Content-Length")
	case status != http.StatusPartialContent && status != http.StatusNotModified && status != http.StatusNoContent &&
		status != http.StatusRequestedRangeNotSatisfiable:
		h.Set("Content-Length", strconv.Itoa(w.size))
	}
	w.ResponseWriter.WriteHeader(status)
	if w.answer.Chunked || w.answer.Stall || w.answer.Cut || w.answer.Drip > 0 {
		w.flush()
	}
}

func (w *faultWriter) flush() {
	if f, ok := w.ResponseWriter.(http.Flusher); ok {
		f.Flush()
	}
}

// Write sends p in pieces that end where a fault is due.
func (w *faultWriter) Write(p []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	total := 0
	for len(p) > 0 {
		w.fault()
		piece := p[:w.next(len(p))]
		n, err := w.ResponseWriter.Write(piece)
		w.sent += n
		total += n
		p = p[n:]
		if err != nil {
			return total, err
		}
		if w.answer.Drip > 0 {
			w.flush()
			every := w.answer.DripEvery
			if every == 0 {
				every = 10 * time.Millisecond
			}
			faulty.Pause(w.ctx, every)
		}
	}
	return total, nil
}

func (w *faultWriter) next(n int) int {
	if a := w.answer; a.Drip > 0 {
		n = min(n, a.Drip)
	}
	if a := w.answer; a.Cut && a.CutAfter > w.sent {
		n = min(n, a.CutAfter-w.sent)
	}
	if a := w.answer; a.Stall && a.StallAfter > w.sent {
		n = min(n, a.StallAfter-w.sent)
	}
	return n
}

// fault does what is due at this byte: break off, or fall silent.
func (w *faultWriter) fault() {
	if w.answer.Cut && w.sent >= w.answer.CutAfter {
		w.flush()
		panic(http.ErrAbortHandler)
	}
	if w.answer.Stall && w.sent >= w.answer.StallAfter {
		w.flush()
		<-w.ctx.Done()
		panic(http.ErrAbortHandler)
	}
	if w.ctx.Err() != nil {
		panic(http.ErrAbortHandler)
	}
}

// end does the faults that are due after the last byte: a chunked body that
// was sent whole still lacks its end.
func (w *faultWriter) end(method string) {
	if method != http.MethodHead && (w.answer.Cut || w.answer.Stall) && w.sent > 0 {
		w.fault()
	}
}

func unescaped(p string) string {
	if plain, err := url.PathUnescape(p); err == nil {
		return plain
	}
	return p
}
