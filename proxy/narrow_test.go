package proxy_test

import (
	"encoding/base64"
	"strings"
	"testing"

	"larder/policy"
)

// TestThreat06ContainerTokensAreForContainers: a token of the token service is no
// credential anywhere else, whoever's it is, whatever it was made for, and however
// it is sent. What it cannot do itself it cannot be traded for either.
func TestThreat06ContainerTokensAreForContainers(t *testing.T) {
	h := newHouse(t)
	all := []policy.Action{policy.Read, policy.Publish, policy.Delete, policy.Restore, policy.Settings}
	grants := []policy.Grant{{Format: "oci", Actions: []policy.Action{policy.Open}}}
	for _, name := range []string{"@acme/hidden", "claimed-hidden", "fresh", "hidden"} {
		grants = append(grants, policy.Grant{Format: "oci", Package: name, Actions: all})
	}
	for who, actor := range map[string]policy.Subject{"admin": h.Admin, "guest": {}} {
		made, err := h.Directory.MintBearer(t.Context(), actor, grants)
		h.Must(err)
		h.Tokens[who+"'s bearer"] = made.Secret
	}
	const login = `{"_id":"org.couchdb.user:admin","name":"admin","password":"`
	for who, secret := range h.Tokens {
		if !strings.HasSuffix(who, "bearer") {
			continue
		}
		for _, line := range []string{"Authorization: Bearer " + secret, "Authorization: " + secret, "X-NuGet-ApiKey: " + secret,
			"Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte("admin:"+secret))} {
			for _, q := range []request{
				{method: "GET", path: "/npm/@acme%2fhidden"}, {method: "GET", path: "/npm/@acme/hidden/-/hidden-1.0.0.tgz"}, {method: "HEAD", path: "/npm/claimed-hidden"},
				{method: "GET", path: "/r/acme/secret/npm/hidden"}, {method: "GET", path: "/npm/-/whoami"}, {method: "GET", path: "/npm/-/npm/v1/tokens"},
				{method: "POST", path: "/npm/-/npm/v1/tokens", body: `{"password":"` + secret + `","readonly":false,"cidr_whitelist":[]}`},
				{method: "PUT", path: "/r/acme/packages/npm/@acme%2fhidden", body: publication(t, "@acme/hidden")}, {method: "PUT", path: "/npm/fresh", body: publication(t, "fresh")},
				{method: "DELETE", path: "/npm/@acme%2fhidden/-rev/0-none"}, {method: "PUT", path: "/npm/-/user/org.couchdb.user:admin", body: login + secret + `"}`},
				{method: "GET", path: "/api/v1/whoami"}, {method: "GET", path: "/api/v1/packages"}, {method: "GET", path: "/api/v1/package?purl=pkg:npm/@acme/hidden"},
				{method: "POST", path: "/api/v1/tokens", body: `{"scopes":["read:packages"]}`}, {method: "POST", path: "/api/v1/reload"}, {method: "GET", path: "/api/v1/users"},
			} {
				q.lines = []string{line}
				rec := h.ask(q, "")
				if rec.Code != 401 {
					t.Errorf("%s as %.24s…: %s %s: %d %s", who, line, q.method, q.path, rec.Code, rec.Body)
				}
				if strings.Contains(rec.Body.String(), secret) {
					t.Errorf("%s: %s %s: the token is in the answer", who, q.method, q.path)
				}
			}
		}
	}
	if rec := h.ask(request{method: "PUT", path: "/npm/-/user/org.couchdb.user:admin", body: login + h.Tokens["admin"] + `"}`}, ""); rec.Code != 201 {
		t.Errorf("the login itself: %d %s", rec.Code, rec.Body)
	}
}
