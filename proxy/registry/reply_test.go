package registry_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"larder/cache"
	"larder/formats"
	"larder/upstream"
	"larder/upstream/upstreamtest"
)

// TestWebPageInsteadOfAFile: what a portal says with 200 is neither served nor
// stored, and no alarm either: nobody's bytes were changed.
func TestWebPageInsteadOfAFile(t *testing.T) {
	for _, media := range []string{"text/html", "text/html; charset=utf-8", "TEXT/HTML", "application/xhtml+xml"} {
		for _, full := range []bool{false, true} {
			b := newBench(t)
			b.room.full.Store(full)
			b.far.Serve("/f", upstreamtest.Answer{Body: []byte("<html>sign in</html>"), ContentType: media})
			b.refuse(file("f"), upstream.ErrUnavailable)
			head := file("f")
			head.Head = true
			if _, err := b.reader.File(context.Background(), head); !errors.Is(err, upstream.ErrUnavailable) {
				t.Errorf("%s: HEAD: %v", media, err)
			}
			if b.blobs() != 0 || len(b.rows("s")) != 0 || b.seen.integrity.Load() != 0 {
				t.Errorf("%s: %d blobs, %d pins, %d alarms", media, b.blobs(), len(b.rows("s")), b.seen.integrity.Load())
			}
		}
	}
	b := newBench(t)
	page := []byte("<html>a page that is a file</html>")
	b.far.Serve("/f", upstreamtest.Answer{Body: page, ContentType: "text/html"})
	f := file("f")
	f.MediaType = "text/html; charset=utf-8"
	b.want(f, page, formats.Miss)
}

// raw serves one reply, byte by byte as given, to each connection, and then
// closes it in good order.
func raw(t *testing.T, reply string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				if _, err := http.ReadRequest(bufio.NewReader(c)); err == nil {
					_, _ = io.WriteString(c, reply) // who goes away misses it
				}
			}()
		}
	}()
	return "http://" + l.Addr().String()
}

// rawBench has an upstream that answers everything with the same bytes.
func rawBench(t *testing.T, reply string) *bench {
	s := &upstreamtest.Server{URL: raw(t, reply)}
	b := newBench(t)
	b.spec.Upstreams = b.only(b.source("raw", s))
	b.reg = b.engine.Registry(b.spec)
	b.reader = b.reg.For(user("alice"), "", base)
	return b
}

// TestBodyWithoutAnEnd: where only the end of the connection ends a body, a
// checksum must say that it is whole.
func TestBodyWithoutAnEnd(t *testing.T) {
	data := string(text(100 << 10))
	for _, version := range []string{"1.0", "1.1"} {
		whole := fmt.Sprintf("HTTP/%s 200 OK\r\nConnection: close\r\n\r\n%s", version, data)
		for _, full := range []bool{false, true} {
			b := rawBench(t, whole)
			b.room.full.Store(full)
			b.refuse(file("f"), upstream.ErrUnavailable)
			if b.blobs() != 0 || len(b.rows("s")) != 0 {
				t.Errorf("HTTP/%s: something was stored or pinned", version)
			}
			if got, _, err := b.get(file("g", sumOf([]byte(data)))); err != nil || string(got) != data {
				t.Errorf("HTTP/%s: %d bytes, %v", version, len(got), err)
			}
		}
		b := rawBench(t, whole[:len(whole)-1])
		b.refuse(file("f", sumOf([]byte(data))), upstream.ErrCorrupt)
	}
}

// TestLengthThatLies: neither more nor fewer bytes than announced are a body.
func TestLengthThatLies(t *testing.T) {
	data := string(text(100 << 10))
	for name, reply := range map[string]string{
		"longer than it is":      fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(data)+1, data),
		"no end of the chunks":   fmt.Sprintf("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n", len(data), data),
		"cut within a chunk":     fmt.Sprintf("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s", len(data)+1, data),
		"beyond all reason":      fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: 9223372036854775807\r\n\r\n%s", data),
		"two lengths":            fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: %d\r\n\r\n%s", len(data), data),
		"less than nothing":      fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n%s", data),
		"a chunk that is no hex": fmt.Sprintf("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n%s", data),
	} {
		b := rawBench(t, reply)
		got, _, err := b.get(file("f"))
		if err == nil || errors.Is(err, formats.ErrNotFound) || errors.Is(err, cache.ErrNotExist) {
			t.Errorf("%s: %d bytes, %v", name, len(got), err)
		}
		b.landed()
		if b.blobs() != 0 || len(b.rows("f"))+len(b.rows("s")) != 0 {
			t.Errorf("%s: something was stored or pinned", name)
		}
	}
	// Bytes behind the announced ones belong to nothing, and are dropped.
	b := rawBench(t, fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%sand more", len(data), data))
	b.want(file("f"), []byte(data), formats.Miss)
}

