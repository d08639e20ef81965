package registry_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"testing"

	"larder/cache"
	"larder/formats"
	"larder/proxy/registry"
	"larder/upstream"
	"larder/upstream/upstreamtest"
)

// farBench is a bench whose flight of f stands still after 100 KiB until open is
// closed, while parts of the file come at once. parts, if not nil, answers these.
func farBench(t *testing.T, data []byte, parts *upstreamtest.Answer) (b *bench, open chan struct{}) {
	b = newBench(t, func(_ *bench, o *registry.Options) { o.Pace.Ahead = 256 << 10 })
	open = make(chan struct{})
	whole := upstreamtest.Answer{Body: data, ETag: `"one"`}
	if parts == nil {
		parts = &whole
	}
	b.far.ServeFunc("/f", func(r *http.Request) upstreamtest.Answer {
		if r.Header.Get("Range") != "" {
			return *parts
		}
		return whole
	})
	src := b.source("far", b.far)
	src.Fetcher = &pausing{src.Fetcher, open}
	b.spec.Upstreams = b.only(src)
	b.reader = b.engine.Registry(b.spec).For(user("alice"), "", base)
	return b, open
}

// pausing holds whole bodies back after 100 KiB until it is opened.
type pausing struct {
	registry.Fetcher
	open chan struct{}
}

func (p *pausing) Fetch(ctx context.Context, req upstream.Request) (*upstream.Response, error) {
	r, err := p.Fetcher.Fetch(ctx, req)
	if err == nil && req.Range == "" {
		r.Body = &pausedBody{r.Body, ctx, p.open, 100 << 10}
	}
	return r, err
}

type pausedBody struct {
	io.ReadCloser
	ctx  context.Context
	open chan struct{}
	left int
}

func (p *pausedBody) Read(b []byte) (int, error) {
	if p.left == 0 {
		select {
		case <-p.open:
			return p.ReadCloser.Read(b)
		case <-p.ctx.Done():
			return 0, p.ctx.Err()
		}
	}
	n, err := p.ReadCloser.Read(b[:min(len(b), p.left)])
	p.left -= n
	return n, err
}

// want reads n bytes and compares.
func wantNext(t *testing.T, r io.Reader, want []byte) {
	t.Helper()
	got := make([]byte, len(want))
	if n, err := io.ReadFull(r, got); err != nil || !bytes.Equal(got, want) {
		t.Fatalf("%d of %d bytes, right: %v, %v", n, len(want), bytes.Equal(got, want), err)
	}
}

func (b *bench) follow(f formats.File, off, n int64) io.ReadCloser {
	b.t.Helper()
	c, err := b.reader.File(context.Background(), f)
	if err != nil {
		b.t.Fatal(err)
	}
	r, err := c.Follow(context.Background(), off, n)
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { r.Close() })
	return r
}

// TestRangeFarAhead of a flight is not waited for: it comes straight from the
// upstream, of the same body.
func TestRangeFarAhead(t *testing.T) {
	data := text(2 << 20)
	b, open := farBench(t, data, nil)
	got, err := io.ReadAll(b.follow(file("f", sumOf(data)), 1<<20, 300<<10))
	if err != nil || !bytes.Equal(got, data[1<<20:1<<20+300<<10]) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	log := b.far.Log()
	if len(log) != 2 || log[1].Header.Get("Range") != "bytes=1048576-1355775" || log[1].Header.Get("If-Range") != `"one"` {
		t.Errorf("log %v", log)
	}
	// One that is not so far is waited for, and asks nobody.
	near := b.follow(file("f", sumOf(data)), 200<<10, 10)
	close(open)
	wantNext(t, near, data[200<<10:200<<10+10])
	b.stored(file("f"))
	if n := b.far.Requests("/f"); n != 2 {
		t.Errorf("%d requests", n)
	}
}

