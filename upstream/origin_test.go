package upstream_test

import (
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"

	"larder/upstream"
	"larder/upstream/upstreamtest"
)

const secret = "s3cr3t-canary"

func credentials() map[string]upstream.Auth {
	return map[string]upstream.Auth{
		"bearer": {Type: "bearer", Token: upstream.Hide(secret)},
		"basic":  {Type: "basic", Username: "u", Password: upstream.Hide(secret)},
		"header": {Type: "header", Header: "X-Api-Key", Token: upstream.Hide(secret)},
	}
}

// secretsIn returns the fields of a request that must not reach strangers.
func secretsIn(h http.Header) []string {
	var found []string
	for _, name := range []string{"Authorization", "Cookie", "Referer", "X-Api-Key", "X-Own", "Proxy-Authorization"} {
		if v := h.Get(name); v != "" {
			found = append(found, name+": "+v)
		}
	}
	for name, values := range h {
		if strings.Contains(strings.Join(values, " "), secret) {
			found = append(found, name)
		}
	}
	return found
}

func TestCredentialsReachTheirOrigin(t *testing.T) {
	for name, auth := range credentials() {
		w := newWorld(t, func(c *upstream.Config) { c.Auth = auth })
		w.Serve("/a", upstreamtest.Answer{Redirect: "/b"})
		w.Serve("/b", upstreamtest.Answer{})
		get(t, w.client, upstream.Request{Ref: "a"})
		get(t, w.client, upstream.Request{Ref: w.URL + "/b"})
		for _, e := range w.Log() {
			if len(secretsIn(e.Header)) == 0 {
				t.Errorf("%s: none in %s %s", name, e.Method, e.Path)
			}
			if e.Header.Get("Referer") != "" {
				t.Errorf("%s: a Referer was sent", name)
			}
		}
	}
	w := newWorld(t)
	c := newClient(t, w, strings.Replace(w.URL, "//", "//u:"+secret+"@", 1))
	w.Serve("/a", upstreamtest.Answer{})
	get(t, c, upstream.Request{Ref: "a"})
	if u, p, _ := (&http.Request{Header: w.Log()[0].Header}).BasicAuth(); u != "u" || p != secret {
		t.Errorf("credential of the address arrived as %q", u)
	}
	if strings.Contains(c.Config().URL, secret) {
		t.Errorf("the address still holds it")
	}
}

// TestThreat17CredentialsStayWithTheirOrigin: the second server differs from
// the first by its port alone.
func TestThreat17CredentialsStayWithTheirOrigin(t *testing.T) {
	for name, auth := range credentials() {
		other := upstreamtest.New(t)
		w := newWorld(t, func(c *upstream.Config) { c.Auth, c.AllowHosts = auth, []string{other.Host()} })
		other.Serve("/file", upstreamtest.Answer{})
		other.Serve("/back", upstreamtest.Answer{Redirect: w.URL + "/home"})
		other.Serve("/on", upstreamtest.Answer{Redirect: other.URL + "/file"})
		w.Serve("/home", upstreamtest.Answer{})
		own := http.Header{"X-Own": {secret}, "Cookie": {"k=" + secret}}
		for _, status := range []int{301, 302, 303, 307, 308} {
			w.Serve("/cdn", upstreamtest.Answer{Status: status, Redirect: other.URL + "/on"})
			get(t, w.client, upstream.Request{Ref: "cdn", Header: own, Accept: "a/b", Range: "bytes=0-", IfNoneMatch: `"x"`})
		}
		get(t, w.client, upstream.Request{Ref: strings.Replace(other.URL, "//", "//u:"+secret+"@", 1) + "/file"})
		get(t, w.client, upstream.Request{Ref: other.URL + "/back"})
		if n := len(other.Log()); n != 12 {
			t.Fatalf("%s: %d requests at the other origin", name, n)
		}
		for _, e := range other.Log() {
			if s := secretsIn(e.Header); len(s) > 0 {
				t.Errorf("%s: %s %s carried %v", name, e.Method, e.Path, s)
			}
		}
		if e := other.Log()[0]; e.Header.Get("Accept") != "a/b" || e.Header.Get("Range") != "bytes=0-" || e.Header.Get("If-None-Match") != `"x"` {
			t.Errorf("the question did not go along: %v", e.Header)
		}
	}
}

