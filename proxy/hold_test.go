package proxy

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"larder/formats"
	"larder/policy"
)

// impatient is a connection on which, once hurry is set, every time to wait for
// the client is over at once: what has a deadline ends, what has none hangs.
type impatient struct {
	*net.TCPConn
	hurry *atomic.Bool
}

func (c impatient) SetReadDeadline(at time.Time) error {
	if c.hurry.Load() && !at.IsZero() {
		at = time.Unix(1, 0)
	}
	return c.TCPConn.SetReadDeadline(at)
}

type impatientListener struct {
	net.Listener
	hurry atomic.Bool
}

func (l *impatientListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return impatient{c.(*net.TCPConn), &l.hurry}, nil
}

// hurrying asks inner, and hurries all that is read from then on.
type hurrying struct {
	inner Identifier
	hurry *atomic.Bool
}

func (i hurrying) Identify(r *http.Request, remote netip.Addr) (policy.Subject, error) {
	i.hurry.Store(true)
	return i.inner.Identify(r, remote)
}

// held sends the head and less than the body of a request, and returns the
// reply, which must be followed by the end of the connection.
func held(t *testing.T, w *world, l *impatientListener, request string) *http.Response {
	t.Helper()
	l.hurry.Store(false)
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(20 * time.Second)) // a server that hangs fails the test
	if _, err := io.WriteString(c, request); err != nil {
		t.Fatal(err)
	}
	in := bufio.NewReader(c)
	resp, err := http.ReadResponse(in, nil)
	if err != nil {
		t.Fatalf("%q: no reply: %v\n%s", request, err, w.log)
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("%q: the reply broke off: %v", request, err)
	}
	resp.Body = io.NopCloser(strings.NewReader(string(body)))
	if rest, err := io.ReadAll(in); err != nil || len(rest) > 0 {
		t.Errorf("%q: the connection was not closed behind the reply: %q, %v", request, rest, err)
	}
	return resp
}

// A client that announces a body and does not send it must not hold a
// connection: net/http reads on behind a reply, for as long as it may.
func TestThreat27AHeldBodyHoldsNoConnection(t *testing.T) {
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := &impatientListener{Listener: inner}
	w := newWorld(t, func(o *Options) {
		o.Handlers = map[string]http.Handler{"healthz": http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
			l.hurry.Store(true)
			rw.WriteHeader(http.StatusOK)
		})}
		o.Identifier = hurrying{o.Identifier, &l.hurry}
	})
	w.serve = func(formats.File) (*formats.Content, error) {
		return &formats.Content{Bytes: make([]byte, 64<<10), Size: 64 << 10, MediaType: "application/octet-stream", Result: formats.Hit}, nil
	}
	serveOn(t, l, w.handler, ServerOptions{})
	for request, want := range map[string]int{
		"PUT /pad/a/1 HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\nslow":                                          408,
		"PUT /pad/a/1 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nslow\r\n":                           408,
		"PUT /pad/a/1 HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer mallory-token\r\nContent-Length: 1000\r\n\r\n":       401,
		"PUT /pad/a/1 HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer mallory-token\r\nTransfer-Encoding: chunked\r\n\r\n": 401,
		"GET /pad/a/1 HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n":                                              200,
		"GET /healthz HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n":                                              200,
	} {
		resp := held(t, w, l, request)
		if resp.StatusCode != want || !resp.Close {
			t.Errorf("%q: %d, close %v, want %d and the end of the connection", request, resp.StatusCode, resp.Close, want)
		}
		if want == 408 && !strings.Contains(text(t, resp), "too slowly") {
			t.Errorf("%q: the client is not told that it was too slow", request)
		}
	}
	if log := w.log.String(); strings.Contains(log, "went away") || strings.Contains(log, `"status":499`) {
		t.Errorf("a slow client is logged as one that went away:\n%s", log)
	}
}
