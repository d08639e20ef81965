package formats

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	kgzip "github.com/klauspost/compress/gzip"
)

// kinds are the ways a body of text can come.
func kinds(t *testing.T, text string) map[string]func() *Content {
	t.Helper()
	path := filepath.Join(t.TempDir(), "body")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	base := Content{
		Size: int64(len(text)), MediaType: "application/octet-stream", ETag: `"tag"`, Result: Hit, Immutable: true,
	}
	return map[string]func() *Content{
		"bytes": func() *Content { c := base; c.Bytes = []byte(text); return &c },
		"file": func() *Content {
			c := base
			f, err := os.Open(path)
			if err != nil {
				t.Fatal(err)
			}
			c.File = f
			return &c
		},
		"follow": func() *Content { c := base; c.Follow = follow(text, nil); return &c },
	}
}

func follow(text string, wrong error) func(context.Context, int64, int64) (io.ReadCloser, error) {
	return func(_ context.Context, off, n int64) (io.ReadCloser, error) {
		part := text[off:]
		if n >= 0 {
			part = part[:n]
		}
		if wrong == nil {
			return io.NopCloser(strings.NewReader(part)), nil
		}
		return io.NopCloser(io.MultiReader(strings.NewReader(part), failing{wrong})), nil
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

func do(t *testing.T, method string, h http.Header, c *Content) (*http.Response, error) {
	t.Helper()
	r := httptest.NewRequest(method, "/", nil)
	for k, v := range h {
		r.Header[k] = v
	}
	w := httptest.NewRecorder()
	err := Reply(w, r, c)
	return w.Result(), err
}

func TestReplySendsEveryKindAlike(t *testing.T) {
	for _, text := range []string{"", "0123456789", strings.Repeat("0123456789", smallFile/5)} {
		for kind, content := range kinds(t, text) {
			tests := []struct {
				method, field, value string
				status               int
				body                 string
			}{
				{"GET", "", "", 200, text},
				{"HEAD", "", "", 200, ""},
				{"HEAD", "Range", "bytes=2-4", 200, ""},
				{"GET", "If-None-Match", `"x", W/"tag"`, 304, ""},
				{"HEAD", "If-None-Match", `*`, 304, ""},
				{"GET", "Range", "bytes=0-1,3-4", 200, text},
				{"GET", "Range", "items=1-2", 200, text},
				{"POST", "If-None-Match", `*`, 200, text},
			}
			if text != "" {
				tests = append(tests, tests[0], struct {
					method, field, value string
					status               int
					body                 string
				}{"GET", "Range", "bytes=2-4", 206, "234"})
			}
			for _, tt := range tests {
				h := http.Header{}
				if tt.field != "" {
					h.Set(tt.field, tt.value)
				}
				resp, err := do(t, tt.method, h, content())
				if err != nil {
					t.Fatalf("%s %s %s: %v", kind, tt.method, tt.value, err)
				}
				body, _ := io.ReadAll(resp.Body)
				if resp.StatusCode != tt.status || string(body) != tt.body {
					t.Errorf("%s %s %s: %d with %d bytes, want %d with %d", kind, tt.method, tt.value, resp.StatusCode, len(body), tt.status, len(tt.body))
				}
			}
		}
	}
}

func TestReplyHeadEqualsGet(t *testing.T) {
	for kind, content := range kinds(t, "0123456789") {
		get, _ := do(t, "GET", nil, content())
		bare := content()
		bare.Close()
		bare.Bytes, bare.File, bare.Follow = nil, nil, nil
		head, err := do(t, "HEAD", nil, bare)
		if err != nil {
			t.Fatal(err)
		}
		for key := range get.Header {
			if get.Header.Get(key) != head.Header.Get(key) {
				t.Errorf("%s: %s is %q on GET and %q on HEAD", kind, key, get.Header.Get(key), head.Header.Get(key))
			}
		}
		if len(get.Header) != len(head.Header) {
			t.Errorf("%s: %d fields on GET, %d on HEAD", kind, len(get.Header), len(head.Header))
		}
	}
}

func TestReplyHeaders(t *testing.T) {
	modified := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	tests := []struct {
		name string
		c    Content
		want map[string]string
	}{
		{"immutable", Content{Immutable: true}, map[string]string{
			"Cache-Control": "public, max-age=31536000, immutable", "Content-Disposition": "attachment",
			"X-Content-Type-Options": "nosniff", "Content-Security-Policy": "default-src 'none'; sandbox", "Accept-Ranges": "bytes"}},
		{"immutable, private", Content{Immutable: true, Private: true}, map[string]string{"Cache-Control": "private, max-age=31536000, immutable"}},
		{"document", Content{Modified: modified, Result: Stale, ETag: `W/"d"`}, map[string]string{
			"Cache-Control": "no-cache", "X-Cache": "stale", "Etag": `W/"d"`, "Content-Disposition": "",
			"Last-Modified": "Fri, 02 Jan 2026 03:04:05 GMT", "Content-Type": "text/x", "Content-Length": "4"}},
		{"document, private", Content{Private: true}, map[string]string{"Cache-Control": "private, no-cache"}},
		{"own fields", Content{Header: http.Header{"Age": {"7"}, "Vary": {"Accept"}, "Cache-Control": {"no-store"}}}, map[string]string{
			"Age": "7", "Vary": "Accept", "Cache-Control": "no-store"}},
	}
	for _, tt := range tests {
		tt.c.Bytes, tt.c.Size, tt.c.MediaType = []byte("body"), 4, "text/x"
		resp, err := do(t, "GET", nil, &tt.c)
		if err != nil {
			t.Fatal(err)
		}
		for k, v := range tt.want {
			if got := resp.Header.Get(k); got != v {
				t.Errorf("%s: %s: %q, want %q", tt.name, k, got, v)
			}
		}
	}
}

func TestReplyRefusesBeforeWriting(t *testing.T) {
	broken := errors.New("broken")
	noFollow := func(context.Context, int64, int64) (io.ReadCloser, error) { return nil, broken }
	tests := []struct {
		name string
		h    http.Header
		c    Content
		want error
	}{
		{"If-Match", http.Header{"If-Match": {`"other"`}}, Content{Bytes: []byte("abc"), ETag: `"tag"`}, ErrPrecondition},
		{"beyond", http.Header{"Range": {"bytes=3-"}}, Content{Bytes: []byte("abc")}, ErrRange},
		{"backwards", http.Header{"Range": {"bytes=2-1"}}, Content{Bytes: []byte("abc"), StrictRange: true}, ErrRange},
		{"of nothing", http.Header{"Range": {"bytes=0-"}}, Content{Bytes: []byte{}, StrictRange: true}, ErrRange},
		{"follow", nil, Content{Size: 3, Follow: noFollow}, broken},
		{"not gzip", nil, Content{Bytes: []byte("plain text, not gzip"), Encoding: "gzip"}, kgzip.ErrHeader},
	}
	for _, tt := range tests {
		w := httptest.NewRecorder()
		r := httptest.NewRequest("GET", "/", nil)
		r.Header = tt.h
		err := Reply(w, r, &tt.c)
		if err == nil || !errors.Is(err, tt.want) || w.Body.Len() > 0 || len(w.Header()) > 0 {
			t.Errorf("%s: %v (want %v), header %v", tt.name, err, tt.want, w.Header())
		}
	}
	if _, err := do(t, "GET", nil, &Content{Size: 3}); err == nil {
		t.Error("a body that is missing was answered")
	}
}

// aborter notes the cause as the edge's writer does.
type aborter struct {
	http.ResponseWriter
	cause error
}

func (a *aborter) Abort(cause error) { a.cause = cause }

func TestReplyAbortsACutBody(t *testing.T) {
	broken := errors.New("upstream went away")
	short := filepath.Join(t.TempDir(), "short")
	if err := os.WriteFile(short, make([]byte, 2*smallFile), 0o600); err != nil {
		t.Fatal(err)
	}
	file, err := os.Open(short)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]*Content{
		"follow fails":         {Size: 9, Follow: follow("abc", broken)},
		"follow ends early":    {Size: 9, Follow: follow("abc", nil)},
		"unknown size":         {Size: -1, Follow: follow("abc", broken)},
		"file shorter":         {Size: 3 * smallFile, File: file},
		"gzip cut":             {Size: 30, Encoding: "gzip", Bytes: zip(strings.Repeat("x", 1000))[:30]},
		"follow delivers more": {Size: 2, Follow: follow("abc", nil)},
	} {
		w := &aborter{ResponseWriter: httptest.NewRecorder()}
		func() {
			defer func() {
				if v := recover(); v != http.ErrAbortHandler {
					t.Errorf("%s: recovered %v, want http.ErrAbortHandler", name, v)
				}
			}()
			t.Errorf("%s: Reply returned %v", name, Reply(w, httptest.NewRequest("GET", "/", nil), c))
		}()
		if w.cause == nil {
			t.Errorf("%s: the writer was not told the cause", name)
		}
	}
}

// TestReplyToWhoHasItAll: a client that leaves with the last byte was not cut off,
// also where the source has yet to end. One that leaves before it was.
func TestReplyToWhoHasItAll(t *testing.T) {
	for lines, size := range map[string]int64{"": 3, "bytes=1-2": 9} {
		ctx, leave := context.WithCancel(t.Context())
		r := httptest.NewRequest("GET", "/", nil).WithContext(ctx)
		if lines != "" {
			r.Header.Set("Range", lines)
		}
		left := follow("abcdefghi"[:size], context.Canceled)
		w := &aborter{ResponseWriter: httptest.NewRecorder()}
		err := Reply(w, r, &Content{Size: size, Follow: func(ctx context.Context, off, n int64) (io.ReadCloser, error) {
			leave()
			return left(ctx, off, n)
		}})
		if err != nil || w.cause != nil {
			t.Errorf("%q: %v, %v", lines, err, w.cause)
		}
	}
}

// full is a client that takes so many bytes.
type full struct {
	http.ResponseWriter
	room int
}

func (f *full) Write(p []byte) (int, error) {
	n := min(f.room, len(p))
	f.room -= n
	if n < len(p) {
		return n, io.ErrClosedPipe
	}
	return n, nil
}

// TestReplySaysWhereItWasCut: the log is to say what was sent.
func TestReplySaysWhereItWasCut(t *testing.T) {
	for name, c := range kinds(t, "0123456789") {
		w := &aborter{ResponseWriter: &full{httptest.NewRecorder(), 4}}
		func() {
			defer func() { recover() }()
			Reply(w, httptest.NewRequest("GET", "/", nil), c())
		}()
		if w.cause == nil || !strings.Contains(w.cause.Error(), "after 4 of 10 bytes") {
			t.Errorf("%s: %v", name, w.cause)
		}
	}
}

func zip(text string) []byte {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	io.WriteString(z, text)
	z.Close()
	return b.Bytes()
}

func TestReplyGzip(t *testing.T) {
	packed := zip("hello")
	gzipped := func() *Content {
		return &Content{Bytes: packed, Size: int64(len(packed)), Encoding: "gzip", ETag: `W/"tag"`, MediaType: "application/json"}
	}
	tests := []struct {
		name   string
		h      http.Header
		status int
		body   string
		want   map[string]string
	}{
		{"accepted", http.Header{"Accept-Encoding": {"gzip"}}, 200, string(packed),
			map[string]string{"Content-Encoding": "gzip", "Etag": `W/"tag"`, "Vary": "Accept-Encoding"}},
		{"not accepted", nil, 200, "hello",
			map[string]string{"Content-Encoding": "", "Etag": `W/"tag-identity"`, "Vary": "Accept-Encoding", "Content-Length": ""}},
		{"tag of the other form", http.Header{"If-None-Match": {`W/"tag"`}}, 200, "hello", nil},
		{"tag of this form", http.Header{"If-None-Match": {`W/"tag-identity"`}}, 304, "", map[string]string{"Etag": `W/"tag-identity"`}},
		{"no ranges", http.Header{"Range": {"bytes=0-1"}}, 200, "hello", map[string]string{"Accept-Ranges": ""}},
	}
	for _, tt := range tests {
		resp, err := do(t, "GET", tt.h, gzipped())
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(resp.Body)
		if resp.StatusCode != tt.status || string(body) != tt.body {
			t.Errorf("%s: %d %q", tt.name, resp.StatusCode, body)
		}
		for k, v := range tt.want {
			if got := resp.Header.Get(k); got != v {
				t.Errorf("%s: %s: %q, want %q", tt.name, k, got, v)
			}
		}
	}
}

func TestReplyClosesTheFile(t *testing.T) {
	for _, h := range []http.Header{nil, {"If-None-Match": {"*"}}, {"Range": {"bytes=99-"}}} {
		c := kinds(t, "0123456789")["file"]()
		if _, err := do(t, "GET", h, c); err != nil && !errors.Is(err, ErrRange) {
			t.Fatal(err)
		}
		if _, err := c.File.Read(make([]byte, 1)); !errors.Is(err, os.ErrClosed) {
			t.Errorf("%v: the file is still open (%v)", h, err)
		}
	}
}
