package registry_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"testing"
	"time"

	"larder/cache"
	"larder/formats"
	"larder/proxy/registry"
	"larder/upstream"
	"larder/upstream/upstreamtest"
)

// text returns n bytes that do not repeat soon.
func text(n int) []byte {
	b := make([]byte, n)
	x := uint32(1)
	for i := range b {
		x = x*1664525 + 1013904223
		b[i] = byte(x >> 24)
	}
	return b
}

// sizes are around every threshold of a flight: memory, hold-back, one read.
var sizes = []int{0, 1, 64<<10 - 1, 64 << 10, 64<<10 + 1, 256 << 10, 1<<20 + 3}

func TestMissThenHit(t *testing.T) {
	for _, size := range sizes {
		for _, chunked := range []bool{false, true} {
			b := newBench(t)
			data := text(size)
			b.far.Serve("/f", upstreamtest.Answer{Body: data, Chunked: chunked})
			b.want(file("f", sumOf(data)), data, formats.Miss)
			b.stored(file("f"))
			for range 2 {
				b.want(file("f"), data, formats.Hit)
			}
			c, err := b.reader.File(context.Background(), file("f"))
			if err != nil {
				t.Fatal(err)
			}
			c.Close()
			if d := sumOf(data); c.ETag != `"`+cache.Digest(d.Value).String()+`"` || !c.Immutable || c.Size != int64(size) || c.MediaType != "application/x-test" {
				t.Errorf("%d bytes: content %+v", size, c)
			}
			if n := b.far.Requests("/f"); n != 1 {
				t.Errorf("%d bytes: %d upstream requests", size, n)
			}
			if b.room.touched.Load() == 0 || b.seen.integrity.Load() != 0 {
				t.Error("a hit was not noted, or something was found to be damaged")
			}
		}
	}
}

// TestOneFlight: many clients of one cold file are one upstream request.
func TestOneFlight(t *testing.T) {
	b := newBench(t)
	data, open := text(1<<20), make(chan struct{})
	b.far.Serve("/f", upstreamtest.Answer{Body: data, Wait: open})
	const clients = 64
	var wg sync.WaitGroup
	results := make(chan formats.Result, clients)
	for range clients {
		wg.Go(func() {
			got, how, err := b.get(file("f", sumOf(data)))
			if err != nil || !bytes.Equal(got, data) {
				t.Errorf("%d bytes, %v", len(got), err)
			}
			results <- how
		})
	}
	eventually(t, "all have joined", func() bool { return b.seen.shared.Load() == clients-1 })
	close(open)
	wg.Wait()
	count := map[formats.Result]int{}
	for range clients {
		count[<-results]++
	}
	if count[formats.Miss] != 1 || count[formats.Join] != clients-1 {
		t.Errorf("results %v", count)
	}
	if n := b.far.Requests("/f"); n != 1 {
		t.Errorf("%d upstream requests", n)
	}
}

