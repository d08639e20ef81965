package upstream

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
)

// reach says by which rule a URL may be visited.
type reach int

const (
	foreign reach = iota // named by the upstream: public addresses only
	allowed              // named in AllowHosts
	own                  // the origin of the upstream itself
)

// resolve makes a Request's Ref into an address, without judging its host.
func (c *Client) resolve(ref string) (*url.URL, error) {
	if strings.ContainsFunc(ref, func(r rune) bool { return r <= ' ' || r == 0x7f || r == '\\' }) {
		return nil, errors.New("the reference holds blanks, control characters or backslashes")
	}
	if scheme, _, ok := strings.Cut(ref, "://"); ok && !strings.ContainsAny(scheme, "/?#") {
		u, err := url.Parse(ref)
		if err != nil {
			return nil, errors.New("the reference is no URL")
		}
		return clean(u), nil
	}
	// Joined as text: the escaping of the path (npm's %2f) stays as it is, and
	// "//host" or "x:y" cannot become anything but a path below the base.
	base := strings.TrimSuffix(c.base.String(), "/") + "/"
	u, err := url.Parse(base + strings.TrimPrefix(ref, "/"))
	if err != nil {
		return nil, errors.New("the reference is no path")
	}
	for part := range strings.SplitSeq(u.Path, "/") {
		if part == ".." || part == "." {
			return nil, errors.New("the reference leaves the upstream's base")
		}
	}
	return clean(u), nil
}

// clean drops what is never sent.
func clean(u *url.URL) *url.URL {
	c := *u
	c.User, c.Fragment, c.RawFragment = nil, "", ""
	return &c
}

// judge says how u may be visited, or why not. It opens nothing: names are
// judged by the address they resolve to, when that is dialled.
func (c *Client) judge(u *url.URL) (reach, error) {
	if u.Scheme != "https" && u.Scheme != "http" {
		return foreign, fmt.Errorf("scheme %q", u.Scheme)
	}
	name := u.Hostname()
	if name == "" || strings.Contains(name, "%") {
		return foreign, errors.New("no host, or one with a zone")
	}
	if u.Scheme == "http" && c.base.Scheme != "http" {
		return foreign, errors.New("http, where the upstream itself is https")
	}
	r := c.reach(u)
	if a, err := netip.ParseAddr(name); err == nil {
		// The dialler asks again; here it is for proxies, that dial for us.
		if r == foreign {
			err = c.transport.guard.public(a)
		} else {
			err = c.transport.guard.named(a)
		}
		if err != nil {
			return r, err
		}
	}
	if r == foreign {
		return r, c.unproxied(u)
	}
	return r, nil
}

// unproxied refuses where an outbound proxy would dial: the guard cannot see
// the addresses that a proxy connects to.
func (c *Client) unproxied(u *url.URL) error {
	proxy, err := c.transport.options.Proxy(&http.Request{URL: u, Header: http.Header{}})
	if err != nil {
		return fmt.Errorf("outbound proxy: %w", err)
	}
	if proxy != nil {
		return errors.New("an outbound proxy is configured, and this host is not in allow_hosts")
	}
	return nil
}

func (c *Client) reach(u *url.URL) reach {
	if origin(u) == c.origin {
		return own
	}
	if c.allow[strings.ToLower(u.Hostname())] || c.allow[hostPort(u)] {
		return allowed
	}
	return foreign
}

// Trusted reports whether the configured credential may go to an absolute
// address: one of the upstream's own origin, or of a host in AllowHosts.
func (c *Client) Trusted(address string) bool {
	u, err := url.Parse(address)
	if err != nil {
		return false
	}
	r, err := c.judge(u)
	return err == nil && r != foreign
}

// origin is scheme, host and port: what a credential is bound to.
func origin(u *url.URL) string { return u.Scheme + "://" + hostPort(u) }

func hostPort(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = "80"
		if u.Scheme == "https" {
			port = "443"
		}
	}
	return net.JoinHostPort(strings.ToLower(u.Hostname()), port)
}

// parseAllow reads AllowHosts into a set of "host" and "host:port".
func parseAllow(entries []string) (map[string]bool, error) {
	set := make(map[string]bool, len(entries))
	for _, e := range entries {
		name := strings.ToLower(e)
		host, port, err := net.SplitHostPort(name)
		if err != nil {
			host, port = strings.TrimSuffix(strings.TrimPrefix(name, "["), "]"), ""
		}
		_, notIP := netip.ParseAddr(host)
		_, notPort := strconv.ParseUint(port, 10, 16)
		if host == "" || strings.ContainsAny(host, "/@*% ") || (notIP != nil && strings.Contains(host, ":")) ||
			(err == nil && notPort != nil) {
			return nil, fmt.Errorf("allow_hosts %q: want host or host:port", e)
		}
		if err == nil {
			host = net.JoinHostPort(host, port)
		}
		set[host] = true
	}
	return set, nil
}
