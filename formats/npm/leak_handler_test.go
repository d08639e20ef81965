package npm_test

import (
	"net/http"
	"reflect"
	"strings"
	"testing"

	"larder/policy"
)

// reading are all calls that name a package, with NAME in place of it.
func reading() []call {
	const fileOf = "/NAME/-/BARE-1.0.0.tgz"
	return []call{
		{method: "GET", path: "/NAME"}, {method: "HEAD", path: "/NAME"}, {method: "GET", path: "/ESCAPED"}, {method: "GET", path: "/NAME", header: []string{abbreviated}},
		{method: "GET", path: "/NAME", header: []string{"If-None-Match: *"}}, {method: "GET", path: "/NAME?write=true"},
		{method: "GET", path: "/NAME/1.0.0"}, {method: "GET", path: "/NAME/latest"}, {method: "GET", path: "/NAME/9.9.9"}, {method: "GET", path: "/NAME/%5E1.0.0"},
		{method: "GET", path: fileOf}, {method: "HEAD", path: fileOf}, {method: "GET", path: fileOf, header: []string{"Range: bytes=0-0"}},
		{method: "GET", path: fileOf, header: []string{"Range: bytes=999999-"}}, {method: "GET", path: fileOf, header: []string{"If-Match: \"x\""}}, {method: "GET", path: "/NAME/-/BARE-9.9.9.tgz"},
		{method: "GET", path: "/-/package/ESCAPED/dist-tags"}, {method: "GET", path: "/-/package/ESCAPED/collaborators"}, {method: "GET", path: "/-/package/ESCAPED/visibility"},
		{method: "GET", path: "/-/npm/v1/attestations/ESCAPED@1.0.0"}, {method: "GET", path: "/-/package/ESCAPED/trust"},
		{method: "GET", path: "/-/v1/search?text=NAME"}, {method: "GET", path: "/-/_view/starredByUser?key=%22wim%22"}, {method: "GET", path: "/-/org/acme/package"}, {method: "GET", path: "/-/user/admin/package"},
		{method: "POST", path: bulk, body: `{"NAME":["1.0.0"]}`}, {method: "POST", path: quick, body: `{"requires":{"NAME":"1"},"dependencies":{"NAME":{"version":"1.0.0"}}}`},
	}
}

// changing are the calls that would change a package.
func changing() []call {
	const doc = `{"_id":"NAME","name":"NAME","versions":{"1.0.0":{"deprecated":"x"}}}`
	return []call{
		{method: "PUT", path: "/NAME", body: "{}"}, {method: "PUT", path: "/NAME", body: doc}, {method: "PUT", path: "/NAME/-rev/1-larder", body: doc},
		{method: "PUT", path: "/NAME/-rev/1-larder", body: doc, header: []string{"npm-command: unpublish"}}, {method: "PUT", path: "/NAME/-rev/1-larder", body: `{"_id":"NAME","maintainers":[{"name":"x"}]}`, header: []string{"npm-command: owner"}},
		{method: "PUT", path: "/NAME", body: `{"_id":"NAME","users":{"bob":true}}`, header: []string{"npm-command: star"}},
		{method: "DELETE", path: "/NAME/-rev/1-larder"}, {method: "DELETE", path: "/NAME/-/BARE-1.0.0.tgz/-rev/1-larder"},
		{method: "PUT", path: "/-/package/ESCAPED/dist-tags/x", body: `"1.0.0"`}, {method: "PUT", path: "/-/package/ESCAPED/dist-tags", body: `{"x":"1.0.0"}`}, {method: "DELETE", path: "/-/package/ESCAPED/dist-tags/latest"},
		{method: "POST", path: "/-/package/ESCAPED/access", body: `{"access":"public"}`},
	}
}

// about returns the call for one package.
func (c call) about(name string) call {
	bare := name[strings.LastIndexByte(name, '/')+1:]
	put := strings.NewReplacer("NAME", name, "ESCAPED", strings.Replace(name, "/", "%2f", 1), "BARE", bare)
	c.path, c.body = put.Replace(c.path), put.Replace(c.body)
	return c
}

// seen is all that a client sees of a reply, with the package's name taken out.
func (w *world) seen(c call, who, name string) (int, http.Header, string) {
	c = c.about(name)
	got := w.do(c.method, c.path, who, c.body, c.header...)
	h := got.Header.Clone()
	for _, drawn := range []string{"X-Request-Id", "X-Larder-Decision", "Link"} {
		if h.Get(drawn) != "" {
			h.Set(drawn, "drawn") // another one for each request
		}
	}
	bare := name[strings.LastIndexByte(name, '/')+1:]
	return got.StatusCode, h, timeless(strings.NewReplacer(name, "NAME", bare, "BARE").Replace(got.text()))
}

// timeless cuts the time out of a search reply.
func timeless(text string) string {
	before, _, _ := strings.Cut(text, `"time":"2026-`)
	return before
}

