package registry_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"larder/formats"
	"larder/proxy/registry"
	"larder/upstream"
	"larder/upstream/upstreamtest"
)

// sees reads the document of p and insists on its text and on how it came.
func (b *bench) sees(text string, result formats.Result) *formats.Content {
	b.t.Helper()
	got, c, err := doc(b.reader, b.format.document("p"))
	if err != nil {
		b.t.Fatalf("document: %v; want %q, %s", err, text, result)
	}
	if got != base+" "+text || c.Result != result {
		b.t.Fatalf("document %.80q, %s; want %.80q, %s", got, c.Result, text, result)
	}
	return c
}

// asked insists on the upstream requests since the last call.
func (b *bench) asked(path string, n int) {
	b.t.Helper()
	if got := b.far.Requests(path); got != n {
		b.t.Fatalf("%d requests for %s, want %d", got, path, n)
	}
	b.far.Forget()
}

func answer(text, tag string) upstreamtest.Answer {
	return upstreamtest.Answer{Body: []byte(text), ETag: tag}
}

func TestDocumentLife(t *testing.T) {
	b := newBench(t)
	b.far.Serve("/p", answer("p: one", `"1"`))
	first := b.sees("p: one", formats.Miss)
	b.clock.advance(5*time.Minute - 1)
	if c := b.sees("p: one", formats.Hit); c.ETag != first.ETag {
		t.Error("the tag moved by itself")
	}
	b.asked("/p", 1)

	// Stale while it is checked: one question, however many ask.
	b.far.Serve("/p", answer("p: two", `"2"`))
	b.clock.advance(time.Hour)
	clients(t, 32, func() {
		if got, _, err := doc(b.reader, b.format.document("p")); err != nil || (got != base+" p: one" && got != base+" p: two") {
			t.Errorf("%q, %v", got, err)
		}
	})
	eventually(t, "the check is in", func() bool {
		got, _, err := doc(b.reader, b.format.document("p"))
		return err == nil && got == base+" p: two"
	})
	b.asked("/p", 1)

	// Older still: it is checked within the request, and a 304 counts as fresh.
	b.clock.advance(2 * time.Hour)
	b.sees("p: two", formats.Revalidated)
	b.sees("p: two", formats.Hit)
	if e := b.far.Log(); len(e) != 1 || e[0].Header.Get("If-None-Match") != `"2"` {
		t.Errorf("log %v", e)
	}
	b.asked("/p", 1)
	b.clock.advance(2 * time.Hour)
	b.far.Serve("/p", answer("p: three", `"3"`))
	b.sees("p: three", formats.Miss)
}

func TestDocumentInTrouble(t *testing.T) {
	b := newBench(t)
	b.far.Serve("/p", upstreamtest.Answer{Status: 503})
	if _, _, err := doc(b.reader, b.format.document("p")); !errors.Is(err, upstream.ErrUnavailable) {
		t.Errorf("cold and down: %v", err)
	}
	b.far.Serve("/p", answer("p: one", `"1"`))
	b.sees("p: one", formats.Miss)
	for _, trouble := range []upstreamtest.Answer{
		{Status: 500}, {NoReply: true}, {Status: 403}, {Body: []byte("<html>sign in</html>")}, {Body: []byte("p: t"), Cut: true, CutAfter: 2},
		{Body: []byte("p: t"), Chunked: true, Cut: true, CutAfter: 4},
		{Body: []byte("p: t"), Header: http.Header{"Content-Encoding": {"br"}}},
		{Body: []byte("p: t"), Header: http.Header{"Content-Encoding": {"gzip"}}},
	} {
		b.far.Serve("/p", trouble)
		b.clock.advance(3 * time.Hour)
		c := b.sees("p: one", formats.Stale)
		if c.Header.Get("Warning") == "" || c.Header.Get("X-Larder-Stale") != "far" || c.Header.Get("Age") == "0" {
			t.Errorf("%+v: header %v", trouble, c.Header)
		}
	}
	b.clock.advance(7 * 24 * time.Hour)
	if _, _, err := doc(b.reader, b.format.document("p")); !errors.Is(err, upstream.ErrUnavailable) {
		t.Errorf("older than may be served: %v", err)
	}
	b.clock.advance(time.Hour)
	b.far.Serve("/p", answer("p: two", `"2"`))
	b.sees("p: two", formats.Miss)
}

