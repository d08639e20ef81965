package proxy

import (
	"encoding/json"
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"larder/policy"
)

// TestThreat22CrossSite: what another site makes a browser send changes nothing,
// by whatever route; programs and the pages here are not in its way.
func TestThreat22CrossSite(t *testing.T) {
	for _, c := range []struct {
		name   string
		lines  []string
		public string
		refuse bool
	}{
		{name: "a program"},
		{name: "a page here", lines: []string{"Sec-Fetch-Site: same-origin", "Origin: http://larder.example:8080"}},
		{name: "typed by the user", lines: []string{"Sec-Fetch-Site: none"}},
		{name: "another site", lines: []string{"Sec-Fetch-Site: cross-site", "Origin: https://evil.example"}, refuse: true},
		{name: "a neighbour", lines: []string{"Sec-Fetch-Site: same-site", "Origin: http://evil.larder.example:8080"}, refuse: true},
		{name: "an old browser here", lines: []string{"Origin: http://larder.example:8080"}},
		{name: "an old browser elsewhere", lines: []string{"Origin: http://evil.example"}, refuse: true},
		{name: "another port", lines: []string{"Origin: http://larder.example:9090"}, refuse: true},
		{name: "a sandbox", lines: []string{"Origin: null"}, refuse: true},
		{name: "an old browser behind a proxy", lines: []string{"X-Forwarded-Host: outer.example", "Origin: https://outer.example"}},
		{name: "the inner name behind a proxy", lines: []string{"X-Forwarded-Host: outer.example", "Origin: http://larder.example:8080"}, refuse: true},
		{name: "the public URL", public: "https://pkg.example/larder", lines: []string{"Origin: https://pkg.example"}},
		{name: "another site at a public URL", public: "https://pkg.example", lines: []string{"Origin: https://evil.example"}, refuse: true},
	} {
		reached := 0
		w := newWorld(t, func(o *Options) {
			o.PublicURL = c.public
			o.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")} // httptest's peer
			o.Handlers = map[string]http.Handler{"api": http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached++ })}
		})
		lines := append([]string{"Host: larder.example:8080", "Authorization: Basic remembered"}, c.lines...)
		for _, method := range []string{"POST", "PUT", "DELETE", "PATCH"} {
			resp := w.do(method, "/api/v1/x", strings.NewReader("x"), lines...)
			if refused := resp.StatusCode == 403; refused != c.refuse || refused == (reached > 0) {
				t.Errorf("%s: %s of the API: %d, reached %d times", c.name, method, resp.StatusCode, reached)
			}
		}
		if resp := w.do("DELETE", "/pad/a/1", nil, append(lines[:1:1], c.lines...)...); (resp.StatusCode == 403) != c.refuse || (len(w.asked) == 0) != c.refuse {
			t.Errorf("%s: DELETE in a registry: %d, policy asked %d times", c.name, resp.StatusCode, len(w.asked))
		}
		if resp := w.do("GET", "/pad/a/1", nil, append(lines[:1:1], c.lines...)...); resp.StatusCode != 200 {
			t.Errorf("%s: GET: %d", c.name, resp.StatusCode)
		}
	}
}

// TestNothingForOtherSites: no page of another site may read what is here, and
// none may show it in a frame.
func TestNothingForOtherSites(t *testing.T) {
	w := newWorld(t, nil)
	for _, method := range []string{"GET", "OPTIONS"} {
		resp := w.do(method, "/pad/a/1", nil, "Origin: https://evil.example", "Access-Control-Request-Method: PUT")
		for key := range resp.Header {
			if strings.HasPrefix(key, "Access-Control-") {
				t.Errorf("%s answers %s: %s", method, key, resp.Header.Get(key))
			}
		}
	}
}

// TestHandlersTellTheirCaller: the log and X-OAuth-Scopes know who used the API.
func TestHandlersTellTheirCaller(t *testing.T) {
	w := newWorld(t, func(o *Options) {
		o.Handlers = map[string]http.Handler{"api": http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			v, _ := FromContext(r.Context())
			v.Identified(policy.Subject{User: "alice", TokenID: "t1", Scopes: []policy.Scope{policy.AdminOrg}})
			w.WriteHeader(http.StatusNoContent)
		})}
	})
	if got := w.do("POST", "/api/v1/x", nil).Header.Get("X-OAuth-Scopes"); got != "admin:org" {
		t.Errorf("scopes %q", got)
	}
	var line map[string]any
	if err := json.Unmarshal([]byte(w.log.String()), &line); err != nil || line["user"] != "alice" || line["token"] != "t1" {
		t.Errorf("%v: %s", err, w.log)
	}
	Visit{}.Identified(policy.Subject{}) // of a handler without an edge
}
