package registry_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"larder/cache"
	"larder/formats"
	"larder/proxy/registry"
	"larder/upstream/upstreamtest"
)

// vanishing is a store whose blobs are evicted before anybody can open them.
type vanishing struct{ cache.Store }

func (vanishing) Open(context.Context, cache.Digest) (io.ReadSeekCloser, error) {
	return nil, cache.ErrNotExist
}

func vanish(b *bench, _ *registry.Options) { b.store = vanishing{b.store} }

// TestDocumentThatIsEvictedAtOnce is served, and never said to be missing.
func TestDocumentThatIsEvictedAtOnce(t *testing.T) {
	b := newBench(t, vanish)
	long := "p: " + string(text(100<<10))
	b.far.Serve("/p", answer(long, `"1"`))
	for _, variant := range []string{"one", "two"} {
		d := b.format.document("p")
		d.Variant = variant // no rendering is at hand
		got, c, err := doc(b.reader, d)
		if err != nil || got != base+" "+long || c.Result != formats.Miss {
			t.Errorf("%d bytes, %v", len(got), err)
		}
	}
}

// lateStore is a store whose partials say that their file is gone to whoever
// comes late.
type lateStore struct {
	cache.Store
	late atomic.Bool
}

type latePartial struct {
	cache.Partial
	store *lateStore
}

func (s *lateStore) Begin(ctx context.Context, size int64, also ...cache.Algorithm) (cache.Partial, error) {
	p, err := s.Store.Begin(ctx, size, also...)
	return latePartial{p, s}, err
}

func (p latePartial) Follow(ctx context.Context, off, n int64) (io.ReadCloser, error) {
	if p.store.late.Load() {
		return nil, cache.ErrNotExist
	}
	return p.Partial.Follow(ctx, off, n)
}

// TestFillThatIsGone: an unfinished file that somebody removed is not a file
// that the upstream does not have.
func TestFillThatIsGone(t *testing.T) {
	late := &lateStore{}
	b := newBench(t, func(b *bench, _ *registry.Options) { late.Store, b.store = b.store, late })
	data := text(300 << 10)
	b.far.Serve("/f", upstreamtest.Answer{Body: data, Stall: true, StallAfter: 10})
	c, err := b.reader.File(context.Background(), file("f", sumOf(data)))
	if err != nil {
		t.Fatal(err)
	}
	late.late.Store(true)
	if got, err := body(c); err == nil || errors.Is(err, cache.ErrNotExist) {
		t.Errorf("%d bytes, %v: a fault of ours looks like a missing file", len(got), err)
	}
}

// TestFileThatIsEvictedAtOnce comes whole all the same.
func TestFileThatIsEvictedAtOnce(t *testing.T) {
	late := &lateStore{}
	b := newBench(t, func(b *bench, _ *registry.Options) { late.Store, b.store = b.store, late })
	data := text(300 << 10)
	b.far.Serve("/f", upstreamtest.Answer{Body: data})
	c, err := b.reader.File(context.Background(), file("f", sumOf(data)))
	if err != nil {
		t.Fatal(err)
	}
	b.landed()
	late.late.Store(true)
	if got, err := body(c); err != nil || !bytes.Equal(got, data) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
}

func (b *bench) landed() {
	b.t.Helper()
	eventually(b.t, "no flight is under way", func() bool { return b.engine.Flying() == 0 })
}

// TestFullBeforeTheReaderCame: a client that was told the size of a file gets
// it, although the store filled up before it read the first byte.
func TestFullBeforeTheReaderCame(t *testing.T) {
	b := newBench(t, func(b *bench, _ *registry.Options) { b.store = shrinking{b.store} })
	data := text(300 << 10)
	for name, span := range map[string][2]int64{"a": {0, -1}, "b": {1000, 200 << 10}, "c": {100 << 10, -1}} {
		b.far.Serve("/"+name, upstreamtest.Answer{Body: data})
		c, err := b.reader.File(context.Background(), file(name, sumOf(data)))
		if err != nil {
			t.Fatal(err)
		}
		b.landed()
		want := data[span[0]:]
		if span[1] >= 0 {
			want = want[:span[1]]
		}
		if got, err := part(c, span[0], span[1]); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: %d bytes, %v", name, len(got), err)
		}
	}
}

// shrinking is a store with room for announced bytes that is not there.
type shrinking struct{ cache.Store }

type shrunk struct{ cache.Partial }

func (s shrinking) Begin(ctx context.Context, size int64, also ...cache.Algorithm) (cache.Partial, error) {
	p, err := s.Store.Begin(ctx, size, also...)
	return shrunk{p}, err
}

func (shrunk) Write([]byte) (int, error) { return 0, cache.ErrFull }

