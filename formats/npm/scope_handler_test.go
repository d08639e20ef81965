package npm_test

import (
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"larder/formats/npm"
	"larder/policy"
	"larder/proxy/accounts"
)

// scopeless finds out who asks and takes all scopes away.
type scopeless struct{ *accounts.Accounts }

func (s scopeless) Identify(r *http.Request, remote netip.Addr) (policy.Subject, error) {
	who, err := s.Accounts.Identify(r, remote)
	who.Scopes = nil
	return who, err
}

// TestThreat06NoRouteWithoutScopes: every route of the protocol, asked by those
// with every role and no scope at all: what is private is neither read nor changed.
func TestThreat06NoRouteWithoutScopes(t *testing.T) {
	w := newWorld(t)
	const pkg = "@acme/private"
	w.publish("wim", pkg, "1.0.0")
	rev := w.rev(pkg, "olga")
	before := w.want(200, "GET "+path(pkg), "admin", "").text()
	edge := w.Edge
	// Whoever has an account may call these without any scope; they concern it alone.
	own := map[string]bool{
		"GET /-/whoami": true, "GET /-/npm/v1/user": true, "GET /-/npm/v1/tokens": true, "GET /-/user/:user": true,
		"GET /-/user/:user/package": true, "GET /-/org/:org/package": true,
	}
	// These are answered alike for everybody, and hold nothing of ours.
	open := map[string]bool{
		"GET ": true, "GET /-/ping": true, "POST /-/v1/login": true, "GET /-/v1/search": true, "GET /-/_view/starredByUser": true,
		"POST /-/npm/v1/security/advisories/bulk": true, "POST /-/npm/v1/security/audits/quick": true, "POST /-/npm/v1/security/audits": true,
	}
	for _, route := range npm.Routes() {
		method, at, _ := strings.Cut(route, " ")
		filled := strings.NewReplacer(":pkg@version", "@acme%2fprivate@1.0.0", ":pkg", "@acme%2fprivate", ":file", "private-1.0.0.tgz", ":rev", rev,
			":ref", "1.0.0", ":tag", "next", ":token", "x", ":user", "org.couchdb.user:olga", ":org", "acme", ":team", "all").Replace(at)
		for _, who := range []string{"admin", "olga", "wim", "rita"} {
			w.send(w.request("GET", "/-/ping", who, nil)) // who is known with his scopes, and remembered
			for _, body := range routeBodies(t, pkg) {
				w.Edge = w.scopeless()
				got := w.do(method, filled, who, body.text, "npm-command: "+body.command, "Accept: application/json")
				w.Edge = edge
				if got.StatusCode < 300 && !own[route] && !open[route] || strings.Contains(got.text(), `"private"`) || strings.Contains(got.text(), "private-1.0.0") {
					t.Errorf("%s by %s (%s): %d %.300s", route, who, body.command, got.StatusCode, got.text())
				}
			}
		}
	}
	if after := w.want(200, "GET "+path(pkg), "admin", "").text(); after != before {
		t.Errorf("the package has changed:\n%s\n%s", before, after)
	}
}

// scopeless is an edge in front of the same registry.
func (w *world) scopeless() http.Handler {
	w.T.Helper()
	if w.bare == nil {
		w.bare = w.edgeFor(scopeless{w.Accounts})
	}
	return w.bare
}

type routeBody struct{ command, text string }

// routeBodies are what the writing routes take; the others do not read them.
func routeBodies(t *testing.T, pkg string) []routeBody {
	t.Helper()
	return []routeBody{
		{"publish", body(t, pkg, "2.0.0")}, {"publish", `"1.0.0"`}, {"publish", `{"latest":"1.0.0"}`}, {"access", `{"access":"public"}`},
		{"unpublish", `{"_id":"` + pkg + `","versions":{}}`}, {"owner", `{"_id":"` + pkg + `","maintainers":[{"name":"bob"}]}`},
		{"star", `{"_id":"` + pkg + `","users":{"olga":true}}`}, {"deprecate", `{"_id":"` + pkg + `","versions":{"1.0.0":{"deprecated":"x"}}}`},
		{"", `{"` + pkg + `":["1.0.0"]}`}, {"", `{"password":"x","readonly":false,"cidr_whitelist":[]}`}, {"", `{}`},
	}
}
