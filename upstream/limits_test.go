package upstream_test

import (
	"bufio"
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"larder/upstream"
	"larder/upstream/upstreamtest"
)

// TestHeadersAreBounded: an upstream cannot make us hold what it likes before
// the first byte of a body.
func TestHeadersAreBounded(t *testing.T) {
	for name, start := range map[string]func(testing.TB) *upstreamtest.Server{"HTTP/1.1": upstreamtest.New, "HTTP/2": upstreamtest.NewTLS} {
		srv, roots := start(t), (*upstreamtest.Server).Roots
		if name == "HTTP/1.1" {
			roots = func(*upstreamtest.Server) *x509.CertPool { return nil }
		}
		c, err := upstream.New(upstream.Config{URL: srv.URL, RootCAs: roots(srv)}, upstream.NewTransport(upstream.Options{
			Proxy: noProxy, Wait: newClock().wait,
		}))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(c.CloseIdle)
		field := strings.Repeat("x", 8<<10)
		for _, tt := range []struct {
			kib int
			ok  bool
		}{{128, true}, {1024, false}} {
			h := http.Header{}
			for range tt.kib / 8 {
				h.Add("X-Long", field)
			}
			srv.Serve("/a", upstreamtest.Answer{Body: []byte("a"), Header: h})
			if !tt.ok {
				fails(t, c, upstream.Request{Ref: "a"}, upstream.ErrUnavailable)
			} else if body, _ := get(t, c, upstream.Request{Ref: "a"}); body != "a" {
				t.Errorf("%s: %d KiB of headers: %q", name, tt.kib, body)
			}
		}
	}
}

// TestHTTP2IsSpoken where the upstream does: many requests share a connection.
func TestHTTP2IsSpoken(t *testing.T) {
	srv := upstreamtest.NewTLS(t)
	major := 0
	srv.ServeFunc("/a", func(r *http.Request) upstreamtest.Answer {
		major = r.ProtoMajor
		return upstreamtest.Answer{Chunked: true, Body: []byte("a")}
	})
	c, err := upstream.New(upstream.Config{URL: srv.URL, RootCAs: srv.Roots()}, upstream.NewTransport(upstream.Options{Proxy: noProxy}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.CloseIdle)
	if _, r := get(t, c, upstream.Request{Ref: "a"}); major != 2 || r.Size != -1 || r.Unframed {
		t.Errorf("HTTP/%d, %d bytes announced, without an end of its own: %v", major, r.Size, r.Unframed)
	}
}

// TestEndOfABody tells a body that ends by itself from one that ends with its
// connection, whatever the upstream says of its version.
func TestEndOfABody(t *testing.T) {
	for reply, unframed := range map[string]bool{
		"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello":                            false,
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n": false,
		"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello":                            false,
		"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhello":                            true,
		"HTTP/1.0 200 OK\r\n\r\nhello":                                                 true,
	} {
		c := rawClient(t, reply)
		if body, r := get(t, c, upstream.Request{Ref: "a"}); body != "hello" || r.Unframed != unframed {
			t.Errorf("%q: %q, %v", reply, body, r.Unframed)
		}
	}
	c := rawClient(t, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n")
	if _, r := get(t, c, upstream.Request{Method: http.MethodHead, Ref: "a"}); r.Unframed || r.Size != 5 {
		t.Errorf("HEAD: %+v", r)
	}
}

// rawClient speaks to an upstream that answers each connection with the same
// bytes and closes it in good order.
func rawClient(t *testing.T, reply string) *upstream.Client {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				if _, err := http.ReadRequest(bufio.NewReader(conn)); err == nil {
					_, _ = io.WriteString(conn, reply) // who goes away misses it
				}
			}()
		}
	}()
	c, err := upstream.New(upstream.Config{URL: "http://" + l.Addr().String()}, upstream.NewTransport(upstream.Options{Proxy: noProxy}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.CloseIdle)
	return c
}

// TestRequestsAreChecked before anything goes out.
func TestRequestsAreChecked(t *testing.T) {
	w := newWorld(t)
	for _, req := range []upstream.Request{
		{Method: http.MethodPut, Ref: "a"},
		{Method: http.MethodGet, Ref: "a", Body: []byte("x")},
		{Method: http.MethodPost, Ref: "a", Body: make([]byte, 16<<20+1)},
		{Ref: "ftp://files.upstream.example/a"}, {Ref: "gopher://" + w.Host() + "/a"}, {Ref: "file:///etc/hostname"},
		{Ref: "a/../../b"}, {Ref: "./a"}, {Ref: "a b"}, {Ref: "a\\b"}, {Ref: "a\x00"},
	} {
		fails(t, w.client, req, upstream.ErrRefused)
	}
	if n := w.Connections(); n != 0 {
		t.Errorf("%d connections", n)
	}
	w.Serve("/a", upstreamtest.Answer{})
	resp, err := w.client.Fetch(t.Context(), upstream.Request{Method: http.MethodPost, Ref: "a", Body: make([]byte, 16<<20)})
	if err != nil || len(w.Log()[0].Body) != 16<<20 {
		t.Fatalf("the longest body: %v", err)
	}
	resp.Body.Close()
}
