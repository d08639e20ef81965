package registry_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"larder/cache"
	"larder/cache/refs"
	"larder/formats"
	"larder/proxy/registry"
	"larder/upstream/upstreamtest"
)

// counting is a store that counts how often bytes are opened.
type counting struct {
	cache.Store
	opened atomic.Int64
}

func (s *counting) Open(ctx context.Context, d cache.Digest) (io.ReadSeekCloser, error) {
	s.opened.Add(1)
	return s.Store.Open(ctx, d)
}

// TestHeadOpensNothing of a held file, large or small, hosted or cached: that
// the bytes are there is all that is looked at.
func TestHeadOpensNothing(t *testing.T) {
	var spy *counting
	b := newBench(t, func(b *bench, _ *registry.Options) {
		spy = &counting{Store: b.store}
		b.store = spy
	})
	for _, c := range []struct {
		name string
		size int
		file func(data []byte) formats.File
		want formats.Result
	}{
		{"cached and large", 100 << 10, b.fetchedFile, formats.Hit},
		{"cached and small", 1000, b.fetchedFile, formats.Hit},
		{"hosted and large", 100 << 10, b.publishedFile, formats.Hosted},
		{"hosted and small", 1000, b.publishedFile, formats.Hosted},
	} {
		data := append([]byte(c.name), text(c.size)...)
		f := c.file(data)
		f.Head = true
		b.far.Forget()
		spy.opened.Store(0)
		for range 3 {
			got, err := b.reader.File(context.Background(), f)
			if err != nil {
				t.Fatalf("%s: %v", c.name, err)
			}
			if got.Size != int64(len(data)) || got.Result != c.want || got.ETag == "" || !got.Immutable || got.File != nil || got.Follow != nil {
				t.Errorf("%s: %+v", c.name, got)
			}
		}
		if n := spy.opened.Load(); n != 0 || len(b.far.Log()) != 0 {
			t.Errorf("%s: opened %d times, asked %v", c.name, n, b.far.Log())
		}
		f.Head = false
		b.want(f, data, c.want)
	}
}

// fetchedFile is a file of an upstream that is held, and not in memory.
func (b *bench) fetchedFile(data []byte) formats.File {
	b.t.Helper()
	f := file(string(data[:16]))
	f.Locate = func(context.Context) (formats.Location, error) { return formats.Location{Ref: "f"}, nil }
	b.far.Serve("/f", upstreamtest.Answer{Body: data})
	b.want(f, data, formats.Miss)
	b.landed()
	return f
}

// publishedFile is a file that was published and not read.
func (b *bench) publishedFile(data []byte) formats.File {
	b.t.Helper()
	pkg := map[bool]string{true: "large", false: "small"}[len(data) > 64<<10]
	if err := publish(b.as("alice", ""), pkg, "1", data); err != nil {
		b.t.Fatal(err)
	}
	return hostedFileAt(pkg, "1")
}

// TestHeadOfLostBytes says of nothing that it is there: a client that believed
// it would not send what we lost.
func TestHeadOfLostBytes(t *testing.T) {
	b := newBench(t)
	hosted := b.publishedFile(append([]byte("hosted"), text(1000)...))
	fetched := append([]byte("fetched, 16 bytes"), text(100<<10)...)
	cached := b.fetchedFile(fetched)
	for blob, err := range b.store.List(context.Background()) {
		if err = errors.Join(err, b.store.Delete(context.Background(), blob.Digest)); err != nil {
			t.Fatal(err)
		}
	}
	hosted.Head, cached.Head = true, true
	c, err := b.reader.File(context.Background(), hosted)
	if err == nil || errors.Is(err, formats.ErrNotFound) || b.seen.integrity.Load() != 1 {
		t.Errorf("hosted: %+v, %v", c, err)
	}
	b.far.Forget()
	c, err = b.reader.File(context.Background(), cached)
	if err != nil || c.Result != formats.Pass {
		t.Errorf("cached: %+v, %v", c, err)
	}
	if log := b.far.Log(); len(log) != 1 || log[0].Method != http.MethodHead {
		t.Errorf("log %v", log)
	}
	cached.Head = false
	b.want(cached, fetched, formats.Miss)
}

// TestHeadOfLostBytesInMemory: of a hosted file that lies in memory still, the
// store alone knows whether it will be here tomorrow.
func TestHeadOfLostBytesInMemory(t *testing.T) {
	b := newBench(t)
	data := append([]byte("hosted"), text(1000)...)
	f := b.publishedFile(data)
	b.want(f, data, formats.Hosted)
	if err := b.store.Delete(context.Background(), cache.Digest(sumOf(data).Value)); err != nil {
		t.Fatal(err)
	}
	f.Head = true
	if c, err := b.reader.File(context.Background(), f); !errors.Is(err, formats.ErrDamaged) || b.seen.integrity.Load() != 1 {
		t.Errorf("%+v, %v, %d alarms", c, err, b.seen.integrity.Load())
	}
	f.Head = false
	b.want(f, data, formats.Hosted)
}

// TestClientLeavesAHostedHit while its file lies in memory: it gets the file or
// an error, and never neither.
func TestClientLeavesAHostedHit(t *testing.T) {
	b := newBench(t)
	data := append([]byte("hosted"), text(1000)...)
	f := b.publishedFile(data)
	b.want(f, data, formats.Hosted)
	ctx, leave := context.WithCancel(context.Background())
	leave()
	if c, err := b.reader.File(ctx, f); c == nil && err == nil {
		t.Error("no file and no error")
	}
}

// TestHostedRecordThatEnded is missing and no damage: a lease ends behind the
// back of the package, and a reader may still remember its record.
func TestHostedRecordThatEnded(t *testing.T) {
	for _, head := range []bool{false, true} {
		b := newBench(t)
		data := append([]byte("hosted"), text(100<<10)...)
		f := b.publishedFile(data)
		b.want(f, data, formats.Hosted)
		blob := cache.Blob{Digest: cache.Digest(sumOf(data).Value), Size: int64(len(data))}
		b.makeLease(blob)
		b.clock.advance(time.Hour)
		b.sweep()
		err := b.index.View(context.Background(), func(r cache.Reader) error { _, err := refs.Unused(r, blob.Digest); return err })
		if err = errors.Join(err, b.store.Delete(context.Background(), blob.Digest)); err != nil {
			t.Fatal(err)
		}
		f.Head = head
		if c, err := b.reader.File(context.Background(), f); !errors.Is(err, formats.ErrNotFound) || b.seen.integrity.Load() != 0 {
			t.Errorf("%+v, %v, %d alarms", c, err, b.seen.integrity.Load())
		}
	}
}

// makeLease turns the hosted uses of a blob into leases of a minute.
func (b *bench) makeLease(blob cache.Blob) {
	b.t.Helper()
	now := b.clock.now()
	err := b.index.Update(context.Background(), func(w cache.Writer) error {
		for e, err := range refs.Edges(w, blob.Digest) {
			if err != nil {
				return err
			}
			lease := refs.Edge{Kind: refs.Lease, Record: e.Record, Expires: now.Add(time.Minute)}
			if e.Kind == refs.Hosted {
				err = refs.Link(w, blob, lease, now)
			}
			if err = errors.Join(err, refs.Unlink(w, blob.Digest, e, now)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		b.t.Fatal(err)
	}
}
