package formats

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/klauspost/compress/gzip"
)

// Errors of Reply that are the client's doing.
var (
	// ErrPrecondition: an If-Match field names another state. 412.
	ErrPrecondition = errors.New("precondition failed")
	// ErrRange: the range holds nothing of the body (as *RangeError). 416.
	ErrRange = errors.New("range not satisfiable")
)

// RangeError is ErrRange with the size of the body that was asked for.
type RangeError struct{ Size int64 } // bytes

// Error names the size.
func (e *RangeError) Error() string {
	return fmt.Sprintf("the range holds none of the %d bytes of the file", e.Size)
}

// Unwrap returns ErrRange.
func (e *RangeError) Unwrap() error { return ErrRange }

// smallFile is up to where one read and one write cost less than sendfile.
const smallFile = 16 << 10 // bytes

// Reply sends c and closes it: the one way in which bodies of 200, 206 and 304
// leave. It answers If-Match, If-None-Match, If-Modified-Since, If-Range,
// single ranges (several get the whole) and HEAD, and decodes gzip for clients
// that do not take it.
//
// An error means that nothing was written. A body that fails in its middle
// aborts the connection by panicking with http.ErrAbortHandler, so that a cut
// body can never be taken for a whole one; a writer with a method Abort(error)
// is told the cause first.
func Reply(w http.ResponseWriter, r *http.Request, c *Content) error {
	defer c.Close()
	s := sending{w: w, r: r, c: c, size: c.Size, etag: c.ETag}
	if c.Bytes != nil {
		s.size = int64(len(c.Bytes))
	}
	if c.Encoding == "gzip" && !AcceptsGzip(r.Header) {
		s.decode, s.size, s.etag = true, -1, identityETag(c.ETag)
	}
	switch s.conditions() {
	case failed:
		return Refuse(ErrPrecondition, "the If-Match condition does not hold: it names another version of this document")
	case notModified:
		s.headers()
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	if err := s.choose(); err != nil {
		return err
	}
	if s.part.n < 0 && !r.ProtoAtLeast(1, 1) && r.Method != http.MethodHead {
		if err := s.measure(); err != nil {
			return err
		}
	}
	return s.send()
}

// sending is one reply on its way.
type sending struct {
	w      http.ResponseWriter
	r      *http.Request
	c      *Content
	size   int64 // of the whole as sent; -1 while unknown
	etag   string
	decode bool // gzip is undone on the way
	part   span // what is sent; n is -1 for all of an unknown size
	ranged bool
}

// conditions apply to reads only: the answer to a POST has no validators.
func (s *sending) conditions() outcome {
	if s.r.Method != http.MethodGet && s.r.Method != http.MethodHead {
		return send
	}
	return conditions(s.r.Header, s.etag, s.c.Modified)
}

// ranges reports whether parts can be asked for. It must not depend on the
// kind of body, because a HEAD has none.
func (s *sending) ranges() bool { return s.size >= 0 && s.c.Encoding == "" }

// choose sets the part to be sent.
func (s *sending) choose() error {
	s.part = span{0, s.size}
	lines := s.r.Header["Range"]
	if len(lines) != 1 || s.r.Method != http.MethodGet || !s.ranges() ||
		!ifRange(s.r.Header, s.etag, s.c.Modified) {
		return nil
	}
	part, whole, ok := parseRange(lines[0], s.size, s.c.StrictRange)
	if !ok {
		return &RangeError{Size: s.size}
	}
	if !whole {
		s.part, s.ranged = part, true
	}
	return nil
}

// send writes headers and body.
func (s *sending) send() error {
	if s.r.Method == http.MethodHead {
		s.begin()
		return nil
	}
	switch {
	case s.decode:
		return s.sendDecoded()
	case s.c.File != nil:
		return s.sendFile()
	case s.c.Follow != nil:
		return s.sendFollowing()
	case s.c.Bytes == nil && s.size != 0:
		return fmt.Errorf("reply to %s: content of %d bytes without a body", s.r.Method, s.size)
	}
	s.begin()
	if s.part.n > 0 {
		n, err := s.w.Write(s.c.Bytes[s.part.off : s.part.off+s.part.n])
		s.check(int64(n), s.part.n, err)
	}
	return nil
}

func (s *sending) sendFile() error {
	f := s.c.File
	if s.part.off > 0 {
		if _, err := f.Seek(s.part.off, io.SeekStart); err != nil {
			return fmt.Errorf("reply: seek: %w", err)
		}
	}
	if s.part.n >= 0 && s.part.n <= smallFile {
		small := make([]byte, s.part.n)
		if _, err := io.ReadFull(f, small); err != nil {
			return fmt.Errorf("reply: read: %w", err)
		}
		s.begin()
		n, err := s.w.Write(small)
		s.check(int64(n), s.part.n, err)
		return nil
	}
	s.begin()
	if s.part.n < 0 {
		_, err := io.Copy(s.w, f)
		s.check(0, 0, err)
		return nil
	}
	// CopyN hands the writer an io.LimitedReader over the file: what sendfile takes.
	n, err := io.CopyN(s.w, f, s.part.n)
	s.check(n, s.part.n, err)
	return nil
}

// sendFollowing sends a body that may still be arriving.
func (s *sending) sendFollowing() error {
	n := int64(-1)
	if s.ranged {
		n = s.part.n
	}
	body, err := s.c.Follow(s.r.Context(), s.part.off, n)
	if err != nil {
		return err
	}
	defer body.Close()
	s.begin()
	// The head goes out now: the first bytes of the body may be long in coming.
	// A writer that cannot flush loses nothing but that.
	if err := http.NewResponseController(s.w).Flush(); err != nil && !errors.Is(err, http.ErrNotSupported) {
		s.abort(err)
	}
	sent, err := io.Copy(s.w, body)
	want := s.part.n
	if sent == want && s.r.Context().Err() != nil {
		// The client left with all of it, before the source had said that it ends.
		err = nil
	}
	if want < 0 {
		want = sent
	}
	s.check(sent, want, err)
	return nil
}

// sendDecoded undoes gzip; the size of the result is not known beforehand.
func (s *sending) sendDecoded() error {
	src, err := s.source()
	if err != nil {
		return err
	}
	defer src.Close()
	z, err := gzip.NewReader(src)
	if err != nil {
		return fmt.Errorf("reply: undo gzip: %w", err)
	}
	s.begin()
	sent, err := io.Copy(s.w, z)
	s.check(sent, max(s.part.n, sent), err)
	return nil
}

// measure reads the body to its end to learn its size. HTTP/1.0 has no other
// way to tell a whole body from one that was cut.
func (s *sending) measure() error {
	src, err := s.source()
	if err != nil {
		return err
	}
	defer src.Close()
	var body io.Reader = src
	if s.decode {
		if body, err = gzip.NewReader(src); err != nil {
			return fmt.Errorf("reply: undo gzip: %w", err)
		}
	}
	if s.part.n, err = io.Copy(io.Discard, body); err != nil {
		return err
	}
	if s.c.File != nil {
		_, err = s.c.File.Seek(0, io.SeekStart)
	}
	return err
}

// source reads the whole body as it is stored.
func (s *sending) source() (io.ReadCloser, error) {
	switch c := s.c; {
	case c.File != nil:
		return io.NopCloser(c.File), nil // Reply closes it
	case c.Follow != nil:
		return c.Follow(s.r.Context(), 0, -1)
	default:
		return io.NopCloser(bytes.NewReader(c.Bytes)), nil
	}
}

// check aborts a reply whose body went wrong after its head had left.
func (s *sending) check(sent, want int64, err error) {
	if err == nil && sent != want {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		s.abort(fmt.Errorf("body cut after %d of %d bytes: %w", sent, want, err))
	}
}

func (s *sending) abort(cause error) {
	if a, ok := s.w.(interface{ Abort(error) }); ok {
		a.Abort(cause)
	}
	panic(http.ErrAbortHandler)
}

// begin writes the head of a 200 or 206.
func (s *sending) begin() {
	f := s.headers()
	f.set("Content-Type", s.c.MediaType)
	if s.c.Encoding != "" && !s.decode {
		f.set("Content-Encoding", s.c.Encoding)
	}
	if s.ranges() {
		f.set("Accept-Ranges", "bytes")
	}
	if s.part.n >= 0 {
		f.set("Content-Length", strconv.FormatInt(s.part.n, 10))
	}
	f.set("X-Content-Type-Options", "nosniff")
	f.set("Content-Security-Policy", "default-src 'none'; sandbox")
	if s.c.Immutable && len(f.h["Content-Disposition"]) == 0 {
		f.set("Content-Disposition", "attachment")
	}
	if !s.ranged {
		s.w.WriteHeader(http.StatusOK)
		return
	}
	f.set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", s.part.off, s.part.off+s.part.n-1, s.size))
	s.w.WriteHeader(http.StatusPartialContent)
}

// headers sets what 200, 206 and 304 have in common.
func (s *sending) headers() *fields {
	f := &fields{h: s.w.Header(), values: make([]string, 0, 12)}
	for key, values := range s.c.Header {
		f.h[key] = slices.Clone(values)
	}
	f.set("Etag", s.etag)
	if !s.c.Modified.IsZero() {
		f.set("Last-Modified", s.c.Modified.UTC().Format(http.TimeFormat))
	}
	if len(s.c.Header["Cache-Control"]) == 0 {
		f.set("Cache-Control", s.c.cacheControl())
	}
	f.set("X-Cache", string(s.c.Result))
	if s.c.Encoding != "" {
		f.h.Add("Vary", "Accept-Encoding")
	}
	return f
}

// cacheControl: changing documents are always revalidated, because package
// clients do not ask at all within a max-age.
func (c *Content) cacheControl() string {
	switch {
	case c.Immutable && c.Private:
		return "private, max-age=31536000, immutable"
	case c.Immutable:
		return "public, max-age=31536000, immutable"
	case c.Private:
		return "private, no-cache"
	default:
		return "no-cache"
	}
}

// identityETag names the decoded form of a body: another form of the same
// document must have another tag.
func identityETag(tag string) string {
	if body, ok := strings.CutSuffix(tag, `"`); ok {
		return body + `-identity"`
	}
	return tag
}

// fields sets header fields out of one allocation.
type fields struct {
	h      http.Header
	values []string
}

// set takes the canonical form of a key; an empty value sets nothing.
func (f *fields) set(key, value string) {
	if value == "" {
		return
	}
	f.values = append(f.values, value)
	n := len(f.values)
	f.h[key] = f.values[n-1 : n : n]
}
