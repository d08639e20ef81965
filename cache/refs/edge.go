package refs

import (
	"crypto/sha256"
	"crypto/sha512"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"time"

	"larder/cache"
)

// Kind says in what capacity a record uses a blob.
type Kind byte

// The kinds of edges.
const (
	Hosted Kind = 'h' // a published file
	Cached Kind = 'c' // a copy of an upstream's, which may be evicted
	Inline Kind = 'l' // the same for bytes that lie in the record itself, see Inlined
	Upload Kind = 'u' // bytes that wait for a record that names them
	Lease  Kind = 'e' // a hosted file for a while: its record ends with the edge
	Pin    Kind = 'i' // held by configuration, lease or restore window
)

// Edge is one use of a blob by one record.
type Edge struct {
	Kind Kind
	// Record is the key of the record, 1 to cache.MaxKey bytes. For Upload and
	// Pin it may be any name.
	Record []byte
	// Expires ends the edge; zero means never, which a Lease must not. Linking
	// the same edge again replaces its time.
	Expires time.Time
	// Aged puts a cached blob into the eviction order as if it was last used a
	// day ago: bulk work such as mirroring must not push out what people use.
	// It is not stored.
	Aged bool
}

// Inlined makes a record that holds its bytes itself look like a blob, so that
// it counts against the budget and is evicted in its turn. Nothing lies in the
// Store under the digest, which no bytes have: it comes of another hash.
func Inlined(record []byte, size int64) (cache.Blob, Edge) {
	return cache.Blob{Digest: InlineDigest(record), Size: size}, Edge{Kind: Inline, Record: record}
}

// InlineDigest is what Inlined calls the bytes of a record.
func InlineDigest(record []byte) cache.Digest { return sha512.Sum512_256(record) }

// kinds is a set of Kind.
type kinds byte

const (
	allKinds   kinds = 1<<6 - 1
	evictable  kinds = 2 | inlineKind
	inlineKind kinds = 16
)

// Evictable reports whether a blob may be evicted that has no other edges.
func (k Kind) Evictable() bool { return k == Cached || k == Inline }

func (k Kind) bit() (kinds, error) {
	switch k {
	case Hosted:
		return 1, nil
	case Cached:
		return 2, nil
	case Upload:
		return 4, nil
	case Pin:
		return 8, nil
	case Inline:
		return inlineKind, nil
	case Lease:
		return 32, nil
	}
	return 0, fmt.Errorf("edge of unknown kind %q", byte(k))
}

const (
	layout   = 1  // version byte of every value
	hashSize = 16 // bytes of the hash of a record's key
)

var errLayout = errors.New("row of an unknown version or a wrong length")

// errKey is a row that is not one of ours under our prefix.
var errKey = errors.New("row key of a wrong form")

func key(prefix string, parts ...[]byte) []byte {
	k := []byte(prefix)
	for _, p := range parts {
		k = append(k, p...)
	}
	return k
}

// edgeTail is what follows D in the keys of an edge.
func edgeTail(e Edge) []byte {
	sum := sha256.Sum256(e.Record)
	return append([]byte{byte(e.Kind)}, sum[:hashSize]...)
}

func edgeKey(d cache.Digest, tail []byte) []byte { return key("x", d[:], tail) }

// nanos encodes a time; the zero time is 0, and nothing is before the epoch.
func nanos(t time.Time) []byte {
	var n int64
	if !t.IsZero() {
		n = max(1, t.UnixNano())
	}
	return binary.BigEndian.AppendUint64(nil, uint64(n))
}

// fromNanos reads what nanos wrote.
func fromNanos(b []byte) (time.Time, error) {
	switch n := int64(binary.BigEndian.Uint64(b)); {
	case n < 0:
		return time.Time{}, errLayout
	case n == 0:
		return time.Time{}, nil
	default:
		return time.Unix(0, n), nil
	}
}

func encodeEdge(e Edge) []byte {
	return append(append([]byte{layout}, nanos(e.Expires)...), e.Record...)
}

func decodeEdge(kind Kind, value []byte) (Edge, error) {
	if len(value) < 1+8+1 || value[0] != layout || len(value) > 1+8+cache.MaxKey {
		return Edge{}, errLayout
	}
	if _, err := kind.bit(); err != nil {
		return Edge{}, err
	}
	expires, err := fromNanos(value[1:9])
	if err != nil {
		return Edge{}, err
	}
	return Edge{Kind: kind, Record: value[9:], Expires: expires}, nil
}

