package refs

import (
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"time"

	"larder/cache"
)

// Queue is one of the two lists of eviction.
type Queue byte

// The queues: a blob enters Probation and moves to Main when it is used again.
const (
	Probation Queue = 0
	Main      Queue = 1
)

// Access is a cached blob's place in the eviction order.
type Access struct {
	Queue Queue
	Hour  uint32 // of the last use, since the epoch
}

// HourOf rounds a time down to hours since the epoch.
func HourOf(t time.Time) uint32 { return uint32(max(0, t.Unix()/3600)) }

func accessKey(d cache.Digest) []byte { return key("a", d[:]) }

func orderKey(d cache.Digest, a Access) []byte {
	return append(binary.BigEndian.AppendUint32([]byte{'e', byte(a.Queue)}, a.Hour), d[:]...)
}

func parseOrderKey(k []byte) (d cache.Digest, a Access, err error) {
	if len(k) != 1+1+4+len(d) || k[0] != 'e' || Queue(k[1]) > Main {
		return d, a, errKey
	}
	return cache.Digest(k[6:]), Access{Queue(k[1]), binary.BigEndian.Uint32(k[2:])}, nil
}

func encodeAccess(a Access) []byte {
	return binary.BigEndian.AppendUint32([]byte{layout, byte(a.Queue)}, a.Hour)
}

func decodeAccess(v []byte) (Access, error) {
	if len(v) != 1+1+4 || v[0] != layout || Queue(v[1]) > Main {
		return Access{}, errLayout
	}
	return Access{Queue(v[1]), binary.BigEndian.Uint32(v[2:])}, nil
}

// ReadAccess returns a blob's place. Errors: cache.ErrNotExist for blobs that
// are kept, or not here.
func ReadAccess(r cache.Reader, d cache.Digest) (Access, error) {
	v, err := r.Get(accessKey(d))
	if err != nil {
		return Access{}, err
	}
	a, err := decodeAccess(v)
	if err != nil {
		return Access{}, fmt.Errorf("access row %s: %w", d, err)
	}
	return a, nil
}

func putAccess(w cache.Writer, d cache.Digest, a Access) error {
	if err := w.Put(accessKey(d), encodeAccess(a)); err != nil {
		return err
	}
	return w.Put(orderKey(d, a), []byte{layout})
}

func deleteAccess(w cache.Writer, d cache.Digest, a Access) error {
	if err := w.Delete(orderKey(d, a)); err != nil {
		return err
	}
	return w.Delete(accessKey(d))
}

// Touch notes that a cached blob was used again, and reports whether that moved
// it. Blobs that are kept or gone are no error.
func Touch(w cache.Writer, d cache.Digest, now time.Time) (bool, error) {
	was, err := ReadAccess(w, d)
	if errors.Is(err, cache.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	is := Access{Main, max(was.Hour, HourOf(now))} // a clock set back ages nothing
	if is == was {
		return false, nil
	}
	if was.Queue == Probation {
		if err := promote(w, d); err != nil {
			return false, fmt.Errorf("touch %s: %w", d, err)
		}
	}
	if err := deleteAccess(w, d, was); err != nil {
		return false, fmt.Errorf("touch %s: %w", d, err)
	}
	return true, putAccess(w, d, is)
}

// promote moves a blob's bytes to the main queue in the counters. Without a row
// of the blob, which only damage can bring about, there are none to move.
func promote(w cache.Writer, d cache.Digest) error {
	i, err := Lookup(w, d)
	if errors.Is(err, cache.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	u, err := ReadUsage(w)
	if err != nil {
		return err
	}
	u.MainBytes += Cost(i.Blob.Size)
	return WriteUsage(w, u)
}

// Candidate is a row of the eviction order.
type Candidate struct {
	Digest cache.Digest
	Access Access
}

// Key returns the row's key, to go on after it.
func (c Candidate) Key() []byte { return orderKey(c.Digest, c.Access) }

// Oldest yields the blobs of a queue after a row, longest unused first.
func Oldest(r cache.Reader, q Queue, after []byte) iter.Seq2[Candidate, error] {
	return func(yield func(Candidate, error) bool) {
		for row, err := range r.Scan([]byte{'e', byte(q)}, after) {
			var c Candidate
			if err == nil {
				c.Digest, c.Access, err = parseOrderKey(row.Key)
			}
			if err != nil {
				err = fmt.Errorf("eviction order %x: %w", row.Key, err)
			}
			if !yield(c, err) || err != nil {
				return
			}
		}
	}
}
