package oci_test

import (
	"encoding/base64"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"larder/formats"
	"larder/policy"
	"larder/policy/directory"
	"larder/upstream/upstreamtest/ocitest"
)

// bearer asks the token service as a client does, with scopes such as
// "repository:acme/app:pull", and keeps the token under a name to send it by.
func (w *world) bearer(name, who string, scopes ...string) string {
	w.T.Helper()
	var lines []string
	if who != "" {
		lines = append(lines, "Authorization: Basic "+base64.StdEncoding.EncodeToString([]byte("x:"+w.Tokens[who])))
	}
	got := w.want("200", "GET /token?"+url.Values{"scope": scopes, "service": {"example.com"}}.Encode(), "", "", lines...)
	return w.keep(name, got)
}

func (w *world) keep(name string, got *reply) string {
	w.T.Helper()
	var doc struct {
		Token  string
		Access string `json:"access_token"`
		Life   int    `json:"expires_in"`
	}
	w.object(got, &doc)
	if !strings.HasPrefix(doc.Token, "ldrx_") || doc.Access != doc.Token || doc.Life != 300 || got.Header.Get("Cache-Control") != "no-store" {
		w.T.Fatalf("token %s, %v", got.body, got.Header)
	}
	w.Tokens[name] = doc.Token
	return doc.Token
}

// challenged fails unless the reply asks for a token in that way.
func (w *world) challenged(got *reply, rest string) {
	w.T.Helper()
	want := `Bearer realm="http://example.com/v2/token",service="example.com"` + rest
	if value := got.Header.Get("WWW-Authenticate"); got.StatusCode != 401 || value != want {
		w.T.Errorf("%d with the challenge\n%s, want\n%s", got.StatusCode, value, want)
	}
}

// TestSigningIn: docker and podman ask how, trade a credential, and try the token.
func TestSigningIn(t *testing.T) {
	w := newWorld(t)
	for _, line := range []string{"GET /", "HEAD /", "GET "} {
		w.challenged(w.want("401 UNAUTHORIZED", line, "", ""), "")
	}
	w.challenged(w.want("401 UNAUTHORIZED", "GET /_catalog", "", ""), `,scope="registry:catalog:*"`)
	w.bearer("login", "rita")
	w.want("200", "GET /", "login", "")
	w.want("200", "GET /", "rita", "") // with her own token at once
	form := "grant_type=password&service=example.com&client_id=oras-go&username=rita&password="
	const kind = "Content-Type: application/x-www-form-urlencoded"
	w.keep("helm", w.want("200", "POST /token", "", form+w.Tokens["rita"], kind))
	w.want("200", "GET /", "helm", "")
	basic := func(s string) string {
		return "Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(s))
	}
	for name, got := range map[string]*reply{
		"wrong password":       w.want("401 UNAUTHORIZED", "GET /token", "", "", basic("rita:hunter2")),
		"no colon":             w.want("401 UNAUTHORIZED", "GET /token", "", "", basic(w.Tokens["rita"])),
		"wrong, in a form":     w.want("401 UNAUTHORIZED", "POST /token", "", form+"hunter2", kind),
		"refresh token":        w.want("401 UNAUTHORIZED", "POST /token", "", "grant_type=refresh_token&refresh_token=x", kind),
		"bad header and form":  w.want("401 UNAUTHORIZED", "POST /token", "", form+w.Tokens["rita"], kind, basic("rita:hunter2")),
		"a token of our own":   w.want("401 UNAUTHORIZED", "GET /token", "login", ""),
		"the same as password": w.want("401 UNAUTHORIZED", "GET /token", "", "", basic("rita:"+w.Tokens["login"])),
	} {
		if h := got.Header.Get("WWW-Authenticate"); h != `Basic realm="larder"` {
			t.Errorf("%s: challenge %s", name, h)
		}
	}
	w.want("401 UNAUTHORIZED", "GET /", "", "", "Authorization: Bearer "+strings.Repeat("a", 20<<10))
	w.want("401 UNAUTHORIZED", "GET /", "", "", basic("rita:hunter2"))
	w.want("200", "GET /", "", "", basic("rita:"+w.Tokens["rita"]))
	w.want("400 UNSUPPORTED", "POST /token", "bob", form+w.Tokens["rita"], kind)
}