// TestDocumentOfSilentUpstream: clients do not wait long for a check.
func TestDocumentOfSilentUpstream(t *testing.T) {
	b := newBench(t, func(_ *bench, o *registry.Options) {
		o.Pace = registry.Pace{Patience: 30 * time.Millisecond, Stall: time.Minute}
	})
	b.far.Serve("/p", answer("p: one", `"1"`))
	b.sees("p: one", formats.Miss)
	open := make(chan struct{})
	b.far.Serve("/p", upstreamtest.Answer{Body: []byte("p: two"), ETag: `"2"`, Wait: open})
	b.clock.advance(3 * time.Hour)
	for range 3 {
		b.sees("p: one", formats.Stale)
	}
	close(open) // the check went on meanwhile
	eventually(t, "the check is in", func() bool {
		got, _, err := doc(b.reader, b.format.document("p"))
		return err == nil && got == base+" p: two"
	})
	b.asked("/p", 2)
}

// TestDocumentStalls: a body that falls silent is given up.
func TestDocumentStalls(t *testing.T) {
	b := newBench(t, func(_ *bench, o *registry.Options) { o.Pace.Stall = 30 * time.Millisecond })
	b.far.Serve("/p", upstreamtest.Answer{Body: []byte("p: one"), Stall: true, StallAfter: 3})
	if _, _, err := doc(b.reader, b.format.document("p")); !errors.Is(err, upstream.ErrTimeout) {
		t.Errorf("error %v", err)
	}
}

// TestNonsenseIsLeftAlone: a bad document is not fetched for every client.
func TestNonsenseIsLeftAlone(t *testing.T) {
	b := newBench(t)
	b.far.Serve("/p", answer("<html>", ""))
	for range 3 {
		_, _, err := doc(b.reader, b.format.document("p"))
		if !errors.Is(err, upstream.ErrUnavailable) || errors.Is(err, formats.ErrBadRequest) {
			t.Errorf("error %v", err)
		}
	}
	b.asked("/p", 1)
	b.far.Serve("/p", answer("p: one", `"1"`))
	b.clock.advance(6 * time.Second)
	b.sees("p: one", formats.Miss)
}

// TestGoneDocument: a 404 for what is known is believed when it comes again a
// minute later, and other questions of that minute are not asked.
func TestGoneDocument(t *testing.T) {
	b := newBench(t)
	b.far.Serve("/p", answer("p: one", `"1"`))
	b.sees("p: one", formats.Miss)
	b.far.Serve("/p", upstreamtest.Answer{Status: 404})
	b.far.Forget()
	b.clock.advance(3 * time.Hour)
	b.sees("p: one", formats.Stale)
	b.clock.advance(59 * time.Second)
	b.sees("p: one", formats.Stale)
	b.asked("/p", 1)

	// It was a mistake: all is forgotten.
	b.clock.advance(time.Second)
	b.far.Serve("/p", answer("p: one", `"1"`))
	b.sees("p: one", formats.Revalidated)
	b.far.Serve("/p", upstreamtest.Answer{Status: 404})
	b.clock.advance(3 * time.Hour)
	b.sees("p: one", formats.Stale)

	b.clock.advance(time.Minute)
	b.far.Forget()
	for range 3 {
		if _, _, err := doc(b.reader, b.format.document("p")); !errors.Is(err, formats.ErrNotFound) {
			t.Fatalf("error %v", err)
		}
	}
	b.asked("/p", 1) // and the answer is remembered
	b.far.Serve("/p", answer("p: again", `"2"`))
	b.clock.advance(61 * time.Second)
	b.sees("p: again", formats.Miss)
}

func TestMissingDocumentIsRemembered(t *testing.T) {
	b := newBench(t)
	for range 3 {
		if _, _, err := doc(b.reader, b.format.document("p")); !errors.Is(err, formats.ErrNotFound) {
			t.Fatalf("error %v", err)
		}
	}
	b.asked("/p", 1)
	b.far.Serve("/p", upstreamtest.Answer{Status: 502})
	b.clock.advance(61 * time.Second)
	for range 2 {
		if _, _, err := doc(b.reader, b.format.document("p")); !errors.Is(err, upstream.ErrUnavailable) {
			t.Fatalf("error %v: trouble is never remembered as missing", err)
		}
	}
}

