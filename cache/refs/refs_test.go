package refs

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"larder/cache"
	"larder/cache/memory"
)

// table is an index with a clock, and fails the test on any error that is not asked for.
type table struct {
	t   *testing.T
	ix  cache.Index
	now time.Time
}

func newTable(t *testing.T) *table {
	return &table{t: t, ix: memory.NewIndex(), now: time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)}
}

func (b *table) write(fn func(w cache.Writer) error) {
	b.t.Helper()
	if err := b.ix.Update(context.Background(), fn); err != nil {
		b.t.Fatal(err)
	}
}

func (b *table) read(fn func(r cache.Reader) error) {
	b.t.Helper()
	if err := b.ix.View(context.Background(), fn); err != nil {
		b.t.Fatal(err)
	}
}

func (b *table) link(d cache.Digest, size int64, e Edge) {
	b.t.Helper()
	b.write(func(w cache.Writer) error { return Link(w, cache.Blob{Digest: d, Size: size}, e, b.now) })
}

func (b *table) unlink(d cache.Digest, e Edge, due time.Time) {
	b.t.Helper()
	b.write(func(w cache.Writer) error { return Unlink(w, d, e, due) })
}

// has reports whether get finds something.
func (b *table) has(get func(r cache.Reader) error) bool {
	b.t.Helper()
	found := false
	b.read(func(r cache.Reader) error {
		err := get(r)
		found = err == nil
		if errors.Is(err, cache.ErrNotExist) {
			return nil
		}
		return err
	})
	return found
}

func (b *table) recorded(d cache.Digest) bool {
	return b.has(func(r cache.Reader) error { _, err := Lookup(r, d); return err })
}

func (b *table) evictable(d cache.Digest) bool {
	return b.has(func(r cache.Reader) error { _, err := ReadAccess(r, d); return err })
}

func (b *table) doomed(d cache.Digest) bool {
	return b.has(func(r cache.Reader) error { _, err := Unused(r, d); return err })
}

func (b *table) usage() (u Usage) {
	b.t.Helper()
	b.read(func(r cache.Reader) (err error) { u, err = ReadUsage(r); return err })
	return u
}

// rows counts what lies under a prefix.
func (b *table) rows(prefix string) (n int) {
	b.t.Helper()
	b.read(func(r cache.Reader) error {
		for _, err := range r.Scan([]byte(prefix), nil) {
			if err != nil {
				return err
			}
			n++
		}
		return nil
	})
	return n
}

func cached(record string) Edge { return Edge{Kind: Cached, Record: []byte(record)} }
func hosted(record string) Edge { return Edge{Kind: Hosted, Record: []byte(record)} }

func TestClassFollowsTheEdges(t *testing.T) {
	d, cost := digest(1), Cost(5000)
	if cost != 8192+1024 {
		t.Fatalf("5000 bytes cost %d", cost)
	}
	for _, kind := range []Kind{Hosted, Upload, Pin, Lease} {
		b := newTable(t)
		kept := Edge{Kind: kind, Record: []byte("k"), Expires: b.now.Add(time.Hour)}
		steps := []struct {
			name string
			do   func()
			want Usage
			live bool // in the eviction order
		}{
			{"cached", func() { b.link(d, 5000, cached("f")) }, Usage{CachedBytes: cost, CachedBlobs: 1}, true},
			{"cached twice", func() { b.link(d, 5000, cached("g")) }, Usage{CachedBytes: cost, CachedBlobs: 1}, true},
			{"kept too", func() { b.link(d, 5000, kept) }, Usage{KeptBytes: cost, KeptBlobs: 1}, false},
			{"one record less", func() { b.unlink(d, cached("f"), b.now) }, Usage{KeptBytes: cost, KeptBlobs: 1}, false},
			{"no longer kept", func() { b.unlink(d, kept, b.now) }, Usage{CachedBytes: cost, CachedBlobs: 1}, true},
			{"not there", func() { b.unlink(d, cached("other"), b.now) }, Usage{CachedBytes: cost, CachedBlobs: 1}, true},
			{"used by nothing", func() { b.unlink(d, cached("g"), b.now) }, Usage{}, false},
			{"and again", func() { b.unlink(d, cached("g"), b.now) }, Usage{}, false},
		}
		for _, s := range steps {
			s.do()
			if got := b.usage(); got != s.want || b.evictable(d) != s.live {
				t.Errorf("%c, %s: %+v, evictable %v; want %+v, %v", kind, s.name, got, b.evictable(d), s.want, s.live)
			}
		}
		if b.recorded(d) || !b.doomed(d) || b.rows("b")+b.rows("x")+b.rows("a")+b.rows("e") != 0 {
			t.Errorf("%c: rows are left of a blob that nothing uses", kind)
		}
	}
}