// TestNarrowedTokens: a token is for what was asked for and may be had, and a
// client is told which one to come back with.
func TestNarrowedTokens(t *testing.T) {
	w := newWorld(t)
	w.push("olga", "acme/app", "v1", "layer")
	w.push("olga", "acme/other", "v1", "layer")
	m := written("{}", []string{"layer"})
	put := func(result, who string) *reply {
		t.Helper()
		return w.want(result, "PUT /acme/app/manifests/v2", who, m, "Content-Type: "+typeImage)
	}
	w.bearer("pull", "wim", "repository:acme/app:pull")
	w.want("200", "GET /acme/app/manifests/v1", "pull", "")
	w.want("200", "GET /acme/app/blobs/"+digestOf("layer"), "pull", "")
	w.challenged(put("401 UNAUTHORIZED", "pull"), `,scope="repository:acme/app:pull,push",error="insufficient_scope"`)
	w.challenged(w.want("401 UNAUTHORIZED", "GET /acme/other/manifests/v1", "pull", ""), `,scope="repository:acme/other:pull",error="insufficient_scope"`)
	w.bearer("push", "wim", "repository:acme/app:pull,push")
	put("201", "push")
	// Without the right no token helps: a client that came back would do so for ever.
	w.bearer("reader", "rita", "repository:acme/app:pull,push,delete")
	w.want("200", "GET /acme/app/manifests/v1", "reader", "")
	put("403 DENIED", "reader")
	w.want("403 DENIED", "DELETE /acme/app/manifests/v1", "reader", "")
	w.want("403 DENIED", "DELETE /acme/app/manifests/v1", "push", "")
	w.bearer("all", "olga", "repository:acme/app:*")
	w.want("202", "DELETE /acme/app/manifests/v1", "all", "")
	w.bearer("none", "olga")
	w.challenged(w.want("401 UNAUTHORIZED", "GET /acme/app/manifests/v2", "none", ""), `,scope="repository:acme/app:pull",error="insufficient_scope"`)
	w.bearer("deleter", "olga", "repository:acme/app:delete")
	w.challenged(put("401 UNAUTHORIZED", "deleter"), `,scope="repository:acme/app:pull,push",error="insufficient_scope"`)
	w.want("202", "DELETE /acme/app/manifests/v2", "deleter", "")
}

// TestThreat08TokensTellNothing: what may not be read is as a name that is not
// there, in the answers to a token and in the token itself.
func TestThreat08TokensTellNothing(t *testing.T) {
	w := newWorld(t)
	w.push("olga", "acme/hidden", "v1", "layer")
	sizes := map[string][]int{}
	for _, name := range []string{"acme/hidden", "acme/absent"} {
		for _, who := range []string{"bob", ""} {
			token := w.bearer(who+"'s", who, "repository:"+name+":pull,push")
			sizes[who] = append(sizes[who], len(token))
		}
		w.want("404 NAME_UNKNOWN", "GET /"+name+"/manifests/v1", "bob's", "")
		w.want("403 DENIED", "PUT /"+name+"/manifests/v1", "bob's", "{}", "Content-Type: "+typeImage)
		w.challenged(w.want("401 UNAUTHORIZED", "GET /"+name+"/manifests/v1", "'s", ""), `,scope="repository:`+name+`:pull"`)
	}
	for who, n := range sizes {
		if n[0] != n[1] {
			t.Errorf("%q gets tokens of %v bytes", who, n)
		}
	}
}

// own gives an image grants of its own, which nobody has but its admins.
func (w *world) own(name string) {
	w.T.Helper()
	change := formats.Change{Package: name, Action: policy.Settings, Into: "acme/packages"}
	w.Must(w.hosted.For(w.Admin, "", "").Change(w.T.Context(), change, func(tx formats.Tx) error {
		if err := tx.(formats.Mover).Move(false); err != nil {
			return err
		}
		p, err := tx.Package()
		if err != nil {
			return err
		}
		return tx.Save(p)
	}))
}

