package main

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"larder/policy"
)

// TestOneCredentialOrNone: what a request carries is one good credential, or
// the request is refused: nobody falls back to less, or gets more by a second.
func TestOneCredentialOrNone(t *testing.T) {
	l := liveServer(t, "")
	l.api("POST", "users", fields{"name": "bob"})
	every := policy.AllScopes()
	bob, _ := l.mint("bob", policy.Limits{}, every...)
	carried := carriers(bob)
	basic, key := carried[4], "X-NuGet-ApiKey: "
	for _, c := range []struct {
		name   string
		lines  []string
		status int
	}{
		{"two lines", []string{bearer(bob), bearer(l.admin)}, 400},
		{"the same line twice", []string{bearer(bob), bearer(bob)}, 400},
		{"Bearer and Basic lines", []string{bearer(bob), basic}, 400},
		{"two keys", []string{key + bob, key + bob}, 400},
		{"a key of another principal", []string{bearer(bob), key + l.admin}, 400},
		{"a key that is no good beside a good line", []string{bearer(bob), key + bob[:40] + "x"}, 401},
		{"a good key beside a line that is no good", []string{"Authorization: Bearer " + bob[:40] + "x", key + bob}, 401},
		{"an empty line", []string{"Authorization: "}, 401},
		{"a scheme alone", []string{"Authorization: Bearer"}, 401},
		{"an unknown scheme", []string{"Authorization: Digest username=bob"}, 401},
		{"Basic that is no base64", []string{"Authorization: Basic ???"}, 401},
		{"a password that is none", []string{carriers("hunter2")[4]}, 401},
		{"two tokens in one line", []string{bearer(bob + " " + l.admin)}, 401},
		{"a list of two tokens", []string{bearer(bob + ", Bearer " + l.admin)}, 401},
		{"a token web token", []string{bearer("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhZG1pbiJ9.c2ln")}, 401},
		{"an endless line", []string{"Authorization: Bearer " + strings.Repeat("a", 9<<10)}, 401},
		{"a session cookie", []string{"Cookie: token=" + bob + "; session=" + bob}, -1},
		{"another field", []string{"X-Auth-Token: " + bob, "Proxy-Authorization: Bearer " + bob, "Private-Token: " + bob}, -1},
	} {
		for path, open := range map[string]int{"/npm/-/ping": 200, "/npm/-/whoami": 401, "/api/v1/whoami": 401, "/npm/nothing": 404} {
			l.later(3 * time.Second) // failures are slowed down
			want := c.status
			if want < 0 {
				want = open // it is nobody's
			}
			got := l.ask(ask{method: "GET", path: path, header: c.lines})
			if got.status != want {
				t.Errorf("%s: GET %s: %d, want %d: %s", c.name, path, got.status, want, got.body)
			}
			if strings.Contains(got.body, bob[5:]) || got.header.Get("X-OAuth-Scopes") != "" {
				t.Errorf("%s: GET %s: shows what it must not: %v %s", c.name, path, got.header, got.body)
			}
		}
	}
}

// TestTwoTokensOfOneUser: they are one principal's, and the key counts, whatever
// the other one may do more.
func TestTwoTokensOfOneUser(t *testing.T) {
	l := liveServer(t, "")
	weak, made := l.mint("admin", policy.Limits{}, policy.ReadPackages)
	got := l.want(200, "", ask{method: "GET", path: "/api/v1/whoami", header: []string{bearer(l.admin), "X-NuGet-ApiKey: " + weak}})
	if !strings.Contains(got.body, made.ID) || got.header.Get("X-OAuth-Scopes") != "read:packages" {
		t.Errorf("%v %s", got.header, got.body)
	}
}

// TestNoCredentialsInQueries: a query is in logs, histories and referrers.
func TestNoCredentialsInQueries(t *testing.T) {
	l := liveServer(t, "")
	host := strings.TrimPrefix(l.url, "http://")
	for _, name := range []string{"token", "access_token", "_authToken", "auth", "private_token", "api_key", "apikey", "authorization", "key", "bearer"} {
		for _, path := range []string{"/npm/-/whoami", "/api/v1/whoami", "/api/v1/audit", "/npm/-/npm/v1/tokens"} {
			l.want(401, "", ask{method: "GET", path: path + "?" + name + "=" + url.QueryEscape(l.admin)})
		}
		l.want(401, "", ask{method: "POST", path: "/api/v1/reload?" + name + "=" + l.admin, header: []string{"Content-Type: application/x-www-form-urlencoded"}, body: name + "=" + l.admin})
	}
	// In an address a client of HTTP makes Basic of it, which is a field.
	l.url = "http://u:" + l.admin + "@" + host
	l.want(200, "", ask{method: "GET", path: "/npm/-/whoami"})
	if strings.Contains(l.log.String(), l.admin[5:]) {
		t.Error("a token of a query is in the log")
	}
}

// TestUnknownScopes: a typo makes no token, and no token that may more.
func TestUnknownScopes(t *testing.T) {
	l := liveServer(t, "")
	for _, scopes := range [][]string{
		{"read:package"}, {"*"}, {"admin"}, {"read:packages", "admin:everything"}, {""}, {}, {"READ:PACKAGES"}, {"read:packages,admin:instance"}, {"read:packages admin:instance"},
	} {
		got := l.as(l.admin, ask{method: "POST", path: "/api/v1/tokens", body: string(encoded(t, fields{"scopes": scopes}))})
		if got.status != 400 || !strings.Contains(got.body, "scope") {
			t.Errorf("%q: %d %s", scopes, got.status, got.body)
		}
	}
}
