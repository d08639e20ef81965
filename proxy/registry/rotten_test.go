package registry_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"larder/cache"
	"larder/cache/refs"
	"larder/formats"
	"larder/proxy/registry"
	"larder/upstream/upstreamtest"
)

// rotten is a store in which bytes go bad, of blobs that are there when rot is called.
type rotten struct {
	cache.Store
	mu   sync.Mutex
	rot  func([]byte) []byte
	good map[cache.Digest]bool // written since
}

func (s *rotten) set(rot func([]byte) []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rot, s.good = rot, map[cache.Digest]bool{}
}

func (s *rotten) Open(ctx context.Context, d cache.Digest) (io.ReadSeekCloser, error) {
	f, err := s.Store.Open(ctx, d)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil || s.rot == nil || s.good[d] {
		return f, err
	}
	defer f.Close()
	all, err := io.ReadAll(f)
	return struct {
		io.ReadSeeker
		io.Closer
	}{bytes.NewReader(s.rot(all)), io.NopCloser(nil)}, err
}

func (s *rotten) Begin(ctx context.Context, size int64, also ...cache.Algorithm) (cache.Partial, error) {
	p, err := s.Store.Begin(ctx, size, also...)
	return freshPartial{p, s}, err
}

type freshPartial struct {
	cache.Partial
	store *rotten
}

func (p freshPartial) Verify(want ...cache.Sum) (cache.Blob, error) {
	b, err := p.Partial.Verify(want...)
	p.store.mu.Lock()
	defer p.store.mu.Unlock()
	if p.store.good != nil {
		p.store.good[b.Digest] = true
	}
	return b, err
}

// rots are the ways in which bytes go bad.
var rots = map[string]func([]byte) []byte{
	"one bit": func(b []byte) []byte {
		b = bytes.Clone(b)
		b[len(b)/2] ^= 1
		return b
	},
	"the first byte": func(b []byte) []byte { return append([]byte{b[0] ^ 1}, b[1:]...) },
	"cut":            func(b []byte) []byte { return b[:len(b)/2] },
	"the last byte":  func(b []byte) []byte { return b[:len(b)-1] },
	"longer":         func(b []byte) []byte { return append(bytes.Clone(b), 'x') },
	"nothing":        func([]byte) []byte { return nil },
	"zeros":          func(b []byte) []byte { return make([]byte, len(b)) },
}

// TestRottenDocument: a document is rendered from the bytes that were fetched,
// or fetched again.
func TestRottenDocument(t *testing.T) {
	for name, rot := range rots {
		for _, packed := range []bool{false, true} {
			store := &rotten{}
			b := newBench(t, func(b *bench, _ *registry.Options) { store.Store, b.store = b.store, store })
			long := "p: " + string(text(200<<10))
			b.far.Serve("/p", upstreamtest.Answer{Body: []byte(long), ETag: `"1"`, Gzip: packed})
			b.sees(long, formats.Miss)
			b.far.Forget()
			store.set(rot)
			d := b.format.document("p")
			d.Variant = "other" // no rendering is at hand
			for _, want := range []formats.Result{formats.Miss, formats.Hit} {
				got, c, err := doc(b.reader, d)
				if err != nil || got != base+" "+long || c.Result != want {
					t.Errorf("%s, packed %v: %d bytes, %v", name, packed, len(got), err)
				}
			}
			if b.seen.integrity.Load() != 1 {
				t.Errorf("%s, packed %v: %d alarms", name, packed, b.seen.integrity.Load())
			}
			b.asked("/p", 1)
		}
	}
}

// TestRottenRendering is made again.
func TestRottenRendering(t *testing.T) {
	for name, rot := range rots {
		store := &rotten{}
		b := newBench(t, func(b *bench, o *registry.Options) {
			store.Store, b.store = b.store, store
			o.Memory = 1 << 10 // nothing is kept in memory
		})
		long := "p: " + string(text(400<<10))
		b.far.Serve("/p", answer(long, `"1"`))
		b.sees(long, formats.Miss)
		eventually(t, "the rendering is kept", func() bool { return len(b.rows("r")) == 1 })
		store.set(rot)
		source := cache.Digest(sumOf([]byte(long)).Value)
		store.mu.Lock()
		store.good[source] = true
		store.mu.Unlock()
		b.clock.advance(time.Second)
		b.sees(long, formats.Hit)
		if n := b.format.renders.Load(); n != 2 {
			t.Errorf("%s: %d renderings", name, n)
		}
		eventually(t, "the rendering is kept again", func() bool { return len(b.rows("r")) == 1 })
	}
}

