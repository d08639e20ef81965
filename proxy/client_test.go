package proxy

import (
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
)

func trusting(prefixes ...string) *edge {
	e := &edge{hosts: map[string]Mount{}}
	for _, p := range prefixes {
		e.TrustedProxies = append(e.TrustedProxies, netip.MustParsePrefix(p))
	}
	return e
}

func TestThreat20ForwardedFor(t *testing.T) {
	e := trusting("10.0.0.0/8", "fd00::/8", "::1/128")
	tests := []struct {
		name, peer string
		lines      []string
		want       string
	}{
		{"no proxy", "203.0.113.9:1", nil, "203.0.113.9"},
		{"untrusted peer lies", "203.0.113.9:1", []string{"127.0.0.1"}, "203.0.113.9"},
		{"one proxy", "10.0.0.1:1", []string{"198.51.100.7"}, "198.51.100.7"},
		{"client prepends", "10.0.0.1:1", []string{"127.0.0.1, 10.9.9.9, 198.51.100.7"}, "198.51.100.7"},
		{"two proxies", "10.0.0.1:1", []string{"6.6.6.6, 198.51.100.7, 10.0.0.2"}, "198.51.100.7"},
		{"several lines", "10.0.0.1:1", []string{"6.6.6.6", "198.51.100.7", "10.0.0.2"}, "198.51.100.7"},
		{"all trusted", "10.0.0.1:1", []string{"10.0.0.3, 10.0.0.2"}, "10.0.0.3"},
		{"nonsense stops", "10.0.0.1:1", []string{"198.51.100.7, unknown"}, "10.0.0.1"},
		{"nonsense behind a proxy", "10.0.0.1:1", []string{"198.51.100.7, _x, 10.0.0.2"}, "10.0.0.2"},
		{"empty", "10.0.0.1:1", []string{""}, "10.0.0.1"},
		{"with port", "10.0.0.1:1", []string{"198.51.100.7:55"}, "198.51.100.7"},
		{"version 6", "[fd00::1]:1", []string{"[2001:db8::7]:55"}, "2001:db8::7"},
		{"version 6 bare", "[::1]:1", []string{"2001:db8::7"}, "2001:db8::7"},
		{"mapped", "[::ffff:10.0.0.1]:1", []string{"::ffff:198.51.100.7"}, "198.51.100.7"},
	}
	for _, tt := range tests {
		r := httptest.NewRequest("GET", "/", nil)
		r.RemoteAddr = tt.peer
		if tt.lines != nil {
			r.Header["X-Forwarded-For"] = tt.lines
		}
		c, err := e.clientOf(r)
		if err != nil || c.remote != netip.MustParseAddr(tt.want) {
			t.Errorf("%s: %v, %v; want %s", tt.name, c.remote, err, tt.want)
		}
	}
}

func TestThreat15ForwardedFieldsOfStrangers(t *testing.T) {
	fields := map[string]string{
		"X-Forwarded-Host": "evil.example", "X-Forwarded-Proto": "https", "X-Forwarded-Prefix": "/evil", "Forwarded": "host=evil.example;proto=https",
		"X-Host": "evil.example", "X-Original-Url": "/evil", "X-Rewrite-Url": "/evil", "X-Forwarded-Server": "evil.example",
		"X-Forwarded-Port": "666", "X-Forwarded-Scheme": "https", "X-Forwarded-Ssl": "on", "Front-End-Https": "on", "X-Real-Ip": "127.0.0.1",
		"True-Client-Ip": "127.0.0.1", "X-Client-Ip": "127.0.0.1", "X-Cluster-Client-Ip": "127.0.0.1", "Client-Ip": "127.0.0.1",
		"X-Http-Method-Override": "DELETE", "X-Forwarded-By": "evil.example", "X-Url-Scheme": "https", "X-Forwarded-Path": "/evil",
	}
	r := httptest.NewRequest("GET", "/", nil)
	r.RemoteAddr, r.Host = "203.0.113.9:1", "larder.example"
	for k, v := range fields {
		r.Header.Set(k, v)
	}
	c, err := trusting("10.0.0.0/8").clientOf(r)
	if err != nil || c.root != "http://larder.example" || c.remote.String() != "203.0.113.9" {
		t.Errorf("%+v, %v", c, err)
	}
	r.RemoteAddr = "10.0.0.1:1"
	c, err = trusting("10.0.0.0/8").clientOf(r)
	if err != nil || c.root != "https://evil.example/evil" {
		t.Errorf("a trusted proxy was not heard: %+v, %v", c, err)
	}
}

