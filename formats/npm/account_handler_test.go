package npm_test

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
	"time"

	"larder/policy"
)

// TestSmallCalls: sections 3.4 and 5.1.
func TestSmallCalls(t *testing.T) {
	w := newWorld(t)
	basic := "Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte("alice:"+w.Tokens["bob"]))
	const noStore = "Cache-Control: no-store"
	w.run([]call{
		{name: "ping", method: "GET", path: "/-/ping", status: 200, has: []string{"\r\n{}"}},
		{name: "ping of pnpm", method: "GET", path: "/-/ping?write=true", status: 200, has: []string{"\r\n{}"}},
		{name: "root", method: "GET", path: "/", status: 200, has: []string{"Content-Type: application/json"}},
		{name: "whoami", method: "GET", path: "/-/whoami", who: "bob", status: 200, has: []string{`{"username":"bob"}`, noStore}},
		{name: "whoami by basic", method: "GET", path: "/-/whoami", header: []string{basic}, status: 200, has: []string{`{"username":"bob"}`}},
		{name: "whoami of nobody", method: "GET", path: "/-/whoami", status: 401, has: []string{`{"error":"`, noStore}, lacks: []string{"Www-Authenticate", "Etag"}},
		{name: "whoami of a wrong token", method: "GET", path: "/-/whoami", who: "ldrp_x", status: 401, lacks: []string{"Www-Authenticate"}},
		{name: "whoami with the wrong method", method: "POST", path: "/-/whoami", who: "bob", status: 405, has: []string{"Allow: GET, HEAD"}},
		{name: "profile", method: "GET", path: "/-/npm/v1/user", who: "bob", status: 200, has: []string{`"name":"bob"`, `"email":"bob@mail.example"`, `"email_verified":true`, `"tfa":false`, `"created":"2026-`, `"updated":"2026-`, `"cidr_whitelist":null`, `"fullname":""`}},
		{name: "profile of nobody", method: "GET", path: "/-/npm/v1/user", status: 401},
		{name: "all", method: "GET", path: "/-/all", status: 404},
		{name: "all since", method: "GET", path: "/-/all/since?stale=update_after&startkey=1", status: 404},
		{name: "hooks", method: "GET", path: "/-/npm/v1/hooks", who: "bob", status: 404},
		{name: "a wrong token reads nothing public", method: "GET", path: "/left", who: "ldrp_x", status: 401},
	})
	if n := len(w.far.Log("")); n != 0 {
		t.Errorf("%d upstream requests", n)
	}
}

// TestLegacyLogin: section 5.2.
func TestLegacyLogin(t *testing.T) {
	w := newWorld(t)
	login := func(user, password string) string {
		return fmt.Sprintf(`{"_id":"org.couchdb.user:%s","name":%[1]q,"password":%q,"email":"x@mail.example","type":"user","roles":[],"date":"2026-01-01T00:00:00.000Z"}`, user, password)
	}
	const path = "/-/user/org.couchdb.user:bob"
	got := w.want(201, "PUT "+path, "", login("bob", w.Tokens["bob"]))
	secret, _ := at(w.object(got), "token").(string)
	if got.Header.Get("Cache-Control") != "no-store" || secret == w.Tokens["bob"] || at(w.object(got), "ok") == nil {
		t.Errorf("%v %s", got.Header, got.text())
	}
	w.run([]call{
		{name: "the token works", method: "GET", path: "/-/whoami", who: secret, status: 200, has: []string{`"bob"`}},
		{name: "escaped", method: "PUT", path: "/-/user/org.couchdb.user%3abob", body: login("bob", w.Tokens["bob"]), status: 201},
		{name: "of the second step", method: "PUT", path: path + "/-rev/1-x", body: login("bob", w.Tokens["bob"]), status: 201},
		{name: "although an old token is sent", method: "PUT", path: path, who: "ldrp_gone", body: login("bob", w.Tokens["bob"]), status: 201},
		{name: "wrong password", method: "PUT", path: path, body: login("bob", "hunter2"), status: 401, has: []string{`{"error":"`, "Www-Authenticate: "}},
		{name: "another's token", method: "PUT", path: path, body: login("bob", w.Tokens["rita"]), status: 401},
		{name: "a user who is not there", method: "PUT", path: "/-/user/org.couchdb.user:eve", body: login("eve", w.Tokens["rita"]), status: 401},
		{name: "body and URL disagree", method: "PUT", path: path, body: login("rita", w.Tokens["rita"]), status: 400},
		{name: "no JSON", method: "PUT", path: path, body: "x", status: 400},
		{name: "no text", method: "PUT", path: path, body: `{"name":"bob","password":1}`, status: 400},
		{name: "too long", method: "PUT", path: path, body: login("bob", strings.Repeat("x", 100<<10)), status: 413},
		{name: "logout", method: "DELETE", path: "/-/user/token/" + secret, who: secret, status: 200},
		{name: "logged out", method: "GET", path: "/-/whoami", who: secret, status: 401},
		{name: "logout again", method: "DELETE", path: "/-/user/token/" + secret, who: secret, status: 401},
		{name: "nobody logs others out", method: "DELETE", path: "/-/user/token/" + w.Tokens["bob"], who: "rita", status: 404},
		{name: "still in", method: "GET", path: "/-/whoami", who: "bob", status: 200},
	})
}

