package npm

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"fmt"
	"io"
	"strconv"
	"strings"

	"larder/formats"
)

// The parts of a publish body that matter here:
//
//	{"_attachments": {"<file>.tgz": {"data": "<base64>"}}}
//
// A JSON decoder holds one string at a time, and this one may be hundreds of
// megabytes. So a splitter stands before the decoder: it passes every byte on
// but for the tarball's data, which it decodes on the way to the sink and
// replaces with its size, a number.

// splitter reads what is left of a publish body. It knows just enough JSON to
// find the data; whether the rest is valid is for the decoder behind it.
type splitter struct {
	src   *bufio.Reader
	sink  func() (io.Writer, error) // called once, when the data begins
	limit int64                     // decoded bytes of the tarball

	out      []byte // passed on, not yet read
	depth    int
	objects  [tracked]bool   // whether the open container of each level is an object
	keys     [tracked]string // the name whose value is being read, of each level
	wantKey  bool            // the next string of the innermost object is a name
	inString bool
	escaped  bool   // the last byte of the string so far is an odd backslash
	capture  bool   // the string is a name on a tracked level
	key      []byte // the captured name so far

	found bool  // the data was seen
	size  int64 // decoded bytes of the tarball
}

const (
	tracked      = 3       // levels on which names matter
	maxKey       = 1 << 10 // bytes of a name on these levels; longer ones match nothing
	splitBuffer  = 64 << 10
	sigstoreFile = ".sigstore" // suffix of a provenance attachment, whose data is JSON text
)

func newSplitter(r io.Reader, limit int64, sink func() (io.Writer, error)) *splitter {
	return &splitter{src: bufio.NewReaderSize(r, splitBuffer), sink: sink, limit: limit}
}

// Read reads on. Errors: formats.ErrBadRequest, formats.ErrTooLarge, those of
// the body and of the sink.
func (s *splitter) Read(p []byte) (int, error) {
	for len(s.out) == 0 {
		if err := s.step(); err != nil {
			return 0, err
		}
	}
	n := copy(p, s.out)
	s.out = s.out[n:]
	return n, nil
}

// step passes on what is buffered, at most up to the end of the current string
// or the begin of the next, or diverts the data.
func (s *splitter) step() error {
	if _, err := s.src.Peek(1); err != nil {
		return err
	}
	chunk, err := s.src.Peek(s.src.Buffered())
	if err != nil {
		return err
	}
	n := 0
	if s.inString {
		n = s.text(chunk)
	} else {
		n = s.structure(chunk)
	}
	s.out = append(s.out[:0], chunk[:n]...)
	if _, err := s.src.Discard(n); err != nil {
		return err
	}
	if s.inString && !s.capture && s.atData() {
		s.inString = false
		s.out = s.out[:len(s.out)-1] // the opening quote
		return s.divert()
	}
	return nil
}

// structure reads up to and including the next quote and returns its length.
func (s *splitter) structure(chunk []byte) int {
	for i, c := range chunk {
		switch c {
		case '{', '[':
			if s.depth < tracked {
				s.objects[s.depth] = c == '{'
				s.keys[s.depth] = ""
			}
			s.depth++
			s.wantKey = c == '{'
		case '}', ']':
			s.depth = max(s.depth-1, 0)
			s.wantKey = false
		case ',':
			s.wantKey = s.depth > 0 && s.depth <= tracked && s.objects[s.depth-1]
		case ':':
			s.wantKey = false
		case '"':
			s.inString = true
			s.capture = s.wantKey && s.depth > 0 && s.depth <= tracked
			s.key = append(s.key[:0], '"')
			return i + 1
		}
	}
	return len(chunk)
}

// text reads up to and including the end of the string.
func (s *splitter) text(chunk []byte) int {
	for i, c := range chunk {
		if s.capture && len(s.key) < maxKey {
			s.key = append(s.key, c)
		}
		switch {
		case s.escaped:
			s.escaped = false
		case c == '\\':
			s.escaped = true
		case c == '"':
			s.inString = false
			s.endKey()
			return i + 1
		}
	}
	return len(chunk)
}

func (s *splitter) endKey() {
	if !s.capture {
		return
	}
	s.capture = false
	s.keys[s.depth-1] = ""
	if len(s.key) < maxKey {
		s.keys[s.depth-1] = string(unquoted(s.key))
	}
}

// atData reports whether the string that begins now is a tarball's data.
func (s *splitter) atData() bool {
	return s.depth == tracked && s.objects == [tracked]bool{true, true, true} &&
		s.keys[0] == "_attachments" && s.keys[2] == "data" && !strings.HasSuffix(s.keys[1], sigstoreFile)
}

