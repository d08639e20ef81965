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
	"larder/proxy/proxytest"
)

// connection is one HTTP/2 connection to a house, which every request must use.
type connection struct {
	h      *house
	server *httptest.Server
	used   int
}

func (h *house) connect() *connection {
	s := httptest.NewUnstartedServer(h.Edge)
	s.EnableHTTP2 = true
	s.StartTLS()
	h.T.Cleanup(s.Close)
	return &connection{h: h, server: s}
}

func (c *connection) want(status int, path, token string) {
	c.h.T.Helper()
	trace := &httptrace.ClientTrace{GotConn: func(got httptrace.GotConnInfo) {
		if c.used > 0 && !got.Reused || got.Conn.(*tls.Conn).ConnectionState().NegotiatedProtocol != "h2" {
			c.h.T.Errorf("request %d: another connection, or none of HTTP/2", c.used)
		}
		c.used++
	}}
	r, err := http.NewRequestWithContext(httptrace.WithClientTrace(c.h.T.Context(), trace), "GET", c.server.URL+path, nil)
	c.h.Must(err)
	r.Header.Set("Authorization", "Bearer "+token)
	resp, err := c.server.Client().Do(r)
	c.h.Must(err)
	c.h.Must(resp.Body.Close())
	if resp.StatusCode != status {
		c.h.T.Errorf("GET %s: %d, want %d", path, resp.StatusCode, status)
	}
}

// TestThreat29StalePermissions: what was taken away is gone with the next
// request, on a connection that is open since, and for what was made of it.
func TestThreat29StalePermissions(t *testing.T) {
	h := newHouse(t)
	ctx, dir := t.Context(), h.Directory
	c := h.connect()
	const doc, file, own = "/npm/@acme%2fhidden", "/npm/@acme/hidden/-/hidden-1.0.0.tgz", "/npm/-/whoami"
	rita, mia := h.Tokens["rita"], h.Tokens["mia"]
	session, err := h.Accounts.Login(ctx, proxytest.Here(), "rita", rita)
	h.Must(err)
	both := func(status int, paths ...string) {
		t.Helper()
		for _, path := range paths {
			c.want(status, path, rita)
			c.want(status, path, session)
		}
	}
	both(200, doc, file, own)
	h.Must(dir.Grant(ctx, h.Admin, "acme/packages", "rita", policy.RoleNone))
	both(404, doc, file)
	h.Must(dir.Grant(ctx, h.Admin, "acme/packages", "rita", policy.RoleRead))
	both(200, doc, file)
	h.Must(dir.Suspend(ctx, h.Admin, "rita"))
	both(401, doc, file, own)
	h.Must(dir.Resume(ctx, h.Admin, "rita"))
	both(200, doc, file, own)
	_, err = dir.CreateTeam(ctx, h.Admin, "acme", "core")
	h.Must(err)
	h.Must(dir.Grant(ctx, h.Admin, "acme/packages", "@core", policy.RoleRead))
	in := directory.TeamMember{Org: "acme", Team: "core", User: "mia"}
	for _, end := range []func() error{
		func() error { return dir.SetTeamMember(ctx, h.Admin, in, false) },
		func() error { return dir.Grant(ctx, h.Admin, "acme/packages", "@core", policy.RoleNone) },
		func() error { return dir.DeleteTeam(ctx, h.Admin, "acme", "core") },
	} {
		h.Must(dir.Grant(ctx, h.Admin, "acme/packages", "@core", policy.RoleRead))
		h.Must(dir.SetTeamMember(ctx, h.Admin, in, true))
		c.want(200, file, mia)
		h.Must(end())
		c.want(404, file, mia)
	}
	h.Must(dir.SetOrganization(ctx, h.Admin, "acme", directory.OrgSettings{BaseRole: new(policy.RoleRead)}))
	c.want(200, file, mia)
	h.Must(dir.SetMember(ctx, h.Admin, "acme", "mia", ""))
	c.want(404, file, mia)
	who, err := dir.Authenticate(ctx, rita, proxytest.Here())
	h.Must(err)
	h.Must(dir.RevokeToken(ctx, who, who.TokenID))
	both(401, doc, file, own, "/npm/-/ping")
}

// TestThreat07OneVerdictForEveryCarrier: it does not matter how a client sends
// its token.
func TestThreat07OneVerdictForEveryCarrier(t *testing.T) {
	h := newHouse(t)
	_, made, err := h.Directory.MintToken(t.Context(), h.Admin, directory.Mint{User: "rita", Scopes: policy.AllScopes()})
	h.Must(err)
	h.mint("ended", directory.Mint{User: "rita", Scopes: policy.AllScopes()})
	ended, err := h.Directory.Authenticate(t.Context(), h.Tokens["ended"], proxytest.Here())
	h.Must(err)
	h.Must(h.Directory.RevokeToken(t.Context(), h.Admin, ended.TokenID))
	h.Must(h.Directory.RevokeToken(t.Context(), h.Admin, made.ID))
	h.mint("narrow", directory.Mint{User: "rita", Scopes: []policy.Scope{policy.ReadPackages}, Limits: policy.Limits{CIDRs: []string{"198.51.100.0/24"}}})
	h.Tokens["garbage"] = "eyJhbGciOiJub25lIn0.e30."
	basic := func(s string) string { return "Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(s)) }
	for _, who := range []string{"admin", "rita", "bob", "mia", "admin, limited", "bob, delete only", "ended", "narrow", "garbage"} {
		secret := h.Tokens[who]
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