// TestLoginIsSlowedDown: section 5.2, for whoever guesses.
func TestLoginIsSlowedDown(t *testing.T) {
	w := newWorld(t)
	for i := range 200 {
		got := w.do("PUT", "/-/user/org.couchdb.user:bob", "", fmt.Sprintf(`{"name":"bob","password":"guess %d"}`, i))
		if got.StatusCode == 429 {
			if got.Header.Get("Retry-After") == "" {
				t.Errorf("%v", got.Header)
			}
			w.want(201, "PUT /-/user/org.couchdb.user:bob", "", fmt.Sprintf(`{"name":"bob","password":%q}`, w.Tokens["bob"]))
			return
		}
	}
	t.Error("200 guesses at once")
}

// TestWebLogin: section 5.3.
func TestWebLogin(t *testing.T) {
	w := newWorld(t)
	begin := func(body string) (code, poll string) {
		got := w.object(w.want(200, "POST /-/v1/login", "", body))
		login, _ := at(got, "loginUrl").(string)
		done, _ := at(got, "doneUrl").(string)
		code, ok1 := strings.CutPrefix(login, "http://example.com/ui/login/")
		poll, ok2 := strings.CutPrefix(done, "http://example.com/npm")
		if !ok1 || !ok2 || strings.Contains(done, code) {
			t.Fatalf("%v", got)
		}
		return code, poll
	}
	code, poll := begin(`{}`)
	waiting := call{name: "waits", method: "GET", path: poll, status: 202, has: []string{"Retry-After: 1", "Cache-Control: no-store"}}
	w.run([]call{waiting, waiting})
	w.Must(w.Accounts.Pairing().Confirm(t.Context(), code, w.Subject("bob")))
	got := w.want(200, "GET "+poll, "", "")
	secret, _ := at(w.object(got), "token").(string)
	w.run([]call{
		{name: "signed in", method: "GET", path: "/-/whoami", who: secret, status: 200, has: []string{`"bob"`}},
		{name: "once only", method: "GET", path: poll, status: 404},
		{name: "unknown", method: "GET", path: "/-/v1/login/nonsense", status: 404},
	})
	_, poll = begin(`{"create":true}`)
	w.Clock.Advance(5 * time.Minute)
	w.want(404, "GET "+poll, "", "")
	w.want(200, "POST /-/v1/login", "ldrp_gone", "{}")
}

