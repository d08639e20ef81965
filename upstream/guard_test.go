package upstream

import (
	"errors"
	"net/http"
	"net/netip"
	"testing"
)

func TestGuardJudgesResolvedAddresses(t *testing.T) {
	const no, private, yes = "nobody", "named hosts only", "anyone"
	tests := map[string][]string{
		no: {
			"169.254.169.254", "::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe", "2002:a9fe:a9fe::1",
			"::169.254.169.254", "169.254.170.2", "192.0.0.192", "100.100.100.200", "168.63.129.16", "fd00:ec2::254",
			"2001:0:a9fe:a9fe::1", "2001:0:102:304::5601:5601", // Teredo: server, and client inverted
			"0.0.0.0", "::", "::ffff:0.0.0.0", "224.0.0.1", "239.1.2.3", "ff02::1", "ff0e::1", "255.255.255.255",
			"fe80::1%eth0", "::ffff:10.0.0.1%1", "fd00:ec2::254%2",
		},
		private: {
			"127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1", "::127.0.0.1",
			"10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "::ffff:192.168.1.1",
			"100.64.0.1", "100.127.255.255", "169.254.1.1", "fe80::1", "fc00::1", "fd12:3456::1", "fec0::1",
			"192.0.0.1", "192.0.2.1", "198.18.0.1", "198.51.100.1", "203.0.113.1", "240.0.0.1", "192.88.99.1", "0.1.2.3",
			"64:ff9b::a00:1", "64:ff9b::808:808", "64:ff9b:1::1", "2002:a00:1::1", "2002:808:808::1", "2001:0:1::1",
			"2001:db8::1", "3fff::1", "100::1", "5f00::1", "4000::1",
		},
		yes: {"8.8.8.8", "1.1.1.1", "172.32.0.1", "100.128.0.1", "::ffff:8.8.8.8", "2606:4700::1", "2a00:1450::1"},
	}
	g := newGuard()
	for want, list := range tests {
		for _, s := range list {
			a := netip.MustParseAddr(s)
			got := yes
			if err := g.public(a); err != nil {
				got = private
				if !errors.Is(err, ErrRefused) {
					t.Errorf("%s: %v does not wrap ErrRefused", s, err)
				}
			}
			if err := g.named(a); err != nil {
				got = no
			}
			if got != want {
				t.Errorf("%s: open to %s, want %s", s, got, want)
			}
		}
	}
}

func TestControlRefusesWhatIsNoAddress(t *testing.T) {
	c := control(newGuard().public)
	for _, tt := range []struct {
		network, address string
		ok               bool
	}{
		{"tcp4", "8.8.8.8:443", true},
		{"tcp6", "[2606:4700::1]:443", true},
		{"tcp6", "[::1]:443", false},
		{"tcp6", "[fe80::1%lo]:443", false},
		{"udp4", "8.8.8.8:53", false},
		{"unix", "/run/socket", false},
		{"tcp", "localhost:80", false},
		{"tcp", "", false},
	} {
		err := c(t.Context(), tt.network, tt.address, nil)
		if (err == nil) != tt.ok {
			t.Errorf("%s %s: %v, want allowed %v", tt.network, tt.address, err, tt.ok)
		}
		if err != nil && !errors.Is(err, ErrRefused) {
			t.Errorf("%s %s: %v does not wrap ErrRefused", tt.network, tt.address, err)
		}
	}
}

func FuzzResolve(f *testing.F) {
	for _, s := range []string{
		"", "a", "/a", "//evil.example/a", "@scope%2fname", "a?b=c#d", "..", "a/../b", "%2e%2e/b", "a/%2E%2E", "x:y",
		"https://upstream.example/a", "http://user:pw@other.example/", "HTTPS://[::1%25lo]/", "https:/a", "\\\\evil\\a",
		"javascript:alert(1)", "file:///etc/passwd", "a\r\nHost: x", "?q", "https://", "a/..;/b", "://", ":80/",
	} {
		f.Add(s)
	}
	c, err := New(Config{ID: "u", URL: "https://upstream.example/base"}, NewTransport(Options{}))
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, ref string) {
		u, err := c.resolve(ref)
		if err != nil {
			return
		}
		if u.User != nil || u.Fragment != "" {
			t.Errorf("%q: kept what is never sent: %s", ref, u)
		}
		r, err := c.judge(u)
		if err != nil {
			return
		}
		if u.Scheme != "https" {
			t.Errorf("%q: may be visited by %s", ref, u.Scheme)
		}
		if r == own && origin(u) != "https://upstream.example:443" {
			t.Errorf("%q: %s counts as the upstream itself", ref, u)
		}
	})
}

func TestResolveStaysBelowTheBase(t *testing.T) {
	c, err := New(Config{URL: "https://upstream.example/base/"}, NewTransport(Options{}))
	if err != nil {
		t.Fatal(err)
	}
	const base = "https://upstream.example/base/"
	for ref, want := range map[string]string{
		"":                        base,
		"a/b":                     base + "a/b",
		"/a":                      base + "a",
		"@scope%2fname":           base + "@scope%2fname",
		"a?x=1&y=%20":             base + "a?x=1&y=%20",
		"//evil.example/a":        base + "/evil.example/a",
		"evil.example:80/a":       base + "evil.example:80/a",
		"javascript:alert(1)":     base + "javascript:alert(1)",
		"a?u=http://x.example/":   base + "a?u=http://x.example/",
		"https://x.example/y?z#w": "https://x.example/y?z",
		"https://u:pw@x.example/": "https://x.example/",
		"a/../../b":               "",
		"%2e%2e/b":                "",
		"a/%2E/b":                 "",
		"a\\b":                    "",
		"a b":                     "",
		"a\nb":                    "",
		"https://[::1/":           "",
		"a%zz":                    "",
	} {
		u, err := c.resolve(ref)
		if want == "" {
			if err == nil {
				t.Errorf("%q became %s, want an error", ref, u)
			}
			continue
		}
		if err != nil || u.String() != want {
			t.Errorf("%q became %v (%v), want %s", ref, u, err, want)
		}
	}
}

// TestFieldsStayHome: the caller's own fields go nowhere that the configuration
// does not name, even if a document sends us there first.
func TestFieldsStayHome(t *testing.T) {
	c, err := New(Config{URL: "https://registry.upstream.example/", AllowHosts: []string{"files.upstream.example"}}, NewTransport(Options{}))
	if err != nil {
		t.Fatal(err)
	}
	for host, want := range map[string]string{"registry.upstream.example": "s3cret", "files.upstream.example": "s3cret", "other.example": ""} {
		u, err := c.resolve("https://" + host + "/a")
		if err != nil {
			t.Fatal(err)
		}
		k := &call{Client: c, req: Request{Header: http.Header{"X-Key": {"s3cret"}}}, first: u}
		r, err := c.judge(u)
		if err != nil {
			t.Fatal(err)
		}
		if got := k.request(t.Context(), u, http.MethodGet, r, 0).Header.Get("X-Key"); got != want {
			t.Errorf("%s got %q", host, got)
		}
	}
}
