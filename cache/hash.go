package cache

import (
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"io"
	"slices"
)

// Hasher computes, in one pass, the digest of a blob, its CRC32C and the
// further checksums asked for. Every Store writes through one, so no backend
// can forget to verify.
type Hasher struct {
	size   int64
	digest hash.Hash
	crc    hash.Hash32
	also   []Algorithm
	extra  []hash.Hash
}

// NewHasher computes SHA-256, CRC32C and also. An unknown algorithm is an
// error of the caller, reported here and not at the end of the bytes.
func NewHasher(also ...Algorithm) (*Hasher, error) {
	h := &Hasher{digest: sha256.New(), crc: crc32.New(crc32.MakeTable(crc32.Castagnoli))}
	for _, a := range also {
		if a == SHA256 || slices.Contains(h.also, a) {
			continue
		}
		made, err := newHash(a)
		if err != nil {
			return nil, err
		}
		h.also = append(h.also, a)
		h.extra = append(h.extra, made)
	}
	return h, nil
}

func newHash(a Algorithm) (hash.Hash, error) {
	switch a {
	case SHA256:
		return sha256.New(), nil
	case SHA512:
		return sha512.New(), nil
	case SHA1:
		return sha1.New(), nil
	case MD5:
		return md5.New(), nil
	}
	return nil, fmt.Errorf("checksum algorithm %q is not supported", a)
}

// Write adds p. It never fails.
func (h *Hasher) Write(p []byte) (int, error) {
	h.digest.Write(p)
	h.crc.Write(p)
	for _, e := range h.extra {
		e.Write(p)
	}
	h.size += int64(len(p))
	return len(p), nil
}

// Size returns the bytes written so far.
func (h *Hasher) Size() int64 { return h.size }

// Blob returns the description of all bytes written so far.
func (h *Hasher) Blob() Blob {
	b := Blob{Size: h.size, CRC32C: h.crc.Sum32()}
	h.digest.Sum(b.Digest[:0])
	for i, e := range h.extra {
		b.Sums = append(b.Sums, Sum{h.also[i], e.Sum(nil)})
	}
	return b
}

// Check compares b with what was announced. A wanted algorithm that was not
// computed is an error too: an unchecked checksum must never pass as checked
// (Prove computes it).
func (b Blob) Check(want ...Sum) error {
	for _, w := range want {
		got, ok := b.Sum(w.Algorithm)
		if !ok {
			return fmt.Errorf("%s was not computed: %w", w.Algorithm, ErrCorrupt)
		}
		if !got.Equal(w) {
			return fmt.Errorf("want %s, got %s: %w", w, got, ErrCorrupt)
		}
	}
	return nil
}

// Prove is Check for bytes that can be read again: an algorithm that was not
// computed while they were written is computed now, by one reading for all, and
// stays in b.Sums. The reading costs time in proportion to the bytes.
func (b *Blob) Prove(open func() (io.ReadCloser, error), want ...Sum) error {
	var known []Sum
	var missing []Algorithm
	for _, w := range want {
		if _, ok := b.Sum(w.Algorithm); ok {
			known = append(known, w)
		} else {
			missing = append(missing, w.Algorithm)
		}
	}
	if err := b.Check(known...); err != nil || len(missing) == 0 {
		return err
	}
	src, err := open()
	if err != nil {
		return fmt.Errorf("read back for %s: %w", missing[0], err)
	}
	sums, n, err := SumsOf(src, missing...)
	if err := errors.Join(err, src.Close()); err != nil {
		return fmt.Errorf("read back for %s: %w", missing[0], err)
	}
	if n != b.Size {
		return fmt.Errorf("%d bytes were written, %d can be read: %w", b.Size, n, ErrCorrupt)
	}
	b.Sums = append(b.Sums[:len(b.Sums):len(b.Sums)], sums...)
	return b.Check(want...)
}

// SumsOf reads src to its end and returns its checksums, each algorithm once
// and in order, and its length in bytes.
func SumsOf(src io.Reader, algorithms ...Algorithm) ([]Sum, int64, error) {
	var running []io.Writer
	var sums []Sum
	var hashes []hash.Hash
	for _, a := range algorithms {
		if slices.ContainsFunc(sums, func(s Sum) bool { return s.Algorithm == a }) {
			continue
		}
		h, err := newHash(a)
		if err != nil {
			return nil, 0, err
		}
		running, hashes, sums = append(running, h), append(hashes, h), append(sums, Sum{Algorithm: a})
	}
	n, err := io.CopyBuffer(io.MultiWriter(running...), struct{ io.Reader }{src}, make([]byte, sumsRead))
	for i, h := range hashes {
		sums[i].Value = h.Sum(nil)
	}
	return sums, n, err
}

// sumsRead is what SumsOf reads at once, in bytes.
const sumsRead = 256 << 10