// TestRottenFile (F10): a cached file that is not as long as recorded is fetched
// again, a hosted one is refused before its first byte. A small file is held
// against its digest too, since it would be served from memory for long.
func TestRottenFile(t *testing.T) {
	for name, rot := range rots {
		sizes := []int{1000, 200 << 10}
		if !strings.Contains("cut the last byte longer nothing", name) {
			sizes = sizes[:1]
		}
		store := &rotten{}
		var suspects []cache.Digest
		b := newBench(t, func(b *bench, o *registry.Options) {
			store.Store, b.store = b.store, store
			o.Memory = 1 << 10
			o.Suspect = func(_ context.Context, d cache.Digest) error {
				suspects = append(suspects, d)
				return nil
			}
		})
		for _, size := range sizes {
			suspects = nil
			data, hosted := text(size), append(text(size), "mine"...)
			f, version := file(fmt.Sprint(size)), fmt.Sprint(size)
			b.far.Serve("/"+version, upstreamtest.Answer{Body: data})
			b.want(f, data, formats.Miss)
			b.stored(f)
			if err := publish(b.as("alice", ""), "mine", version, hosted); err != nil {
				t.Fatal(err)
			}
			b.clock.advance(time.Second)
			store.set(rot)
			b.want(f, data, formats.Miss)
			b.stored(f)
			_, err := b.reader.File(context.Background(), hostedFile("mine", version))
			if err == nil || errors.Is(err, cache.ErrNotExist) || errors.Is(err, cache.ErrCorrupt) {
				t.Errorf("%s, %d bytes hosted: %v", name, size, err)
			}
			if want := cache.Digest(sumOf(hosted).Value); !slices.Equal(suspects, []cache.Digest{want}) {
				t.Errorf("%s, %d bytes hosted: suspected are %v, want %s", name, size, suspects, want)
			}
			store.set(nil)
		}
	}
}

// sweepStore is a store in which a sweep is after every blob at the moment at
// which it has been committed, and nothing uses it yet.
type sweepStore struct {
	cache.Store
	locks *refs.Locks
	index cache.Index
	work  sync.WaitGroup
}

type sweptPartial struct {
	cache.Partial
	store *sweepStore
	blob  cache.Blob
}

func (s *sweepStore) Begin(ctx context.Context, size int64, also ...cache.Algorithm) (cache.Partial, error) {
	p, err := s.Store.Begin(ctx, size, also...)
	return &sweptPartial{Partial: p, store: s}, err
}

func (p *sweptPartial) Verify(want ...cache.Sum) (cache.Blob, error) {
	var err error
	p.blob, err = p.Partial.Verify(want...)
	return p.blob, err
}

func (p *sweptPartial) Commit(ctx context.Context) error {
	s, d := p.store, p.blob.Digest
	err := s.index.Update(ctx, func(w cache.Writer) error {
		_, err := refs.Doom(w, d, p.blob.Size, time.Unix(1, 0))
		return err
	})
	if err := errors.Join(err, p.Partial.Commit(ctx)); err != nil {
		return err
	}
	swept := make(chan struct{})
	s.work.Go(func() {
		defer close(swept)
		defer s.locks.Lock(d)()
		err := s.index.View(ctx, func(r cache.Reader) error {
			_, err := refs.Unused(r, d)
			return err
		})
		if err == nil {
			_ = s.Store.Delete(context.WithoutCancel(ctx), d) // into the void of memory
		}
	})
	select {
	case <-swept: // nothing kept it from it
	case <-time.After(20 * time.Millisecond):
	}
	return nil
}

// TestSweepWhileBytesAreKept: between the commit of bytes and the record that
// uses them nobody takes them for unused.
func TestSweepWhileBytesAreKept(t *testing.T) {
	s := &sweepStore{}
	b := newBench(t, func(b *bench, _ *registry.Options) {
		s.Store, s.locks, s.index = b.store, b.locks, b.index
		b.store = s
	})
	data, long := text(100<<10), "p: "+string(text(300<<10))
	b.far.Serve("/f", upstreamtest.Answer{Body: data})
	b.far.Serve("/p", answer(long, `"1"`))
	b.want(file("f"), data, formats.Miss)
	b.stored(file("f"))
	b.sees(long, formats.Miss)
	eventually(t, "the rendering is kept", func() bool { return len(b.rows("r")) == 1 })
	if err := publish(b.as("alice", ""), "mine", "1", []byte("mine")); err != nil {
		t.Fatal(err)
	}
	s.work.Wait()
	b.want(file("f"), data, formats.Hit)
	b.want(hostedFile("mine", "1"), []byte("mine"), formats.Hosted)
	if n := b.blobs(); n != 4 {
		t.Errorf("%d blobs of a file, a document, its rendering and a publish", n)
	}
	if b.seen.integrity.Load() != 0 {
		t.Errorf("%d alarms", b.seen.integrity.Load())
	}
}