// TestEndFarAhead: the last block of a file leaves only once the whole has been
// verified, whichever way the rest came.
func TestEndFarAhead(t *testing.T) {
	data := text(2 << 20)
	for name, n := range map[string]int64{"to the end": -1, "to the end, counted": 1 << 20, "beyond the end": 1 << 40} {
		for _, wrong := range []bool{false, true} {
			b, open := farBench(t, data, nil)
			sum := sumOf(data)
			if wrong {
				sum = sumOf([]byte("other"))
			}
			r := b.follow(file("f", sum), 1<<20, n)
			wantNext(t, r, data[1<<20:2<<20-cache.HoldBack])
			close(open)
			rest, err := io.ReadAll(r)
			switch {
			case wrong && (len(rest) != 0 || !errors.Is(err, upstream.ErrCorrupt)):
				t.Errorf("%s: %d bytes of the last block, %v", name, len(rest), err)
			case !wrong && (err != nil || !bytes.Equal(rest, data[2<<20-cache.HoldBack:])):
				t.Errorf("%s: %d bytes, %v", name, len(rest), err)
			}
		}
	}
	// A range within the last block has nothing that could come early.
	b, open := farBench(t, data, nil)
	r := b.follow(file("f", sumOf(data)), 2<<20-100, -1)
	close(open)
	wantNext(t, r, data[2<<20-100:])
	if n := b.far.Requests("/f"); n != 1 {
		t.Errorf("%d requests", n)
	}
}

// TestWrongBodyFarAhead: a range that came early is cut where the flight has found
// out meanwhile that the body is wrong.
func TestWrongBodyFarAhead(t *testing.T) {
	data := text(2 << 20)
	b, open := farBench(t, data, nil)
	r := b.follow(file("f", sumOf([]byte("other"))), 1<<20, 300<<10)
	wantNext(t, r, data[1<<20:1<<20+100])
	close(open)
	b.landed()
	if rest, err := io.ReadAll(r); !errors.Is(err, upstream.ErrCorrupt) {
		t.Errorf("%d bytes, %v", len(rest), err)
	}
}

// TestPartOfAnotherBody: what is not proved to be of the body under way is not
// mixed with it; the flight brings the range.
func TestPartOfAnotherBody(t *testing.T) {
	data, other := text(2<<20), text(2<<20+1)
	for name, parts := range map[string]upstreamtest.Answer{
		"changed":            {Body: other, ETag: `"two"`},
		"changed, same size": {Body: bytes.Repeat([]byte("x"), 2<<20), ETag: `"two"`},
		"ranges are ignored": {Body: data, ETag: `"one"`, NoRanges: true},
		"gone":               {Status: 404},
		"failing":            {Status: 500},
	} {
		b, open := farBench(t, data, &parts)
		r := b.follow(file("f", sumOf(data)), 1<<20, 300<<10)
		close(open)
		wantNext(t, r, data[1<<20:1<<20+300<<10])
		if _, err := r.Read(make([]byte, 1)); err != io.EOF {
			t.Errorf("%s: behind the range: %v", name, err)
		}
	}
	// Without a strong tag nothing could be proved, and nothing is asked.
	b, open := farBench(t, data, nil)
	b.far.Serve("/f", upstreamtest.Answer{Body: data, ETag: `W/"one"`})
	r := b.follow(file("f", sumOf(data)), 1<<20, 300<<10)
	close(open)
	wantNext(t, r, data[1<<20:1<<20+300<<10])
	if n := b.far.Requests("/f"); n != 1 {
		t.Errorf("%d requests", n)
	}
}

// TestPartThatBreaks is gone on with, or cut: never ended short.
func TestPartThatBreaks(t *testing.T) {
	data := text(2 << 20)
	b, open := farBench(t, data, &upstreamtest.Answer{Body: data, ETag: `"one"`, Cut: true, CutAfter: 100 << 10})
	defer close(open)
	got, err := io.ReadAll(b.follow(file("f", sumOf(data)), 1<<20, 350<<10))
	if err != nil || !bytes.Equal(got, data[1<<20:1<<20+350<<10]) {
		t.Errorf("after three resumptions: %d bytes, %v", len(got), err)
	}
	if got, err := io.ReadAll(b.follow(file("f", sumOf(data)), 1<<20, 700<<10)); err == nil {
		t.Errorf("%d bytes of a range that broke too often look whole", len(got))
	}
}

