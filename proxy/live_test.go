package proxy

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"larder/formats"
)

// spy is a TCP connection that notes what is handed to its ReadFrom, which is
// where the kernel takes over, and how often it is written to beside that.
type spy struct {
	*net.TCPConn
	files, writes *atomic.Int64
}

func (s spy) Write(p []byte) (int, error) {
	s.writes.Add(1)
	return s.TCPConn.Write(p)
}

func (s spy) ReadFrom(src io.Reader) (int64, error) {
	if l, ok := src.(*io.LimitedReader); ok {
		if _, ok := l.R.(*os.File); ok {
			s.files.Add(1)
		}
	}
	return s.TCPConn.ReadFrom(src)
}

type spyListener struct {
	net.Listener
	files, writes atomic.Int64
}

func (l *spyListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return spy{c.(*net.TCPConn), &l.files, &l.writes}, nil
}

// live serves w until the test ends, and returns the address and the listener.
func live(t *testing.T, h http.Handler, o ServerOptions) (addr string, l *spyListener) {
	t.Helper()
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l = &spyListener{Listener: inner}
	serveOn(t, l, h, o)
	return inner.Addr().String(), l
}

// serveOn serves h on l until the test ends.
func serveOn(t *testing.T, l net.Listener, h http.Handler, o ServerOptions) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- Serve(ctx, l, h, o) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
}

func bigFile(t *testing.T, size int64) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "blob")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := io.CopyN(f, &pattern{}, size); err != nil {
		t.Fatal(err)
	}
	return path
}

// pattern is an endless text in which every place looks different.
type pattern struct{ n byte }

func (p *pattern) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = p.n
		p.n = p.n*31 + 7
	}
	return len(b), nil
}

// serveFile makes the world answer every file with the one at path.
func (w *world) serveFile(path string) {
	w.serve = func(formats.File) (*formats.Content, error) {
		f, err := os.Open(path)
		if err != nil {
			return nil, err
		}
		info, err := f.Stat()
		if err != nil {
			return nil, err
		}
		return &formats.Content{Size: info.Size(), MediaType: "application/octet-stream", ETag: `"tag"`, File: f, Immutable: true, Result: formats.Hit}, nil
	}
}

func TestFilesGoThroughSendfile(t *testing.T) {
	const size = 3<<20 + 17
	path := bigFile(t, size)
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t, nil)
	w.serveFile(path)
	addr, l := live(t, w.handler, ServerOptions{})
	for _, tt := range []struct {
		ranges   string
		from, to int64
	}{{"", 0, size}, {"bytes=1000-2000000", 1000, 2000001}} {
		before := l.files.Load()
		req, _ := http.NewRequest("GET", "http://"+addr+"/pad/a/1", nil)
		if tt.ranges != "" {
			req.Header.Set("Range", tt.ranges)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		if got := text(t, resp); got != string(want[tt.from:tt.to]) {
			t.Errorf("range %q: %d bytes, other than the file's", tt.ranges, len(got))
		}
		if pieces := l.files.Load() - before; pieces < 2 {
			t.Errorf("range %q: the file was handed to the connection %d times, want one per piece", tt.ranges, pieces)
		}
	}
	if !strings.Contains(w.log.String(), fmt.Sprintf(`"bytes":%d`, size)) {
		t.Errorf("the bytes were not counted: %s", w.log)
	}
}

// The whole chain must keep what sendfile and the controller need.
func TestWriterKeepsItsAbilities(t *testing.T) {
	w := newWorld(t, func(o *Options) {
		o.Handlers = map[string]http.Handler{"api": http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			inner := rw.(interface{ Unwrap() http.ResponseWriter }).Unwrap()
			_, keeps := inner.(io.ReaderFrom)
			if _, ok := rw.(io.ReaderFrom); !ok || !keeps {
				t.Errorf("io.ReaderFrom is lost: outside %v, inside %v", ok, keeps)
			}
			ctl := http.NewResponseController(rw)
			if err := errors.Join(ctl.SetReadDeadline(time.Time{}), ctl.SetWriteDeadline(time.Time{}), ctl.Flush()); err != nil {
				t.Errorf("http.ResponseController: %v", err)
			}
		})}
	})
	addr, _ := live(t, w.handler, ServerOptions{})
	resp, err := http.Get("http://" + addr + "/api/x")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
}