// scripted answers as it is told; it stands for an upstream whose replies no
// HTTP library would write.
type scripted struct{ replies []*upstream.Response }

func (s *scripted) Fetch(context.Context, upstream.Request) (*upstream.Response, error) {
	next := s.replies[0]
	if len(s.replies) > 1 {
		s.replies = s.replies[1:]
	}
	return next, nil
}

// reply is an upstream's answer whose body breaks after what it has, or ends.
func reply(status int, body []byte, broken error, header ...string) *upstream.Response {
	h := http.Header{"Accept-Ranges": {"bytes"}}
	for i := 0; i < len(header); i += 2 {
		h.Set(header[i], header[i+1])
	}
	src := io.Reader(bytes.NewReader(body))
	if broken != nil {
		src = io.MultiReader(src, breaks{broken})
	}
	return &upstream.Response{Status: status, Header: h, Body: io.NopCloser(src), Size: -1, ETag: h.Get("Etag")}
}

type breaks struct{ err error }

func (b breaks) Read([]byte) (int, error) { return 0, b.err }

// TestRestOfAnotherBody: a rest that is not that of the body that was begun is
// not put behind it, whatever the upstream calls it.
func TestRestOfAnotherBody(t *testing.T) {
	data := text(300 << 10)
	half, cut := 200<<10, errors.New("cut")
	rest := fmt.Sprintf("bytes %d-%d/%d", half, len(data)-1, len(data))
	sends := func(status int, body []byte, header ...string) func() *upstream.Response {
		return func() *upstream.Response { return reply(status, body, nil, header...) }
	}
	for name, tt := range map[string]struct {
		next  func() *upstream.Response
		whole bool
	}{
		"the same":          {sends(206, data[half:], "Content-Range", rest, "Etag", `"one"`), true},
		"without its tag":   {sends(206, data[half:], "Content-Range", rest), true},
		"another tag":       {sends(206, data[half:], "Content-Range", rest, "Etag", `"two"`), false},
		"a weak tag":        {sends(206, data[half:], "Content-Range", rest, "Etag", `W/"one"`), false},
		"another place":     {sends(206, data[half+1:], "Content-Range", "bytes 204801-307199/307200", "Etag", `"one"`), false},
		"of another length": {sends(206, data[half:], "Content-Range", "bytes 204800-307199/307201", "Etag", `"one"`), false},
		"more than it says": {sends(206, append(bytes.Clone(data[half:]), 'x'), "Content-Range", rest, "Etag", `"one"`), false},
		"less than it says": {sends(206, data[half:len(data)-1], "Content-Range", rest, "Etag", `"one"`), false},
		"compressed": {func() *upstream.Response {
			r := reply(206, data[half:], nil, "Content-Range", rest, "Etag", `"one"`)
			r.Encoding = "gzip"
			return r
		}, false},
		"a whole that says it is a rest": {sends(200, data[half:], "Content-Range", rest, "Etag", `"one"`), false},
		"all of it, and not a rest":      {sends(200, data, "Etag", `"one"`), false},
	} {
		for _, full := range []bool{false, true} {
			b := newBench(t)
			b.room.full.Store(full)
			first := reply(200, data[:half], cut, "Etag", `"one"`)
			first.Size = int64(len(data))
			far := &scripted{replies: []*upstream.Response{first, tt.next()}}
			if full { // one for the flight that finds no room, and one to pass on
				far.replies = append([]*upstream.Response{first}, far.replies...)
			}
			src := b.source("far", b.far)
			src.Fetcher = far
			b.spec.Upstreams = b.only(src)
			b.reader = b.engine.Registry(b.spec).For(user("alice"), "", base)
			got, _, err := b.get(file("f")) // no checksum announced
			if (err == nil) != tt.whole || tt.whole && !bytes.Equal(got, data) {
				t.Errorf("%s, full %v: %d bytes, %v; want them whole: %v", name, full, len(got), err, tt.whole)
			}
			b.landed()
			if !tt.whole && (b.blobs() != 0 || len(b.rows("s")) != 0) {
				t.Errorf("%s, full %v: it was stored or pinned", name, full)
			}
		}
	}
}

