package refs

import (
	"encoding/binary"
	"errors"
	"fmt"

	"larder/cache"
)

// Usage is what all blobs take, each at its Cost. The counters are kept in the
// transactions that change them, so reading them never walks.
type Usage struct {
	CachedBytes, CachedBlobs int64 // evictable
	KeptBytes, KeptBlobs     int64 // with an edge that is not cached
	MainBytes                int64 // of CachedBytes, in the main queue
}

// Cost is what a blob of size bytes takes in a budget: whole blocks of 4 KiB,
// and 1 KiB for its records.
func Cost(size int64) int64 { return (size+4095)&^4095 + 1024 }

const usageKey = "musage"

func encodeUsage(u Usage) []byte {
	v := []byte{layout}
	for _, n := range []int64{u.CachedBytes, u.CachedBlobs, u.KeptBytes, u.KeptBlobs, u.MainBytes} {
		v = binary.BigEndian.AppendUint64(v, uint64(n))
	}
	return v
}

func decodeUsage(v []byte) (Usage, error) {
	var u Usage
	if len(v) != 1+5*8 || v[0] != layout {
		return u, errLayout
	}
	for i, n := range []*int64{&u.CachedBytes, &u.CachedBlobs, &u.KeptBytes, &u.KeptBlobs, &u.MainBytes} {
		*n = int64(binary.BigEndian.Uint64(v[1+8*i:]))
	}
	return u, nil
}

// ReadUsage returns the counters.
func ReadUsage(r cache.Reader) (Usage, error) {
	v, err := r.Get([]byte(usageKey))
	if errors.Is(err, cache.ErrNotExist) {
		return Usage{}, nil
	}
	if err != nil {
		return Usage{}, err
	}
	u, err := decodeUsage(v)
	if err != nil {
		return Usage{}, fmt.Errorf("usage counters: %w", err)
	}
	return u, nil
}

// WriteUsage sets the counters; for checks that found them wrong.
func WriteUsage(w cache.Writer, u Usage) error { return w.Put([]byte(usageKey), encodeUsage(u)) }

// Plus returns the sum of two usages.
func (u Usage) Plus(o Usage) Usage {
	return Usage{
		u.CachedBytes + o.CachedBytes, u.CachedBlobs + o.CachedBlobs,
		u.KeptBytes + o.KeptBytes, u.KeptBlobs + o.KeptBlobs, u.MainBytes + o.MainBytes,
	}
}

// Minus returns what u has beyond o.
func (u Usage) Minus(o Usage) Usage {
	return u.Plus(Usage{-o.CachedBytes, -o.CachedBlobs, -o.KeptBytes, -o.KeptBlobs, -o.MainBytes})
}

// CountUsage adds up all blob rows: what the counters should say in the same
// transaction. It costs time in proportion to the blobs; for checks only.
func CountUsage(r cache.Reader) (Usage, error) {
	var u Usage
	for info, err := range Blobs(r, nil) {
		if err != nil {
			return Usage{}, err
		}
		if err := count(r, &u, info); err != nil {
			return Usage{}, err
		}
	}
	return u, nil
}

// count adds one blob.
func count(r cache.Reader, u *Usage, i Info) error {
	cost := Cost(i.Blob.Size)
	if !i.Evictable() {
		u.KeptBytes += cost
		u.KeptBlobs++
		return nil
	}
	u.CachedBytes += cost
	u.CachedBlobs++
	at, err := ReadAccess(r, i.Blob.Digest)
	if err != nil && !errors.Is(err, cache.ErrNotExist) {
		return err
	}
	if err == nil && at.Queue == Main {
		u.MainBytes += cost
	}
	return nil
}
