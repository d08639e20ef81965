package proxy

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"syscall"
)

// headRoom is how much conn holds back: the size of net/http's write buffer,
// which it flushes before it passes a larger body on.
const headRoom = 4 << 10 // bytes

// joinFile is up to where a file is sent behind its head in one packet. Behind
// a larger one the packet saved is nothing, and the server's share of the work
// was measured to be a seventh more.
const joinFile = 4 << 20 // bytes

// tcp is what a connection must be able to do: *net.TCPConn is the real one.
type tcp interface {
	net.Conn
	io.ReaderFrom      // sendfile
	CloseWrite() error // net/http ends replies by it
	syscall.Conn
}

// conn joins the head of a reply with its body. net/http writes them apart, so
// that a client would be woken twice, for two packets, where one will do.
type conn struct {
	tcp
	raw     syscall.RawConn
	joining bool
	held    []byte // waits for the next write
}

// join makes the next write wait for the one behind it, if it is no longer
// than headRoom. release must follow before anything else is waited for.
func (c *conn) join() { c.joining = true }

// release sends what still waits.
func (c *conn) release() error {
	c.joining = false
	if len(c.held) == 0 {
		return nil
	}
	held := c.held
	c.held = c.held[:0]
	_, err := c.tcp.Write(held)
	return err
}

// Write sends p behind what waits, or lets p wait.
func (c *conn) Write(p []byte) (int, error) {
	if len(c.held) == 0 {
		if !c.joining || len(p) > headRoom {
			return c.tcp.Write(p)
		}
		c.joining = false
		c.held = append(c.held, p...)
		return len(p), nil
	}
	first := len(c.held)
	both := net.Buffers{c.held, p}
	c.held = c.held[:0]
	n, err := both.WriteTo(c.tcp)
	return max(0, int(n)-first), err
}

// ReadFrom sends a file behind what waits.
func (c *conn) ReadFrom(src io.Reader) (int64, error) {
	if len(c.held) > 0 {
		n, err := sendMore(c.raw, c.held)
		c.held = c.held[:copy(c.held, c.held[n:])]
		if err == nil {
			err = c.release()
		}
		if err != nil {
			return 0, fmt.Errorf("send the head: %w", err)
		}
	}
	return c.tcp.ReadFrom(src)
}

// listener accepts connections as conn.
type listener struct{ net.Listener }

// Accept waits for the next connection.
func (l listener) Accept() (net.Conn, error) {
	inner, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	t, ok := inner.(tcp)
	if !ok {
		return inner, nil
	}
	raw, err := t.SyscallConn()
	if err != nil {
		return inner, nil // closed already: the first read will tell
	}
	return &conn{tcp: t, raw: raw}, nil
}

type connKey struct{}

// withConn is http.Server.ConnContext.
func withConn(ctx context.Context, c net.Conn) context.Context {
	if c, ok := c.(*conn); ok {
		return context.WithValue(ctx, connKey{}, c)
	}
	return ctx
}

// connOf returns the connection under a plain request, nil if there is none to
// join writes on.
func connOf(r *http.Request) *conn {
	if r.TLS != nil {
		return nil
	}
	c, _ := r.Context().Value(connKey{}).(*conn)
	return c
}