func parseEdgeKey(k []byte) (d cache.Digest, tail []byte, err error) {
	if len(k) != 1+len(d)+1+hashSize || k[0] != 'x' {
		return d, nil, errKey
	}
	return cache.Digest(k[1 : 1+len(d)]), k[1+len(d):], nil
}

// readEdge returns the edge with the given tail. Errors: cache.ErrNotExist.
func readEdge(r cache.Reader, d cache.Digest, tail []byte) (Edge, error) {
	value, err := r.Get(edgeKey(d, tail))
	if err != nil {
		return Edge{}, err
	}
	return decodeEdge(Kind(tail[0]), value)
}

// Find returns the edge of a kind that a record has to a blob. Errors:
// cache.ErrNotExist.
func Find(r cache.Reader, d cache.Digest, k Kind, record []byte) (Edge, error) {
	e, err := readEdge(r, d, edgeTail(Edge{Kind: k, Record: record}))
	if err != nil && !errors.Is(err, cache.ErrNotExist) {
		err = fmt.Errorf("edge of %s: %w", d, err)
	}
	return e, err
}

// putEdge writes an edge and, if it expires, its entry by time.
func putEdge(w cache.Writer, d cache.Digest, e Edge) error {
	tail := edgeTail(e)
	old, err := readEdge(w, d, tail)
	switch {
	case err == nil && !old.Expires.IsZero():
		if err := w.Delete(dueKey(old.Expires, d, tail)); err != nil {
			return err
		}
	case err != nil && !errors.Is(err, cache.ErrNotExist):
		return err
	}
	if !e.Expires.IsZero() {
		if err := w.Put(dueKey(e.Expires, d, tail), []byte{layout}); err != nil {
			return err
		}
	}
	return w.Put(edgeKey(d, tail), encodeEdge(e))
}

// deleteEdge removes an edge with its entry by time, and reports whether it was there.
func deleteEdge(w cache.Writer, d cache.Digest, tail []byte) (bool, error) {
	old, err := readEdge(w, d, tail)
	if errors.Is(err, cache.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if !old.Expires.IsZero() {
		if err := w.Delete(dueKey(old.Expires, d, tail)); err != nil {
			return false, err
		}
	}
	return true, w.Delete(edgeKey(d, tail))
}

// Use is an edge together with the blob it leads to.
type Use struct {
	Digest cache.Digest
	Edge   Edge
	Key    []byte // of the row, to go on after it
}

// Edges yields all uses of a blob.
func Edges(r cache.Reader, d cache.Digest) iter.Seq2[Edge, error] {
	return func(yield func(Edge, error) bool) {
		for u, err := range uses(r, key("x", d[:]), nil) {
			if !yield(u.Edge, err) {
				return
			}
		}
	}
}

// AllEdges yields the uses of all blobs whose row keys are greater than after,
// for checks. Read in pages.
func AllEdges(r cache.Reader, after []byte) iter.Seq2[Use, error] { return uses(r, []byte("x"), after) }

func uses(r cache.Reader, prefix, after []byte) iter.Seq2[Use, error] {
	return func(yield func(Use, error) bool) {
		for row, err := range r.Scan(prefix, after) {
			u := Use{Key: row.Key}
			if err == nil {
				u.Digest, u.Edge, err = parseUse(row)
			}
			if !yield(u, err) || err != nil {
				return
			}
		}
	}
}

func parseUse(row cache.Row) (cache.Digest, Edge, error) {
	d, tail, err := parseEdgeKey(row.Key)
	if err != nil {
		return d, Edge{}, fmt.Errorf("edge %x: %w", row.Key, err)
	}
	e, err := decodeEdge(Kind(tail[0]), row.Value)
	if err != nil {
		return d, Edge{}, fmt.Errorf("edge %x: %w", row.Key, err)
	}
	return d, e, nil
}

// anyEdge reports whether d has an edge of the kind, with one seek.
func anyEdge(r cache.Reader, d cache.Digest, k Kind) (bool, error) {
	for _, err := range r.Scan(key("x", d[:], []byte{byte(k)}), nil) {
		return err == nil, err
	}
	return false, nil
}

// IsHosted reports whether a published file uses d, with one seek.
func IsHosted(r cache.Reader, d cache.Digest) (bool, error) { return anyEdge(r, d, Hosted) }
