package upstream_test

import (
	"context"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"larder/upstream"
)

func noProxy(*http.Request) (*url.URL, error) { return nil, nil }

// clock moves when told; its pauses take no time and are remembered.
type clock struct {
	mu     sync.Mutex
	at     time.Time
	each   time.Duration
	paused []time.Duration
}

func newClock() *clock { return &clock{at: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)} }

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(c.each)
	return c.at
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

func (c *clock) step(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.each = d
}

func (c *clock) wait(ctx context.Context, d time.Duration) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.paused = append(c.paused, d)
	return context.Cause(ctx)
}

func (c *clock) pauses() []time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]time.Duration(nil), c.paused...)
}

// events remembers what the hooks told.
type events struct {
	mu      sync.Mutex
	list    []upstream.Attempt
	changes []string
}

func (e *events) hooks() upstream.Hooks {
	return upstream.Hooks{
		Attempt: func(a upstream.Attempt) {
			e.mu.Lock()
			defer e.mu.Unlock()
			e.list = append(e.list, a)
		},
		Breaker: func(id, _ string, open bool) {
			e.mu.Lock()
			defer e.mu.Unlock()
			word := " closed"
			if open {
				word = " open"
			}
			e.changes = append(e.changes, id+word)
		},
	}
}

func (e *events) attempts() []upstream.Attempt {
	e.mu.Lock()
	defer e.mu.Unlock()
	return append([]upstream.Attempt(nil), e.list...)
}

func (e *events) breaker() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return strings.Join(e.changes, ", ")
}

// eventually waits for what another goroutine does.
func eventually(t *testing.T, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("did not happen within 10 s")
		}
	}
}

// newResolver answers every name with one IPv4 address.
func newResolver(t *testing.T, v4 [4]byte) *net.Resolver {
	t.Helper()
	pc, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { pc.Close() })
	go func() {
		buf := make([]byte, 1500)
		for {
			n, from, err := pc.ReadFrom(buf)
			if err != nil {
				return
			}
			if reply := dnsReply(buf[:n], v4); reply != nil {
				if _, err := pc.WriteTo(reply, from); err != nil {
					return
				}
			}
		}
	}()
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "udp4", pc.LocalAddr().String())
	}}
}

// dnsReply answers a query of RFC 1035 with an A record, and any other type
// with no record at all.
func dnsReply(q []byte, v4 [4]byte) []byte {
	end := 12
	for end < len(q) && q[end] != 0 {
		end += int(q[end]) + 1
	}
	if end += 5; end > len(q) {
		return nil
	}
	reply := append([]byte(nil), q[:end]...)
	reply[2], reply[3] = 0x81, 0x80
	copy(reply[4:12], []byte{0, 1, 0, 0, 0, 0, 0, 0})
	if q[end-3] == 1 { // type A
		reply[7] = 1
		reply = append(reply, 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4, v4[0], v4[1], v4[2], v4[3])
	}
	return reply
}
