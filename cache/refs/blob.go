package refs

import (
	"encoding/binary"
	"fmt"
	"iter"
	"time"

	"larder/cache"
)

// Info is what is recorded of a blob.
type Info struct {
	Blob    cache.Blob
	Created time.Time // when it was first linked
	kinds   kinds
}

// Has reports whether the blob has an edge of the kind.
func (i Info) Has(k Kind) bool {
	bit, err := k.bit()
	return err == nil && i.kinds&bit != 0
}

// Evictable reports whether the blob has cached edges and no other.
func (i Info) Evictable() bool { return i.kinds != 0 && i.kinds&^evictable == 0 }

// sums are the checksums that a blob row may hold, by their number in it.
var sums = [...]struct {
	algorithm cache.Algorithm
	size      int
}{{cache.SHA512, 64}, {cache.SHA1, 20}, {cache.MD5, 16}}

const blobHead = 1 + 1 + 8 + 4 + 8 // version, kinds, size, crc, created

func blobKey(d cache.Digest) []byte { return key("b", d[:]) }

func encodeBlob(i Info) ([]byte, error) {
	v := []byte{layout, byte(i.kinds)}
	v = binary.BigEndian.AppendUint64(v, uint64(i.Blob.Size))
	v = binary.BigEndian.AppendUint32(v, i.Blob.CRC32C)
	v = append(v, nanos(i.Created)...)
	for _, s := range i.Blob.Sums {
		if s.Algorithm == cache.SHA256 {
			continue // that is the digest
		}
		n, err := sumNumber(s)
		if err != nil {
			return nil, err
		}
		v = append(append(v, n), s.Value...)
	}
	return v, nil
}

func sumNumber(s cache.Sum) (byte, error) {
	for n, known := range sums {
		if s.Algorithm == known.algorithm && len(s.Value) == known.size {
			return byte(n), nil
		}
	}
	return 0, fmt.Errorf("checksum %s cannot be recorded", s)
}

func decodeBlob(d cache.Digest, v []byte) (Info, error) {
	if len(v) < blobHead || v[0] != layout || kinds(v[1])&^allKinds != 0 || v[1] == 0 {
		return Info{}, errLayout
	}
	created, err := fromNanos(v[14:blobHead])
	if err != nil {
		return Info{}, err
	}
	i := Info{
		kinds:   kinds(v[1]),
		Blob:    cache.Blob{Digest: d, Size: int64(binary.BigEndian.Uint64(v[2:])), CRC32C: binary.BigEndian.Uint32(v[10:])},
		Created: created,
	}
	if i.Blob.Size < 0 {
		return Info{}, errLayout
	}
	for rest := v[blobHead:]; len(rest) > 0; {
		if int(rest[0]) >= len(sums) || len(rest) < 1+sums[rest[0]].size {
			return Info{}, errLayout
		}
		known := sums[rest[0]]
		i.Blob.Sums = append(i.Blob.Sums, cache.Sum{Algorithm: known.algorithm, Value: rest[1 : 1+known.size]})
		rest = rest[1+known.size:]
	}
	return i, nil
}

// Lookup returns what is recorded of a blob. Errors: cache.ErrNotExist.
func Lookup(r cache.Reader, d cache.Digest) (Info, error) {
	v, err := r.Get(blobKey(d))
	if err != nil {
		return Info{}, err
	}
	i, err := decodeBlob(d, v)
	if err != nil {
		return Info{}, fmt.Errorf("blob row %s: %w", d, err)
	}
	return i, nil
}

// Blobs yields, in order of digest, what is recorded of the blobs after the
// given one (nil: all), for checks. Read in pages.
func Blobs(r cache.Reader, after *cache.Digest) iter.Seq2[Info, error] {
	var from []byte
	if after != nil {
		from = blobKey(*after)
	}
	return func(yield func(Info, error) bool) {
		for row, err := range r.Scan([]byte("b"), from) {
			var i Info
			if err == nil {
				i, err = parseBlob(row)
			}
			if !yield(i, err) || err != nil {
				return
			}
		}
	}
}

func parseBlob(row cache.Row) (Info, error) {
	var d cache.Digest
	if len(row.Key) != 1+len(d) {
		return Info{}, fmt.Errorf("blob row %x: %w", row.Key, errKey)
	}
	i, err := decodeBlob(cache.Digest(row.Key[1:]), row.Value)
	if err != nil {
		return Info{}, fmt.Errorf("blob row %x: %w", row.Key, err)
	}
	return i, nil
}

// merge adds to the recorded description what b knows beyond it. Two values of
// one checksum cannot both belong to the digest.
func (i *Info) merge(b cache.Blob) error {
	if i.Blob.Size != b.Size {
		return fmt.Errorf("%d bytes recorded, now %d: %w", i.Blob.Size, b.Size, cache.ErrCorrupt)
	}
	if i.Blob.CRC32C == 0 {
		i.Blob.CRC32C = b.CRC32C // 0 says unknown
	}
	for _, s := range b.Sums {
		known, ok := i.Blob.Sum(s.Algorithm)
		if !ok {
			i.Blob.Sums = append(i.Blob.Sums, s)
		} else if !known.Equal(s) {
			return fmt.Errorf("%s recorded, now %s: %w", known, s, cache.ErrCorrupt)
		}
	}
	return nil
}