func TestWhatIsRecorded(t *testing.T) {
	b, d := newTable(t), digest(1)
	sha1 := cache.Sum{Algorithm: cache.SHA1, Value: make([]byte, 20)}
	md5 := cache.Sum{Algorithm: cache.MD5, Value: make([]byte, 16)}
	first := b.now
	for _, blob := range []cache.Blob{
		{Digest: d, Size: 7, Sums: []cache.Sum{sha1, {Algorithm: cache.SHA256, Value: d[:]}}},
		{Digest: d, Size: 7, CRC32C: 9, Sums: []cache.Sum{md5, sha1}},
		{Digest: d, Size: 7},
	} {
		b.write(func(w cache.Writer) error { return Link(w, blob, hosted("h"), b.now) })
		b.now = b.now.Add(time.Hour)
	}
	b.read(func(r cache.Reader) error {
		i, err := Lookup(r, d)
		if err != nil {
			return err
		}
		_, one := i.Blob.Sum(cache.SHA1)
		_, two := i.Blob.Sum(cache.MD5)
		if i.Blob.Size != 7 || i.Blob.CRC32C != 9 || !one || !two || len(i.Blob.Sums) != 2 || !i.Created.Equal(first) {
			t.Errorf("recorded %+v", i)
		}
		if !i.Has(Hosted) || i.Has(Cached) || i.Evictable() {
			t.Errorf("kinds %b", i.kinds)
		}
		return nil
	})
}

