package registry_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"testing"
	"time"

	"larder/formats"
	"larder/upstream"
	"larder/upstream/upstreamtest"
)

// forwarded asks and insists on the answer.
func forwarded(t *testing.T, r formats.Registry, f formats.Forward, want string) *formats.Answer {
	t.Helper()
	a, err := r.Forward(context.Background(), f)
	if err != nil || string(a.Body) != want {
		t.Fatalf("%+v, %v; want %q", a, err, want)
	}
	return a
}

// TestForwardedAnswersAreKeptApart by all that they may depend on.
func TestForwardedAnswersAreKeptApart(t *testing.T) {
	b := newBench(t)
	echo := func(r *http.Request) upstreamtest.Answer {
		body, _ := io.ReadAll(r.Body) // from memory
		return upstreamtest.Answer{Body: []byte(r.Host + r.Method + r.URL.RequestURI() + r.Header.Get("Accept") + string(body))}
	}
	second := upstreamtest.New(t)
	b.far.ServeFunc("/search", echo)
	second.ServeFunc("/search", echo)
	spec := b.spec
	spec.Upstreams = b.only(b.source("second", second))
	there := b.engine.Registry(spec).For(user("alice"), "", base)
	for range 2 {
		for _, f := range []formats.Forward{
			{Method: http.MethodGet, Path: "search"},
			{Method: http.MethodGet, Path: "search?q=1"},
			{Method: http.MethodGet, Path: "search", Accept: "text/x"},
			{Method: http.MethodPost, Path: "search", Body: []byte("one")},
			{Method: http.MethodPost, Path: "search", Body: []byte("two")},
		} {
			f.Keep = time.Minute
			want := f.Method + "/" + f.Path + f.Accept + string(f.Body)
			forwarded(t, b.reader, f, b.far.Host()+want)
			forwarded(t, there, f, second.Host()+want)
		}
	}
	if n, m := len(b.far.Log()), len(second.Log()); n != 5 || m != 5 {
		t.Errorf("%d and %d requests", n, m)
	}
}

// TestForwardedAnswersAge by a clock that is set back, too, and one that is gone
// is gone.
func TestForwardedAnswersAge(t *testing.T) {
	b := newBench(t)
	f := formats.Forward{Method: http.MethodGet, Path: "search", Keep: time.Minute}
	b.far.Serve("/search", upstreamtest.Answer{Body: []byte("one")})
	forwarded(t, b.reader, f, "one")
	b.far.Serve("/search", upstreamtest.Answer{Body: []byte("two")})
	b.clock.advance(-day)
	forwarded(t, b.reader, f, "two")
	b.far.Serve("/search", upstreamtest.Answer{Status: 404})
	b.clock.advance(time.Hour)
	if a, err := b.reader.Forward(context.Background(), f); !errors.Is(err, upstream.ErrNotExist) {
		t.Errorf("%+v, %v", a, err)
	}
	b.far.Serve("/search", upstreamtest.Answer{Status: 500})
	if a := forwarded(t, b.reader, f, "two"); !a.Stale {
		t.Error("not told to be stale")
	}
	b.clock.advance(8 * day)
	if a, err := b.reader.Forward(context.Background(), f); !errors.Is(err, upstream.ErrUnavailable) {
		t.Errorf("older than may be served: %+v, %v", a, err)
	}
}

// TestTransientRenderings are made for each request, and not kept.
func TestTransientRenderings(t *testing.T) {
	b := newBench(t)
	long := "p: " + string(text(400<<10))
	b.far.Serve("/p", answer(long, `"1"`))
	d := b.format.document("p")
	d.Transient = true
	for range 2 {
		if got, _, err := doc(b.reader, d); err != nil || got != base+" "+long {
			t.Fatalf("%d bytes, %v", len(got), err)
		}
	}
	if n := b.format.renders.Load(); n != 2 || len(b.rows("r")) != 0 {
		t.Errorf("%d renderings, %d kept", n, len(b.rows("r")))
	}
}
