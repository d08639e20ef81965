package upstreamtest

import (
	"bytes"
	"compress/gzip"
	"context"
	"io"
	"net/http"
	"testing"
	"testing/fstest"
	"time"
)

func ask(t *testing.T, method, url string, fields ...string) (*http.Response, []byte, error) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Accept-Encoding", "identity")
	for i := 0; i < len(fields); i += 2 {
		req.Header.Set(fields[i], fields[i+1])
	}
	tr := &http.Transport{DisableCompression: true, DisableKeepAlives: true}
	resp, err := tr.RoundTrip(req)
	if err != nil {
		return nil, nil, err
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	return resp, data, err
}

func TestAnswers(t *testing.T) {
	body := []byte("0123456789")
	day := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	a := Answer{Body: body, ETag: `"e"`, LastModified: day}
	for name, tt := range map[string]struct {
		answer Answer
		method string
		fields []string
		status int
		want   string
		length int64
	}{
		"plain":             {answer: a, status: 200, want: "0123456789", length: 10},
		"head":              {answer: a, method: "HEAD", status: 200, length: 10},
		"not modified":      {answer: a, fields: []string{"If-None-Match", `"e"`}, status: 304, length: -2},
		"not modified date": {answer: a, fields: []string{"If-Modified-Since", day.Format(http.TimeFormat)}, status: 304, length: -2},
		"conditions off":    {answer: Answer{Body: body, ETag: `"e"`, NoMatch: true}, fields: []string{"If-None-Match", `"e"`}, status: 200, want: "0123456789", length: 10},
		"range":             {answer: a, fields: []string{"Range", "bytes=7-"}, status: 206, want: "789", length: 3},
		"range of another":  {answer: a, fields: []string{"Range", "bytes=7-", "If-Range", `"x"`}, status: 200, want: "0123456789", length: 10},
		"ranges off":        {answer: Answer{Body: body, NoRanges: true}, fields: []string{"Range", "bytes=7-"}, status: 200, want: "0123456789", length: 10},
		"past the end":      {answer: a, fields: []string{"Range", "bytes=10-"}, status: 416, length: -2, want: "invalid range: failed to overlap\n"},
		"chunked":           {answer: Answer{Body: body, Chunked: true}, status: 200, want: "0123456789", length: -1},
		"dripping":          {answer: Answer{Body: body, Drip: 3, DripEvery: time.Millisecond}, status: 200, want: "0123456789", length: 10},
		"wrong":             {answer: Answer{Body: body, Wrong: true}, status: 200, want: "0123446789", length: 10},
		"error":             {answer: Answer{Status: 503, Body: body}, status: 503, want: "0123456789", length: 10},
		"redirect":          {answer: Answer{Redirect: "/b"}, status: 302, length: 0},
		"held, not gzipped": {answer: Answer{Body: body, Gzip: true, Delay: time.Millisecond}, status: 200, want: "0123456789", length: 10},
	} {
		s := New(t)
		s.Serve("/a", tt.answer)
		resp, data, err := ask(t, tt.method, s.URL+"/a", tt.fields...)
		if err != nil || resp.StatusCode != tt.status || string(data) != tt.want || (tt.length != -2 && resp.ContentLength != tt.length) {
			t.Errorf("%s: %v, %q, %v", name, resp, data, err)
		}
	}
}

func TestGzip(t *testing.T) {
	s := New(t)
	s.Serve("/a", Answer{Body: []byte("hello"), Gzip: true})
	resp, data, err := ask(t, "GET", s.URL+"/a", "Accept-Encoding", "br;q=1, gzip")
	if err != nil || resp.Header.Get("Content-Encoding") != "gzip" || resp.ContentLength != int64(len(data)) {
		t.Fatalf("%v %v", resp, err)
	}
	z, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	if plain, err := io.ReadAll(z); err != nil || string(plain) != "hello" {
		t.Errorf("%q %v", plain, err)
	}
}

