package oci_test

import (
	"net/url"
	"strings"
	"testing"

	"larder/policy"
)

// bearer asks the token service, as who, for scopes, and makes the answer the
// token of another user.
func (w *world) bearer(who, as string, scopes ...string) {
	w.t.Helper()
	got := w.want("200", "GET /token?"+url.Values{"scope": scopes, "service": {"example.com"}}.Encode(), who, "")
	var doc struct{ Token string }
	w.object(got, &doc)
	w.tokens[as] = doc.Token
}

// TestSignIn is what clients do before all else: they ask, are sent to the token
// service, and come again.
func TestSignIn(t *testing.T) {
	w := newWorld(t)
	got := w.want("401 UNAUTHORIZED", "GET /", "", "")
	if c := got.Header.Get("Www-Authenticate"); c != `Bearer realm="http://example.com/v2/token",service="example.com"` {
		t.Errorf("challenge %s", c)
	}
	w.bearer("wim", "known")
	w.bearer("", "guest")
	for _, who := range []string{"known", "guest", "wim"} {
		w.want("200", "GET /", who, "")
	}
	w.push("wim", "acme/app", "v1", "layer")
	w.push("wim", "acme/open/tool", "v1", "layer")
	w.bearer("wim", "pull", "repository:acme/app:pull")
	w.bearer("wim", "push", "repository:acme/app:pull,push")
	w.bearer("rita", "reader", "repository:acme/app:pull,push")
	w.bearer("", "nobody", "repository:acme/app:pull", "repository:acme/open/tool:pull")
	for _, c := range []struct{ line, who, want, scope string }{
		{"GET /acme/app/manifests/v1", "pull", "200", ""},
		{"GET /acme/app/manifests/v1", "push", "200", ""},
		{"GET /acme/app/manifests/v1", "reader", "200", ""},
		{"GET /acme/app/manifests/v1", "nobody", "401 UNAUTHORIZED", "repository:acme/app:pull"},
		{"GET /acme/open/tool/manifests/v1", "nobody", "200", ""},
		{"GET /acme/open/tool/manifests/v1", "", "200", ""},
		{"POST /acme/app/blobs/uploads/", "pull", "401 UNAUTHORIZED", "repository:acme/app:pull,push"},
		{"POST /acme/app/blobs/uploads/", "push", "202", ""},
		{"POST /acme/app/blobs/uploads/", "reader", "403 DENIED", ""},
		{"POST /acme/other/blobs/uploads/", "push", "401 UNAUTHORIZED", "repository:acme/other:pull,push"},
		{"DELETE /acme/app/manifests/v1", "push", "403 DENIED", ""},
		{"GET /_catalog", "push", "401 UNAUTHORIZED", "registry:catalog:*"},
		{"GET /acme/other/tags/list", "pull", "401 UNAUTHORIZED", "repository:acme/other:pull"},
	} {
		got := w.want(c.want, c.line, c.who, "")
		challenge := got.Header.Get("Www-Authenticate")
		if c.scope == "" && challenge != "" || !strings.Contains(challenge, c.scope) {
			t.Errorf("%s by %s: challenge %q", c.line, c.who, challenge)
		}
		narrow := c.want == "401 UNAUTHORIZED" && c.who != "nobody"
		if strings.Contains(challenge, `error="insufficient_scope"`) != narrow {
			t.Errorf("%s by %s: challenge %q", c.line, c.who, challenge)
		}
	}
}

// TestCatalogByToken: a token for the list shows what its user may read, and one
// of nobody what everybody may.
func TestCatalogByToken(t *testing.T) {
	w := newWorld(t)
	w.push("wim", "acme/app", "v1", "layer")
	w.push("wim", "acme/open/tool", "v1", "layer")
	w.bearer("rita", "list", "registry:catalog:*")
	w.bearer("", "guest")
	for who, want := range map[string]string{"list": `["acme/app","acme/open/tool"]`, "guest": `["acme/open/tool"]`} {
		if got := w.want("200", "GET /_catalog", who, ""); string(got.body) != `{"repositories":`+want+`}` {
			t.Errorf("%s: %s", who, got.body)
		}
	}
}

// TestTokenOfARevokedOne: an upload goes on with another token, and none that was
// made for a token which is revoked.
func TestTokenOfARevokedOne(t *testing.T) {
	w := newWorld(t)
	w.tokens["job"] = w.token("wim", policy.ReadPackages, policy.WritePackages)
	w.bearer("job", "first", "repository:acme/app:pull,push")
	at := w.begin("first", "acme/app")
	w.want("202", "PATCH "+at, "first", "one")
	list, err := w.people.Tokens(t.Context(), w.subject("job"))
	w.must(err)
	for _, token := range list {
		if strings.HasPrefix(w.tokens["job"], token.Prefix) {
			w.must(w.people.Revoke(t.Context(), w.subject("job"), token.ID))
		}
	}
	got := w.want("401 UNAUTHORIZED", "PATCH "+at, "first", "two")
	if c := got.Header.Get("Www-Authenticate"); !strings.Contains(c, `scope="repository:acme/app:pull,push"`) {
		t.Errorf("challenge %q", c)
	}
	w.bearer("wim", "second", "repository:acme/app:pull,push")
	w.want("202", "PATCH "+at, "second", "two")
	w.want("201", "PUT "+at+"?digest="+digestOf("onetwo"), "second", "")
}