// TestTokenCalls: section 5.4.
func TestTokenCalls(t *testing.T) {
	w := newWorld(t)
	const path = "/-/npm/v1/tokens"
	made := w.object(w.want(200, "POST "+path, "wim", `{"name":"ci","password":"x","expires":7,"cidr_whitelist":["192.0.2.0/24"],"packages_and_scopes_permission":"read-write","scopes":["@acme"]}`))
	secret, _ := at(made, "token").(string)
	key, _ := at(made, "key").(string)
	readonly, _ := at(w.object(w.want(200, "POST "+path, "wim", `{"password":"x","readonly":true,"cidr_whitelist":[]}`)), "token").(string)
	w.run([]call{
		{name: "works", method: "GET", path: "/-/whoami", who: secret, status: 200, has: []string{`"wim"`}},
		{name: "publishes", method: "PUT", path: "/@acme%2fwidget", who: secret, body: body(t, "@acme/widget", "1.0.0"), status: 201},
		{name: "not beyond its scope", method: "PUT", path: "/acme-tool", who: secret, body: body(t, "acme-tool", "1.0.0"), status: 403},
		{name: "reads only", method: "PUT", path: "/@acme%2fwidget", who: readonly, body: body(t, "@acme/widget", "1.0.1"), status: 403},
		{name: "and does read", method: "GET", path: "/@acme%2fwidget", who: readonly, status: 200},
		{name: "list", method: "GET", path: path, who: "wim", status: 200, has: []string{`{"objects":[{"token":"`, `"key":"` + key + `"`, `"name":"ci"`, `"readonly":true`, `"cidr_whitelist":["192.0.2.0/24"]`, `"urls":{}`, `"created":"`, `"updated":"`}, lacks: []string{secret, w.Tokens["wim"]}},
		{name: "of others", method: "GET", path: path, who: "rita", status: 200, lacks: []string{key}},
		{name: "of nobody", method: "GET", path: path, status: 401},
		{name: "nothing above oneself", method: "POST", path: path, who: w.Token("wim", policy.ReadPackages), body: `{"name":"more"}`, status: 403},
		{name: "which reading is not", method: "POST", path: path, who: w.Token("wim", policy.ReadPackages), body: `{"name":"less","readonly":true}`, status: 200},
		{name: "too long a life", method: "POST", path: path, who: "wim", body: `{"name":"x","expires":3650}`, status: 400},
		{name: "a life backwards", method: "POST", path: path, who: "wim", body: `{"name":"x","expires":-1}`, status: 400},
		{name: "a giant life", method: "POST", path: path, who: "wim", body: `{"name":"x","expires":1e999}`, status: 400},
		{name: "no network", method: "POST", path: path, who: "wim", body: `{"name":"x","cidr_whitelist":["nowhere"]}`, status: 400},
		{name: "no JSON", method: "POST", path: path, who: "wim", body: `name=x`, status: 400},
		{name: "revoke another's", method: "DELETE", path: path + "/token/" + key, who: "rita", status: 404},
		{name: "revoke", method: "DELETE", path: path + "/token/" + key, who: "wim", status: 200},
		{name: "revoked", method: "GET", path: "/-/whoami", who: secret, status: 401},
		{name: "revoke again", method: "DELETE", path: path + "/token/" + key, who: "wim", status: 404},
	})
	expiring, _ := at(w.object(w.want(200, "POST "+path, "wim", `{"name":"x","expires":1}`)), "token").(string)
	w.Clock.Advance(25 * time.Hour)
	got := w.want(401, "GET /-/whoami", expiring, "")
	if !strings.Contains(got.text(), "expired on 2026-03-02") {
		t.Error(got.text())
	}
}

// TestClosedServer: section 5.1. Where nobody reads without a token, nobody
// learns anything without one either.
func TestClosedServer(t *testing.T) {
	w := newWorld(t, func(w *world) { w.closed = true })
	w.upstream("left", "1.0.0")
	w.publish("olga", "@open/part", "1.0.0")
	var calls []call
	for _, path := range []string{"/left", "/none", "/@open%2fpart", file("left", "1.0.0"), "/-/package/left/dist-tags", "/-/v1/search?text=x", "/left/1.0.0", "/-/npm/v1/keys"} {
		calls = append(calls, call{name: "nobody", method: "GET", path: path, status: 401, has: []string{`{"error":"`}, lacks: []string{"Www-Authenticate"}})
	}
	calls = append(calls,
		call{name: "audit", method: "POST", path: "/-/npm/v1/security/advisories/bulk", body: `{"left":["1.0.0"]}`, status: 401},
		call{name: "ping", method: "GET", path: "/-/ping", status: 200},
		call{name: "somebody", method: "GET", path: "/left", who: "bob", status: 200, has: []string{"Cache-Control: private, no-cache"}},
		call{name: "somebody's file", method: "GET", path: file("left", "1.0.0"), who: "bob", status: 200, has: []string{"Cache-Control: private"}},
		call{name: "somebody's public file", method: "GET", path: file("@open/part", "1.0.0"), who: "bob", status: 200, has: []string{"Cache-Control: private"}},
	)
	w.run(calls)
}