// TestThreat08NamespacesTellNothing: nor does a header, to somebody who may read
// the repository and not all that is in it.
func TestThreat08NamespacesTellNothing(t *testing.T) {
	w := newWorld(t)
	m := w.push("olga", "acme/hidden", "v1", "layer")
	w.own("acme/hidden")
	for _, rest := range []string{"/manifests/v1", "/manifests/" + digestOf(m), "/blobs/" + digestOf("layer"), "/tags/list", "/referrers/" + digestOf(m)} {
		told := map[string]bool{}
		for _, name := range []string{"hidden", "absent"} {
			got := w.want("404 NAME_UNKNOWN", "GET /acme/"+name+rest+"?ns=Example.com:443", "rita", "", "X-Request-Id: one-for-all")
			if got.Header.Get("OCI-Namespace") != "Example.com:443" {
				t.Errorf("%s%s does not say whose it is: %v", name, rest, got.Header)
			}
			told[strings.ReplaceAll(fmt.Sprint(got.Header, string(got.body)), name, "NAME")] = true
		}
		if len(told) > 1 {
			t.Errorf("%s: %v", rest, told)
		}
	}
}

// TestGuests: nobody gets a token too, for what everybody may see.
func TestGuests(t *testing.T) {
	w := newWorld(t)
	w.push("olga", "acme/app", "v1", "layer")
	w.push("olga", "acme/open/app", "v1", "layer")
	w.bearer("guest", "", "repository:acme/open/app:pull", "repository:acme/app:pull")
	w.want("200", "GET /", "guest", "")
	w.want("200", "GET /acme/open/app/manifests/v1", "guest", "")
	w.challenged(w.want("401 UNAUTHORIZED", "GET /acme/app/manifests/v1", "guest", ""), `,scope="repository:acme/app:pull"`)
	w.want("401 UNAUTHORIZED", "PUT /acme/open/app/manifests/v2", "guest", "{}", "Content-Type: "+typeImage)
	w.want("200", "GET /acme/open/app/manifests/v1", "", "") // who asks for no token needs none
}

// TestCatalogForTokens: the list of images shows what its reader may read.
func TestCatalogForTokens(t *testing.T) {
	w := newWorld(t)
	w.push("olga", "acme/app", "v1", "layer")
	w.push("olga", "acme/open/app", "v1", "layer")
	w.bearer("guest", "")
	w.bearer("podman", "rita")
	w.bearer("crane", "rita", "registry:catalog:*")
	w.bearer("outsider", "bob", "registry:catalog:*")
	for who, want := range map[string][]string{
		"guest": {"acme/open/app"}, "podman": {"acme/app", "acme/open/app"}, "crane": {"acme/app", "acme/open/app"},
		"rita": {"acme/app", "acme/open/app"}, "outsider": {"acme/open/app"}, "bob": {"acme/open/app"},
	} {
		var doc struct{ Repositories []string }
		if w.object(w.want("200", "GET /_catalog", who, ""), &doc); !slices.Equal(doc.Repositories, want) {
			t.Errorf("%s lists %v, want %v", who, doc.Repositories, want)
		}
	}
	w.bearer("pull", "rita", "repository:acme/app:pull")
	w.challenged(w.want("401 UNAUTHORIZED", "GET /_catalog", "pull", ""), `,scope="registry:catalog:*",error="insufficient_scope"`)
}

// TestPushOutlivesItsToken: a client whose token ends in the middle of a push is
// told which one to get, and goes on where it was.
func TestPushOutlivesItsToken(t *testing.T) {
	w := newWorld(t)
	const scope = "repository:acme/app:pull,push"
	w.bearer("first", "wim", scope)
	at := w.begin("first", "acme/app")
	w.want("202", "PATCH "+at, "first", "one ")
	w.Clock.Advance(6 * time.Minute)
	for _, line := range []string{"PATCH " + at, "PUT " + at + "?digest=" + digestOf("one two"), "GET " + at, "HEAD /acme/app/blobs/" + digestOf("one two")} {
		want := `,scope="` + scope + `"`
		if strings.HasPrefix(line, "HEAD") {
			want = `,scope="repository:acme/app:pull"`
		}
		w.challenged(w.want("401 UNAUTHORIZED this token has expired", line, "first", "lost"), want)
	}
	w.bearer("second", "wim", scope)
	w.want("204", "GET "+at, "second", "")
	w.want("201", "PUT "+at+"?digest="+digestOf("one two"), "second", "two")
}