// TestQueuedFlightWithoutClients: a flight that waits for its slot ends with the
// last client that wants it, and not with one of several.
func TestQueuedFlightWithoutClients(t *testing.T) {
	data := text(300 << 10)
	b := newBench(t, func(_ *bench, o *registry.Options) { o.Flights = 1 })
	open := make(chan struct{})
	b.far.Serve("/a", upstreamtest.Answer{Body: data, Wait: open})
	b.far.Serve("/b", upstreamtest.Answer{Body: data})
	first := make(chan error, 1)
	go func() {
		_, _, err := b.get(file("a"))
		first <- err
	}()
	eventually(t, "the slot is taken", func() bool { return b.far.Requests("/a") == 1 })
	ctx, leave := context.WithCancel(context.Background())
	left := make(chan error, 2)
	for i := range 2 {
		go func() {
			_, err := b.reader.File(ctx, file("b"))
			left <- err
		}()
		eventually(t, "it queues", func() bool { return b.engine.Flying() == 2 && b.seen.shared.Load() == int64(i) })
	}
	stays := make(chan error, 1)
	go func() {
		got, _, err := b.get(file("b"))
		if err == nil && !bytes.Equal(got, data) {
			err = errors.New("other bytes")
		}
		stays <- err
	}()
	eventually(t, "a third joins", func() bool { return b.seen.shared.Load() == 2 })
	gone, leaves := context.WithCancel(context.Background())
	other := make(chan error, 1)
	go func() {
		_, err := b.reader.File(gone, file("c"))
		other <- err
	}()
	eventually(t, "another queues", func() bool { return b.engine.Flying() == 3 })
	leave()
	leaves()
	for range 2 {
		if err := <-left; !errors.Is(err, context.Canceled) {
			t.Errorf("error %v", err)
		}
	}
	<-other
	eventually(t, "the flight that nobody wants is gone", func() bool { return b.engine.Flying() == 2 })
	close(open)
	if err := errors.Join(<-first, <-stays); err != nil {
		t.Error(err)
	}
	b.far.Serve("/d", upstreamtest.Answer{Body: data})
	b.want(file("d"), data, formats.Miss) // behind all that still queues
	if n := b.far.Requests("/c"); n != 0 || b.far.Requests("/b") != 1 {
		t.Errorf("%d requests for what nobody wanted, log %v", n, b.far.Log())
	}
}

// TestEndlessBody: a body of unknown length is held to the budget as it grows,
// before it has cost all else that is cached.
func TestEndlessBody(t *testing.T) {
	const budget = 4 << 20
	b := newBench(t, onDisk(budget))
	small := text(100 << 10)
	b.far.Serve("/small", upstreamtest.Answer{Body: small})
	b.want(file("small"), small, formats.Miss)
	b.stored(file("small"))
	body := &endless{pattern: text(1 << 20)}
	endlessly := &upstream.Response{Status: 200, Header: http.Header{}, Body: io.NopCloser(body), Size: -1}
	b.with(&scripted{replies: []*upstream.Response{endlessly, reply(200, []byte("short"), nil)}})
	c, err := b.reader.File(context.Background(), file("f"))
	if err != nil {
		t.Fatal(err)
	}
	r, err := c.Follow(context.Background(), 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	// Who comes when there is no room any more gets what is passed through.
	if got, err := io.ReadAll(r); !errors.Is(err, cache.ErrFull) && string(got) != "short" {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	b.landed()
	if body.sent > 2*budget {
		t.Errorf("%d bytes were taken in, the budget is %d", body.sent, budget)
	}
	b.want(file("small"), small, formats.Hit)
}