func TestFaultsNeverLookWhole(t *testing.T) {
	body := make([]byte, 1000)
	for name, tt := range map[string]struct {
		answer Answer
		got    int
	}{
		"cut at once":   {Answer{Body: body, Cut: true}, 0},
		"cut":           {Answer{Body: body, Cut: true, CutAfter: 400}, 400},
		"cut chunked":   {Answer{Body: body, Cut: true, CutAfter: 400, Chunked: true}, 400},
		"no last chunk": {Answer{Body: body, Cut: true, CutAfter: 1000, Chunked: true}, 1000},
		"cut error":     {Answer{Status: 500, Body: body, Cut: true, CutAfter: 400}, 400},
		"drip and cut":  {Answer{Body: body, Cut: true, CutAfter: 100, Drip: 33, DripEvery: time.Microsecond}, 100},
	} {
		s := New(t)
		s.Serve("/a", tt.answer)
		_, data, err := ask(t, "GET", s.URL+"/a")
		if err == nil || len(data) != tt.got {
			t.Errorf("%s: %d bytes, %v", name, len(data), err)
		}
	}
	s := New(t)
	s.Serve("/a", Answer{NoReply: true})
	if _, _, err := ask(t, "GET", s.URL+"/a"); err == nil {
		t.Error("a reply came where none should")
	}
}

func TestStallEndsWithTheServer(t *testing.T) {
	s := Start()
	s.Serve("/a", Answer{Body: make([]byte, 1000), Stall: true, StallAfter: 10})
	s.Serve("/w", Answer{Wait: make(chan struct{})})
	s.Serve("/d", Answer{Delay: time.Hour})
	ended := make(chan error, 3)
	for _, p := range []string{"/a", "/w", "/d"} {
		go func() {
			req, err := http.NewRequestWithContext(context.Background(), "GET", s.URL+p, nil)
			if err != nil {
				ended <- err
				return
			}
			resp, err := http.DefaultTransport.RoundTrip(req)
			if err == nil {
				_, err = io.ReadAll(resp.Body)
				resp.Body.Close()
			}
			ended <- err
		}()
	}
	for len(s.Log()) < 3 {
		time.Sleep(time.Millisecond)
	}
	s.Close()
	s.Close()
	for range 3 {
		if err := <-ended; err == nil {
			t.Error("a stalled reply ended well")
		}
	}
}

func TestScriptsAndLog(t *testing.T) {
	s := New(t)
	s.Serve("/seq", Answer{Body: []byte("1")}, Answer{Body: []byte("2")})
	s.Serve("/@a%2fb", Answer{Body: []byte("escaped")})
	s.Serve("/q?x=1", Answer{Body: []byte("query")})
	s.ServeFunc("/f", func(r *http.Request) Answer { return Answer{Body: []byte(r.Header.Get("X-In"))} })
	s.ServeFS(fstest.MapFS{"dir/index.json": {Data: []byte("{}")}, "dir/x.pom": {Data: []byte("<a/>")}})
	for _, tt := range []struct{ path, want, kind string }{
		{"/seq", "1", ""}, {"/seq", "2", ""}, {"/seq", "2", ""},
		{"/@a%2fb", "escaped", ""}, {"/q?x=1", "query", ""}, {"/f", "in", ""},
		{"/dir", "{}", "application/json"}, {"/dir/x.pom", "<a/>", "application/xml"},
		{"/q", "not found\n", ""}, {"/../x", "not found\n", ""},
	} {
		resp, data, err := ask(t, "GET", s.URL+tt.path, "X-In", "in")
		if err != nil || string(data) != tt.want || (tt.kind != "" && resp.Header.Get("Content-Type") != tt.kind) {
			t.Errorf("%s: %q, %v", tt.path, data, err)
		}
	}
	if n, m := s.Requests("/seq"), s.Requests("/@a/b"); n != 3 || m != 1 {
		t.Errorf("counted %d and %d", n, m)
	}
	if e := s.Log()[4]; e.Path != "/q" || e.Query != "x=1" || e.Method != "GET" || e.Header.Get("X-In") != "in" {
		t.Errorf("logged %+v", e)
	}
	if s.Connections() != len(s.Log()) {
		t.Errorf("%d connections for %d requests without keep-alive", s.Connections(), len(s.Log()))
	}
	s.Forget()
	if len(s.Log())+s.Connections() != 0 {
		t.Error("not forgotten")
	}
}
