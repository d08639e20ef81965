package scrub

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"larder/cache"
	"larder/cache/disk"
	"larder/cache/memory"
	"larder/cache/refs"
)

type bench struct {
	t    *testing.T
	dir  string
	s    *Scrubber
	now  time.Time
	seen int
}

func newBench(t *testing.T) *bench {
	b := &bench{t: t, dir: t.TempDir(), now: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}
	store, err := disk.Open(b.dir, disk.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	b.s = &Scrubber{
		Index: memory.NewIndex(), Store: store, Locks: &refs.Locks{}, Clock: func() time.Time { return b.now },
		Damaged: func(cache.Digest, bool, error) { b.seen++ },
	}
	return b
}

func (b *bench) add(name string, kind refs.Kind) cache.Blob {
	b.t.Helper()
	blob, err := cache.Put(context.Background(), b.s.Store, bytes.NewReader([]byte("bytes of "+name)), -1)
	if err != nil {
		b.t.Fatal(err)
	}
	err = b.s.Index.Update(context.Background(), func(w cache.Writer) error {
		if err := w.Put([]byte("f"+name), []byte("record")); err != nil {
			return err
		}
		return refs.Link(w, blob, refs.Edge{Kind: kind, Record: []byte("f" + name)}, b.now)
	})
	if err != nil {
		b.t.Fatal(err)
	}
	return blob
}

func (b *bench) damage(blob cache.Blob) {
	b.t.Helper()
	hex := blob.Digest.String()
	path := filepath.Join(b.dir, "blobs", hex[:2], hex)
	if err := os.Chmod(path, 0o600); err != nil {
		b.t.Fatal(err)
	}
	if err := os.WriteFile(path, bytes.Repeat([]byte("x"), int(blob.Size)), 0o600); err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) check(repair bool) Report {
	b.t.Helper()
	r, err := b.s.Check(context.Background(), repair, nil)
	if err != nil {
		b.t.Fatal(err)
	}
	return r
}

func TestCleanStore(t *testing.T) {
	b := newBench(t)
	for i := range 600 { // more than two pages
		b.add(fmt.Sprint(i), refs.Cached)
	}
	if r := b.check(false); r.Blobs != 600 || r.Hosted+r.Cached != 0 {
		t.Errorf("%+v", r)
	}
}

func TestCachedDamageIsRepairedByDropping(t *testing.T) {
	b := newBench(t)
	b.damage(b.add("a", refs.Cached))
	if r := b.check(false); r.Cached != 1 || r.Repaired != 0 || len(r.Findings) != 1 {
		t.Errorf("without repair: %+v", r)
	}
	if r := b.check(true); r.Cached != 1 || r.Repaired != 1 {
		t.Errorf("with repair: %+v", r)
	}
	if r := b.check(false); r.Blobs != 0 {
		t.Errorf("after the repair: %+v", r)
	}
}

func TestHostedDamageIsKeptAndReported(t *testing.T) {
	b := newBench(t)
	blob := b.add("a", refs.Hosted)
	b.damage(blob)
	for range 2 {
		if r := b.check(true); r.Hosted != 1 || r.Repaired != 0 {
			t.Errorf("%+v", r)
		}
	}
	if _, err := b.s.Store.Stat(context.Background(), blob.Digest); err != nil {
		t.Errorf("the damaged bytes are gone: %v", err)
	}
}

func TestMissingBytes(t *testing.T) {
	b := newBench(t)
	cached, hosted := b.add("a", refs.Cached), b.add("b", refs.Hosted)
	for _, blob := range []cache.Blob{cached, hosted} {
		if err := b.s.Store.Delete(context.Background(), blob.Digest); err != nil {
			t.Fatal(err)
		}
	}
	if r := b.check(true); r.Hosted != 1 || r.Cached != 1 || r.Repaired != 1 {
		t.Errorf("%+v", r)
	}
}

func TestBackgroundPass(t *testing.T) {
	b := newBench(t)
	b.damage(b.add("a", refs.Cached))
	b.add("b", refs.Cached)
	for range 3 { // one pass in thirty days, however often it is asked for
		if err := b.s.pass(context.Background()); err != nil {
			t.Fatal(err)
		}
	}
	if b.seen != 1 {
		t.Errorf("%d damaged blobs told, want 1", b.seen)
	}
	c, err := b.s.cursor(context.Background())
	if err != nil || !c.done || !c.began.Equal(b.now) {
		t.Errorf("cursor %+v, %v", c, err)
	}
	b.now = b.now.Add(passEvery)
	b.damage(b.add("c", refs.Cached))
	if err := b.s.pass(context.Background()); err != nil || b.seen != 2 {
		t.Errorf("the next pass told %d in all (%v)", b.seen, err)
	}
}

func FuzzCursor(f *testing.F) {
	d := cache.Digest{1}
	f.Add(cursor{began: time.Unix(0, 0).UTC(), at: &d}.encode())
	f.Add(cursor{done: true}.encode())
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		var c cursor
		if c.decode(b) != nil {
			return
		}
		var again cursor
		if err := again.decode(c.encode()); err != nil || again.done != c.done || !again.began.Equal(c.began) {
			t.Errorf("%q reads differently when written again: %v", b, err)
		}
	})
}
