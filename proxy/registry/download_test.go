package registry_test

import (
	"bytes"
	"errors"
	"net/http"
	"sync"
	"testing"
	"time"

	"larder/formats"
	"larder/proxy/registry"
	"larder/upstream"
	"larder/upstream/upstreamtest"
)

// TestThreat14BadBodies: whatever an upstream does wrong, nobody takes it for the file,
// nothing is kept, and a later request works.
func TestThreat14BadBodies(t *testing.T) {
	data := text(512 << 10)
	tests := []struct {
		name   string
		answer upstreamtest.Answer
		kind   error
		pause  bool // the key is left alone for a while
	}{
		{"cut at once", upstreamtest.Answer{Cut: true, CutAfter: 1}, upstream.ErrUnavailable, false},
		{"cut half-way", upstreamtest.Answer{Cut: true, CutAfter: 256 << 10}, upstream.ErrUnavailable, false},
		{"cut before the last byte", upstreamtest.Answer{Cut: true, CutAfter: 512<<10 - 1}, upstream.ErrUnavailable, false},
		{"chunked, cut", upstreamtest.Answer{Chunked: true, Cut: true, CutAfter: 300 << 10}, upstream.ErrUnavailable, false},
		{"chunked, without its end", upstreamtest.Answer{Chunked: true, Cut: true, CutAfter: 512 << 10}, upstream.ErrUnavailable, false},
		{"wrong digest", upstreamtest.Answer{Wrong: true}, upstream.ErrCorrupt, true},
		{"chunked, wrong digest", upstreamtest.Answer{Wrong: true, Chunked: true}, upstream.ErrCorrupt, true},
		{"silent", upstreamtest.Answer{Stall: true, StallAfter: 300 << 10}, upstream.ErrTimeout, false},
		{"too slow in all", upstreamtest.Answer{Drip: 1, DripEvery: 5 * time.Millisecond}, upstream.ErrTimeout, false},
		{"an encoding not asked for", upstreamtest.Answer{Header: http.Header{"Content-Encoding": {"gzip"}}}, upstream.ErrUnavailable, false},
		{"a server's fault", upstreamtest.Answer{Status: 500}, upstream.ErrUnavailable, false},
		{"a part that nobody asked for", upstreamtest.Answer{Status: 206}, upstream.ErrUnavailable, false},
		{"no reply", upstreamtest.Answer{NoReply: true}, upstream.ErrUnavailable, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(t, func(_ *bench, o *registry.Options) {
				o.Pace = registry.Pace{Stall: time.Second, Base: 2 * time.Second}
			})
			data, answer := data, tt.answer
			if answer.Drip > 0 {
				data = data[:1000] // a second for every 64 KiB is allowed
			}
			answer.Body = data
			b.far.Serve("/f", answer)
			clients(t, 8, func() { b.refuse(file("f", sumOf(data)), tt.kind) })
			if n := b.blobs(); n != 0 || len(b.rows("f")) != 0 || len(b.rows("s")) != 0 {
				t.Errorf("%d blobs, rows %q %q", n, b.rows("f"), b.rows("s"))
			}
			b.far.Serve("/f", upstreamtest.Answer{Body: data})
			b.far.Forget()
			if tt.pause {
				b.refuse(file("f", sumOf(data)), upstream.ErrCorrupt)
				if n := b.far.Requests("/f"); n != 0 || b.seen.integrity.Load() == 0 {
					t.Errorf("asked %d times within the pause, %d alarms", n, b.seen.integrity.Load())
				}
			}
			b.clock.advance(2 * time.Minute) // pauses and breakers are over
			b.want(file("f", sumOf(data)), data, formats.Miss)
			b.stored(file("f"))
		})
	}
}

// clients runs fn in n goroutines at once.
func clients(_ *testing.T, n int, fn func()) {
	var wg sync.WaitGroup
	for range n {
		wg.Go(fn)
	}
	wg.Wait()
}

