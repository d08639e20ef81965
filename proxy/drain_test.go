package proxy

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// noise is an endless body without its bytes.
type noise struct{}

func (noise) Read(p []byte) (int, error) { return len(p), nil }

// sendAll sends a request whole and reads nothing before that, as simple clients do.
func sendAll(t *testing.T, addr, head string, body io.Reader) (*http.Response, string) {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(20 * time.Second)) // a server that hangs fails the test
	if _, err := io.WriteString(c, head); err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(c, body); err != nil {
		t.Errorf("%q: the body could not be sent: %v", head, err)
	}
	in := bufio.NewReader(c)
	resp, err := http.ReadResponse(in, nil)
	if err != nil {
		t.Fatalf("%q: no reply: %v", head, err)
	}
	defer resp.Body.Close()
	got := text(t, resp)
	if rest, err := io.ReadAll(in); err != nil || len(rest) > 0 {
		t.Errorf("%q: behind the reply: %q, %v", head, rest, err)
	}
	return resp, got
}

// TestRefusalsReachWhoSendsFirst: a refusal leaves most of the body unread, and to
// end the connection then would take the reply with it.
func TestRefusalsReachWhoSendsFirst(t *testing.T) {
	const size, large = 4 << 20, 6 << 20
	w := newWorld(t, func(o *Options) { o.MaxBody = 5 << 20 })
	addr, _ := live(t, w.handler, ServerOptions{})
	chunks := strings.Repeat("10000\r\n"+strings.Repeat("x", 64<<10)+"\r\n", large/(64<<10)) + "0\r\n\r\n"
	for _, tt := range []struct {
		name, fields string
		body         io.Reader
		status       int
	}{
		{"unknown caller", fmt.Sprintf("Authorization: Bearer mallory-token\r\nContent-Length: %d\r\n", size), io.LimitReader(noise{}, size), 401},
		{"too large", fmt.Sprintf("Content-Length: %d\r\n", large), io.LimitReader(noise{}, large), 413},
		{"too large, and ends the connection", fmt.Sprintf("Connection: close\r\nContent-Length: %d\r\n", large), io.LimitReader(noise{}, large), 413},
		{"chunked", "Authorization: Bearer mallory-token\r\nTransfer-Encoding: chunked\r\n", strings.NewReader(chunks), 401},
		{"too large when read", "Transfer-Encoding: chunked\r\n", strings.NewReader(chunks), 413},
	} {
		resp, body := sendAll(t, addr, "PUT /pad/a/1 HTTP/1.1\r\nHost: a\r\n"+tt.fields+"\r\n", tt.body)
		if resp.StatusCode != tt.status || !resp.Close || int64(len(body)) != resp.ContentLength || body == "" {
			t.Errorf("%s: %d, close %v, %d of %d bytes: %q", tt.name, resp.StatusCode, resp.Close, len(body), resp.ContentLength, body)
		}
	}
	if log := w.log.String(); strings.Contains(log, `"status":499`) || strings.Contains(log, "went away") {
		t.Errorf("logged as clients that went away:\n%s", log)
	}
}

// TestDrainHasAnEnd: who never stops is not listened to for ever.
func TestDrainHasAnEnd(t *testing.T) {
	w := newWorld(t, nil)
	addr, _ := live(t, w.handler, ServerOptions{})
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(20 * time.Second))
	if _, err := fmt.Fprintf(c, "PUT /pad/a/1 HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer mallory-token\r\nContent-Length: %d\r\n\r\n", int64(1)<<40); err != nil {
		t.Fatal(err)
	}
	const most = drainBytes + 64<<20 // the kernels hold some
	if n, err := io.Copy(c, io.LimitReader(noise{}, most)); err == nil {
		t.Errorf("%d bytes were taken", n)
	}
}

// TestRefusalsOverHTTP2: there the end of a body that nobody wants is a word of the
// protocol, and the reply stands before it.
func TestRefusalsOverHTTP2(t *testing.T) {
	cert, err := LoadCertificate(pair(t, t.TempDir(), "h2"))
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t, func(o *Options) { o.MaxBody = 2 << 20 })
	addr, _ := live(t, w.handler, ServerOptions{TLS: cert})
	tr := &http.Transport{ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
	defer tr.CloseIdleConnections()
	for range 5 { // on one connection
		for token, want := range map[string]int{"mallory-token": 401, "ann-token": 413} {
			r, err := http.NewRequest("PUT", "https://"+addr+"/pad/a/1", io.LimitReader(noise{}, 4<<20))
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("Authorization", "Bearer "+token)
			resp, err := tr.RoundTrip(r)
			if err != nil {
				t.Fatalf("%s: %v", token, err)
			}
			body, err := io.ReadAll(resp.Body)
			resp.Body.Close()
			if err != nil || resp.ProtoMajor != 2 || resp.StatusCode != want || int64(len(body)) != resp.ContentLength || len(body) == 0 {
				t.Errorf("%s: HTTP/%d %d, %v, %q", token, resp.ProtoMajor, resp.StatusCode, err, body)
			}
		}
	}
}