// TestLeaderLeaves: who began a flight does not end it by going away.
func TestLeaderLeaves(t *testing.T) {
	b := newBench(t)
	data, open := text(1<<20), make(chan struct{})
	b.far.Serve("/f", upstreamtest.Answer{Body: data, Wait: open})
	ctx, leave := context.WithCancel(context.Background())
	left := make(chan error, 1)
	go func() {
		_, err := b.reader.File(ctx, file("f", sumOf(data)))
		left <- err
	}()
	eventually(t, "the request has arrived", func() bool { return b.far.Requests("/f") == 1 })
	leave()
	if err := <-left; !errors.Is(err, context.Canceled) {
		t.Errorf("the leader got %v", err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		b.want(file("f", sumOf(data)), data, formats.Join)
	}()
	eventually(t, "the second has joined", func() bool { return b.seen.shared.Load() == 1 })
	close(open)
	<-done
	if n := b.far.Requests("/f"); n != 1 {
		t.Errorf("%d upstream requests", n)
	}
}

// TestEveryReaderLeaves: a small file is fetched to its end all the same.
func TestEveryReaderLeaves(t *testing.T) {
	b := newBench(t)
	data := text(1 << 20)
	b.far.Serve("/f", upstreamtest.Answer{Body: data})
	c, err := b.reader.File(context.Background(), file("f", sumOf(data)))
	if err != nil {
		t.Fatal(err)
	}
	r, err := c.Follow(context.Background(), 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(r, make([]byte, 10)); err != nil {
		t.Fatal(err)
	}
	r.Close()
	b.stored(file("f"))
	b.want(file("f"), data, formats.Hit)
}

// TestSlowReader: one that does not read holds up neither the flight nor others.
func TestSlowReader(t *testing.T) {
	b := newBench(t)
	data := text(2 << 20)
	b.far.Serve("/f", upstreamtest.Answer{Body: data})
	slow, err := b.reader.File(context.Background(), file("f", sumOf(data)))
	if err != nil {
		t.Fatal(err)
	}
	r, err := slow.Follow(context.Background(), 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if _, err := io.ReadFull(r, make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	b.stored(file("f")) // the flight ends, and a second reader gets all
	b.want(file("f"), data, formats.Hit)
	rest, err := io.ReadAll(r)
	if err != nil || !bytes.Equal(rest, data[1:]) {
		t.Errorf("the slow reader got %d bytes, %v", len(rest), err)
	}
}

func TestRangeOnMiss(t *testing.T) {
	b := newBench(t)
	data := text(1 << 20)
	b.far.Serve("/f", upstreamtest.Answer{Body: data})
	for _, span := range [][2]int64{{0, 10}, {1000, 500 << 10}, {1<<20 - 5, 5}, {10, -1}} {
		c, err := b.reader.File(context.Background(), file("f", sumOf(data)))
		if err != nil {
			t.Fatal(err)
		}
		if c.Follow == nil {
			c.Close()
			break // it is stored by now: formats.Reply cuts hits
		}
		want := data[span[0]:]
		if span[1] >= 0 {
			want = want[:span[1]]
		}
		if got, err := part(c, span[0], span[1]); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%v: %d bytes, %v", span, len(got), err)
		}
	}
	b.stored(file("f"))
	if n := b.far.Requests("/f"); n != 1 {
		t.Errorf("%d requests", n)
	}
}

func TestHeadOnMiss(t *testing.T) {
	b := newBench(t)
	data := text(1000)
	b.far.Serve("/f", upstreamtest.Answer{Body: data})
	f := file("f")
	f.Head = true
	c, err := b.reader.File(context.Background(), f)
	if err != nil || c.Size != 1000 || c.Bytes != nil || c.Follow != nil || c.Result != formats.Pass {
		t.Fatalf("%+v, %v", c, err)
	}
	if log := b.far.Log(); len(log) != 1 || log[0].Method != http.MethodHead || b.blobs() != 0 {
		t.Errorf("log %v", log)
	}
	f.Name, f.Locate = "g", func(context.Context) (formats.Location, error) { return formats.Location{Ref: "g"}, nil }
	if _, err := b.reader.File(context.Background(), f); !errors.Is(err, formats.ErrNotFound) {
		t.Errorf("HEAD of what is missing: %v", err)
	}
}

func TestMissingFileIsRemembered(t *testing.T) {
	b := newBench(t)
	for range 3 {
		b.refuse(file("f"), formats.ErrNotFound)
	}
	if n := b.far.Requests("/f"); n != 1 {
		t.Errorf("%d requests within the ten seconds", n)
	}
	b.far.Serve("/f", upstreamtest.Answer{Body: []byte("x")})
	b.clock.advance(11 * time.Second)
	b.want(file("f"), []byte("x"), formats.Miss)
}

// TestPin: the bytes first seen are the only ones that are taken, also after
// they were evicted and when nothing else announces a digest.
func TestPin(t *testing.T) {
	b := newBench(t)
	data, other := text(100<<10), text(100<<10+1)
	b.far.Serve("/f", upstreamtest.Answer{Body: data})
	b.want(file("f"), data, formats.Miss)
	b.stored(file("f"))
	b.far.Serve("/f", upstreamtest.Answer{Body: other})
	b.want(file("f"), data, formats.Hit) // what is cached is still served
	b.evict(data)
	b.refuse(file("f"), upstream.ErrCorrupt)
	b.room.full.Store(true)
	b.clock.advance(2 * time.Minute)
	b.refuse(file("f"), upstream.ErrCorrupt) // also when passed through
	b.room.full.Store(false)
	b.clock.advance(2 * time.Minute)
	b.far.Serve("/f", upstreamtest.Answer{Body: data})
	b.want(file("f"), data, formats.Miss)
}

// TestTooManyFlights: one slot, many files, all come.
func TestTooManyFlights(t *testing.T) {
	b := newBench(t, func(_ *bench, o *registry.Options) { o.Flights = 1 })
	data := text(100 << 10)
	var wg sync.WaitGroup
	for _, name := range []string{"a", "b", "c", "d", "e"} {
		b.far.Serve("/"+name, upstreamtest.Answer{Body: data})
		wg.Go(func() {
			if got, _, err := b.get(file(name, sumOf(data))); err != nil || !bytes.Equal(got, data) {
				t.Errorf("%s: %d bytes, %v", name, len(got), err)
			}
		})
	}
	wg.Wait()
}

// TestPanicInFormat: what a format trips over ends the request alone.
func TestPanicInFormat(t *testing.T) {
	b := newBench(t)
	f := file("f")
	f.Locate = func(context.Context) (formats.Location, error) { panic("index out of range") }
	if _, _, err := b.get(f); err == nil {
		t.Error("a panic was taken for a file")
	}
	d := b.format.document("p")
	d.Check = func(io.Reader) error { panic("index out of range") }
	b.far.Serve("/p", upstreamtest.Answer{Body: []byte("p: x")})
	if _, _, err := doc(b.reader, d); err == nil {
		t.Error("a panic was taken for a document")
	}
}

func TestCloseEndsFlights(t *testing.T) {
	b := newBench(t)
	b.far.Serve("/f", upstreamtest.Answer{Body: text(1 << 20), Stall: true, StallAfter: 10})
	c, err := b.reader.File(context.Background(), file("f"))
	if err != nil {
		t.Fatal(err)
	}
	if err := b.engine.Close(); err != nil {
		t.Fatal(err)
	}
	if got, err := body(c); err == nil {
		t.Errorf("%d bytes looked whole", len(got))
	}
	if _, _, err := b.get(file("g")); err == nil {
		t.Error("a flight began after Close")
	}
	if _, _, err := doc(b.reader, b.format.document("p")); err == nil {
		t.Error("a document was fetched after Close")
	}
}

// TestNeverTwice: clients that come while a file is being stored see the flight
// or a hit, never neither.
func TestNeverTwice(t *testing.T) {
	b := newBench(t)
	for i := range 100 {
		name, data := fmt.Sprint(i), text(10)
		b.far.Serve("/"+name, upstreamtest.Answer{Body: data})
		clients(t, 8, func() {
			for range 4 {
				if got, _, err := b.get(file(name, sumOf(data))); err != nil || !bytes.Equal(got, data) {
					t.Errorf("%s: %d bytes, %v", name, len(got), err)
				}
			}
		})
		if n := b.far.Requests("/" + name); n != 1 {
			t.Errorf("%s: %d upstream requests", name, n)
		}
	}
}