func TestLoginGoesToNamedHostsOnly(t *testing.T) {
	realm, stranger := upstreamtest.New(t), upstreamtest.New(t)
	w := newWorld(t, func(c *upstream.Config) {
		c.Auth = upstream.Auth{Type: "basic", Username: "u", Password: upstream.Hide(secret)}
		c.AllowHosts = []string{realm.Host(), stranger.Host()}
	})
	realm.Serve("/token", upstreamtest.Answer{Redirect: stranger.URL + "/token"})
	stranger.Serve("/token", upstreamtest.Answer{})
	get(t, w.client, upstream.Request{Ref: realm.URL + "/token", Login: true})
	if realm.Log()[0].Header.Get("Authorization") == "" {
		t.Error("the realm got no credential")
	}
	if s := secretsIn(stranger.Log()[0].Header); len(s) > 0 {
		t.Errorf("the realm's redirect took %v along", s)
	}
	w.Serve("/x", upstreamtest.Answer{})
	get(t, w.client, upstream.Request{Ref: w.URL + "/x", Header: http.Header{"Authorization": {"Bearer other"}}})
	log := w.Log()
	if got := log[len(log)-1].Header.Get("Authorization"); got != "Bearer other" {
		t.Errorf("the caller's own Authorization became %q", got)
	}
}

func TestTrusted(t *testing.T) {
	c, err := upstream.New(upstream.Config{URL: "https://hub.example/base", AllowHosts: []string{"auth.example", "other.example:8443"}},
		upstream.NewTransport(upstream.Options{Proxy: noProxy}))
	if err != nil {
		t.Fatal(err)
	}
	for address, want := range map[string]bool{
		"https://hub.example/token": true, "https://HUB.example:443/": true, "https://auth.example/": true, "https://auth.example:5000/": true,
		"https://other.example:8443/": true, "https://other.example/": false, "https://hub.example:8443/": false, "https://stranger.example/": false,
		"http://hub.example/": false, "http://auth.example/": false, "https://hub.example.stranger.example/": false, "token": false, "https://%zz": false,
	} {
		if got := c.Trusted(address); got != want {
			t.Errorf("%s: %v", address, got)
		}
	}
}

func TestPostsStayWithTheirOrigin(t *testing.T) {
	other := upstreamtest.New(t)
	w := newWorld(t, func(c *upstream.Config) { c.AllowHosts = []string{other.Host()} })
	for _, status := range []int{301, 302, 303, 307, 308} {
		w.Serve("/a", upstreamtest.Answer{Status: status, Redirect: other.URL + "/a"})
		fails(t, w.client, upstream.Request{Method: "POST", Ref: "a", Body: []byte(secret)}, upstream.ErrRefused)
		w.Forget()
		w.Serve("/b", upstreamtest.Answer{Status: status, Redirect: "/c"})
		w.Serve("/c", upstreamtest.Answer{})
		get(t, w.client, upstream.Request{Method: "POST", Ref: "b", Body: []byte("body")})
		last := w.Log()[1]
		if want := map[bool]string{true: "POST body", false: "GET "}[status >= 307]; last.Method+" "+string(last.Body) != want {
			t.Errorf("%d: went on as %s %q", status, last.Method, last.Body)
		}
	}
	if n := other.Connections(); n != 0 {
		t.Errorf("%d connections to the other origin", n)
	}
}

func TestRedirectsEnd(t *testing.T) {
	w := newWorld(t)
	w.Serve("/loop", upstreamtest.Answer{Redirect: "/loop"})
	fails(t, w.client, upstream.Request{Ref: "loop"}, upstream.ErrUnavailable)
	if n := w.Requests("/loop"); n != 6 {
		t.Errorf("%d requests, want the first and 5 redirects", n)
	}
	for i := range 5 {
		w.Serve(fmt.Sprintf("/%d", i), upstreamtest.Answer{Redirect: fmt.Sprintf("%d", i+1)})
	}
	w.Serve("/5", upstreamtest.Answer{Body: []byte("end")})
	body, r := get(t, w.client, upstream.Request{Ref: "0"})
	if body != "end" || r.URL != w.URL+"/5" {
		t.Errorf("%q from %s", body, r.URL)
	}
	for _, location := range []string{"ftp://upstream.example/x", "http://[fe80::1%25lo]/", "//", "file:///etc/passwd", "http://%zz/"} {
		w.Serve("/odd", upstreamtest.Answer{Redirect: location})
		resp, err := w.client.Fetch(t.Context(), upstream.Request{Ref: "odd"})
		if err == nil {
			resp.Body.Close()
			t.Errorf("Location %q was followed", location)
		}
	}
}

