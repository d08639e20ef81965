package proxy

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"time"

	"github.com/rs/zerolog"

	"larder/policy/token"
)

// Limits of every connection (policy.md section 8).
const (
	headerTimeout  = 10 * time.Second
	idleTimeout    = 120 * time.Second
	maxHeader      = 64 << 10 // bytes
	maxStreams     = 250      // of one HTTP/2 connection
	defaultDrain   = 30 * time.Second
	streamWindow   = 1 << 20 // bytes a client may send ahead on one HTTP/2 stream
	connectionRoom = 8 << 20 // the same for all streams of a connection
)

// ServerOptions say how to serve.
type ServerOptions struct {
	// TLS serves https (HTTP/1.1 and HTTP/2) with a certificate that can be
	// reloaded; nil serves plain HTTP/1.1.
	TLS *Certificate
	// Drain bounds how long transfers may go on after the end was asked for;
	// 0 is 30 s.
	Drain time.Duration
	// Draining is called when draining begins, before the listener closes.
	Draining func()
	// Log gets what net/http has to say of broken connections.
	Log zerolog.Logger
}

// ErrDrain says that transfers were cut because draining took too long.
var ErrDrain = errors.New("transfers were cut at the end of the draining time")

// Serve answers on l until ctx ends, then stops accepting, lets transfers
// finish and returns nil; ErrDrain when some had to be cut. Requests do not
// inherit the end of ctx.
func Serve(ctx context.Context, l net.Listener, h http.Handler, o ServerOptions) error {
	srv := newServer(ctx, h, o)
	done := make(chan error, 1)
	l = listener{l}
	go func() {
		if o.TLS != nil {
			done <- srv.ServeTLS(l, "", "")
			return
		}
		done <- srv.Serve(l)
	}()
	select {
	case err := <-done:
		return fmt.Errorf("serve %s: %w", l.Addr(), err)
	case <-ctx.Done():
	}
	return drain(ctx, srv, done, o)
}

func newServer(ctx context.Context, h http.Handler, o ServerOptions) *http.Server {
	srv := &http.Server{
		Handler:           h,
		ReadHeaderTimeout: headerTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeader,
		HTTP2: &http.HTTP2Config{
			MaxConcurrentStreams:          maxStreams,
			MaxReceiveBufferPerStream:     streamWindow,
			MaxReceiveBufferPerConnection: connectionRoom,
		},
		ErrorLog:    log.New(serverLog{o.Log}, "", 0),
		ConnContext: withConn,
		BaseContext: func(net.Listener) context.Context { return context.WithoutCancel(ctx) },
	}
	if o.TLS != nil {
		srv.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: o.TLS.get}
	}
	return srv
}

func drain(ctx context.Context, srv *http.Server, done <-chan error, o ServerOptions) error {
	if o.Draining != nil {
		o.Draining()
	}
	if o.Drain == 0 {
		o.Drain = defaultDrain
	}
	// The context that ended is what got us here.
	limit, cancel := context.WithTimeout(context.WithoutCancel(ctx), o.Drain)
	defer cancel()
	err := srv.Shutdown(limit)
	if errors.Is(err, context.DeadlineExceeded) {
		err = errors.Join(ErrDrain, srv.Close())
	}
	<-done // http.ErrServerClosed: it is why we are here
	if err != nil {
		return fmt.Errorf("drain: %w", err)
	}
	return nil
}

// serverLog turns lines of net/http into log lines. They name addresses and
// causes, no URLs; broken connections are everyday business, hence debug.
type serverLog struct{ log zerolog.Logger }

// Write logs one line.
func (s serverLog) Write(line []byte) (int, error) {
	s.log.Debug().Str("from", "net/http").Msg(token.Redact(string(bytes.TrimSpace(line))))
	return len(line), nil
}