// TestPauseGrows: bytes that stay wrong are asked for less and less often.
func TestPauseGrows(t *testing.T) {
	b := newBench(t)
	data := text(10)
	b.far.Serve("/f", upstreamtest.Answer{Body: data, Wrong: true})
	for _, pause := range []time.Duration{5, 10, 20, 40, 60, 60} {
		b.refuse(file("f", sumOf(data)), upstream.ErrCorrupt)
		asked := b.far.Requests("/f")
		b.clock.advance(pause*time.Second - 1)
		b.refuse(file("f", sumOf(data)), upstream.ErrCorrupt)
		if n := b.far.Requests("/f"); n != asked {
			t.Fatalf("asked again before %d s were over", pause)
		}
		b.clock.advance(1)
	}
	b.far.Serve("/f", upstreamtest.Answer{Body: data})
	b.want(file("f", sumOf(data)), data, formats.Miss)
}

// TestResume: a broken body goes on where it broke, if it is still the same.
func TestResume(t *testing.T) {
	data, other := text(512<<10), text(512<<10+1)
	cut := upstreamtest.Answer{Body: data, ETag: `"one"`, Cut: true, CutAfter: 200 << 10, Header: http.Header{"Accept-Ranges": {"bytes"}}}
	whole := upstreamtest.Answer{Body: data, ETag: `"one"`, Header: http.Header{"Accept-Ranges": {"bytes"}}}
	weak, changed, deaf, silent, short := cut, whole, whole, cut, cut
	short.CutAfter = 100 << 10
	weak.ETag = `W/"one"`
	changed.Body, changed.ETag = other, `"two"`
	deaf.NoRanges = true
	silent.Cut, silent.Stall, silent.StallAfter = false, true, 200<<10
	tests := []struct {
		name     string
		answers  []upstreamtest.Answer
		whole    bool
		requests int
	}{
		{"once", []upstreamtest.Answer{cut, whole}, true, 2},
		{"after silence", []upstreamtest.Answer{silent, whole}, true, 2},
		{"twice", []upstreamtest.Answer{cut, cut, whole}, true, 3},
		{"too often", []upstreamtest.Answer{short, short, short, short, whole}, false, 4},
		{"without a strong tag", []upstreamtest.Answer{weak, whole}, false, 1},
		{"another file by now", []upstreamtest.Answer{cut, changed}, false, 2},
		{"ranges are ignored", []upstreamtest.Answer{cut, deaf}, false, 2},
		{"gone by now", []upstreamtest.Answer{cut, {Status: 404}}, false, 2},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(t, func(_ *bench, o *registry.Options) { o.Pace.Stall = time.Second })
			b.far.Serve("/f", tt.answers...)
			got, _, err := b.get(file("f", sumOf(data)))
			if whole := err == nil && bytes.Equal(got, data); whole != tt.whole {
				t.Errorf("%d bytes, %v; want them whole: %v", len(got), err, tt.whole)
			}
			if err != nil && !errors.Is(err, upstream.ErrUnavailable) {
				t.Errorf("error %v", err)
			}
			log := b.far.Log()
			if len(log) != tt.requests {
				t.Errorf("%d requests, want %d", len(log), tt.requests)
			}
			for _, e := range log[1:] {
				if e.Header.Get("If-Range") != `"one"` || e.Header.Get("Range") == "" {
					t.Errorf("a rest was asked for with %v", e.Header)
				}
			}
		})
	}
}

// TestThreat14CutAnywhere: at whichever eighth a body breaks, no client takes it for whole.
func TestThreat14CutAnywhere(t *testing.T) {
	data := text(512 << 10)
	for i := range 8 {
		for _, chunked := range []bool{false, true} {
			b := newBench(t)
			b.far.Serve("/f", upstreamtest.Answer{Body: data, Chunked: chunked, Cut: true, CutAfter: 1 + i*len(data)/8})
			got, _, err := b.get(file("f"))
			if err == nil || len(got) > i*len(data)/8 {
				t.Errorf("cut after %d/8 (chunked: %v): %d bytes, %v", i, chunked, len(got), err)
			}
			if b.blobs() != 0 || len(b.rows("s")) != 0 {
				t.Errorf("cut after %d/8: something was stored or pinned", i)
			}
		}
	}
}
