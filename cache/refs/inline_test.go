package refs

import (
	"errors"
	"testing"

	"larder/cache"
)

// What lies in its record is evicted with it, and leaves no bytes to delete.
func TestInlineBytesGoWithTheirRecord(t *testing.T) {
	tb := newTable(t)
	record := []byte("d far p")
	blob, edge := Inlined(record, 700)
	tb.write(func(w cache.Writer) error {
		return errors.Join(w.Put(record, make([]byte, 700)), Link(w, blob, edge, tb.now))
	})
	if !tb.evictable(blob.Digest) || tb.usage().CachedBytes != Cost(700) {
		t.Errorf("evictable %v, usage %+v", tb.evictable(blob.Digest), tb.usage())
	}
	tb.write(func(w cache.Writer) error {
		for c, err := range Oldest(w, Probation, nil) {
			if err != nil {
				return err
			}
			ev, err := Evict(w, c, tb.now)
			if !ev.Gone || ev.Bytes != Cost(700) {
				t.Errorf("evicted %+v", ev)
			}
			return err
		}
		return errors.New("it is not in the order")
	})
	if tb.recorded(blob.Digest) || tb.rows("g") != 0 || tb.usage() != (Usage{}) {
		t.Errorf("recorded %v, %d rows due, usage %+v", tb.recorded(blob.Digest), tb.rows("g"), tb.usage())
	}
	tb.read(func(r cache.Reader) error {
		if _, err := r.Get(record); !errors.Is(err, cache.ErrNotExist) {
			t.Errorf("the record: %v", err)
		}
		return nil
	})
}
