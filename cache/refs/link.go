package refs

import (
	"bytes"
	"errors"
	"fmt"
	"time"

	"larder/cache"
)

// agedBy is how far back bulk work enters its blobs.
const agedBy = 24 * time.Hour

// Link records that a record uses a blob that is in the Store, and calls off
// its deletion if one is due. The caller holds the blob's lock (Locks) from
// before Partial.Commit until this is committed. Errors: cache.ErrCorrupt if
// the blob is recorded with another size.
func Link(w cache.Writer, b cache.Blob, e Edge, now time.Time) error {
	if err := link(w, b, e, now); err != nil {
		return fmt.Errorf("link %s: %w", b.Digest, err)
	}
	return nil
}

func link(w cache.Writer, b cache.Blob, e Edge, now time.Time) error {
	bit, err := e.Kind.bit()
	if err != nil {
		return err
	}
	if len(e.Record) == 0 || len(e.Record) > cache.MaxKey {
		return fmt.Errorf("record key of %d bytes: want 1 to %d", len(e.Record), cache.MaxKey)
	}
	if e.Kind == Lease && e.Expires.IsZero() {
		return errors.New("a lease that never ends")
	}
	old, err := Lookup(w, b.Digest)
	found := err == nil
	if err != nil && !errors.Is(err, cache.ErrNotExist) {
		return err
	}
	made := Info{Blob: b, Created: now}
	if found {
		made = old
		if err := made.merge(b); err != nil {
			return err
		}
	}
	made.kinds |= bit
	if err := putEdge(w, b.Digest, e); err != nil {
		return err
	}
	if err := dropIntent(w, b.Digest); err != nil {
		return err
	}
	hour := now
	if e.Aged {
		hour = now.Add(-agedBy)
	}
	return change(w, old, made, Access{Probation, HourOf(hour)})
}

// Unlink takes an edge away; an edge that is not there is no error. With the
// last one the blob's rows go too, and its bytes may be deleted once due has
// passed. A blob that is left with cached edges alone enters the eviction order
// as if last used at due.
func Unlink(w cache.Writer, d cache.Digest, e Edge, due time.Time) error {
	if err := unlink(w, d, edgeTail(e), due); err != nil {
		return fmt.Errorf("unlink %s: %w", d, err)
	}
	return nil
}

