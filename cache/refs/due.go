package refs

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"time"

	"larder/cache"
)

// Intent says that a blob's bytes may be deleted.
type Intent struct {
	Due  time.Time
	Size int64 // of the bytes
}

func intentKey(d cache.Digest) []byte { return key("gd", d[:]) }

// dueKey is the entry by time of an intent (no tail) or of an edge.
func dueKey(due time.Time, d cache.Digest, tail []byte) []byte {
	return key("gt", nanos(due), d[:], tail)
}

func encodeIntent(in Intent) []byte {
	return binary.BigEndian.AppendUint64(append([]byte{layout}, nanos(in.Due)...), uint64(in.Size))
}

func decodeIntent(v []byte) (Intent, error) {
	if len(v) != 1+8+8 || v[0] != layout {
		return Intent{}, errLayout
	}
	due, err := fromNanos(v[1:9])
	size := int64(binary.BigEndian.Uint64(v[9:]))
	if err != nil || due.IsZero() || size < 0 {
		return Intent{}, errLayout
	}
	return Intent{due, size}, nil
}

// Intended returns the intent to delete a blob's bytes. Errors: cache.ErrNotExist.
func Intended(r cache.Reader, d cache.Digest) (Intent, error) {
	v, err := r.Get(intentKey(d))
	if err != nil {
		return Intent{}, err
	}
	in, err := decodeIntent(v)
	if err != nil {
		return Intent{}, fmt.Errorf("deletion intent %s: %w", d, err)
	}
	return in, nil
}

func putIntent(w cache.Writer, d cache.Digest, due time.Time, size int64) error {
	if err := dropIntent(w, d); err != nil {
		return err
	}
	if err := w.Put(intentKey(d), encodeIntent(Intent{due, size})); err != nil {
		return err
	}
	return w.Put(dueKey(due, d, nil), []byte{layout})
}

