package refs

import (
	"context"
	"errors"
	"testing"
	"time"

	"larder/cache"
)

// due returns all that is due by now.
func (b *table) due() (list []Due) {
	b.t.Helper()
	b.read(func(r cache.Reader) error {
		for d, err := range DueBy(r, b.now, nil) {
			if err != nil {
				return err
			}
			list = append(list, d)
		}
		return nil
	})
	return list
}

// settle deals with what is due and returns the outcomes.
func (b *table) settle() (list []Outcome) {
	b.t.Helper()
	for _, d := range b.due() {
		b.write(func(w cache.Writer) error {
			want, _, err := Assess(w, d)
			if err != nil {
				return err
			}
			got, err := Settle(w, d, b.now)
			if got != want {
				b.t.Errorf("settled as %d, assessed as %d", got, want)
			}
			list = append(list, got)
			return err
		})
	}
	return list
}

func TestLeaseEnds(t *testing.T) {
	b, d := newTable(t), digest(1)
	lease := Edge{Kind: Upload, Record: []byte("u"), Expires: b.now.Add(time.Hour)}
	b.link(d, 1, lease)
	b.now = b.now.Add(59 * time.Minute)
	if got := b.due(); len(got) != 0 {
		t.Fatalf("%d due before the time", len(got))
	}
	lease.Expires = b.now.Add(time.Hour) // taken anew
	b.link(d, 1, lease)
	b.now = b.now.Add(30 * time.Minute)
	if got := b.due(); len(got) != 0 || b.rows("gt") != 1 {
		t.Fatalf("%d due, %d rows: the old time still counts", len(got), b.rows("gt"))
	}
	b.now = b.now.Add(time.Hour)
	if got := b.settle(); len(got) != 1 || got[0] != Expired || b.recorded(d) {
		t.Fatalf("outcomes %v, recorded %v", got, b.recorded(d))
	}
	if got := b.settle(); len(got) != 1 || got[0] != Unneeded {
		t.Fatalf("then %v", got)
	}
	b.write(func(w cache.Writer) error {
		in, err := Unused(w, d)
		return errors.Join(err, Swept(w, d, in))
	})
	if b.rows("g") != 0 {
		t.Errorf("%d rows left", b.rows("g"))
	}
}

func leased(record string, until time.Time) Edge {
	return Edge{Kind: Lease, Record: []byte(record), Expires: until}
}

// TestRecordOfALease goes with it, in one transaction and not before; one that
// was made permanent stays, also if its lease was forgotten.
func TestRecordOfALease(t *testing.T) {
	record := func(b *table) bool {
		return b.has(func(r cache.Reader) error { _, err := r.Get([]byte("f")); return err })
	}
	for name, c := range map[string]struct {
		then func(b *table, d cache.Digest, lease Edge)
		kept bool // the record
		used bool // the blob
	}{
		"nothing": {func(*table, cache.Digest, Edge) {}, false, false},
		"renewed": {func(b *table, d cache.Digest, lease Edge) {
			b.link(d, 1, leased("f", lease.Expires.Add(time.Hour)))
		}, true, true},
		"published": {func(b *table, d cache.Digest, lease Edge) {
			b.link(d, 1, hosted("f"))
			b.unlink(d, lease, b.now)
		}, true, true},
		"published, and the lease is left": {func(b *table, d cache.Digest, _ Edge) { b.link(d, 1, hosted("f")) }, true, true},
		"cached under the same record":     {func(b *table, d cache.Digest, _ Edge) { b.link(d, 1, cached("f")) }, true, true},
		"hosted under another":             {func(b *table, d cache.Digest, _ Edge) { b.link(d, 1, hosted("g")) }, false, true},
		"pinned under the same name":       {func(b *table, d cache.Digest, _ Edge) { b.link(d, 1, Edge{Kind: Pin, Record: []byte("f")}) }, false, true},
		"deleted": {func(b *table, d cache.Digest, lease Edge) {
			b.write(func(w cache.Writer) error { return errors.Join(w.Delete([]byte("f")), Unlink(w, d, lease, b.now)) })
		}, false, false},
		"its record was lost": {func(b *table, _ cache.Digest, _ Edge) {
			b.write(func(w cache.Writer) error { return w.Delete([]byte("f")) })
		}, false, false},
	} {
		b, d := newTable(t), digest(1)
		lease := leased("f", b.now.Add(time.Hour))
		b.link(d, 1, lease)
		b.write(func(w cache.Writer) error { return w.Put([]byte("f"), []byte("file")) })
		b.now = b.now.Add(time.Hour - 1)
		if b.settle(); !record(b) || !b.recorded(d) {
			t.Errorf("%s: gone before its time", name)
		}
		c.then(b, d, lease)
		b.now = b.now.Add(2)
		b.settle()
		if record(b) != c.kept || b.recorded(d) != c.used {
			t.Errorf("%s: record %t, blob %t", name, record(b), b.recorded(d))
		}
		if !c.used && !b.doomed(d) {
			t.Errorf("%s: the bytes stay for nothing", name)
		}
	}
}

func TestLeaseThatNeverEnds(t *testing.T) {
	b := newTable(t)
	err := b.ix.Update(context.Background(), func(w cache.Writer) error {
		return Link(w, cache.Blob{Digest: digest(1), Size: 1}, Edge{Kind: Lease, Record: []byte("f")}, b.now)
	})
	if err == nil || b.rows("x")+b.rows("b") != 0 {
		t.Errorf("linked: %v", err)
	}
}

