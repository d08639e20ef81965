package proxy_test

import (
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"strings"
	"testing"

	"larder/policy"
	"larder/policy/directory"
)

// connection is one HTTP/2 connection to a house, which every request must use.
type connection struct {
	h      *house
	server *httptest.Server
	used   int
}

func (h *house) connect() *connection {
	s := httptest.NewUnstartedServer(h.edge)
	s.EnableHTTP2 = true
	s.StartTLS()
	h.t.Cleanup(s.Close)
	return &connection{h: h, server: s}
}

func (c *connection) want(status int, path, token string) {
	c.h.t.Helper()
	trace := &httptrace.ClientTrace{GotConn: func(got httptrace.GotConnInfo) {
		if c.used > 0 && !got.Reused || got.Conn.(*tls.Conn).ConnectionState().NegotiatedProtocol != "h2" {
			c.h.t.Errorf("request %d: another connection, or none of HTTP/2", c.used)
		}
		c.used++
	}}
	r, err := http.NewRequestWithContext(httptrace.WithClientTrace(c.h.t.Context(), trace), "GET", c.server.URL+path, nil)
	c.h.must(err)
	r.Header.Set("Authorization", "Bearer "+token)
	resp, err := c.server.Client().Do(r)
	c.h.must(err)
	c.h.must(resp.Body.Close())
	if resp.StatusCode != status {
		c.h.t.Errorf("GET %s: %d, want %d", path, resp.StatusCode, status)
	}
}

// TestThreat29StalePermissions: what was taken away is gone with the next
// request, on a connection that is open since, and for what was made of it.
func TestThreat29StalePermissions(t *testing.T) {
	h := newHouse(t)
	ctx, dir := t.Context(), h.dir
	c := h.connect()
	const doc, file, own = "/npm/@acme%2fhidden", "/npm/@acme/hidden/-/hidden-1.0.0.tgz", "/npm/-/whoami"
	rita, mia := h.tokens["rita"], h.tokens["mia"]
	session, err := h.people.Login(ctx, here, "rita", rita)
	h.must(err)
	both := func(status int, paths ...string) {
		t.Helper()
		for _, path := range paths {
			c.want(status, path, rita)
			c.want(status, path, session)
		}
	}
	both(200, doc, file, own)
	h.must(dir.Grant(ctx, h.admin, "acme/packages", "rita", policy.RoleNone))
	both(404, doc, file)
	h.must(dir.Grant(ctx, h.admin, "acme/packages", "rita", policy.RoleRead))
	both(200, doc, file)
	h.must(dir.Suspend(ctx, h.admin, "rita"))
	both(401, doc, file, own)
	h.must(dir.Resume(ctx, h.admin, "rita"))
	both(200, doc, file, own)
	_, err = dir.CreateTeam(ctx, h.admin, "acme", "core")
	h.must(err)
	h.must(dir.Grant(ctx, h.admin, "acme/packages", "@core", policy.RoleRead))
	in := directory.TeamMember{Org: "acme", Team: "core", User: "mia"}
	for _, end := range []func() error{
		func() error { return dir.SetTeamMember(ctx, h.admin, in, false) },
		func() error { return dir.Grant(ctx, h.admin, "acme/packages", "@core", policy.RoleNone) },
		func() error { return dir.DeleteTeam(ctx, h.admin, "acme", "core") },
	} {
		h.must(dir.Grant(ctx, h.admin, "acme/packages", "@core", policy.RoleRead))
		h.must(dir.SetTeamMember(ctx, h.admin, in, true))
		c.want(200, file, mia)
		h.must(end())
		c.want(404, file, mia)
	}
	h.must(dir.SetOrganization(ctx, h.admin, "acme", directory.OrgSettings{BaseRole: new(policy.RoleRead)}))
	c.want(200, file, mia)
	h.must(dir.SetMember(ctx, h.admin, "acme", "mia", ""))
	c.want(404, file, mia)
	who, err := dir.Authenticate(ctx, rita, here)
	h.must(err)
	h.must(dir.RevokeToken(ctx, who, who.TokenID))
	both(401, doc, file, own, "/npm/-/ping")
}

// TestThreat07OneVerdictForEveryCarrier: it does not matter how a client sends
// its token.
func TestThreat07OneVerdictForEveryCarrier(t *testing.T) {
	h := newHouse(t)
	_, made, err := h.dir.MintToken(t.Context(), h.admin, directory.Mint{User: "rita", Scopes: policy.AllScopes()})
	h.must(err)
	h.token("ended", directory.Mint{User: "rita", Scopes: policy.AllScopes()})
	ended, err := h.dir.Authenticate(t.Context(), h.tokens["ended"], here)
	h.must(err)
	h.must(h.dir.RevokeToken(t.Context(), h.admin, ended.TokenID))
	h.must(h.dir.RevokeToken(t.Context(), h.admin, made.ID))
	h.token("narrow", directory.Mint{User: "rita", Scopes: []policy.Scope{policy.ReadPackages}, Limits: policy.Limits{CIDRs: []string{"198.51.100.0/24"}}})
	h.tokens["garbage"] = "eyJhbGciOiJub25lIn0.e30."
	basic := func(s string) string { return "Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(s)) }
	for _, who := range []string{"admin", "rita", "bob", "mia", "admin, limited", "bob, delete only", "ended", "narrow", "garbage"} {
		secret := h.tokens[who]
		carriers := map[string]string{
			"Bearer": "Authorization: Bearer " + secret, "token": "Authorization: token " + secret, "bare": "Authorization: " + secret,
			"Basic": basic("rita:" + secret), "Basic of anybody": basic("__token__:" + secret), "key": "X-NuGet-ApiKey: " + secret,
		}
		for _, q := range []request{
			{method: "GET", path: "/npm/@acme%2fhidden"}, {method: "GET", path: "/npm/-/whoami"}, {method: "GET", path: "/npm/-/ping"},
			{method: "DELETE", path: "/npm/@acme%2fhidden/-rev/0-none"}, {method: "PUT", path: "/r/acme/packages/npm/@acme%2fhidden", body: publication(t, "@acme/hidden")},
			{method: "GET", path: "/api/v1/package?purl=pkg:npm/@acme/hidden"}, {method: "POST", path: "/api/v1/reload"},
		} {
			verdicts := map[string][]string{}
			for name, line := range carriers {
				q.lines = []string{line}
				rec := h.ask(q, "")
				sentence := rec.Body.String()
				if id := rec.Header().Get("X-Larder-Decision"); id != "" {
					sentence = strings.ReplaceAll(sentence, id, "")
				}
				key := fmt.Sprint(rec.Code, sentence)
				verdicts[key] = append(verdicts[key], name)
			}
			if len(verdicts) != 1 {
				t.Errorf("%s: %s %s: %v", who, q.method, q.path, verdicts)
			}
		}
	}
}
