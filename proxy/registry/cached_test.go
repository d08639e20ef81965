package registry_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"larder/cache"
	"larder/cache/refs"
	"larder/formats"
	"larder/proxy/registry"
	"larder/upstream/upstreamtest"
)

// evict takes a cached blob away as cache/evict does: records first.
func (b *bench) evict(data []byte) {
	b.t.Helper()
	d := cache.Digest(sumOf(data).Value)
	err := b.index.Update(context.Background(), func(w cache.Writer) error {
		for _, q := range []refs.Queue{refs.Probation, refs.Main} {
			for c, err := range refs.Oldest(w, q, nil) {
				if err != nil {
					return err
				}
				if c.Digest != d {
					continue
				}
				_, err := refs.Evict(w, c, b.clock.now())
				return err
			}
		}
		return errors.New("the blob is not evictable")
	})
	if err == nil {
		err = b.store.Delete(context.Background(), d)
	}
	if err != nil {
		b.t.Fatalf("evict: %v", err)
	}
}

// TestEvictedFile: a record that is still in memory does not matter.
func TestEvictedFile(t *testing.T) {
	b := newBench(t)
	data := text(100 << 10)
	b.far.Serve("/f", upstreamtest.Answer{Body: data})
	b.want(file("f"), data, formats.Miss)
	b.stored(file("f"))
	b.clock.advance(time.Second)
	b.evict(data)
	b.want(file("f"), data, formats.Miss)
	if b.seen.integrity.Load() != 0 {
		t.Error("an eviction was taken for damage")
	}
}

// TestLostFile: bytes that went without their record are fetched again, and
// somebody hears of it.
func TestLostFile(t *testing.T) {
	b := newBench(t)
	data := text(100 << 10)
	b.far.Serve("/f", upstreamtest.Answer{Body: data})
	b.want(file("f"), data, formats.Miss)
	b.stored(file("f"))
	b.clock.advance(time.Second)
	if err := b.store.Delete(context.Background(), cache.Digest(sumOf(data).Value)); err != nil {
		t.Fatal(err)
	}
	b.want(file("f"), data, formats.Miss)
	b.stored(file("f"))
	if b.seen.integrity.Load() != 1 {
		t.Errorf("%d alarms", b.seen.integrity.Load())
	}
}

// TestClientLeavesAHit: a request that ends says nothing of the bytes.
func TestClientLeavesAHit(t *testing.T) {
	b := newBench(t)
	data := text(100 << 10)
	b.far.Serve("/f", upstreamtest.Answer{Body: data})
	b.want(file("f"), data, formats.Miss)
	b.stored(file("f"))
	ctx, leave := context.WithCancel(context.Background())
	leave()
	if _, err := b.reader.File(ctx, file("f")); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	b.want(file("f"), data, formats.Hit)
	if b.seen.integrity.Load() != 0 {
		t.Error("a client that left was taken for damage")
	}
}

// TestEvictedDocument: its row goes with its bytes; a document that is only in
// memory still answers a check.
func TestEvictedDocument(t *testing.T) {
	b := newBench(t)
	long := "p: " + string(text(100<<10))
	b.far.Serve("/p", upstreamtest.Answer{Body: []byte(long), ETag: `"1"`})
	_, first, err := doc(b.reader, b.format.document("p"))
	if err != nil {
		t.Fatal(err)
	}
	b.clock.advance(time.Hour)
	b.evict([]byte(long))
	got, c, err := doc(b.reader, b.format.document("p"))
	if err != nil || got != base+" "+long || c.Result != formats.Miss || c.ETag != first.ETag {
		t.Errorf("%d bytes, %+v, %v: the tag must outlive the bytes", len(got), c, err)
	}
	if b.seen.integrity.Load() != 0 {
		t.Error("an eviction was taken for damage")
	}
}

// TestLostDocument: bytes that went without their row are fetched again, and
// not confirmed by a 304.
func TestLostDocument(t *testing.T) {
	b := newBench(t)
	long := "p: " + string(text(100<<10))
	b.far.Serve("/p", upstreamtest.Answer{Body: []byte(long), ETag: `"1"`})
	d := b.format.document("p")
	if _, _, err := doc(b.reader, d); err != nil {
		t.Fatal(err)
	}
	for _, wait := range []time.Duration{0, 2 * time.Hour} {
		b.clock.advance(wait + time.Second)
		if err := b.store.Delete(context.Background(), cache.Digest(sumOf([]byte(long)).Value)); err != nil {
			t.Fatal(err)
		}
		d.Variant += "x" // no rendering is at hand
		got, c, err := doc(b.reader, d)
		if err != nil || got != base+" "+long || c.Result != formats.Miss {
			t.Errorf("%d bytes, %+v, %v", len(got), c, err)
		}
	}
	if b.seen.integrity.Load() != 2 {
		t.Errorf("%d alarms", b.seen.integrity.Load())
	}
}

// TestLostRendering: a rendering that is gone is made again, from what it was
// made of.
func TestLostRendering(t *testing.T) {
	b := newBench(t, func(_ *bench, o *registry.Options) { o.Memory = 1 << 10 }) // nothing is kept in memory
	long := "p: " + string(text(400<<10))
	b.far.Serve("/p", answer(long, `"1"`))
	b.sees(long, formats.Miss)
	eventually(t, "the rendering is kept", func() bool { return len(b.rows("r")) == 1 })
	b.sees(long, formats.Hit)
	if n := b.format.renders.Load(); n != 1 {
		t.Errorf("%d renderings", n)
	}
	for blob, err := range b.store.List(context.Background()) {
		if err != nil {
			t.Fatal(err)
		}
		if blob.Digest != cache.Digest(sumOf([]byte(long)).Value) {
			if err := b.store.Delete(context.Background(), blob.Digest); err != nil {
				t.Fatal(err)
			}
		}
	}
	b.clock.advance(time.Second)
	b.sees(long, formats.Hit)
	if n := b.format.renders.Load(); n != 2 {
		t.Errorf("%d renderings", n)
	}
	eventually(t, "the rendering is kept again", func() bool { return len(b.rows("r")) == 1 })
}