func TestLinkRefuses(t *testing.T) {
	d := digest(1)
	sha1 := func(b byte) []cache.Sum {
		return []cache.Sum{{Algorithm: cache.SHA1, Value: bytes.Repeat([]byte{b}, 20)}}
	}
	for name, c := range map[string]struct {
		blob    cache.Blob
		edge    Edge
		corrupt bool
	}{
		"another size":       {cache.Blob{Digest: d, Size: 2, Sums: sha1(1)}, cached("g"), true},
		"another checksum":   {cache.Blob{Digest: d, Size: 1, Sums: sha1(2)}, cached("g"), true},
		"an unknown kind":    {cache.Blob{Digest: d, Size: 1}, Edge{Kind: 'z', Record: []byte("g")}, false},
		"no record":          {cache.Blob{Digest: d, Size: 1}, Edge{Kind: Cached}, false},
		"a record too long":  {cache.Blob{Digest: d, Size: 1}, Edge{Kind: Cached, Record: make([]byte, cache.MaxKey+1)}, false},
		"a foreign checksum": {cache.Blob{Digest: d, Size: 1, Sums: []cache.Sum{{Algorithm: "crc7", Value: []byte{1}}}}, cached("g"), false},
	} {
		b := newTable(t)
		b.write(func(w cache.Writer) error {
			return Link(w, cache.Blob{Digest: d, Size: 1, Sums: sha1(1)}, cached("f"), b.now)
		})
		err := b.ix.Update(context.Background(), func(w cache.Writer) error { return Link(w, c.blob, c.edge, b.now) })
		if err == nil || errors.Is(err, cache.ErrCorrupt) != c.corrupt {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A blob that is linked again before its bytes went keeps them.
func TestLinkCallsOffTheDeletion(t *testing.T) {
	b, d := newTable(t), digest(1)
	b.link(d, 1, cached("f"))
	b.unlink(d, cached("f"), b.now)
	if !b.doomed(d) {
		t.Fatal("no intent to delete it")
	}
	b.link(d, 1, hosted("h"))
	if b.doomed(d) || b.rows("g") != 0 {
		t.Errorf("still to be deleted, %d rows", b.rows("g"))
	}
}

func TestOrderAndTouch(t *testing.T) {
	b := newTable(t)
	old, young, aged := digest(3), digest(2), digest(1)
	b.link(old, 1, cached("old"))
	b.now = b.now.Add(3 * time.Hour)
	b.link(young, 1, cached("young"))
	b.link(aged, 1, Edge{Kind: Cached, Record: []byte("aged"), Aged: true})
	want := func(q Queue, want ...cache.Digest) {
		t.Helper()
		var got []cache.Digest
		b.read(func(r cache.Reader) error {
			for c, err := range Oldest(r, q, nil) {
				if err != nil {
					return err
				}
				got = append(got, c.Digest)
			}
			return nil
		})
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("queue %d: %v, want %v", q, got, want)
		}
	}
	want(Probation, aged, old, young)
	touch := func(d cache.Digest, moves bool) {
		t.Helper()
		b.write(func(w cache.Writer) error {
			moved, err := Touch(w, d, b.now)
			if moved != moves {
				t.Errorf("touch of %s moved it: %v", d, moved)
			}
			return err
		})
	}
	touch(old, true)
	want(Probation, aged, young)
	want(Main, old)
	touch(old, false) // within the hour
	touch(digest(9), false)
	b.now = b.now.Add(-24 * time.Hour)
	touch(old, false) // a clock set back ages nothing
	b.now = b.now.Add(48 * time.Hour)
	touch(aged, true)
	touch(old, true)
	want(Main, aged, old)
	if u := b.usage(); u.MainBytes != 2*Cost(1) || u.CachedBytes != 3*Cost(1) {
		t.Errorf("usage %+v", u)
	}
}

func TestEvictTakesTheRecordsToo(t *testing.T) {
	b, d := newTable(t), digest(1)
	for _, name := range []string{"f", "g"} {
		b.write(func(w cache.Writer) error { return w.Put([]byte(name), []byte("record")) })
		b.link(d, 5000, cached(name))
	}
	b.write(func(w cache.Writer) error {
		ev, err := Evict(w, Candidate{d, Access{Probation, HourOf(b.now)}}, b.now)
		if !ev.Gone || ev.More || ev.Bytes != Cost(5000) || ev.Size != 5000 {
			t.Errorf("%+v", ev)
		}
		return err
	})
	if b.recorded(d) || b.rows("f")+b.rows("x")+b.rows("a")+b.rows("e") != 0 || b.rows("g") != 2 || !b.doomed(d) {
		t.Errorf("left: %d edges, intent %v", b.rows("x"), b.doomed(d))
	}
	if u := b.usage(); u != (Usage{}) {
		t.Errorf("usage %+v", u)
	}
}

func TestEvictOfStaleCandidates(t *testing.T) {
	b, d := newTable(t), digest(1)
	stale := Candidate{d, Access{Probation, HourOf(b.now)}}
	b.link(d, 1, cached("f"))
	b.now = b.now.Add(time.Hour)
	b.write(func(w cache.Writer) error { _, err := Touch(w, d, b.now); return err })
	b.write(func(w cache.Writer) error { return w.Put(stale.Key(), []byte{layout}) })
	b.write(func(w cache.Writer) error {
		ev, err := Evict(w, stale, b.now)
		if ev.Gone {
			t.Error("a blob went by a row that is out of date")
		}
		return err
	})
	if !b.recorded(d) || b.rows("e") != 1 {
		t.Errorf("recorded %v, %d rows in the order", b.recorded(d), b.rows("e"))
	}
}

// Whatever damage did to the rows, a blob with an edge that is not Cached stays.
func TestEvictNeverTakesWhatIsKept(t *testing.T) {
	for _, kind := range []Kind{Hosted, Upload, Pin} {
		b, d := newTable(t), digest(1)
		b.link(d, 1, cached("f"))
		at := Access{Probation, HourOf(b.now)}
		// An edge came without the blob's row and the order hearing of it.
		b.write(func(w cache.Writer) error { return putEdge(w, d, Edge{Kind: kind, Record: []byte("k")}) })
		b.write(func(w cache.Writer) error {
			if _, err := DropCached(w, d, b.now); err == nil {
				t.Errorf("%c: dropped", kind)
			}
			ev, err := Evict(w, Candidate{d, at}, b.now)
			if ev.Gone || ev.More {
				t.Errorf("%c: %+v", kind, ev)
			}
			return err
		})
		if !b.recorded(d) || b.doomed(d) || b.evictable(d) || b.rows("e") != 0 || b.usage().KeptBlobs != 1 {
			t.Errorf("%c: recorded %v, doomed %v, evictable %v, %+v", kind, b.recorded(d), b.doomed(d), b.evictable(d), b.usage())
		}
	}
}

// The order says evictable, row and edges say kept: the order gives way.
func TestEvictLeavesNoRowThatBlocksIt(t *testing.T) {
	b, d := newTable(t), digest(1)
	b.link(d, 1, hosted("h"))
	c := Candidate{d, Access{Main, 7}}
	b.write(func(w cache.Writer) error { return putAccess(w, d, c.Access) })
	b.write(func(w cache.Writer) error { _, err := Evict(w, c, b.now); return err })
	if b.rows("e")+b.rows("a") != 0 || !b.recorded(d) {
		t.Error("the row is still there, or the blob is gone")
	}
}

// A blob that very many records share goes in several steps, none too large.
func TestEvictOfABlobWithManyRecords(t *testing.T) {
	const records = 900 // of the longest keys: some 1 MiB
	b, d := newTable(t), digest(1)
	for i := range records {
		name := append(bytes.Repeat([]byte("f"), cache.MaxKey-4), fmt.Sprintf("%04d", i)...)
		b.write(func(w cache.Writer) error {
			return errors.Join(w.Put(name, nil), Link(w, cache.Blob{Digest: d, Size: 1}, Edge{Kind: Cached, Record: name}, b.now))
		})
	}
	steps := 0
	for more := true; more; steps++ {
		b.write(func(w cache.Writer) error {
			counted := &sizes{Writer: w}
			ev, err := DropCached(counted, d, b.now)
			if counted.bytes > maxEvict+8<<10 || counted.bytes > ev.Written {
				t.Errorf("step %d wrote %d bytes, said %d", steps, counted.bytes, ev.Written)
			}
			more = ev.More
			return err
		})
	}
	if steps < 3 || b.rows("f")+b.rows("x") != 0 || b.recorded(d) || !b.doomed(d) {
		t.Errorf("after %d steps: %d records, %d edges", steps, b.rows("f"), b.rows("x"))
	}
}

// sizes adds up what is written.
type sizes struct {
	cache.Writer
	bytes int
}

func (s *sizes) Put(k, v []byte) error {
	s.bytes += len(k) + len(v)
	return s.Writer.Put(k, v)
}

func (s *sizes) Delete(k []byte) error {
	s.bytes += len(k)
	return s.Writer.Delete(k)
}
