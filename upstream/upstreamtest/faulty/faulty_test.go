package faulty

import (
	"bytes"
	"compress/gzip"
	"io"
	"net/http"
	"testing"
	"time"
)

func started(t *testing.T, a Answer) *Server {
	t.Helper()
	s, err := Start(func(*http.Request, []byte) Answer { return a })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

func ask(t *testing.T, method, address string, body io.Reader, fields ...string) (*http.Response, []byte, error) {
	t.Helper()
	return Question{Method: method, URL: address, Body: body, Fields: fields}.Ask(t.Context())
}

func TestFaults(t *testing.T) {
	whole := bytes.Repeat([]byte("0123456789"), 10)
	s := started(t, Answer{Status: 200, Body: whole, Ranges: true, ETag: `"e"`})
	get := func(fields ...string) (int, []byte, error) {
		w, body, err := ask(t, "GET", s.URL+"/x/y", nil, fields...)
		if w == nil {
			return 0, body, err
		}
		return w.StatusCode, body, err
	}
	if status, body, err := get(); err != nil || status != 200 || !bytes.Equal(body, whole) {
		t.Errorf("well: %d %q, %v", status, body, err)
	}
	s.Fail(Fault{Prefix: "/x/", Cut: true, Times: 2})
	if _, body, err := get(); err == nil || len(body) != 50 {
		t.Errorf("cut: %d bytes, %v", len(body), err)
	}
	// What is cut of a part is the half of it.
	if status, body, err := get("Range", "bytes=50-"); err == nil || status != 206 || string(body) != string(whole[50:75]) {
		t.Errorf("cut part: %d %q, %v", status, body, err)
	}
	if status, body, err := get("Range", "bytes=90-"); err != nil || status != 206 || len(body) != 10 {
		t.Errorf("after two faults: %d %q, %v", status, body, err)
	}
	s.Fail(Fault{Wrong: true})
	if _, body, err := get(); err != nil || len(body) != 100 || bytes.Equal(body, whole) {
		t.Errorf("wrong: %q, %v", body, err)
	}
	s.Heal()
	s.Fail(Fault{Status: 429, Retry: 7 * time.Second})
	w, _, err := ask(t, "HEAD", s.URL+"/x", nil)
	if err != nil || w.StatusCode != 429 || w.Header.Get("Retry-After") != "7" || w.Header.Get("ETag") != "" {
		t.Errorf("status: %v, %v", w, err)
	}
	s.Heal()
	s.Fail(Fault{Prefix: "/other"})
	if status, _, err := get("If-None-Match", `"e"`); err != nil || status != 304 {
		t.Errorf("unchanged: %d, %v", status, err)
	}
	if n := len(s.Log("/x/")); n != 6 {
		t.Errorf("%d requests below /x/", n)
	}
}

// TestStallsEndWithTheServer: a stall holds its connection until then.
func TestStallsEndWithTheServer(t *testing.T) {
	s := started(t, Answer{Status: 200, Body: []byte("0123456789")})
	s.Fail(Fault{Stall: true})
	w, err := http.Get(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Body.Close()
	half := make([]byte, 5)
	if _, err := io.ReadFull(w.Body, half); err != nil || string(half) != "01234" {
		t.Fatalf("%q, %v", half, err)
	}
	s.Down()
	if n, err := w.Body.Read(half); err == nil {
		t.Errorf("%d more bytes", n)
	}
	if _, _, err := ask(t, "GET", s.URL, nil); err == nil {
		t.Error("an answer while down")
	}
	s.Heal()
	if err := s.Up(); err != nil {
		t.Fatal(err)
	}
	if _, body, err := ask(t, "GET", s.URL, nil); err != nil || string(body) != "0123456789" {
		t.Errorf("up again: %q, %v", body, err)
	}
}

func TestBodiesAreInflated(t *testing.T) {
	s := started(t, Answer{Status: 200})
	var zipped bytes.Buffer
	zip := gzip.NewWriter(&zipped)
	if _, err := zip.Write([]byte("hello")); err != nil {
		t.Fatal(err)
	}
	if err := zip.Close(); err != nil {
		t.Fatal(err)
	}
	if w, _, err := ask(t, "POST", s.URL+"/p?q=1", &zipped, "Content-Encoding", "gzip"); err != nil || w.StatusCode != 200 {
		t.Errorf("%v, %v", w, err)
	}
	if log := s.Log("/p"); len(log) != 1 || string(log[0].Body) != "hello" || log[0].Query != "q=1" || log[0].Method != "POST" {
		t.Errorf("log %v", log)
	}
	if w, _, err := ask(t, "POST", s.URL, bytes.NewReader([]byte("plain")), "Content-Encoding", "gzip"); err != nil || w.StatusCode != 400 {
		t.Errorf("no gzip: %v, %v", w, err)
	}
	s.Forget()
	if len(s.Log("")) != 0 {
		t.Error("the log is not empty")
	}
}