func TestACutBodyNeverLooksWhole(t *testing.T) {
	for name, size := range map[string]int64{"known size": 100, "unknown size": -1} {
		w := newWorld(t, nil)
		w.serve = func(formats.File) (*formats.Content, error) {
			return &formats.Content{Size: size, MediaType: "x/y", Follow: func(context.Context, int64, int64) (io.ReadCloser, error) {
				return io.NopCloser(io.MultiReader(strings.NewReader("half"), broken{errors.New("upstream cut")})), nil
			}}, nil
		}
		addr, _ := live(t, w.handler, ServerOptions{})
		resp, err := http.Get("http://" + addr + "/pad/a/1")
		if err != nil {
			continue // cut before the head was read: as good
		}
		if _, err := io.ReadAll(resp.Body); err == nil {
			t.Errorf("%s: the cut body ended cleanly", name)
		}
		resp.Body.Close()
	}
}

// exchangeRaw writes one text to a connection and reads until it closes.
func exchangeRaw(t *testing.T, addr, request string) string {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(20 * time.Second))
	if _, err := io.WriteString(c, request); err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(c)
	if err != nil && len(got) == 0 {
		t.Fatal(err)
	}
	return string(got)
}

func TestThreat26NoSecondRequestIsSmuggled(t *testing.T) {
	w := newWorld(t, nil)
	addr, _ := live(t, w.handler, ServerOptions{})
	const smuggled = "GET /pad/smuggled/1 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
	for name, request := range map[string]string{
		"TE and CL":             "PUT /pad/a/1 HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + smuggled,
		"chunked alone":         "PUT /pad/a/1 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + smuggled,
		"two CL":                "PUT /pad/a/1 HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nContent-Length: 90\r\n\r\n" + smuggled,
		"CL with plus":          "PUT /pad/a/1 HTTP/1.1\r\nHost: a\r\nContent-Length: +0\r\n\r\n" + smuggled,
		"TE misspelt":           "PUT /pad/a/1 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n" + smuggled,
		"TE twice":              "PUT /pad/a/1 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n" + smuggled,
		"space before colon":    "PUT /pad/a/1 HTTP/1.1\r\nHost: a\r\nContent-Length : 90\r\n\r\n" + smuggled,
		"folded field":          "PUT /pad/a/1 HTTP/1.1\r\nHost: a\r\nX: y\r\n Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n" + smuggled,
		"TE in HTTP/1.0":        "PUT /pad/a/1 HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n" + smuggled,
		"HTTP/1.0, TE and CL":   "PUT /pad/a/1 HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\nContent-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n" + smuggled,
		"bare LF chunk size":    "PUT /pad/a/1 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\n\n" + smuggled,
		"two hosts":             "GET /pad/a/1 HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n" + smuggled,
		"body behind a refusal": "PUT /nosuch/a HTTP/1.1\r\nHost: a\r\nContent-Length: " + fmt.Sprint(len(smuggled)) + "\r\n\r\n" + smuggled,
	} {
		if got := exchangeRaw(t, addr, request); strings.Count(got, "HTTP/1.1 ")+strings.Count(got, "HTTP/1.0 ") != 1 {
			t.Errorf("%s: not one reply:\n%s", name, got)
		}
	}
	if strings.Contains(w.log.String(), "smuggled") {
		t.Errorf("a smuggled request was answered:\n%s", w.log)
	}
}

