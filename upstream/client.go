package upstream

import (
	"crypto/tls"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"time"
)

// Client speaks to one upstream. All methods may be called concurrently.
type Client struct {
	config    Config
	base      *url.URL
	origin    string
	auth      Auth
	allow     map[string]bool
	transport *Transport
	pools     [own + 1]*http.Transport // by reach
	hosts     *hosts
	home      *host // of origin
	pacer     *pacer
	record    *record
}

// New makes the client of one upstream. It opens no connection. Errors name
// what in cfg is wrong, never a secret in it.
func New(cfg Config, t *Transport) (*Client, error) {
	base, auth, err := parseBase(cfg)
	if err != nil {
		return nil, fmt.Errorf("upstream %s: %w", cfg.ID, err)
	}
	if cfg.ID == "" {
		cfg.ID = base.Host
	}
	allow, err := parseAllow(cfg.AllowHosts)
	if err != nil {
		return nil, fmt.Errorf("upstream %s: %w", cfg.ID, err)
	}
	if err := cfg.Rate.check(); err != nil {
		return nil, fmt.Errorf("upstream %s: %w", cfg.ID, err)
	}
	cfg.URL, cfg.Auth = base.String(), auth
	cfg.Concurrency = orDefault(cfg.Concurrency, defaultConcurrency)
	cfg.Timeouts.Connect = orDefault(cfg.Timeouts.Connect, defaultConnect)
	cfg.Timeouts.Header = orDefault(cfg.Timeouts.Header, defaultHeader)
	cfg.Timeouts.Total = orDefault(cfg.Timeouts.Total, defaultTotal)
	c := &Client{
		config: cfg, base: base, origin: origin(base), auth: auth, allow: allow, transport: t,
		hosts:  &hosts{slots: cfg.Concurrency, known: make(map[string]*host)},
		record: newRecord(), pacer: newPacer(cfg.Rate),
	}
	if a, err := netip.ParseAddr(base.Hostname()); err == nil {
		if err := t.guard.named(a); err != nil {
			return nil, fmt.Errorf("upstream %s: %w", cfg.ID, err)
		}
	}
	c.home = &host{name: base.Host, slots: make(chan struct{}, cfg.Concurrency)}
	c.pools[foreign] = t.public
	c.pools[allowed] = t.pool(t.guard.named, cfg.Timeouts.Connect,
		&tls.Config{RootCAs: cfg.RootCAs, MinVersion: tls.VersionTLS12})
	c.pools[own] = t.pool(t.guard.named, cfg.Timeouts.Connect, &tls.Config{
		RootCAs: cfg.RootCAs, MinVersion: tls.VersionTLS12,
		Certificates: cfg.Certificates, InsecureSkipVerify: cfg.Insecure,
	})
	return c, nil
}

func orDefault[T int | time.Duration](v, fallback T) T {
	if v > 0 {
		return v
	}
	return fallback
}

// Config returns the configuration with its defaults filled in.
func (c *Client) Config() Config { return c.config }

// CloseIdle closes the connections to this upstream that are not in use; the
// client stays usable. Call it when a client is replaced.
func (c *Client) CloseIdle() {
	c.pools[own].CloseIdleConnections()
	c.pools[allowed].CloseIdleConnections()
}

// hostOf returns the book-keeping of u's origin.
func (c *Client) hostOf(u *url.URL) *host {
	if o := origin(u); o != c.origin {
		return c.hosts.get(o, u.Host, c.transport.options.Now())
	}
	return c.home
}