// TestThreat29TokensOfTheTokenServiceEnd: with the token that they were traded
// for, with the account, and with the role.
func TestThreat29TokensOfTheTokenServiceEnd(t *testing.T) {
	w, ctx := newWorld(t), t.Context()
	w.push("olga", "acme/app", "v1", "layer")
	rita, wim := w.Subject("rita"), w.Subject("wim")
	for _, who := range []string{"rita", "wim", "olga"} {
		w.bearer(who+"'s", who, "repository:acme/app:pull")
		w.want("200", "GET /acme/app/manifests/v1", who+"'s", "")
	}
	w.Must(w.Directory.RevokeToken(ctx, w.Admin, rita.TokenID))
	w.want("401 UNAUTHORIZED", "GET /acme/app/manifests/v1", "rita's", "")
	w.want("401 UNAUTHORIZED", "GET /", "rita's", "")
	w.Must(w.Directory.Grant(ctx, w.Admin, "acme/packages", wim.User, policy.RoleNone))
	w.Must(w.Directory.SetMember(ctx, w.Admin, "acme", "wim", ""))
	w.want("404 NAME_UNKNOWN", "GET /acme/app/manifests/v1", "wim's", "")
	w.Must(w.Directory.Suspend(ctx, w.Admin, "olga"))
	w.want("401 UNAUTHORIZED", "GET /acme/app/manifests/v1", "olga's", "")
}

// TestThreat06TokensOfTheTokenServiceAreNarrow: no operation succeeds with a token
// that was made for nothing, but those that anybody may do.
func TestThreat06TokensOfTheTokenServiceAreNarrow(t *testing.T) {
	w := newWorld(t)
	m := w.push("admin", "acme/open/app", "v1", "layer")
	at, blob := w.begin("admin", "acme/open/app"), "/acme/open/app/blobs/"+digestOf("layer")
	w.bearer("nothing", "admin", "repository:acme/none:delete")
	for _, line := range []string{
		"GET /acme/open/app/manifests/v1", "HEAD /acme/open/app/manifests/" + digestOf(m), "GET " + blob, "HEAD " + blob, "GET /acme/open/app/tags/list",
		"GET /acme/open/app/referrers/" + digestOf(m), "GET /_catalog", "POST /acme/open/app/blobs/uploads/", "POST /acme/open/app/blobs/uploads/?digest=" + digestOf("x"),
		"POST /acme/open/app/blobs/uploads/?mount=" + digestOf("layer") + "&from=acme/open/app", "GET " + at, "PATCH " + at, "PUT " + at + "?digest=" + digestOf("x"),
		"DELETE " + at, "PUT /acme/open/app/manifests/v2", "DELETE /acme/open/app/manifests/v1", "DELETE " + blob,
	} {
		got := w.want("401 UNAUTHORIZED", line, "nothing", "x", "Content-Type: "+typeImage)
		if !strings.HasSuffix(got.Header.Get("WWW-Authenticate"), `,error="insufficient_scope"`) {
			t.Errorf("%s: %s", line, got.Header.Get("WWW-Authenticate"))
		}
	}
	w.want("200", "GET /", "nothing", "")
}

// TestMountWithNarrowedTokens: the source must be among what the token is for, and
// nothing tells why it is not mounted.
func TestMountWithNarrowedTokens(t *testing.T) {
	w := newWorld(t)
	d := w.blob("olga", "acme/base", "layer")
	w.bearer("target", "wim", "repository:acme/app:pull,push")
	w.bearer("both", "wim", "repository:acme/app:pull,push", "repository:acme/base:pull")
	mount := "POST /acme/app/blobs/uploads/?mount=" + d + "&from=acme/base"
	w.want("202", mount, "target", "")
	w.want("201", mount, "both", "")
}