func TestKeepAliveSurvivesABody(t *testing.T) {
	w := newWorld(t, nil)
	addr, _ := live(t, w.handler, ServerOptions{})
	got := exchangeRaw(t, addr, "PUT /pad/a/1 HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\nok"+
		"GET /pad/second/1 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
	if strings.Count(got, "HTTP/1.1 409") != 1 || strings.Count(got, "HTTP/1.1 200") != 1 || !strings.Contains(got, "HTTP/1.1 100") {
		t.Errorf("replies:\n%s", got)
	}
}

// pair writes a new self-signed pair to dir and returns its files.
func pair(t *testing.T, dir, name string) (certFile, keyFile string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, DNSNames: []string{"larder.example"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	certFile, keyFile = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for path, block := range map[string]*pem.Block{certFile: {Type: "CERTIFICATE", Bytes: der}, keyFile: {Type: "EC PRIVATE KEY", Bytes: keyDER}} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return certFile, keyFile
}

func TestTLSReloadsAndSpeaksHTTP2(t *testing.T) {
	dir := t.TempDir()
	certFile, keyFile := pair(t, dir, "first")
	cert, err := LoadCertificate(certFile, keyFile)
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t, nil)
	path := bigFile(t, 2<<20)
	w.serveFile(path)
	addr, _ := live(t, w.handler, ServerOptions{TLS: cert})
	get := func() string {
		tr := &http.Transport{ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
		defer tr.CloseIdleConnections()
		client := http.Client{Transport: tr}
		resp, err := client.Get("https://" + addr + "/pad/a/1")
		if err != nil {
			t.Fatal(err)
		}
		if body := text(t, resp); resp.ProtoMajor != 2 || len(body) != 2<<20 {
			t.Errorf("HTTP/%d, %d bytes", resp.ProtoMajor, len(body))
		}
		put, err := client.Post("https://"+addr+"/pad/a/1", "x/y", strings.NewReader("body"))
		if err != nil {
			t.Fatal(err)
		}
		put.Body.Close()
		return resp.TLS.PeerCertificates[0].Subject.CommonName
	}
	if got := get(); got != "first" {
		t.Errorf("certificate %q", got)
	}
	pair(t, dir, "second")
	if err := cert.Reload(); err != nil {
		t.Fatal(err)
	}
	if got := get(); got != "second" {
		t.Errorf("certificate %q after the reload", got)
	}
	if err := os.WriteFile(keyFile, []byte("broken"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := cert.Reload(); err == nil {
		t.Error("a broken key was loaded")
	}
	if got := get(); got != "second" {
		t.Errorf("certificate %q after a failed reload", got)
	}
}

func TestServeDrains(t *testing.T) {
	started, release := make(chan struct{}), make(chan struct{})
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		close(started)
		<-release
		if err := r.Context().Err(); err != nil {
			t.Errorf("the request was cancelled by the drain: %v", err)
		}
		io.WriteString(w, "whole")
	})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- Serve(ctx, l, h, ServerOptions{Draining: func() { close(release) }}) }()
	got := make(chan string, 1)
	go func() {
		resp, err := http.Get("http://" + l.Addr().String())
		if err != nil {
			got <- err.Error()
			return
		}
		defer resp.Body.Close()
		b, _ := bufio.NewReader(resp.Body).ReadString(0)
		got <- b
	}()
	<-started
	stop()
	if body := <-got; body != "whole" {
		t.Errorf("the transfer ended with %q", body)
	}
	if err := <-done; err != nil {
		t.Errorf("Serve: %v", err)
	}
}

func TestServeSaysWhenItHadToCut(t *testing.T) {
	started, release := make(chan struct{}), make(chan struct{})
	h := http.HandlerFunc(func(http.ResponseWriter, *http.Request) { close(started); <-release })
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- Serve(ctx, l, h, ServerOptions{Drain: time.Millisecond}) }()
	go http.Get("http://" + l.Addr().String())
	<-started
	stop()
	if err := <-done; !errors.Is(err, ErrDrain) {
		t.Errorf("Serve: %v, want ErrDrain", err)
	}
	close(release)
}

func TestServeReportsAListenerThatFails(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	if err := Serve(context.Background(), l, http.NotFoundHandler(), ServerOptions{}); err == nil {
		t.Error("a closed listener was served")
	}
}