func unlink(w cache.Writer, d cache.Digest, tail []byte, due time.Time) error {
	was, err := deleteEdge(w, d, tail)
	if err != nil || !was {
		return err
	}
	kind := Kind(tail[0])
	if more, err := anyEdge(w, d, kind); err != nil || more {
		return err
	}
	old, err := Lookup(w, d)
	if errors.Is(err, cache.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	bit, err := kind.bit()
	if err != nil {
		return err
	}
	left := old
	left.kinds &^= bit
	return settle(w, old, left, due)
}

// settle writes what is left of a blob after edges of it went.
func settle(w cache.Writer, old, left Info, due time.Time) error {
	if err := change(w, old, left, Access{Probation, HourOf(due)}); err != nil {
		return err
	}
	if left.kinds != 0 || old.kinds == inlineKind {
		return nil // something is left, or there are no bytes to delete
	}
	return putIntent(w, left.Blob.Digest, due, left.Blob.Size)
}

// Linked returns what the edges alone say of a blob: its kinds and nothing
// else, for comparison with its row.
func Linked(r cache.Reader, d cache.Digest) (Info, error) {
	var i Info
	for _, k := range []Kind{Hosted, Cached, Inline, Upload, Pin, Lease} {
		has, err := anyEdge(r, d, k)
		if err != nil {
			return Info{}, err
		}
		if bit, err := k.bit(); err == nil && has {
			i.kinds |= bit
		}
	}
	return i, nil
}

// Unsettled reports whether Resettle would find something to write.
// Errors: cache.ErrNotExist if the blob has no row.
func Unsettled(r cache.Reader, d cache.Digest) (bool, error) {
	info, err := Lookup(r, d)
	if err != nil {
		return false, err
	}
	linked, err := Linked(r, d)
	if err != nil || linked.kinds != info.kinds {
		return err == nil, err
	}
	at, err := ReadAccess(r, d)
	if errors.Is(err, cache.ErrNotExist) {
		return info.Evictable(), nil
	}
	if err != nil || !info.Evictable() {
		return err == nil, err
	}
	if _, err := r.Get(orderKey(d, at)); !errors.Is(err, cache.ErrNotExist) {
		return false, err
	}
	return true, nil
}

// Resettle makes a blob's rows agree with its edges, should damage have set
// them apart, and reports whether it wrote anything. A blob that turns out to
// have no edges may be deleted once due has passed. The bytes of the main queue
// may be counted wrongly after it. Errors: cache.ErrNotExist if the blob has no
// row.
func Resettle(w cache.Writer, d cache.Digest, due time.Time) (bool, error) {
	old, err := Lookup(w, d)
	if err != nil {
		return false, err
	}
	linked, err := Linked(w, d)
	if err != nil {
		return false, err
	}
	left := old
	left.kinds = linked.kinds
	changed := left.kinds != old.kinds
	if changed {
		if err := settle(w, old, left, due); err != nil {
			return false, err
		}
	}
	moved, err := reorder(w, left, due)
	return changed || moved, err
}

// reorder gives an evictable blob a place in the eviction order if it has none,
// and takes it from any other. It reports whether it wrote anything.
func reorder(w cache.Writer, i Info, due time.Time) (bool, error) {
	d := i.Blob.Digest
	at, err := ReadAccess(w, d)
	if errors.Is(err, cache.ErrNotExist) {
		if !i.Evictable() {
			return false, nil
		}
		return true, putAccess(w, d, Access{Probation, HourOf(due)})
	}
	if err != nil {
		return false, err
	}
	if !i.Evictable() {
		return true, deleteAccess(w, d, at)
	}
	if _, err := w.Get(orderKey(d, at)); !errors.Is(err, cache.ErrNotExist) {
		return false, err
	}
	return true, putAccess(w, d, at)
}

// change replaces what is recorded of a blob (no kinds: nothing), with its
// place in the eviction order and the counters. enter is its place if it
// becomes evictable by this.
func change(w cache.Writer, old, made Info, enter Access) error {
	u, err := ReadUsage(w)
	if err != nil {
		return err
	}
	before := u
	d := made.Blob.Digest
	if old.Evictable() != made.Evictable() || old.kinds == 0 || made.kinds == 0 {
		if err := leave(w, &u, old); err != nil {
			return err
		}
		if err := join(w, &u, made, enter); err != nil {
			return err
		}
	}
	if made.kinds == 0 {
		if err := w.Delete(blobKey(d)); err != nil {
			return err
		}
	} else if err := putBlob(w, made, old); err != nil {
		return err
	}
	if u == before {
		return nil
	}
	return WriteUsage(w, u)
}

func putBlob(w cache.Writer, made, old Info) error {
	v, err := encodeBlob(made)
	if err != nil {
		return err
	}
	if old.kinds != 0 {
		if was, err := encodeBlob(old); err == nil && bytes.Equal(v, was) {
			return nil
		}
	}
	return w.Put(blobKey(made.Blob.Digest), v)
}

// leave takes a blob out of the counters and the eviction order.
func leave(w cache.Writer, u *Usage, i Info) error {
	switch {
	case i.kinds == 0:
		return nil
	case !i.Evictable():
		u.KeptBytes -= Cost(i.Blob.Size)
		u.KeptBlobs--
		return nil
	}
	u.CachedBytes -= Cost(i.Blob.Size)
	u.CachedBlobs--
	at, err := ReadAccess(w, i.Blob.Digest)
	if errors.Is(err, cache.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if at.Queue == Main {
		u.MainBytes -= Cost(i.Blob.Size)
	}
	return deleteAccess(w, i.Blob.Digest, at)
}

// join puts a blob into the counters and the eviction order.
func join(w cache.Writer, u *Usage, i Info, at Access) error {
	switch {
	case i.kinds == 0:
		return nil
	case !i.Evictable():
		u.KeptBytes += Cost(i.Blob.Size)
		u.KeptBlobs++
		return nil
	}
	u.CachedBytes += Cost(i.Blob.Size)
	u.CachedBlobs++
	return putAccess(w, i.Blob.Digest, at)
}