func dropIntent(w cache.Writer, d cache.Digest) error {
	in, err := Intended(w, d)
	if errors.Is(err, cache.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := w.Delete(dueKey(in.Due, d, nil)); err != nil {
		return err
	}
	return w.Delete(intentKey(d))
}

// Known reports whether bytes have a row, an edge, or are to be deleted already;
// others are what a crash left between the Store and the Index.
func Known(r cache.Reader, d cache.Digest) (bool, error) {
	if used, err := inUse(r, d); err != nil || used {
		return used, err
	}
	_, err := r.Get(intentKey(d))
	if errors.Is(err, cache.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// inUse reports whether a blob has a row or an edge. Each goes with the other
// unless rows were damaged, and then bytes must not go too.
func inUse(r cache.Reader, d cache.Digest) (bool, error) {
	if _, err := r.Get(blobKey(d)); !errors.Is(err, cache.ErrNotExist) {
		return err == nil, err
	}
	for _, err := range r.Scan(key("x", d[:]), nil) {
		return err == nil, err
	}
	return false, nil
}

// Doom notes that bytes that are not Known may be deleted at due. Others are
// left alone, and false is reported.
func Doom(w cache.Writer, d cache.Digest, size int64, due time.Time) (bool, error) {
	if known, err := Known(w, d); err != nil || known {
		return false, err
	}
	return true, putIntent(w, d, due, size)
}

// Unused returns the intent to delete a blob's bytes if nothing uses them:
// what to ask, under the blob's lock, just before deleting them.
// Errors: cache.ErrNotExist if they must stay.
func Unused(r cache.Reader, d cache.Digest) (Intent, error) {
	in, err := Intended(r, d)
	if err != nil {
		return in, err
	}
	used, err := inUse(r, d)
	if err == nil && used {
		err = fmt.Errorf("%s is in use again: %w", d, cache.ErrNotExist)
	}
	return in, err
}

// Swept forgets an intent whose bytes are deleted, unless it has been replaced.
func Swept(w cache.Writer, d cache.Digest, done Intent) error {
	in, err := Intended(w, d)
	if errors.Is(err, cache.ErrNotExist) || err == nil && !in.Due.Equal(done.Due) {
		return nil
	}
	if err != nil {
		return err
	}
	return dropIntent(w, d)
}

// Due is something whose time has come: bytes to delete, or an edge to end.
type Due struct {
	Digest cache.Digest
	At     time.Time
	edge   []byte // tail of its key; nil for bytes
}

// Expiry reports whether an edge ends, and not bytes go.
func (d Due) Expiry() bool { return d.edge != nil }

// Key returns the row's key, to go on after it.
func (d Due) Key() []byte { return dueKey(d.At, d.Digest, d.edge) }

func parseDueKey(k []byte) (Due, error) {
	const short = 2 + 8 + len(cache.Digest{})
	if len(k) != short && len(k) != short+1+hashSize || !bytes.HasPrefix(k, []byte("gt")) {
		return Due{}, errKey
	}
	at, err := fromNanos(k[2:10])
	if err != nil || at.IsZero() {
		return Due{}, errKey
	}
	d := Due{Digest: cache.Digest(k[10:short]), At: at}
	if len(k) > short {
		d.edge = k[short:]
	}
	return d, nil
}

// DueBy yields, in order of time and after a row, what is due by now.
func DueBy(r cache.Reader, now time.Time, after []byte) iter.Seq2[Due, error] {
	return func(yield func(Due, error) bool) {
		for row, err := range r.Scan([]byte("gt"), after) {
			var d Due
			if err == nil {
				d, err = parseDueKey(row.Key)
			}
			if err != nil {
				yield(Due{}, fmt.Errorf("due row %x: %w", row.Key, err))
				return
			}
			if d.At.After(now) || !yield(d, nil) {
				return
			}
		}
	}
}

// Outcome says what a due row comes to.
type Outcome int

// The outcomes of a due row.
const (
	Stale    Outcome = iota // it disagrees with the edge or intent it stands for
	Expired                 // an edge ends; its bytes are due next, if it was the last
	Unneeded                // bytes are to be deleted
)

// Assess tells what a due row comes to, and with Unneeded the bytes' size.
func Assess(r cache.Reader, due Due) (Outcome, int64, error) {
	if due.Expiry() {
		e, err := readEdge(r, due.Digest, due.edge)
		switch {
		case errors.Is(err, cache.ErrNotExist) || err == nil && !e.Expires.Equal(due.At):
			return Stale, 0, nil
		case err != nil:
			return Stale, 0, err
		}
		return Expired, 0, nil
	}
	in, err := Unused(r, due.Digest)
	switch {
	case errors.Is(err, cache.ErrNotExist) || err == nil && !in.Due.Equal(due.At):
		return Stale, 0, nil
	case err != nil:
		return Stale, 0, err
	}
	return Unneeded, in.Size, nil
}

// Settle deals with a due row within the Index: it drops one that is stale and
// ends an edge whose time has come, a Lease with its record, after which the
// bytes may go at once if that was the last. With Unneeded it writes nothing: delete the bytes under
// their lock (Unused), then call Swept.
func Settle(w cache.Writer, due Due, now time.Time) (Outcome, error) {
	outcome, _, err := Assess(w, due)
	if err == nil {
		switch outcome {
		case Stale:
			err = w.Delete(due.Key())
		case Expired:
			err = expire(w, due, now)
		}
	}
	if err != nil {
		return Stale, fmt.Errorf("settle %s: %w", due.Digest, err)
	}
	return outcome, nil
}

// expire ends an edge. The record of a lease goes with it unread, as those of
// cached blobs do when they are evicted, unless another edge says that it was
// made permanent.
func expire(w cache.Writer, due Due, now time.Time) error {
	if Kind(due.edge[0]) == Lease {
		shared, err := sharedRecord(w, due.Digest, due.edge)
		if err != nil {
			return err
		}
		if !shared {
			e, err := readEdge(w, due.Digest, due.edge)
			if err != nil {
				return err
			}
			if err := w.Delete(e.Record); err != nil {
				return err
			}
		}
	}
	return unlink(w, due.Digest, due.edge, now)
}

// sharedRecord reports whether the record of an edge is that of a hosted or
// cached one of the same blob too.
func sharedRecord(r cache.Reader, d cache.Digest, tail []byte) (bool, error) {
	for _, k := range []Kind{Hosted, Cached, Inline} {
		_, err := r.Get(edgeKey(d, append([]byte{byte(k)}, tail[1:]...)))
		if !errors.Is(err, cache.ErrNotExist) {
			return err == nil, err
		}
	}
	return false, nil
}
