package upstream_test

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"

	"larder/upstream"
	"larder/upstream/upstreamtest"
)

func TestAllowHosts(t *testing.T) {
	other := upstreamtest.New(t)
	other.Serve("/a", upstreamtest.Answer{})
	_, port, err := net.SplitHostPort(other.Host())
	if err != nil {
		t.Fatal(err)
	}
	for entry, want := range map[string]bool{
		"127.0.0.1": true, "127.0.0.1:" + port: true, "127.0.0.1:1": false, "LocalHost:" + port: true, "localhost": true,
		"host.example": false,
	} {
		w := newWorld(t, func(c *upstream.Config) { c.AllowHosts = []string{entry} })
		ref := other.URL + "/a"
		if strings.HasPrefix(strings.ToLower(entry), "localhost") {
			ref = "http://localhost:" + port + "/a"
		}
		if !want {
			fails(t, w.client, upstream.Request{Ref: ref}, upstream.ErrRefused)
			continue
		}
		get(t, w.client, upstream.Request{Ref: ref})
	}
}

func TestHTTPSIsNotLeft(t *testing.T) {
	plain, sound := upstreamtest.New(t), upstreamtest.NewTLS(t)
	sound.Serve("/a", upstreamtest.Answer{Redirect: plain.URL + "/a"})
	sound.Serve("/b", upstreamtest.Answer{})
	tr := upstream.NewTransport(upstream.Options{Proxy: noProxy})
	c, err := upstream.New(upstream.Config{URL: sound.URL, RootCAs: sound.Roots(), AllowHosts: []string{plain.Host()}}, tr)
	if err != nil {
		t.Fatal(err)
	}
	fails(t, c, upstream.Request{Ref: "a"}, upstream.ErrRefused)
	fails(t, c, upstream.Request{Ref: plain.URL}, upstream.ErrRefused)
	if n := plain.Connections(); n != 0 {
		t.Errorf("%d connections in the clear", n)
	}
	for range 3 {
		get(t, c, upstream.Request{Ref: "b"})
	}
	if n := sound.Connections(); n != 1 {
		t.Errorf("%d connections for one upstream over HTTP/2", n)
	}
}