// TestThreat16CanaryGetsNoConnection: a listener on loopback, reached for by
// every way an upstream may name an address.
func TestThreat16CanaryGetsNoConnection(t *testing.T) {
	canary := upstreamtest.New(t)
	_, port, err := net.SplitHostPort(canary.Host())
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t, func(c *upstream.Config) {
		c.Auth = upstream.Auth{Type: "bearer", Token: upstream.Hide(secret)}
		c.AllowHosts = []string{"elsewhere.example", "127.0.0.1:1"}
	})
	for _, host := range []string{
		"127.0.0.1", "localhost", "LOCALHOST", "localhost.", "[::1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "127.1", "2130706433",
		"0x7f000001", "0", "0.0.0.0", "[::]", "127.0.0.1.", "017700000001", "[::127.0.0.1]", "[64:ff9b::7f00:1]", "[::1%25lo]",
	} {
		address := "http://" + net.JoinHostPort(strings.Trim(host, "[]"), port) + "/x"
		if strings.HasPrefix(host, "[") {
			address = "http://" + host + ":" + port + "/x"
		}
		w.Serve("/hop", upstreamtest.Answer{Redirect: address})
		for _, req := range []upstream.Request{
			{Ref: address}, {Ref: "hop"}, {Ref: address, Method: "HEAD"},
			{Ref: address, Method: "POST"}, {Ref: address, Login: true},
		} {
			resp, err := w.client.Fetch(t.Context(), req)
			if err == nil {
				resp.Body.Close()
				t.Errorf("%s: %+v was answered", host, req)
			}
		}
	}
	fails(t, w.client, upstream.Request{Ref: canary.URL}, upstream.ErrRefused)
	fails(t, w.client, upstream.Request{Ref: "http://localhost:" + port}, upstream.ErrRefused)
	if n := canary.Connections(); n != 0 {
		t.Errorf("the canary got %d connections", n)
	}
}

// TestThreat16NothingIsLentByAnotherUpstream: a connection that one upstream
// may have must not serve another one.
func TestThreat16NothingIsLentByAnotherUpstream(t *testing.T) {
	inner := upstreamtest.New(t)
	inner.Serve("/a", upstreamtest.Answer{})
	w := &world{Server: upstreamtest.New(t), clock: newClock(), events: &events{}}
	tr := upstream.NewTransport(upstream.Options{Proxy: noProxy})
	open, err := upstream.New(upstream.Config{ID: "inner", URL: inner.URL}, tr)
	if err != nil {
		t.Fatal(err)
	}
	closed, err := upstream.New(upstream.Config{ID: "outer", URL: w.URL}, tr)
	if err != nil {
		t.Fatal(err)
	}
	get(t, open, upstream.Request{Ref: "a"}) // leaves an idle connection
	fails(t, closed, upstream.Request{Ref: inner.URL + "/a"}, upstream.ErrRefused)
	if n := inner.Requests("/a"); n != 1 {
		t.Errorf("%d requests arrived, want 1", n)
	}
}

// TestThreat16Rebinding: the name is public when it is first looked up and
// leads to loopback at every later time.
func TestThreat16Rebinding(t *testing.T) {
	canary := upstreamtest.New(t)
	_, port, err := net.SplitHostPort(canary.Host())
	if err != nil {
		t.Fatal(err)
	}
	resolver := newResolver(t, [4]byte{127, 0, 0, 1})
	tr := upstream.NewTransport(upstream.Options{Proxy: noProxy, Resolver: resolver})
	c, err := upstream.New(upstream.Config{ID: "up", URL: "http://named.example:" + port}, tr)
	if err != nil {
		t.Fatal(err)
	}
	e := fails(t, c, upstream.Request{Ref: "http://rebound.example:" + port + "/x"}, upstream.ErrRefused)
	if !strings.Contains(e.Error(), "127.0.0.1") {
		t.Errorf("%v does not name the resolved address", e)
	}
	if n := canary.Connections(); n != 0 {
		t.Errorf("the canary got %d connections", n)
	}
	canary.Serve("/own", upstreamtest.Answer{Body: []byte("ok")})
	if body, _ := get(t, c, upstream.Request{Ref: "own"}); body != "ok" {
		t.Error("the configured host may have a private address")
	}
	metadata := upstream.NewTransport(upstream.Options{Proxy: noProxy, Resolver: newResolver(t, [4]byte{169, 254, 169, 254})})
	c, err = upstream.New(upstream.Config{ID: "up", URL: "http://named.example", AllowHosts: []string{"other.example"}}, metadata)
	if err != nil {
		t.Fatal(err)
	}
	fails(t, c, upstream.Request{Ref: "latest/meta-data"}, upstream.ErrRefused)
	fails(t, c, upstream.Request{Ref: "http://other.example/x"}, upstream.ErrRefused)
}