// TestThreat08HiddenIsMissing: policy.md, threat 8. Whoever may not read a package
// cannot tell it from one that is not there, whatever is asked. Both names of a
// pair have the same length and the same home; the first one exists. Nobody is
// asked for a token for private packages that no claim of a private repository
// covers (design.md, section 8): these are hidden from those who have one.
func TestThreat08HiddenIsMissing(t *testing.T) {
	w := newWorld(t)
	w.publish("wim", "@acme/aaa", "1.0.0")
	w.publish("wim", "acme-aaa", "1.0.0")
	w.publish("olga", "@open/aaa", "1.0.0", top("access", "restricted"))
	w.publish("admin", "plain-aaa", "1.0.0", top("access", "restricted"))
	w.publish("admin", "@loose/aaa", "1.0.0", top("access", "restricted"))
	w.publish("wim", "@acme/ddd", "1.0.0")
	w.want(200, "DELETE /@acme%2fddd/-rev/"+w.rev("@acme/ddd", "olga"), "olga", "")
	w.want(200, "PUT /@acme%2faaa", "wim", `{"_id":"@acme/aaa","users":{"wim":true}}`, "npm-command: star")
	claimed := [][2]string{{"@acme/aaa", "@acme/bbb"}, {"acme-aaa", "acme-bbb"}, {"@acme/ddd", "@acme/bbb"}}
	loose := [][2]string{{"@open/aaa", "@open/bbb"}, {"plain-aaa", "plain-bbb"}, {"@loose/aaa", "@loose/bbb"}}
	for _, who := range []string{"", "bob", "ldrp_wrong", w.Token("wim", policy.AdminOrg), w.Token("bob", policy.AllScopes()[:4]...)} {
		calls := reading()
		if who == "" || who == "ldrp_wrong" || who == "bob" {
			calls = append(calls, changing()...)
		}
		pairs := claimed
		if who != "" {
			pairs = append(loose, claimed...)
		}
		for _, pair := range pairs {
			for _, c := range calls {
				if pair[0] == "@acme/ddd" && c.method == "PUT" {
					continue
				}
				w.alike(c, who, pair)
			}
		}
	}
}

// alike fails where a call tells the first package of a pair, which is hidden,
// from the second one, which is not there.
func (w *world) alike(c call, who string, pair [2]string) {
	w.T.Helper()
	status, head, text := w.seen(c, who, pair[1])
	status2, head2, text2 := w.seen(c, who, pair[0])
	if status != status2 || text != text2 || !reflect.DeepEqual(head, head2) {
		w.T.Errorf("%q, %s %s %v:\nmissing %s: %d %v %s\nhidden %s: %d %v %s", who, c.method, c.path, c.header, pair[1], status, head, text, pair[0], status2, head2, text2)
	}
}

// TestThreat11OursIsNeverTold: policy.md, threat 11. No request to the upstream holds
// the name of a package that is hosted or claimed here, whoever asks for it.
func TestThreat11OursIsNeverTold(t *testing.T) {
	w := newWorld(t)
	w.publish("wim", "@acme/hosted", "1.0.0")
	w.publish("admin", "lonely", "1.0.0", top("access", "restricted"))
	w.publish("admin", "common", "1.0.0")
	w.publish("admin", "buried", "1.0.0")
	w.want(200, "DELETE /buried/-rev/"+w.rev("buried", "admin"), "admin", "")
	w.far.Forget()
	for _, name := range []string{"@acme/hosted", "@acme/claimed", "acme-claimed", "@open/claimed", "@olga/claimed", "lonely", "common", "buried"} {
		w.upstream(name, "99.0.0")
	}
	for _, who := range []string{"", "bob", "rita", "wim", "olga", "admin", "ldrp_wrong"} {
		for _, name := range []string{"@acme/hosted", "@acme/claimed", "acme-claimed", "@open/claimed", "@olga/claimed", "lonely", "common", "buried"} {
			calls := reading()
			if who != "admin" && who != "olga" {
				calls = append(calls, changing()...)
			}
			for _, c := range calls {
				c = c.about(name)
				got := w.do(c.method, c.path, who, c.body, append(c.header, "Referer: http://x.example/@acme/hosted")...)
				if strings.Contains(got.text(), "99.0.0") {
					t.Errorf("%s %s by %q shows the upstream's version: %s", c.method, c.path, who, got.text())
				}
				w.do(c.method, "/r/acme/packages/npm"+c.path, who, c.body)
			}
		}
	}
	w.silent("acme", "@open", "@olga", "lonely", "common", "buried", "claimed", "hosted", "bearer", "ldrp_")
}

// TestRepositoryURL: section 7 under the URL of one repository.
func TestRepositoryURL(t *testing.T) {
	w := newWorld(t)
	w.upstream("left", "1.0.0")
	w.publish("wim", "@acme/widget", "1.0.0")
	w.publish("olga", "@open/part", "1.0.0")
	const at = "/r/acme/open/npm"
	w.run([]call{
		{name: "its own", method: "GET", path: at + "/@open%2fpart", status: 200, has: []string{`"tarball":"http://example.com/r/acme/open/npm/@open/part/-/part-1.0.0.tgz"`}},
		{name: "its own file", method: "GET", path: at + file("@open/part", "1.0.0"), status: 200},
		{name: "not of another", method: "GET", path: at + "/@acme%2fwidget", who: "wim", status: 404},
		{name: "not the file of another", method: "GET", path: at + file("@acme/widget", "1.0.0"), who: "wim", status: 404},
		{name: "not of an upstream", method: "GET", path: at + "/left", status: 404},
		{name: "search", method: "GET", path: at + "/-/v1/search?text=a", status: 200, has: []string{"@open/part"}, lacks: []string{"@acme", "left"}},
		{name: "publish", method: "PUT", path: at + "/side", who: "olga", body: body(t, "side", "1.0.0"), status: 201},
		{name: "is there", method: "GET", path: at + "/side", status: 200},
		{name: "and merged", method: "GET", path: "/side", status: 200},
		{name: "a foreign claim", method: "PUT", path: "/r/bob/packages/npm/@acme%2fx", who: "bob", body: body(t, "@acme/x", "1.0.0"), status: 403},
		{name: "no such repository", method: "GET", path: "/r/acme/none/npm/x", status: 401},
	})
	w.silent("side", "open", "acme")
}