func TestInsecureIsForOneUpstream(t *testing.T) {
	first, second := upstreamtest.NewTLS(t), upstreamtest.NewTLS(t)
	first.Serve("/a", upstreamtest.Answer{})
	tr := upstream.NewTransport(upstream.Options{Proxy: noProxy})
	build := func(cfg upstream.Config) *upstream.Client {
		c, err := upstream.New(cfg, tr)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	open := build(upstream.Config{URL: first.URL, Insecure: true, AllowHosts: []string{second.Host()}})
	get(t, open, upstream.Request{Ref: "a"})
	e := fails(t, open, upstream.Request{Ref: second.URL}, upstream.ErrUnavailable)
	var cert *tls.CertificateVerificationError
	if !errors.As(e, &cert) {
		t.Errorf("another host was reached: %v", e)
	}
	fails(t, build(upstream.Config{URL: first.URL}), upstream.Request{Ref: "a"}, upstream.ErrUnavailable)
	if n := len(second.Log()); n != 0 {
		t.Errorf("%d requests at the other host", n)
	}
}

func TestOutboundProxyReachesConfiguredHostsOnly(t *testing.T) {
	proxy := upstreamtest.New(t)
	proxy.Serve("/a", upstreamtest.Answer{Body: []byte("by proxy")})
	at, err := url.Parse(proxy.URL)
	if err != nil {
		t.Fatal(err)
	}
	tr := upstream.NewTransport(upstream.Options{Proxy: http.ProxyURL(at)})
	c, err := upstream.New(upstream.Config{URL: "http://upstream.example", AllowHosts: []string{"cdn.example"}}, tr)
	if err != nil {
		t.Fatal(err)
	}
	for _, ref := range []string{"a", "http://cdn.example/a"} {
		if body, _ := get(t, c, upstream.Request{Ref: ref}); body != "by proxy" {
			t.Errorf("%s: %q", ref, body)
		}
	}
	proxy.Forget()
	fails(t, c, upstream.Request{Ref: "http://other.example/a"}, upstream.ErrRefused)
	fails(t, c, upstream.Request{Ref: "http://8.8.8.8/a"}, upstream.ErrRefused)
	fails(t, c, upstream.Request{Ref: "http://169.254.169.254/a"}, upstream.ErrRefused)
	if n := len(proxy.Log()); n != 0 {
		t.Errorf("the proxy was asked %d times", n)
	}
	if _, err := upstream.New(upstream.Config{URL: "http://169.254.169.254/latest"}, tr); !errors.Is(err, upstream.ErrRefused) {
		t.Errorf("an upstream on a metadata address: %v", err)
	}
}

func TestNewNamesWhatIsWrong(t *testing.T) {
	tr := upstream.NewTransport(upstream.Options{})
	for name, cfg := range map[string]upstream.Config{
		"no url":        {},
		"scheme":        {URL: "ftp://upstream.example"},
		"no host":       {URL: "https:///x"},
		"unreadable":    {URL: "https://u:" + secret + "@[::1"},
		"query":         {URL: "https://u:" + secret + "@upstream.example/?a=" + "b"},
		"auth type":     {URL: "https://upstream.example", Auth: upstream.Auth{Type: "magic", Token: upstream.Hide(secret)}},
		"auth values":   {URL: "https://upstream.example", Auth: upstream.Auth{Type: "bearer", Password: upstream.Hide(secret)}},
		"allow_hosts":   {URL: "https://upstream.example", AllowHosts: []string{"http://x/"}},
		"allow pattern": {URL: "https://upstream.example", AllowHosts: []string{"*.example"}},
		"zone":          {URL: "http://[fe80::1%25lo]/"},
		"metadata":      {URL: "http://[fd00:ec2::254]/"},
	} {
		cfg.ID = "up"
		_, err := upstream.New(cfg, tr)
		if err == nil {
			t.Errorf("%s: accepted", name)
			continue
		}
		if !strings.Contains(err.Error(), "up") || strings.Contains(err.Error(), secret) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestSecretsAreNotTold(t *testing.T) {
	for name, auth := range credentials() {
		w := newWorld(t, func(c *upstream.Config) { c.Auth = auth })
		w.Serve("/a", upstreamtest.Answer{Status: 401})
		e := fails(t, w.client, upstream.Request{Ref: "a?sig=" + secret}, upstream.ErrUnavailable)
		w.Server.Close()
		down := fails(t, w.client, upstream.Request{Ref: "a?sig=" + secret}, upstream.ErrUnavailable)
		text := fmt.Sprintf("%v %+v %#v %s %v %s %v", w.client.Config(), w.client.Config(), w.client.Config().Auth,
			e, e.Public(), down, w.client.State())
		if strings.Contains(text, secret) {
			t.Errorf("%s: the secret is in %s", name, text)
		}
	}
}

// TestClientCertificatesAreForOneOrigin: both servers ask for a certificate,
// one of them only got to see it.
func TestClientCertificatesAreForOneOrigin(t *testing.T) {
	shown := make(map[string]int)
	var mu sync.Mutex
	start := func(name string) *httptest.Server {
		s := httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			mu.Lock()
			defer mu.Unlock()
			shown[name] += len(r.TLS.PeerCertificates)
		}))
		s.TLS = &tls.Config{ClientAuth: tls.RequestClientCert}
		s.StartTLS()
		t.Cleanup(s.Close)
		return s
	}
	first, second := start("first"), start("second")
	roots := x509.NewCertPool()
	roots.AddCert(first.Certificate())
	c, err := upstream.New(upstream.Config{
		URL: first.URL, RootCAs: roots, AllowHosts: []string{second.Listener.Addr().String()},
		Certificates: first.TLS.Certificates,
	}, upstream.NewTransport(upstream.Options{Proxy: noProxy}))
	if err != nil {
		t.Fatal(err)
	}
	get(t, c, upstream.Request{})
	get(t, c, upstream.Request{Ref: second.URL})
	c.CloseIdle()
	mu.Lock()
	defer mu.Unlock()
	if shown["first"] == 0 || shown["second"] != 0 {
		t.Errorf("certificates shown: %v", shown)
	}
}