// TestDocumentThatTheStoreDoesNotTake is served from memory, whichever step fails.
func TestDocumentThatTheStoreDoesNotTake(t *testing.T) {
	full := func(b *bench, _ *registry.Options) { b.store = shrinking{b.store} }
	for name, set := range map[string]setting{
		"full while it came": full,
		"full at the end":    func(b *bench, _ *registry.Options) { b.store = uncommitted{b.store, cache.ErrFull} },
		"failed at the end":  func(b *bench, _ *registry.Options) { b.store = uncommitted{b.store, cache.ErrUnhealthy} },
	} {
		b := newBench(t, set)
		long := "p: " + string(text(100<<10))
		b.far.Serve("/p", upstreamtest.Answer{Body: []byte(long), Chunked: true})
		got, _, err := doc(b.reader, b.format.document("p"))
		if err != nil || got != base+" "+long || b.blobs() != 0 {
			t.Errorf("%s: %d bytes, %v", name, len(got), err)
		}
	}
}

// uncommitted is a store whose last step fails.
type uncommitted struct {
	cache.Store
	err error
}

type neverKept struct {
	cache.Partial
	err error
}

func (s uncommitted) Begin(ctx context.Context, size int64, also ...cache.Algorithm) (cache.Partial, error) {
	p, err := s.Store.Begin(ctx, size, also...)
	return neverKept{p, s.err}, err
}

func (p neverKept) Commit(context.Context) error { return p.err }

// readOnly is an index that takes no writes once it is told so.
type readOnly struct {
	cache.Index
	now atomic.Bool
}

func (r *readOnly) Update(ctx context.Context, fn func(cache.Writer) error) error {
	if r.now.Load() {
		return cache.ErrFull
	}
	return r.Index.Update(ctx, fn)
}

// unreadable is a store on a medium that fails under what it holds.
type unreadable struct {
	cache.Store
	now atomic.Bool
}

func (s *unreadable) Open(ctx context.Context, d cache.Digest) (io.ReadSeekCloser, error) {
	if s.now.Load() {
		return nil, syscall.EIO
	}
	return s.Store.Open(ctx, d)
}

// TestUnreadableFile (F9) is fetched again, also while no record of it can be
// dropped.
func TestUnreadableFile(t *testing.T) {
	for _, stuck := range []bool{false, true} {
		index, store := &readOnly{}, &unreadable{}
		b := newBench(t, func(b *bench, _ *registry.Options) {
			index.Index, store.Store = b.index, b.store
			b.index, b.store = index, store
		})
		data := text(100 << 10)
		b.far.Serve("/f", upstreamtest.Answer{Body: data})
		b.want(file("f"), data, formats.Miss)
		b.stored(file("f"))
		b.clock.advance(time.Second)
		store.now.Store(true)
		index.now.Store(stuck)
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second) // it must not go round for ever
		defer cancel()
		for range 2 {
			c, err := b.reader.File(ctx, file("f"))
			if err != nil {
				t.Fatalf("stuck %v: %v", stuck, err)
			}
			if got, err := body(c); err != nil || !bytes.Equal(got, data) {
				t.Errorf("stuck %v: %d bytes, %v", stuck, len(got), err)
			}
			b.landed()
		}
		// A reader who comes when the record has failed asks once more.
		if n := b.far.Requests("/f"); n < 3 || n > 3 && !stuck {
			t.Errorf("stuck %v: %d requests", stuck, n)
		}
		if b.seen.integrity.Load() == 0 {
			t.Error("nobody heard of it")
		}
	}
}

// TestTooManyOpenFiles (F12) says nothing of the bytes: they are neither given
// up nor fetched again.
func TestTooManyOpenFiles(t *testing.T) {
	for _, hosted := range []bool{false, true} {
		out := &exhausted{}
		b := newBench(t, func(b *bench, _ *registry.Options) { out.Store, b.store = b.store, out })
		data, f := text(100<<10), file("f")
		if hosted {
			f = hostedFile("p", "1")
			if err := publish(b.as("alice", ""), "p", "1", data); err != nil {
				t.Fatal(err)
			}
		} else {
			b.far.Serve("/f", upstreamtest.Answer{Body: data})
			b.want(f, data, formats.Miss)
			b.stored(f)
		}
		b.far.Forget()
		out.now.Store(true)
		_, _, err := b.get(f)
		if !errors.Is(err, syscall.EMFILE) || errors.Is(err, cache.ErrNotExist) || errors.Is(err, formats.ErrNotFound) {
			t.Errorf("hosted %v: %v", hosted, err)
		}
		if b.seen.integrity.Load() != 0 || len(b.far.Log()) != 0 {
			t.Errorf("hosted %v: taken for damage", hosted)
		}
		out.now.Store(false)
		if got, _, err := b.get(f); err != nil || !bytes.Equal(got, data) {
			t.Errorf("hosted %v, after it: %d bytes, %v", hosted, len(got), err)
		}
	}
}

type exhausted struct {
	cache.Store
	now atomic.Bool
}

func (s *exhausted) Open(ctx context.Context, d cache.Digest) (io.ReadSeekCloser, error) {
	if s.now.Load() {
		return nil, syscall.EMFILE
	}
	return s.Store.Open(ctx, d)
}