// TestTokensForMirrors: a token for an image of a mirror is for that one, by the
// name that its client has for it.
func TestTokensForMirrors(t *testing.T) {
	w := newWorld(t, mirrored(ocitest.Options{}))
	for _, name := range []string{"library/app", "team/app"} {
		_, err := w.far.Push(name, "v1", ocitest.Image{Layers: [][]byte{[]byte("layer")}})
		w.Must(err)
	}
	w.bearer("far", "", "repository:mirror/far/team/app:pull")
	w.want("200", "GET /mirror/far/team/app/manifests/v1", "far", "")
	w.challenged(w.want("401 UNAUTHORIZED", "GET /mirror/far/library/app/manifests/v1", "far", ""),
		`,scope="repository:mirror/far/library/app:pull",error="insufficient_scope"`)
	w.bearer("short", "", "repository:mirror/lib/app:pull")
	w.want("200", "GET /mirror/lib/app/manifests/v1", "short", "")
	w.want("200", "GET /mirror/lib/library/app/manifests/v1", "short", "")
	w.want("401 UNAUTHORIZED", "GET /mirror/lib/team/app/manifests/v1", "short", "")
}

// TestThreat10ImmutableTags: what a repository keeps where it is stays there.
func TestThreat10ImmutableTags(t *testing.T) {
	w := newWorld(t)
	m := w.push("olga", "acme/app", "v1", "layer")
	w.push("olga", "acme/app", "latest", "layer")
	w.Must(w.Directory.SetRepository(t.Context(), w.Admin, "acme/packages", directory.RepositorySettings{ImmutableTags: []string{"v*"}}))
	w.want("201", "PUT /acme/app/manifests/v1", "olga", m, "Content-Type: "+typeImage)
	w.blob("olga", "acme/app", "other")
	n := written("{}", []string{"other"})
	w.want("409 DENIED immutable", "PUT /acme/app/manifests/v1", "olga", n, "Content-Type: "+typeImage)
	w.want("409 DENIED immutable", "PUT /acme/app/manifests/"+digestOf(n)+"?tag=free&tag=v1", "olga", n, "Content-Type: "+typeImage)
	w.want("404 MANIFEST_UNKNOWN", "GET /acme/app/manifests/free", "olga", "")
	w.want("201", "PUT /acme/app/manifests/latest", "olga", n, "Content-Type: "+typeImage)
	w.want("201", "PUT /acme/app/manifests/v2", "olga", n, "Content-Type: "+typeImage)
	w.want("403 DENIED immutable", "DELETE /acme/app/manifests/v1", "olga", "")
	w.want("403 DENIED immutable", "DELETE /acme/app/manifests/"+digestOf(m), "olga", "")
	if got := w.want("200", "GET /acme/app/manifests/v1", "rita", ""); string(got.body) != m {
		t.Errorf("v1 is %s", got.body)
	}
	w.Must(w.Directory.SetRepository(t.Context(), w.Admin, "acme/packages", directory.RepositorySettings{ImmutableTags: []string{}}))
	w.want("202", "DELETE /acme/app/manifests/v1", "olga", "")
}

// TestEmptyBasic: some clients send the user name and the password that they do
// not have. Whoever lacks only one of them has made a mistake, and is told.
func TestEmptyBasic(t *testing.T) {
	w := newWorld(t)
	basic := func(s string) string { return "Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(s)) }
	got := w.want("200", "GET /token?scope=registry:catalog:*", "", "", basic(":"))
	var doc struct{ Token string }
	w.object(got, &doc)
	w.Tokens["guest"] = doc.Token
	w.want("200", "GET /", "guest", "")
	w.want("200", "GET /_catalog", "guest", "")
	for _, line := range []string{
		basic("wim:"), basic(":x"), basic("wim:x"), basic(""), basic("::"), "Authorization: Basic", "Authorization: Bearer", "Authorization: Bearer x",
	} {
		w.want("401 UNAUTHORIZED", "GET /token", "", "", line)
	}
	w.want("401 UNAUTHORIZED", "GET /", "", "", basic(":"))
	w.want("401 UNAUTHORIZED", "GET /acme/app/manifests/v1", "", "", basic(":"))
}
