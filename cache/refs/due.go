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

func decodeIntent(v []byte) (Intent, error) {
	if len(v) != 1+8+8 || v[0] != layout {
		return Intent{}, errLayout
	}
	return Intent{fromNanos(v[1:9]), int64(binary.BigEndian.Uint64(v[9:]))}, nil
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
	v := binary.BigEndian.AppendUint64(append([]byte{layout}, nanos(due)...), uint64(size))
	if err := w.Put(intentKey(d), v); err != nil {
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

// Doom notes that bytes without a row may be deleted at due: what a crash left
// between the Store and the Index. A blob with a row or an intent is left alone,
// and false is reported.
func Doom(w cache.Writer, d cache.Digest, size int64, due time.Time) (bool, error) {
	for _, k := range [][]byte{blobKey(d), intentKey(d)} {
		if _, err := w.Get(k); !errors.Is(err, cache.ErrNotExist) {
			return false, err
		}
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
	if _, err := r.Get(blobKey(d)); err == nil {
		return in, fmt.Errorf("%s is in use again: %w", d, cache.ErrNotExist)
	} else if !errors.Is(err, cache.ErrNotExist) {
		return in, err
	}
	return in, nil
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
	d := Due{Digest: cache.Digest(k[10:short]), At: fromNanos(k[2:10])}
	if d.At.IsZero() {
		return Due{}, errKey
	}
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

// Settled deals with a due row within the Index: it ends an edge whose time has
// come (the bytes may then go at once, if that was the last) and drops a row
// that disagrees with the edge or intent it stands for. It reports whether
// bytes are to be deleted for it.
func Settled(w cache.Writer, due Due, now time.Time) (sweep bool, err error) {
	if !due.Expiry() {
		in, err := Unused(w, due.Digest)
		if err == nil && in.Due.Equal(due.At) {
			return true, nil
		}
		if err != nil && !errors.Is(err, cache.ErrNotExist) {
			return false, err
		}
		return false, w.Delete(due.Key())
	}
	e, err := readEdge(w, due.Digest, due.edge)
	if err != nil && !errors.Is(err, cache.ErrNotExist) {
		return false, err
	}
	if err != nil || !e.Expires.Equal(due.At) {
		return false, w.Delete(due.Key())
	}
	return false, unlink(w, due.Digest, due.edge, now)
}