// TestOneDocumentRequest: many clients of one cold document are one upstream
// request and one rendering.
func TestOneDocumentRequest(t *testing.T) {
	b := newBench(t)
	open := make(chan struct{})
	long := "p: " + strings.Repeat("long ", 20<<10)
	b.far.Serve("/p", upstreamtest.Answer{Body: []byte(long), Wait: open, Gzip: true})
	done := make(chan struct{})
	go func() {
		defer close(done)
		clients(t, 64, func() {
			if got, _, err := doc(b.reader, b.format.document("p")); err != nil || got != base+" "+long {
				t.Errorf("%d bytes, %v", len(got), err)
			}
		})
	}()
	eventually(t, "the request has arrived", func() bool { return b.far.Requests("/p") == 1 })
	close(open)
	<-done
	b.asked("/p", 1)
	if n := b.format.renders.Load(); n != 1 {
		t.Errorf("%d renderings", n)
	}
	// Another address of ours is another rendering, and no request.
	other := b.reg.For(user("alice"), "", "https://other.example/plain/")
	if got, c, err := doc(other, b.format.document("p")); err != nil || got != "https://other.example/plain/ "+long || c.Encoding != "gzip" {
		t.Errorf("%.60q, %v", got, err)
	}
	free := b.format.document("p")
	free.BaseFree, free.Variant = true, "free"
	for _, r := range []formats.Registry{b.reader, other} {
		if _, _, err := doc(r, free); err != nil {
			t.Error(err)
		}
	}
	if n := b.format.renders.Load(); n != 3 {
		t.Errorf("%d renderings, want one per address and one that needs none", n)
	}
	b.asked("/p", 0)
}

// TestEqualBodyKeepsTheTag: an upstream that knows no conditions does not make
// clients download again.
func TestEqualBodyKeepsTheTag(t *testing.T) {
	b := newBench(t)
	b.far.Serve("/p", upstreamtest.Answer{Body: []byte("p: one"), NoMatch: true})
	first := b.sees("p: one", formats.Miss)
	b.clock.advance(3 * time.Hour)
	b.far.Serve("/p", upstreamtest.Answer{Body: []byte("p: one"), NoMatch: true, Gzip: true})
	if c := b.sees("p: one", formats.Revalidated); c.ETag != first.ETag {
		t.Error("equal bytes got another tag")
	}
	if n := b.format.renders.Load(); n != 1 {
		t.Errorf("%d renderings", n)
	}
}

func TestAges(t *testing.T) {
	b := newBench(t)
	b.far.Serve("/p", answer("p: one", `"1"`), answer("p: two", `"2"`))
	d := b.format.document("p")
	d.Age = formats.Any
	for _, after := range []time.Duration{0, 30 * 24 * time.Hour} {
		b.clock.advance(after)
		if got, _, err := doc(b.reader, d); err != nil || got != base+" p: one" {
			t.Errorf("any: %q, %v", got, err)
		}
	}
	b.asked("/p", 1)
	d.Age = formats.Latest
	for range 3 {
		if got, _, err := doc(b.reader, d); err != nil || got != base+" p: two" {
			t.Errorf("latest: %q, %v", got, err)
		}
	}
	b.asked("/p", 1) // within ten seconds once is enough
	b.clock.advance(11 * time.Second)
	if got, _, err := doc(b.reader, d); err != nil || got != base+" p: two" {
		t.Errorf("latest: %q, %v", got, err)
	}
	b.asked("/p", 1)
}

func TestOffline(t *testing.T) {
	b := newBench(t)
	b.far.Serve("/p", answer("p: one", `"1"`))
	b.far.Serve("/f", upstreamtest.Answer{Body: []byte("file")})
	b.sees("p: one", formats.Miss)
	b.want(file("f"), []byte("file"), formats.Miss)
	b.stored(file("f"))
	b.far.Forget()
	off := b.source("far", b.far)
	off.Fetcher, off.Offline = offline{}, true
	b.spec.Upstreams = b.only(off)
	b.reader = b.engine.Registry(b.spec).For(user("alice"), "", base)
	b.clock.advance(365 * 24 * time.Hour)
	b.sees("p: one", formats.Hit)
	b.want(file("f"), []byte("file"), formats.Hit)
	if _, _, err := doc(b.reader, b.format.document("q")); !errors.Is(err, upstream.ErrOffline) {
		t.Errorf("error %v", err)
	}
	b.refuse(file("g"), upstream.ErrOffline)
	if b.far.Connections() != 0 {
		t.Error("a connection was made")
	}
}

type offline struct{}

func (offline) Fetch(context.Context, upstream.Request) (*upstream.Response, error) {
	return nil, upstream.ErrOffline
}
