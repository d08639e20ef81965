package proxy

import (
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"larder/formats"
)

// client is who asked, and under which name, as far as the peer may be believed.
type client struct {
	remote netip.Addr
	asked  string // host name asked for, lower case, and port
	host   string // the same without a port
	root   string // scheme://host[:port][/prefix] without a final slash
}

// errMisdirected is a request for a host that is not ours. 421.
var errMisdirected = formats.Refuse(errHost, "this server does not answer for that host: its public_url names another one")

// clientOf reads the peer's address and, from trusted proxies only, the
// X-Forwarded-* fields. Errors: formats.ErrBadRequest, errHost.
func (e *edge) clientOf(r *http.Request) (client, error) {
	peer := parseAddr(r.RemoteAddr)
	c := client{remote: peer}
	host, scheme, prefix := r.Host, "http", ""
	if r.TLS != nil {
		scheme = "https"
	}
	trusted := e.trusts(peer)
	if trusted {
		c.remote = e.walk(peer, r.Header["X-Forwarded-For"])
		if v := last(r.Header["X-Forwarded-Host"]); v != "" {
			host = v
		}
		if v := last(r.Header["X-Forwarded-Proto"]); v == "http" || v == "https" {
			scheme = v
		}
		prefix = cleanPrefix(last(r.Header["X-Forwarded-Prefix"]))
	}
	if !validHost(host) && !(host == "" && (e.public != "" || isProbe(r.URL.Path))) {
		return c, formats.Refuse(formats.ErrBadRequest, "the Host field is missing or is not a host name")
	}
	host = strings.ToLower(host)
	c.asked, c.host = host, hostname(host)
	if e.public == "" || e.virtual(c.host) {
		c.root = scheme + "://" + host + prefix
		return c, nil
	}
	c.root = e.public
	if !trusted && c.host != e.pubHost && !isLoopback(c.host) && !isProbe(r.URL.Path) {
		return c, errMisdirected
	}
	return c, nil
}

// isProbe: probes come from load balancers that know an address only.
func isProbe(path string) bool {
	return len(path) > 1 && slices.Contains(probes, path[1:])
}

func (e *edge) trusts(a netip.Addr) bool {
	for _, p := range e.TrustedProxies {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

// walk goes through X-Forwarded-For from right to left, as far as trusted
// proxies wrote it: what stands further left was said by the client.
func (e *edge) walk(peer netip.Addr, lines []string) netip.Addr {
	for _, line := range slices.Backward(lines) {
		for line != "" {
			item := line
			if i := strings.LastIndexByte(line, ','); i >= 0 {
				line, item = line[:i], line[i+1:]
			} else {
				line = ""
			}
			next := parseAddr(strings.TrimSpace(item))
			if !next.IsValid() {
				return peer
			}
			if peer = next; !e.trusts(peer) {
				return peer
			}
		}
	}
	return peer
}

// parseAddr reads "address", "address:port" or "[address]:port"; the zero Addr
// stands for anything else. Addresses are unmapped and lose their zone, so that
// each has one spelling for limits and logs.
func parseAddr(s string) netip.Addr {
	if ap, err := netip.ParseAddrPort(s); err == nil {
		return ap.Addr().Unmap().WithZone("")
	}
	a, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(s, "["), "]"))
	if err != nil {
		return netip.Addr{}
	}
	return a.Unmap().WithZone("")
}

// last returns the last item of a field: the one that the nearest proxy wrote.
func last(lines []string) string {
	if len(lines) == 0 {
		return ""
	}
	v := lines[len(lines)-1]
	return strings.TrimSpace(v[strings.LastIndexByte(v, ',')+1:])
}

// validHost takes host[:port] of the characters that names and addresses are
// made of. It goes into links, so anything else is refused.
func validHost(s string) bool {
	if s == "" || len(s) > 255 {
		return false
	}
	for i := 0; i < len(s); i++ {
		c := s[i]
		alnum := 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
		if !alnum && c != '.' && c != '-' && c != '_' && c != ':' && c != '[' && c != ']' {
			return false
		}
	}
	return hostname(s) != ""
}

// hostname cuts the port off.
func hostname(s string) string {
	if i := strings.LastIndexByte(s, ':'); i >= 0 && strings.IndexByte(s[i:], ']') < 0 {
		s = s[:i]
	}
	return strings.Trim(s, "[]")
}

func isLoopback(host string) bool {
	if host == "localhost" {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

// cleanPrefix takes a path such as "/larder"; one that is not plain is dropped.
func cleanPrefix(s string) string {
	s = strings.TrimSuffix(s, "/")
	if s == "" || s[0] != '/' || len(s) > 200 {
		return ""
	}
	for part := range strings.SplitSeq(s[1:], "/") {
		if part == "" || part == "." || part == ".." || strings.ContainsFunc(part, notPlain) {
			return ""
		}
	}
	return s
}

func notPlain(c rune) bool {
	return !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '.' || c == '-' || c == '_' || c == '~')
}
