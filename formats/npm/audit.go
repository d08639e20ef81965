package npm

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"

	"github.com/go-json-experiment/json/jsontext"

	"larder/formats"
)

// Limits of an audit.
const (
	maxAudit      = 32 << 20 // bytes of a request or a reply, decoded
	auditPiece    = 1 << 20  // bytes read at a time
	maxAuditDepth = 512      // a quick audit nests as deeply as the dependencies do
)

// ReadBody reads the body of an audit. It inflates gzip, whether or not a
// header announced it: npm announces it, and some servers between do not.
// Errors: formats.ErrTooLarge, formats.ErrBadRequest, those of r.
func ReadBody(r io.Reader) ([]byte, error) {
	in := bufio.NewReader(r)
	head, err := in.Peek(2)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("read the audit body: %w", err)
	}
	var src io.Reader = in
	if bytes.Equal(head, []byte{0x1f, 0x8b}) {
		if src, err = inflate(in); err != nil {
			return nil, err
		}
	}
	return readPieces(src)
}

// readPieces reads up to maxAudit bytes, and holds little more than those that
// came: what unpacks without end must not cost twice its limit while a buffer
// grows.
func readPieces(src io.Reader) ([]byte, error) {
	var pieces [][]byte
	for size := 0; ; {
		piece, err := io.ReadAll(io.LimitReader(src, auditPiece))
		if err != nil {
			return nil, fmt.Errorf("read the audit body: %w", err)
		}
		if size += len(piece); size > maxAudit {
			return nil, formats.Refuse(formats.ErrTooLarge, fmt.Sprintf("the audit is larger than %d MiB", maxAudit>>20))
		}
		pieces = append(pieces, piece)
		if len(piece) < auditPiece {
			return bytes.Join(pieces, nil), nil
		}
	}
}

// value returns the one JSON value that doc holds. Errors: ErrDocument.
func value(doc []byte) ([]byte, error) {
	v := jsontext.Value(bytes.TrimSpace(doc))
	if !v.IsValid(jsontext.AllowInvalidUTF8(true)) {
		return nil, fmt.Errorf("%w: it is not JSON", ErrDocument)
	}
	return v, nil
}

// Bulk is the body of a bulk audit: versions by package name.
type Bulk map[string][]string

// ParseBulk reads the body of a bulk audit. Errors: formats.ErrBadRequest.
func ParseBulk(body []byte) (Bulk, error) {
	raw, err := value(body)
	if err != nil || !isObject(raw) {
		return nil, bad("the audit is not an object of versions by package")
	}
	b := Bulk{}
	for m := range members(raw) {
		versions := []string{}
		for e := range elements(m.value) {
			v, ok := text(e)
			if !ok {
				return nil, bad("the versions of %s in the audit are not strings", quoteShort(string(m.name)))
			}
			versions = append(versions, v)
		}
		b[string(m.name)] = versions
	}
	return b, nil
}

// Names returns the package names, sorted.
func (b Bulk) Names() []string { return slices.Sorted(maps.Keys(b)) }

// Encode writes the body without the packages that drop names and without what
// is no version, in a fixed order so that equal audits are equal bytes, and
// reports whether any package is left.
func (b Bulk) Encode(drop func(name string) bool) (body []byte, left bool) {
	var out builder
	out.open()
	for _, name := range b.Names() {
		if drop(name) {
			continue
		}
		left = true
		out.key(name)
		out.openArray()
		for _, v := range slices.Sorted(slices.Values(b[name])) {
			if safeVersion(v) {
				out.string(v)
			}
		}
		out.closeArray()
	}
	out.close()
	return out.out, left
}

// MergeBulk joins the replies of several upstreams to bulk audits: the
// advisories of each package, those with the same id once. Errors: ErrDocument.
func MergeBulk(replies ...[]byte) ([]byte, error) {
	byName := map[string][][]byte{}
	known := map[string]bool{}
	for _, reply := range replies {
		raw, err := value(reply)
		if err != nil {
			return nil, err
		}
		if !isObject(raw) {
			return nil, fmt.Errorf("%w: the audit reply is not an object", ErrDocument)
		}
		for m := range members(raw) {
			name := string(m.name)
			for advisory := range elements(m.value) {
				id := name + "\x00" + string(field(advisory, "id"))
				if field(advisory, "id") == nil || !known[id] {
					known[id] = true
					byName[name] = append(byName[name], advisory)
				}
			}
		}
	}
	var out builder
	out.open()
	for _, name := range slices.Sorted(maps.Keys(byName)) {
		out.key(name)
		out.openArray()
		for _, advisory := range byName[name] {
			out.value(advisory)
		}
		out.closeArray()
	}
	out.close()
	return out.out, nil
}
