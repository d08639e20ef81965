package scrub

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"larder/cache"
	"larder/cache/disk"
	"larder/cache/memory"
	"larder/cache/refs"
)

type bench struct {
	t    testing.TB
	dir  string
	s    *Scrubber
	now  time.Time
	seen int
	told []error // by Damaged
}

func newBench(t testing.TB) *bench {
	b := &bench{t: t, dir: t.TempDir(), now: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}
	store, err := disk.Open(b.dir, disk.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	b.s = &Scrubber{
		Index: memory.NewIndex(), Store: store, Locks: &refs.Locks{}, Clock: func() time.Time { return b.now },
		Damaged: func(_ cache.Digest, _ bool, err error) { b.seen, b.told = b.seen+1, append(b.told, err) },
		sleep:   func(context.Context, time.Duration) error { return nil },
	}
	return b
}

func (b *bench) add(name string, kind refs.Kind) cache.Blob {
	b.t.Helper()
	return b.put(name, kind, []byte("bytes of "+name))
}

func (b *bench) addSized(name string, size int) cache.Blob {
	b.t.Helper()
	return b.put(name, refs.Cached, append(make([]byte, size-len(name)), name...))
}

func (b *bench) put(name string, kind refs.Kind, body []byte) cache.Blob {
	b.t.Helper()
	blob, err := cache.Put(context.Background(), b.s.Store, bytes.NewReader(body), int64(len(body)))
	if err != nil {
		b.t.Fatal(err)
	}
	err = b.s.Index.Update(context.Background(), func(w cache.Writer) error {
		if err := w.Put([]byte("f"+name), []byte("record")); err != nil {
			return err
		}
		edge := refs.Edge{Kind: kind, Record: []byte("f" + name)}
		if kind == refs.Lease {
			edge.Expires = b.now.Add(time.Hour)
		}
		return refs.Link(w, blob, edge, b.now)
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

func (b *bench) stored(blob cache.Blob) bool {
	_, err := b.s.Store.Stat(context.Background(), blob.Digest)
	return err == nil
}

func (b *bench) record(name string) bool {
	err := b.s.Index.View(context.Background(), func(r cache.Reader) error {
		_, err := r.Get([]byte("f" + name))
		return err
	})
	return err == nil
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
	for i := range page + 10 { // more than one page
		b.add(fmt.Sprint(i), refs.Cached)
	}
	if r := b.check(false); r.Blobs != page+10 || r.Hosted+r.Cached != 0 {
		t.Errorf("%+v", r)
	}
}

func TestCachedDamageIsRepairedByDropping(t *testing.T) {
	b := newBench(t)
	bad := b.add("a", refs.Cached)
	b.damage(bad)
	for range 2 { // found, and gone
		if r := b.check(false); r.Cached != 1 || r.Repaired != 0 || len(r.Findings) != 1 || b.stored(bad) || !b.record("a") {
			t.Errorf("without repair: %+v, stored %v, record %v", r, b.stored(bad), b.record("a"))
		}
	}
	if r := b.check(true); r.Cached != 1 || r.Repaired != 1 {
		t.Errorf("with repair: %+v", r)
	}
	if r := b.check(false); r.Blobs != 0 || r.Orphans != 0 || b.record("a") || b.stored(bad) {
		t.Errorf("after the repair: %+v, record %v, stored %v", r, b.record("a"), b.stored(bad))
	}
}

// Damaged hosted bytes are never served again; the record waits for good ones.
func TestHostedDamage(t *testing.T) {
	for _, kind := range []refs.Kind{refs.Hosted, refs.Pin, refs.Upload} {
		b := newBench(t)
		blob := b.add("a", kind)
		b.damage(blob)
		for _, repair := range []bool{false, true, true} {
			if r := b.check(repair); r.Hosted != 1 || r.Repaired != 0 || len(r.Findings) != 1 {
				t.Errorf("%c: %+v", kind, r)
			}
			if b.stored(blob) || !b.record("a") {
				t.Errorf("%c: stored %v, record %v", kind, b.stored(blob), b.record("a"))
			}
		}
		if kept, err := os.ReadDir(filepath.Join(b.dir, "quarantine")); err != nil || len(kept) != 1 {
			t.Errorf("%c: %d blobs in quarantine, %v", kind, len(kept), err)
		}
		b.add("a", kind) // the same bytes again
		if r := b.check(true); r.Hosted != 0 || !b.stored(blob) {
			t.Errorf("%c: published again: %+v", kind, r)
		}
	}
}

// TestSuspect: what a reader found wrong is looked at, and taken away if it is.
func TestSuspect(t *testing.T) {
	b := newBench(t)
	good, bad, lost := b.add("good", refs.Hosted), b.add("bad", refs.Hosted), b.add("lost", refs.Hosted)
	b.damage(bad)
	if err := b.s.Store.Delete(context.Background(), lost.Digest); err != nil {
		t.Fatal(err)
	}
	for d, there := range map[cache.Digest]bool{good.Digest: true, bad.Digest: false, lost.Digest: false} {
		if err := b.s.Suspect(context.Background(), d); err != nil {
			t.Error(err)
		}
		if _, err := b.s.Store.Stat(context.Background(), d); there != (err == nil) {
			t.Errorf("there %v: %v", there, err)
		}
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
	if b.seen != 1 || !errors.Is(b.told[0], cache.ErrCorrupt) {
		t.Errorf("%d damaged blobs told, want 1: %v", b.seen, b.told)
	}
	c, err := b.s.cursor(context.Background())
	if err != nil || !c.done || !c.began.Equal(b.now) {
		t.Errorf("cursor %+v, %v", c, err)
	}
	b.now = b.now.Add(passEvery)
	b.damage(b.add("c", refs.Cached))
	missing := b.add("d", refs.Hosted)
	if err := b.s.Store.Delete(context.Background(), missing.Digest); err != nil {
		t.Fatal(err)
	}
	if err := b.s.pass(context.Background()); err != nil || b.seen != 3 {
		t.Errorf("the next pass told %d in all (%v)", b.seen, err)
	}
	if err := errors.Join(b.told[1:]...); !errors.Is(err, cache.ErrCorrupt) || !errors.Is(err, cache.ErrNotExist) {
		t.Errorf("told %v", err)
	}
}

// A restart goes on behind the last blob that was noted, and the pace holds
// whatever the size of a blob.
func TestPassResumesAndIsSlow(t *testing.T) {
	b := newBench(t)
	var pauses []time.Duration
	ctx, stop := context.WithCancel(context.Background())
	b.s.sleep = func(ctx context.Context, d time.Duration) error {
		if pauses = append(pauses, d); len(pauses) == 2 {
			stop()
		}
		return ctx.Err()
	}
	looked := &counting{Store: b.s.Store}
	b.s.Store = looked
	for i := range 5 { // each is more than a second's worth
		b.addSized(fmt.Sprint(i), rate+rate/2)
	}
	if err := b.s.pass(ctx); !errors.Is(err, context.Canceled) || looked.verified != 2 {
		t.Errorf("looked at %d blobs: %v", looked.verified, err)
	}
	if err := b.s.pass(context.Background()); err != nil || looked.verified != 5 {
		t.Errorf("looked at %d blobs in all: %v", looked.verified, err)
	}
	if len(pauses) != 5 {
		t.Fatalf("%d pauses", len(pauses))
	}
	for _, d := range pauses {
		if d != 1500*time.Millisecond {
			t.Errorf("a pause of %s", d)
		}
	}
}

// Small blobs cost the disk more than their bytes, so they are looked at one by
// one and not twenty thousand a second.
func TestPassIsSlowOnSmallBlobs(t *testing.T) {
	b := newBench(t)
	var pauses time.Duration
	b.s.sleep = func(_ context.Context, d time.Duration) error {
		pauses += d
		return nil
	}
	const blobs = 640
	for i := range blobs {
		b.addSized(fmt.Sprint(i), 100)
	}
	if err := b.s.pass(context.Background()); err != nil {
		t.Fatal(err)
	}
	if want := blobs * least * time.Second / rate; pauses < want {
		t.Errorf("%d small blobs in %s, want %s at least", blobs, pauses, want)
	}
}

// counting counts what is hashed, and fails for one blob as it is told.
type counting struct {
	Store
	verified int
	fails    map[cache.Digest]error
}

func (c *counting) VerifyBlob(ctx context.Context, d cache.Digest) (cache.Blob, error) {
	c.verified++
	if err := c.fails[d]; err != nil {
		return cache.Blob{}, fmt.Errorf("verify blob %s: %w", d, err)
	}
	return c.Store.VerifyBlob(ctx, d)
}

// Bytes that cannot be read are told; only a failing medium costs a cached copy.
func TestUnreadableBytes(t *testing.T) {
	for name, c := range map[string]struct {
		err      error
		repaired int64
		ends     bool // the check: it is about the process
	}{
		"the medium fails":        {syscall.EIO, 1, false},
		"no permission":           {syscall.EACCES, 0, false},
		"too many files are open": {syscall.EMFILE, 0, true},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			cached, hosted := b.add("a", refs.Cached), b.add("b", refs.Hosted)
			b.s.Store = &counting{Store: b.s.Store, fails: map[cache.Digest]error{cached.Digest: c.err, hosted.Digest: c.err}}
			r, err := b.s.Check(context.Background(), true, nil)
			if c.ends {
				if !errors.Is(err, c.err) || r.Hosted+r.Cached+r.Repaired != 0 {
					t.Errorf("%+v, %v", r, err)
				}
				return
			}
			if err != nil || r.Hosted != 1 || r.Cached != 1 || r.Repaired != c.repaired {
				t.Errorf("%+v, %v", r, err)
			}
			if !b.stored(hosted) || !b.record("b") || b.record("a") == (c.repaired == 1) {
				t.Errorf("hosted stored %v; records %v, %v", b.stored(hosted), b.record("a"), b.record("b"))
			}
		})
	}
}

// A repair that fails is a finding, and the check goes on.
func TestRepairThatFails(t *testing.T) {
	b := newBench(t)
	for _, name := range []string{"a", "b"} {
		b.damage(b.add(name, refs.Cached))
	}
	b.s.Index = readOnly{b.s.Index}
	r, err := b.s.Check(context.Background(), true, nil)
	if err != nil || r.Cached != 2 || r.Repaired != 0 || len(r.Findings) != 2 || !strings.Contains(r.Findings[0], "not repaired") {
		t.Errorf("%+v, %v", r, err)
	}
}

// readOnly is an Index whose volume is full.
type readOnly struct{ cache.Index }

func (readOnly) Update(context.Context, func(cache.Writer) error) error { return cache.ErrFull }

func TestProgress(t *testing.T) {
	b := newBench(t)
	for i := range 3 {
		b.add(fmt.Sprint(i), refs.Hosted)
	}
	var lines []string
	_, err := b.s.Check(context.Background(), false, func(done, total int64) { lines = append(lines, fmt.Sprint(done, "/", total)) })
	if err != nil || strings.Join(lines, " ") != "1/3 2/3 3/3" {
		t.Errorf("%q, %v", lines, err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := b.s.Check(ctx, false, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
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
