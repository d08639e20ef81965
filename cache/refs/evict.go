package refs

import (
	"errors"
	"fmt"
	"time"

	"larder/cache"
)

// maxEvict is how many bytes of row keys one Evict deletes, so that a blob with
// very many records fits transactions: it needs several then.
const maxEvict = 256 << 10

// Evicted says what became of a candidate.
type Evicted struct {
	Gone  bool  // the blob's rows are gone and its bytes may be deleted
	More  bool  // some of its records are left: call again
	Bytes int64 // freed, by Cost
	Size  int64 // of the blob
	// Written estimates the bytes this adds to the transaction, so that a caller
	// who evicts many in one knows when to end it.
	Written int
}

// rowsWritten estimates what the rows of one blob beside its edges and records
// add to a transaction, in bytes.
const rowsWritten = 512

// Evict takes a cached blob's records and rows away and notes that its bytes
// may go at once. A stale candidate loses its row in the order; a blob with any
// edge that is not cached is never touched. A blob with more records than fit a
// transaction loses some per call and is gone with the last.
func Evict(w cache.Writer, c Candidate, now time.Time) (Evicted, error) {
	ev, err := evict(w, c, now)
	if err != nil {
		return Evicted{}, fmt.Errorf("evict %s: %w", c.Digest, err)
	}
	return ev, nil
}

func evict(w cache.Writer, c Candidate, now time.Time) (Evicted, error) {
	at, err := ReadAccess(w, c.Digest)
	if err != nil && !errors.Is(err, cache.ErrNotExist) {
		return Evicted{}, err
	}
	if err != nil || at != c.Access {
		return Evicted{Written: rowsWritten}, w.Delete(orderKey(c.Digest, c.Access))
	}
	info, err := Lookup(w, c.Digest)
	if errors.Is(err, cache.ErrNotExist) {
		return Evicted{Written: rowsWritten}, deleteAccess(w, c.Digest, at)
	}
	if err != nil {
		return Evicted{}, err
	}
	kept, err := Kept(w, c.Digest)
	if err != nil {
		return Evicted{}, err
	}
	if kept || !info.Evictable() {
		// Cannot be unless rows were damaged: put them right, keep the blob.
		_, err := Resettle(w, c.Digest, now)
		return Evicted{Written: rowsWritten}, err
	}
	return dropCached(w, info, now)
}

// Kept reports whether a blob has an edge that keeps it from being evicted.
func Kept(r cache.Reader, d cache.Digest) (bool, error) {
	for _, k := range []Kind{Hosted, Upload, Pin, Lease} {
		if has, err := anyEdge(r, d, k); err != nil || has {
			return has, err
		}
	}
	return false, nil
}

// dropCached deletes the records and edges of an evictable blob, then its rows.
func dropCached(w cache.Writer, info Info, now time.Time) (Evicted, error) {
	d := info.Blob.Digest
	written := 0
	for e, err := range Edges(w, d) {
		if err != nil {
			return Evicted{}, err
		}
		if written >= maxEvict {
			return Evicted{More: true, Written: written}, nil
		}
		if err := w.Delete(e.Record); err != nil {
			return Evicted{}, err
		}
		if _, err := deleteEdge(w, d, edgeTail(e)); err != nil {
			return Evicted{}, err
		}
		written += len(e.Record) + edgeWritten
	}
	left := info
	left.kinds = 0
	if err := settle(w, info, left, now); err != nil {
		return Evicted{}, err
	}
	return Evicted{Gone: true, Bytes: Cost(info.Blob.Size), Size: info.Blob.Size, Written: written + rowsWritten}, nil
}

// edgeWritten is what the deletion of an edge, its entry by time and its record
// adds to a transaction beside the record's key, in bytes.
const edgeWritten = 3*16 + (1 + 32 + 1 + hashSize) + (2 + 8 + 32 + 1 + hashSize)

// DropCached does what Evict does, for a blob whose bytes were found damaged,
// whatever its place in the order. It is to be called again while it reports
// More, and refuses a blob that is kept.
func DropCached(w cache.Writer, d cache.Digest, now time.Time) (Evicted, error) {
	info, err := Lookup(w, d)
	if errors.Is(err, cache.ErrNotExist) {
		return Evicted{Gone: true}, nil
	}
	if err != nil {
		return Evicted{}, err
	}
	kept, err := Kept(w, d)
	if err != nil {
		return Evicted{}, err
	}
	if kept || !info.Evictable() {
		return Evicted{}, fmt.Errorf("drop %s: it is kept by an edge that is not cached", d)
	}
	return dropCached(w, info, now)
}