// TestLeasedIsNotEvicted: bytes that a client was told are there.
func TestLeasedIsNotEvicted(t *testing.T) {
	b, d := newTable(t), digest(1)
	b.link(d, 1, cached("c"))
	b.link(d, 1, leased("f", b.now.Add(time.Hour)))
	if b.evictable(d) {
		t.Error("in the eviction order")
	}
	kept := b.has(func(r cache.Reader) error {
		kept, err := Kept(r, d)
		if err == nil && !kept {
			err = cache.ErrNotExist
		}
		return err
	})
	if !kept {
		t.Error("not kept")
	}
	err := b.ix.Update(context.Background(), func(w cache.Writer) error { _, err := DropCached(w, d, b.now); return err })
	if err == nil {
		t.Error("dropped as a cached copy")
	}
	b.now = b.now.Add(2 * time.Hour)
	b.settle()
	if !b.evictable(d) {
		t.Error("kept after its lease, though only cached")
	}
}

func TestLeaseThatIsMadePermanent(t *testing.T) {
	b, d := newTable(t), digest(1)
	pin := Edge{Kind: Pin, Record: []byte("p"), Expires: b.now.Add(time.Hour)}
	b.link(d, 1, pin)
	pin.Expires = time.Time{}
	b.link(d, 1, pin)
	b.now = b.now.Add(2 * time.Hour)
	if got := b.due(); len(got) != 0 || !b.recorded(d) {
		t.Errorf("%d due", len(got))
	}
}

// Rows by time that stand for nothing any more are dropped, nothing else.
func TestStaleDueRows(t *testing.T) {
	b, d := newTable(t), digest(1)
	pin := Edge{Kind: Pin, Record: []byte("p"), Expires: b.now.Add(time.Hour)}
	b.link(d, 1, pin)
	for _, k := range [][]byte{
		dueKey(b.now, d, edgeTail(pin)),            // the edge ends later
		dueKey(b.now, d, edgeTail(hosted("h"))),    // no such edge
		dueKey(b.now, d, nil),                      // no such intent
		dueKey(b.now.Add(-1), digest(2), []byte{}), // no such blob
	} {
		b.write(func(w cache.Writer) error { return w.Put(k, []byte{layout}) })
	}
	for _, got := range b.settle() {
		if got != Stale {
			t.Errorf("outcome %d", got)
		}
	}
	if b.rows("gt") != 1 || !b.recorded(d) {
		t.Errorf("%d rows left, want that of the lease", b.rows("gt"))
	}
}

// The bytes came back into use after the intent was read: they stay.
func TestUnusedAndSwept(t *testing.T) {
	b, d := newTable(t), digest(1)
	b.link(d, 1, cached("f"))
	b.unlink(d, cached("f"), b.now)
	var first Intent
	b.read(func(r cache.Reader) (err error) { first, err = Unused(r, d); return err })
	b.link(d, 1, cached("f"))
	b.now = b.now.Add(time.Second)
	b.unlink(d, cached("f"), b.now)
	b.write(func(w cache.Writer) error { return Swept(w, d, first) })
	if !b.doomed(d) {
		t.Error("a newer intent was forgotten with an older one")
	}
	b.link(d, 1, cached("f"))
	b.write(func(w cache.Writer) error { return putIntent(w, d, b.now, 1) }) // as damage might leave it
	if b.doomed(d) {
		t.Error("bytes in use are to be deleted")
	}
}

func TestDoom(t *testing.T) {
	b, used, gone, orphan, edge := newTable(t), digest(1), digest(2), digest(3), digest(4)
	// Its row was lost: the edge alone keeps the bytes.
	b.write(func(w cache.Writer) error { return putEdge(w, edge, hosted("h")) })
	b.write(func(w cache.Writer) error { return putIntent(w, edge, b.now, 1) })
	if b.doomed(edge) {
		t.Error("bytes that have an edge are to be deleted")
	}
	b.write(func(w cache.Writer) error { return dropIntent(w, edge) })
	b.link(used, 1, cached("f"))
	b.link(gone, 1, cached("g"))
	b.unlink(gone, cached("g"), b.now.Add(time.Hour))
	for d, want := range map[cache.Digest]bool{used: false, gone: false, orphan: true, edge: false} {
		b.write(func(w cache.Writer) error {
			got, err := Doom(w, d, 9, b.now)
			if got != want {
				t.Errorf("%s: doomed %v", d, got)
			}
			return err
		})
	}
	if got := b.due(); len(got) != 1 || got[0].Digest != orphan {
		t.Errorf("due: %v", got)
	}
}

func TestDueIsPagedInOrderOfTime(t *testing.T) {
	b := newTable(t)
	for i := range byte(20) {
		pin := Edge{Kind: Pin, Record: []byte("p"), Expires: b.now.Add(time.Duration(20-i) * time.Minute)}
		b.link(digest(i), 1, pin)
	}
	b.now = b.now.Add(15 * time.Minute)
	var seen []Due
	for page := true; page; {
		var after []byte
		if len(seen) > 0 {
			after = seen[len(seen)-1].Key()
		}
		page = false
		b.read(func(r cache.Reader) error {
			for d, err := range DueBy(r, b.now, after) {
				seen, page = append(seen, d), true
				return err
			}
			return nil
		})
	}
	for i := 1; i < len(seen); i++ {
		if seen[i].At.Before(seen[i-1].At) {
			t.Errorf("row %d is before row %d", i, i-1)
		}
	}
	if len(seen) != 15 {
		t.Errorf("%d due, want 15", len(seen))
	}
}

func TestForeignDueRowIsAnError(t *testing.T) {
	b := newTable(t)
	b.write(func(w cache.Writer) error { return w.Put([]byte("gtx"), nil) })
	err := b.ix.View(context.Background(), func(r cache.Reader) error {
		for _, err := range DueBy(r, b.now, nil) {
			return err
		}
		return nil
	})
	if err == nil {
		t.Error("passed over in silence")
	}
}
