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
	KeptBytes, KeptBlobs     int64 // with a hosted, upload or pin edge
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