// TestSameTagOtherBody: an upstream that changes a document and not its tag is
// believed in what it sends, and our own tag moves.
func TestSameTagOtherBody(t *testing.T) {
	b := newBench(t)
	b.far.Serve("/p", answer("p: one", `"1"`))
	first := b.sees("p: one", formats.Miss)
	b.far.Serve("/p", upstreamtest.Answer{Body: []byte("p: two"), ETag: `"1"`, NoMatch: true})
	b.clock.advance(2 * day)
	if c := b.sees("p: two", formats.Miss); c.ETag == first.ETag {
		t.Error("other bytes under the same tag")
	}
}

// TestPassIsOfKnownLength: what passes through keeps its announced length, so
// that a cut shows to every client, and parts of it can be asked for.
func TestPassIsOfKnownLength(t *testing.T) {
	data := text(300 << 10)
	for _, span := range [][2]int64{{0, -1}, {0, 300 << 10}, {1000, 10}, {150 << 10, 100 << 10}, {300<<10 - 5, 5}} {
		for _, wrong := range []bool{false, true} {
			b := newBench(t)
			b.room.full.Store(true)
			b.far.Serve("/f", upstreamtest.Answer{Body: data, Wrong: wrong})
			c, err := b.reader.File(context.Background(), file("f", sumOf(data)))
			if err != nil {
				t.Fatal(err)
			}
			if c.Size != int64(len(data)) || c.Result != formats.Pass {
				t.Errorf("%d bytes, %s", c.Size, c.Result)
			}
			want := data[span[0]:]
			if span[1] >= 0 {
				want = want[:span[1]]
			}
			got, err := part(c, span[0], span[1])
			end := span[1] < 0 || span[0]+span[1] == int64(len(data))
			switch {
			case wrong && end && err == nil:
				t.Errorf("%v of wrong bytes: %d bytes", span, len(got))
			case !wrong && (err != nil || !bytes.Equal(got, want)):
				t.Errorf("%v: %d bytes, %v", span, len(got), err)
			}
			if _, err := c.Follow(context.Background(), 0, -1); err == nil {
				t.Error("read twice")
			}
		}
	}
}

// TestForwardedAnswerWithoutEnd: an answer of endless nothing is given up, and
// so is one that falls silent.
func TestForwardedAnswerWithoutEnd(t *testing.T) {
	var members bytes.Buffer // empty members of gzip: nothing comes of any number of them
	for range 1 << 20 {
		members.WriteString(emptyMember)
	}
	b := newBench(t)
	body := &endless{pattern: members.Bytes()}
	src := b.source("far", b.far)
	src.Fetcher = &scripted{replies: []*upstream.Response{{Status: 200, Header: http.Header{}, Body: io.NopCloser(body), Encoding: "gzip"}}}
	b.spec.Upstreams = b.only(src)
	b.reader = b.engine.Registry(b.spec).For(user("alice"), "", base)
	_, err := b.reader.Forward(context.Background(), formats.Forward{Path: "search"})
	if !errors.Is(err, upstream.ErrUnavailable) || body.sent > 64<<20 {
		t.Errorf("%v after %d bytes", err, body.sent)
	}
}

const emptyMember = "\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff\x03\x00\x00\x00\x00\x00\x00\x00\x00\x00"

// endless repeats its pattern, up to a limit that no test should reach.
type endless struct {
	pattern []byte
	sent    int
}

func (e *endless) Read(p []byte) (int, error) {
	if e.sent > 1<<30 {
		return 0, errors.New("nobody stopped it")
	}
	n := copy(p, e.pattern[e.sent%len(e.pattern):])
	e.sent += n
	return n, nil
}

// TestSilentForward: an answer whose body falls silent is given up.
func TestSilentForward(t *testing.T) {
	b := newBench(t, stallSoon)
	b.far.Serve("/search", upstreamtest.Answer{Body: []byte(strings.Repeat("x", 100)), Stall: true, StallAfter: 10})
	if _, err := b.reader.Forward(context.Background(), formats.Forward{Path: "search"}); !errors.Is(err, upstream.ErrTimeout) {
		t.Errorf("error %v", err)
	}
}
