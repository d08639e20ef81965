package cache

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
)

// Digest is the SHA-256 of a blob: its name in the Store.
type Digest [sha256.Size]byte

// String returns the 64 lower-case hex digits.
func (d Digest) String() string { return hex.EncodeToString(d[:]) }

// IsZero reports whether d is unset.
func (d Digest) IsZero() bool { return d == Digest{} }

// ParseDigest reads 64 lower-case hex digits. Upper case is refused, so that
// every digest has one spelling and one path.
func ParseDigest(s string) (Digest, error) {
	var d Digest
	if len(s) != 2*len(d) {
		return d, fmt.Errorf("digest %.80q: want %d hex digits", s, 2*len(d))
	}
	if _, err := hex.Decode(d[:], []byte(s)); err != nil || d.String() != s {
		return Digest{}, fmt.Errorf("digest %q: want lower-case hex", s)
	}
	return d, nil
}

// Algorithm names a checksum that some protocol publishes.
type Algorithm string

// The algorithms that package protocols use. SHA256 is always computed; the
// others only where a caller asks for them.
const (
	SHA256 Algorithm = "sha256"
	SHA512 Algorithm = "sha512"
	SHA1   Algorithm = "sha1"
	MD5    Algorithm = "md5"
)

// Sum is one checksum of a blob: expected, or found.
type Sum struct {
	Algorithm Algorithm
	Value     []byte
}

// String returns "algorithm:hex".
func (s Sum) String() string { return string(s.Algorithm) + ":" + hex.EncodeToString(s.Value) }

// Equal reports whether both name the same checksum.
func (s Sum) Equal(o Sum) bool { return s.Algorithm == o.Algorithm && bytes.Equal(s.Value, o.Value) }

// Blob describes immutable bytes in a Store.
type Blob struct {
	Digest Digest
	Size   int64 // bytes
	// CRC32C (Castagnoli) is for the quick integrity pass; 0 where a Store
	// cannot tell without reading the bytes (Stat, List).
	CRC32C uint32
	// Sums are the further checksums computed while the bytes were written.
	Sums []Sum
}

// Sum returns the blob's checksum of algorithm a, and whether it is known.
func (b Blob) Sum(a Algorithm) (Sum, bool) {
	if a == SHA256 {
		return Sum{SHA256, b.Digest[:]}, true
	}
	for _, s := range b.Sums {
		if s.Algorithm == a {
			return s, true
		}
	}
	return Sum{}, false
}
