package npm

import (
	"errors"
	"fmt"
	"io"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"

	"larder/formats"
)

// Limits of the documents this package reads.
const (
	maxPackument = 256 << 20 // bytes of an upstream packument, decoded
	maxValue     = 32 << 20  // bytes of one member: a manifest, a readme, the time table
	maxVersions  = 200_000   // versions in one packument
	maxDepth     = 64        // objects and arrays within one another in one member
)

// ErrDocument says that an upstream's packument cannot be used: it is no JSON,
// lacks what clients need, or is about another package.
var ErrDocument = errors.New("not a usable package document")

// source decodes a large JSON document value by value. It refuses values and
// documents over their limits, and more nesting than maxDepth. Lone surrogates
// pass: they stand in readmes that were cut in mid-letter.
type source struct {
	dec    *jsontext.Decoder
	in     *meter
	value  int64 // the limit of one value, bytes
	strict bool  // refuses bytes that are no UTF-8
}

// newSource reads what publishers send: it refuses duplicate names at all levels.
func newSource(r io.Reader, total, value int64) *source { return decode(r, total, value, false) }

func decode(r io.Reader, total, value int64, duplicates bool) *source {
	in := &meter{r: r, total: total, allowed: value}
	dec := jsontext.NewDecoder(in, jsontext.AllowInvalidUTF8(true), jsontext.AllowDuplicateNames(duplicates))
	return &source{dec: dec, in: in, value: value}
}

// open enters the next value, which must be an object.
func (s *source) open() error {
	s.allow()
	tok, err := s.dec.ReadToken()
	if err != nil {
		return s.fault(err)
	}
	if tok.Kind() != '{' {
		return errNotObject
	}
	return nil
}

var errNotObject = errors.New("a JSON object was expected")

// next returns the name of the object's next member, or ok=false at its end,
// which it then leaves.
func (s *source) next() (name string, ok bool, err error) {
	s.allow()
	tok, err := s.dec.ReadToken()
	if err != nil {
		return "", false, s.fault(err)
	}
	if tok.Kind() == '}' {
		return "", false, nil
	}
	return tok.String(), true, nil
}

// kind tells what the next value is without reading it: { [ " n t f 0, or 0
// for a fault that the next read will report.
func (s *source) kind() byte {
	s.allow()
	return byte(s.dec.PeekKind())
}

// read returns the next value whole. It is valid until the next call.
func (s *source) read() ([]byte, error) {
	s.allow()
	raw, err := s.dec.ReadValue()
	if err != nil {
		return nil, s.fault(err)
	}
	if depth(raw) > maxDepth {
		return nil, fmt.Errorf("more than %d levels of nesting", maxDepth)
	}
	if s.strict && !utf8.Valid(raw) {
		return nil, errors.New("bytes that are no UTF-8")
	}
	return raw, nil
}

// end makes sure that nothing follows the document.
func (s *source) end() error {
	s.allow()
	if _, err := s.dec.ReadToken(); !errors.Is(err, io.EOF) {
		if err == nil {
			return errors.New("there is more after the document")
		}
		return s.fault(err)
	}
	return nil
}

// allow moves the limit of what may be read ahead, before each value.
func (s *source) allow() { s.in.allowed = s.dec.InputOffset() + s.value }

// fault prefers what the reader said to what the decoder made of it.
func (s *source) fault(err error) error {
	if s.in.err != nil {
		return s.in.err
	}
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// broken reports whether the bytes could not be read at all, which says
// nothing about the document.
func (s *source) broken() bool {
	return s.in.err != nil && !errors.Is(s.in.err, formats.ErrTooLarge)
}

// meter reads up to the limit of the whole and, within it, up to allowed bytes:
// a decoder that buffers one value can then not grow without bound.
type meter struct {
	r       io.Reader
	read    int64
	total   int64
	allowed int64
	err     error // the first failure that is not the end
}

// Read reads on. Errors: formats.ErrTooLarge, those of the reader.
func (m *meter) Read(p []byte) (int, error) {
	room := min(m.total, m.allowed) - m.read
	if room <= 0 {
		return 0, m.full(p)
	}
	if int64(len(p)) > room {
		p = p[:room]
	}
	n, err := m.r.Read(p)
	m.read += int64(n)
	if err != nil && !errors.Is(err, io.EOF) {
		m.err = err
	}
	return n, err
}

// full tells a document that ends exactly at its limit from one that goes on.
func (m *meter) full(p []byte) error {
	if len(p) == 0 {
		return nil
	}
	var one [1]byte
	switch n, err := io.ReadFull(m.r, one[:]); {
	case n == 0 && errors.Is(err, io.EOF):
		return io.EOF
	case n == 0:
		m.err = err
	case m.total <= m.allowed:
		m.err = formats.Refuse(formats.ErrTooLarge, fmt.Sprintf("the document is larger than %d MiB", m.total>>20))
	default:
		m.err = formats.Refuse(formats.ErrTooLarge, fmt.Sprintf("one value of the document is larger than %d MiB", m.allowed>>20))
	}
	return m.err
}