// divert decodes the data into the sink, to the closing quote.
func (s *splitter) divert() error {
	if s.found {
		return formats.Refuse(formats.ErrBadRequest, "the request carries two tarballs; publish one version at a time")
	}
	s.found = true
	w, err := s.sink()
	if err != nil {
		return err
	}
	d := base64Sink{w: w, limit: s.limit}
	for {
		if _, err := s.src.Peek(1); err != nil {
			return unexpected(err)
		}
		chunk, err := s.src.Peek(s.src.Buffered())
		if err != nil {
			return err
		}
		n := bytes.IndexByte(chunk, '"')
		if n < 0 {
			n = len(chunk)
		}
		if i := bytes.IndexByte(chunk[:n], '\\'); i >= 0 {
			n = i
		}
		if err := d.feed(chunk[:n]); err != nil {
			return err
		}
		if done, err := s.stop(n, &d); done || err != nil {
			return err
		}
	}
}

// stop passes n plain bytes and what follows them: nothing, an escape, or the
// closing quote, which ends the data.
func (s *splitter) stop(n int, d *base64Sink) (done bool, err error) {
	more := n < s.src.Buffered()
	if _, err := s.src.Discard(n); err != nil || !more {
		return false, err
	}
	c, err := s.src.ReadByte()
	if err != nil {
		return false, err
	}
	if c == '"' {
		s.size = d.size
		s.out = append(append(append(s.out, ' '), strconv.FormatInt(d.size, 10)...), ' ')
		return true, d.finish()
	}
	if c, err = s.escape(); err != nil {
		return false, err
	}
	return false, d.feed([]byte{c})
}

// escape reads what follows a backslash. Some encoders write \/ for a slash
// and \u002b for a plus sign.
func (s *splitter) escape() (byte, error) {
	c, err := s.src.ReadByte()
	if err != nil {
		return 0, unexpected(err)
	}
	if c == '/' {
		return c, nil
	}
	var hex [4]byte
	if c == 'u' {
		if _, err := io.ReadFull(s.src, hex[:]); err != nil {
			return 0, unexpected(err)
		}
	}
	n, err := strconv.ParseUint(string(hex[:]), 16, 7)
	if err != nil {
		return 0, errBase64()
	}
	return byte(n), nil
}

// unexpected turns an end in mid-string into what it is.
func unexpected(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// base64Sink decodes padded standard base64 that arrives in pieces.
type base64Sink struct {
	w     io.Writer
	limit int64
	size  int64 // bytes decoded
	rest  []byte
	ended bool // padding was seen
	buf   []byte
}

func errBase64() error {
	return formats.Refuse(formats.ErrBadRequest, "the tarball in the request is not valid base64")
}

func (d *base64Sink) feed(b []byte) error {
	if len(b) == 0 {
		return nil
	}
	// The decoder would pass over line breaks, which JSON strings cannot hold.
	if d.ended || bytes.IndexByte(b, '\n') >= 0 || bytes.IndexByte(b, '\r') >= 0 {
		return errBase64()
	}
	if len(d.rest) > 0 {
		n := min(4-len(d.rest), len(b))
		d.rest = append(d.rest, b[:n]...)
		b = b[n:]
		if len(d.rest) < 4 {
			return nil
		}
		if err := d.decode(d.rest); err != nil {
			return err
		}
		d.rest = d.rest[:0]
	}
	whole := len(b) &^ 3
	if whole > 0 && d.ended {
		return errBase64()
	}
	if err := d.decode(b[:whole]); err != nil {
		return err
	}
	d.rest = append(d.rest, b[whole:]...)
	return nil
}

func (d *base64Sink) decode(b []byte) error {
	if len(b) == 0 {
		return nil
	}
	if n := base64.StdEncoding.DecodedLen(len(b)); cap(d.buf) < n {
		d.buf = make([]byte, n)
	}
	n, err := base64.StdEncoding.Strict().Decode(d.buf[:cap(d.buf)], b)
	if err != nil {
		return errBase64()
	}
	d.ended = b[len(b)-1] == '='
	if d.size += int64(n); d.size > d.limit {
		return formats.Refuse(formats.ErrTooLarge, fmt.Sprintf("the tarball is larger than %d MiB, the limit for one file", d.limit>>20))
	}
	_, err = d.w.Write(d.buf[:n])
	return err
}

func (d *base64Sink) finish() error {
	if len(d.rest) > 0 {
		return errBase64()
	}
	return nil
}