func TestForwardedValuesAreChecked(t *testing.T) {
	tests := []struct{ field, value, root string }{
		{"X-Forwarded-Proto", "javascript", "http://larder.example"},
		{"X-Forwarded-Proto", "http, https", "https://larder.example"},
		{"X-Forwarded-Host", "outer.example, inner.example:8443", "http://inner.example:8443"},
		{"X-Forwarded-Prefix", "/a/../b", "http://larder.example"},
		{"X-Forwarded-Prefix", "//evil.example", "http://larder.example"},
		{"X-Forwarded-Prefix", `/a"b`, "http://larder.example"},
		{"X-Forwarded-Prefix", "/a/b/", "http://larder.example/a/b"},
		{"X-Forwarded-Prefix", "a", "http://larder.example"},
	}
	for _, tt := range tests {
		r := httptest.NewRequest("GET", "/", nil)
		r.RemoteAddr, r.Host = "10.0.0.1:1", "Larder.example"
		r.Header.Set(tt.field, tt.value)
		if c, err := trusting("10.0.0.0/8").clientOf(r); err != nil || c.root != tt.root {
			t.Errorf("%s: %s: %q, %v; want %q", tt.field, tt.value, c.root, err, tt.root)
		}
	}
	for _, host := range []string{"a b", "a/b", "a@b", `a"b`, "a?b", "a\nb", "<a>", "ü.example", ":80", strings.Repeat("a", 256)} {
		r := httptest.NewRequest("GET", "/", nil)
		r.Host = host
		if c, err := trusting().clientOf(r); err == nil {
			t.Errorf("Host %q gave %q", host, c.root)
		}
	}
}

func TestUnknownHostIsMisdirected(t *testing.T) {
	w := newWorld(t, func(o *Options) {
		o.PublicURL = "https://pkg.example"
		o.Hosts = map[string]string{"pad.example": "pad"}
	})
	for host, want := range map[string]int{
		"pkg.example": 200, "PKG.example:443": 200, "127.0.0.1:8080": 200, "localhost": 200, "[::1]:8080": 200, "evil.example": 421, "192.0.2.7": 421,
	} {
		if resp := w.do("GET", "/pad/a/1", nil, "Host: "+host); resp.StatusCode != want {
			t.Errorf("Host %s: %d, want %d", host, resp.StatusCode, want)
		}
	}
	if resp := w.do("GET", "/a/1", nil, "Host: pad.example"); resp.StatusCode != 200 {
		t.Errorf("a mounted host: %d", resp.StatusCode)
	}
}

func FuzzClient(f *testing.F) {
	f.Add("10.0.0.1:1", "1.2.3.4, 10.0.0.2", "a.example", "b.example", "https", "/x")
	f.Add("[::1]:1", "::1%eth0", "[::1]:80", "[::1", "javascript", "//")
	f.Add("203.0.113.9:1", "127.0.0.1", "a.example:80", "evil.example", "https", "/evil")
	f.Fuzz(func(t *testing.T, peer, forwarded, host, forwardedHost, scheme, prefix string) {
		r := httptest.NewRequest("GET", "/", nil)
		r.RemoteAddr, r.Host = peer, host
		r.Header["X-Forwarded-For"] = []string{forwarded}
		r.Header["X-Forwarded-Host"] = []string{forwardedHost}
		r.Header["X-Forwarded-Proto"] = []string{scheme}
		r.Header["X-Forwarded-Prefix"] = []string{prefix}
		e := trusting("10.0.0.0/8", "::1/128")
		c, err := e.clientOf(r)
		if err == nil && strings.ContainsAny(c.root, "\"'<>\\ \r\n?#@") {
			t.Errorf("root %q", c.root)
		}
		if c.remote.Zone() != "" || c.remote.Is4In6() {
			t.Errorf("address %v has several spellings", c.remote)
		}
		if direct := parseAddr(peer); !e.trusts(direct) && (c.remote != direct || err == nil && c.root != "http://"+strings.ToLower(host)) {
			t.Errorf("a stranger at %s was believed: %v at %q", peer, c.remote, c.root)
		}
	})
}
