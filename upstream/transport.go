package upstream

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"time"
)

// Options of a Transport. The zero value is what a server wants.
type Options struct {
	// UserAgent is sent with every request (default "larder").
	UserAgent string
	// Proxy picks the outbound proxy; default: HTTP_PROXY, HTTPS_PROXY and
	// NO_PROXY. Where it picks one, only configured hosts can be reached,
	// because the guard cannot see what the proxy dials.
	Proxy func(*http.Request) (*url.URL, error)
	// RootCAs replaces the system's for hosts that no upstream's config names.
	RootCAs *x509.CertPool
	// Resolver looks names up; default: the system's.
	Resolver *net.Resolver
	// Hooks are called for every attempt and every change of a breaker.
	Hooks Hooks
	// Now is the wall clock (default time.Now).
	Now func() time.Time
	// Wait pauses between attempts, at most until ctx ends (default: a timer).
	Wait func(ctx context.Context, d time.Duration) error
}

// Hooks tell what happens outside of return values, so that metrics and logs
// can be kept elsewhere. They are called from many goroutines and must be quick.
type Hooks struct {
	Attempt func(Attempt)
	Breaker func(upstream, host string, open bool)
}

// Attempt is one request that went out, reported when its body was closed.
type Attempt struct {
	Upstream string
	Host     string
	Method   string
	Status   int           // 0: no reply
	Latency  time.Duration // until headers, or until it failed
	Duration time.Duration // until the body was closed
	Bytes    int64         // read from the body
	// Remaining is the rate budget that the upstream's own origin announced, if
	// Rated says that it did.
	Remaining int64
	Rated     bool
	Err       error // why there was no reply, or why the body broke off
}

// Transport is the one way out. It is made once and shared by all clients.
// Connections to hosts that some configuration names are never lent to
// others: each Client keeps its own for those, and shares the public ones.
type Transport struct {
	options Options
	guard   *guard
	public  *http.Transport
}

// NewTransport prepares the way out; it opens nothing.
func NewTransport(o Options) *Transport {
	if o.UserAgent == "" {
		o.UserAgent = "larder"
	}
	if o.Proxy == nil {
		o.Proxy = http.ProxyFromEnvironment
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Wait == nil {
		o.Wait = wait
	}
	if o.Hooks.Attempt == nil {
		o.Hooks.Attempt = func(Attempt) {}
	}
	if o.Hooks.Breaker == nil {
		o.Hooks.Breaker = func(string, string, bool) {}
	}
	t := &Transport{options: o, guard: newGuard()}
	t.public = t.pool(t.guard.public, defaultConnect, &tls.Config{RootCAs: o.RootCAs, MinVersion: tls.VersionTLS12})
	t.public.Proxy = nil
	return t
}

// CloseIdle closes the shared connections that are not in use.
func (t *Transport) CloseIdle() { t.public.CloseIdleConnections() }

// pool returns connections whose addresses passed judge.
func (t *Transport) pool(judge func(netip.Addr) error, connect time.Duration, conf *tls.Config) *http.Transport {
	dialer := &net.Dialer{
		Timeout:        connect,
		KeepAlive:      30 * time.Second,
		Resolver:       t.options.Resolver,
		ControlContext: control(judge),
	}
	return &http.Transport{
		Proxy:                  t.options.Proxy,
		DialContext:            dialer.DialContext,
		TLSClientConfig:        conf,
		TLSHandshakeTimeout:    connect,
		ForceAttemptHTTP2:      true, // else a DialContext of our own switches it off
		DisableCompression:     true, // bodies are kept as they came
		MaxIdleConns:           256,
		MaxIdleConnsPerHost:    defaultConcurrency,
		IdleConnTimeout:        90 * time.Second,
		MaxResponseHeaderBytes: maxHeaders,
		WriteBufferSize:        4 << 10,
		ReadBufferSize:         64 << 10,
	}
}

func wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
