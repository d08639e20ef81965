package npm_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"larder/policy"
)

// TestDeprecate: section 4.2.
func TestDeprecate(t *testing.T) {
	w := newWorld(t)
	w.upstream("left", "1.0.0")
	w.want(200, "GET /left", "", "")
	w.publish("olga", "@open/part", "1.0.0")
	w.publish("olga", "@open/part", "1.1.0")
	doc := func(versions string) string {
		return `{"_id":"@open/part","name":"@open/part","_rev":"0-x","_attachments":{},"users":{"eve":true},"maintainers":[{"name":"eve"}],"dist-tags":{"latest":"1.0.0"},"time":{},"readme":"new","versions":{` + versions + `}}`
	}
	say := func(version, message string) string {
		return fmt.Sprintf(`%q:{"name":"evil","version":%[1]q,"deprecated":%[2]q,"dist":{"tarball":"http://evil.example"},"dependencies":{"evil":"1"}}`, version, message)
	}
	has := `"deprecated":"too old"`
	w.run([]call{
		{name: "deprecate", method: "PUT", path: "/@open%2fpart", who: "olga", body: doc(say("1.0.0", "too old") + "," + say("9.9.9", "no such")), status: 201, has: []string{`{"ok":"package changed","success":true}`}},
		{name: "shown, full", method: "GET", path: "/@open%2fpart", status: 200, has: []string{has}, lacks: []string{"9.9.9", "evil", "eve", `"readme":"new"`}},
		{name: "shown, short", method: "GET", path: "/@open%2fpart", header: []string{abbreviated}, status: 200, has: []string{has}},
		{name: "shown, manifest", method: "GET", path: "/@open%2fpart/1.0.0", status: 200, has: []string{has}},
		{name: "the other version is not", method: "GET", path: "/@open%2fpart/1.1.0", status: 200, lacks: []string{"deprecated"}},
		{name: "a version left out keeps it", method: "PUT", path: "/@open%2fpart", who: "olga", body: doc(say("1.1.0", "")), status: 201},
		{name: "still there", method: "GET", path: "/@open%2fpart/1.0.0", status: 200, has: []string{has}},
		{name: "undeprecate", method: "PUT", path: "/@open%2fpart", who: "olga", body: doc(say("1.0.0", "")), status: 201},
		{name: "gone", method: "GET", path: "/@open%2fpart", status: 200, lacks: []string{"deprecated"}},
		{name: "tarballs stay", method: "GET", path: file("@open/part", "1.0.0"), status: 200},
		{name: "latest stays", method: "GET", path: "/-/package/@open%2fpart/dist-tags", status: 200, has: []string{`{"latest":"1.1.0"}`}},
		{name: "not by readers", method: "PUT", path: "/@open%2fpart", who: "bob", body: doc(say("1.0.0", "x")), status: 403},
		{name: "not by nobody", method: "PUT", path: "/@open%2fpart", body: doc(say("1.0.0", "x")), status: 401},
		{name: "not of upstream packages", method: "PUT", path: "/left", who: "admin", body: `{"_id":"left","name":"left","versions":{"1.0.0":{"deprecated":"x"}}}`, status: 403, has: []string{"upstream far"}},
		{name: "of no package", method: "PUT", path: "/none", who: "admin", body: `{"_id":"none","name":"none","versions":{"1.0.0":{"deprecated":"x"}}}`, status: 404},
		{name: "odd versions", method: "PUT", path: "/@open%2fpart", who: "olga", body: doc(`"1.0.0":1`), status: 400},
	})
}

// TestWriteDocument: sections 1 and 4.2, GET with write=true is hosted data alone.
func TestWriteDocument(t *testing.T) {
	w := newWorld(t)
	w.upstream("left", "1.0.0")
	w.publish("olga", "@open/part", "1.0.0")
	w.run([]call{
		{name: "hosted", method: "GET", path: "/@open%2fpart?write=true", status: 200, has: []string{`"_rev":"1-`, `"_id":"@open/part"`}},
		{name: "hosted, short", method: "GET", path: "/@open%2fpart?write=true", header: []string{abbreviated}, status: 200},
		{name: "upstream", method: "GET", path: "/left?write=true", status: 404},
		{name: "upstream, known", method: "GET", path: "/left", status: 200},
		{name: "upstream, still", method: "GET", path: "/left?write=true", status: 404},
		{name: "hidden", method: "GET", path: "/@acme%2fx?write=true", who: "bob", status: 404},
	})
}

// TestStars: section 4.2 and starredByUser of 3.4.
func TestStars(t *testing.T) {
	w := newWorld(t)
	w.publish("olga", "@open/part", "1.0.0")
	w.publish("wim", "@acme/widget", "1.0.0")
	star := func(name, users string) string {
		return `{"_id":"` + name + `","_rev":"1-larder","users":` + users + `}`
	}
	starred := func(user string) string { return "/-/_view/starredByUser?key=%22" + user + "%22" }
	cmd := []string{"npm-command: star"}
	w.run([]call{
		{name: "star", method: "PUT", path: "/@open%2fpart", who: "bob", header: cmd, body: star("@open/part", `{"bob":true,"eve":true}`), status: 200, has: []string{`{"ok":`}},
		{name: "the caller's alone", method: "GET", path: "/@open%2fpart", status: 200, has: []string{`"users":{"bob":true}`}},
		{name: "listed", method: "GET", path: starred("bob"), status: 200, has: []string{`{"rows":[{"value":"@open/part"}]}`}},
		{name: "listed without quotes", method: "GET", path: "/-/_view/starredByUser?key=bob", status: 200, has: []string{`"@open/part"`}},
		{name: "not of others", method: "GET", path: starred("eve"), status: 200, has: []string{`{"rows":[]}`}},
		{name: "another", method: "PUT", path: "/@open%2fpart", who: "rita", header: cmd, body: star("@open/part", `{"rita":true}`), status: 200},
		{name: "both", method: "GET", path: "/@open%2fpart", status: 200, has: []string{`"users":{"bob":true,"rita":true}`}},
		{name: "unstar", method: "PUT", path: "/@open%2fpart", who: "bob", header: []string{"npm-command: unstar"}, body: star("@open/part", `{"rita":true}`), status: 200},
		{name: "one left", method: "GET", path: "/@open%2fpart", status: 200, has: []string{`"users":{"rita":true}`}},
		{name: "nobody stars", method: "PUT", path: "/@open%2fpart", header: cmd, body: star("@open/part", `{"bob":true}`), status: 401},
		{name: "a private one", method: "PUT", path: "/@acme%2fwidget", who: "rita", header: cmd, body: star("@acme/widget", `{"rita":true}`), status: 200},
		{name: "listed to those who see it", method: "GET", path: starred("rita"), who: "wim", status: 200, has: []string{"@open/part", "@acme/widget"}},
		{name: "and to no others", method: "GET", path: starred("rita"), who: "bob", status: 200, has: []string{"@open/part"}, lacks: []string{"@acme"}},
		{name: "one that is hidden", method: "PUT", path: "/@acme%2fwidget", who: "bob", header: cmd, body: star("@acme/widget", `{"bob":true}`), status: 404},
		{name: "a publish in disguise", method: "PUT", path: "/@open%2fpart", who: "bob", header: cmd, body: body(t, "@open/part", "6.6.6"), status: 403},
		{name: "a deprecation in disguise", method: "PUT", path: "/@open%2fpart", who: "bob", header: cmd, body: `{"_id":"@open/part","name":"@open/part","versions":{"1.0.0":{"deprecated":"x"}}}`, status: 403},
	})
}

// TestOwners: section 4.2 and the calls that npm makes around it.
func TestOwners(t *testing.T) {
	w := newWorld(t)
	w.publish("wim", "@acme/widget", "1.0.0")
	path := func() string { return "/@acme%2fwidget/-rev/" + w.rev("@acme/widget", "wim") }
	set := func(list string) string {
		return `{"_id":"@acme/widget","_rev":"1-larder","maintainers":` + list + `}`
	}
	const both = `[{"name":"wim","email":"wim@mail.example"},{"name":"bob","email":"bob@mail.example"}]`
	cmd := []string{"npm-command: owner"}
	old := path()
	w.run([]call{
		{name: "who", method: "GET", path: "/-/user/org.couchdb.user:bob", who: "wim", status: 200, has: []string{`{"_id":"org.couchdb.user:bob","name":"bob","email":"bob@mail.example"}`}},
		{name: "who, escaped", method: "GET", path: "/-/user/org.couchdb.user%3abob", who: "wim", status: 200},
		{name: "who not", method: "GET", path: "/-/user/org.couchdb.user:eve", who: "wim", status: 404},
		{name: "no empty list", method: "PUT", path: path(), who: "olga", header: cmd, body: set("[]"), status: 400},
		{name: "no nameless", method: "PUT", path: path(), who: "olga", header: cmd, body: set(`[{}]`), status: 400},
		{name: "needs admin", method: "PUT", path: path(), who: "wim", header: cmd, body: set(both), status: 403},
		{name: "whatever the header says", method: "PUT", path: path(), who: "wim", body: set(both), status: 403},
		{name: "add", method: "PUT", path: path(), who: "olga", header: cmd, body: set(both), status: 201, has: []string{`{"ok":`}},
		{name: "old revision", method: "PUT", path: old, who: "olga", header: cmd, body: set(both), status: 409, has: []string{`{"error":"document update conflict"`}},
		{name: "listed", method: "GET", path: "/@acme%2fwidget", who: "wim", status: 200, has: []string{`"maintainers":` + both}},
		{name: "collaborators", method: "GET", path: "/-/package/@acme%2fwidget/collaborators", who: "wim", status: 200, has: []string{`{"wim":"write"}`}}, // a name in the list gives no role
		{name: "collaborators are hidden", method: "GET", path: "/-/package/@acme%2fwidget/collaborators", who: "bob", status: 404},
	})
	twice := set(`[{"name":"bob"},{"name":"bob"}]`)
	w.want(201, "PUT "+path(), "olga", twice, cmd...)
	w.Must(w.Directory.Grant(t.Context(), w.Admin, "acme/packages", "bob", policy.RoleRead))
	w.run([]call{{name: "one entry each", method: "GET", path: "/-/package/@acme%2fwidget/collaborators", who: "wim", status: 200, has: []string{`{"bob":"read"}`}}})
}

// remaining is the body of the first half of an unpublish.
func remaining(name, tags string, versions ...string) string {
	stay := map[string]any{}
	for _, v := range versions {
		stay[v] = map[string]any{"name": name, "version": v}
	}
	raw, _ := json.Marshal(stay)
	return `{"_id":"` + name + `","name":"` + name + `","dist-tags":` + tags + `,"versions":` + string(raw) + `}`
}

// TestUnpublishVersion: section 4.3, the calls of npm unpublish X@v.
func TestUnpublishVersion(t *testing.T) {
	w := newWorld(t)
	for _, v := range []string{"1.0.0", "1.1.0", "2.0.0-rc.1", "1.2.0"} {
		w.publish("olga", "@open/part", v)
	}
	w.publish("olga", "@open/part", "1.3.0", tagged("next"))
	put := func() string { return "/@open%2fpart/-rev/" + w.rev("@open/part", "olga") }
	cmd, del := []string{"npm-command: unpublish"}, func(v string) string {
		return file("@open/part", v) + "/-rev/" + w.rev("@open/part", "olga")
	}
	old := put()
	w.run([]call{
		{name: "not by nobody", method: "PUT", path: old, header: cmd, body: remaining("@open/part", "{}", "1.0.0"), status: 401},
		{name: "not by readers", method: "PUT", path: old, who: "bob", header: cmd, body: remaining("@open/part", "{}"), status: 403},
		{name: "not without the scope", method: "PUT", path: old, who: w.Token("olga", policy.WritePackages), header: cmd, body: remaining("@open/part", "{}"), status: 403, has: []string{"delete:packages"}},
		{name: "nor without the header", method: "PUT", path: old, who: w.Token("olga", policy.WritePackages), body: remaining("@open/part", "{}"), status: 403, has: []string{"delete:packages"}},
		{name: "first half", method: "PUT", path: old, who: "olga", header: cmd, body: remaining("@open/part", `{"latest":"1.1.0","next":"1.3.0","stable":"1.0.0","v1":"1.0.0","ghost":"8.8.8"}`, "1.0.0", "1.1.0", "2.0.0-rc.1", "1.3.0", "8.8.8"), status: 201, has: []string{`{"ok":`}},
		{name: "old revision", method: "PUT", path: old, who: "olga", header: cmd, body: remaining("@open/part", "{}", "1.0.0"), status: 409, has: []string{"document update conflict"}},
		{name: "tags as proposed", method: "GET", path: "/-/package/@open%2fpart/dist-tags", status: 200, has: []string{`{"latest":"1.1.0","next":"1.3.0","stable":"1.0.0"}`}},
		{name: "gone from the document", method: "GET", path: "/@open%2fpart", status: 200, lacks: []string{"1.2.0", "8.8.8"}},
		{name: "gone from old lock files", method: "GET", path: file("@open/part", "1.2.0"), status: 404, has: []string{"no-store"}},
		{name: "gone from HEAD", method: "HEAD", path: file("@open/part", "1.2.0"), status: 404},
		{name: "second half, done already", method: "DELETE", path: del("1.2.0"), who: "olga", header: cmd, status: 200},
		{name: "and with any revision", method: "DELETE", path: file("@open/part", "1.2.0") + "/-rev/1-x", who: "olga", header: cmd, status: 200},
		{name: "never again", method: "PUT", path: "/@open%2fpart", who: "olga", body: body(t, "@open/part", "1.2.0"), status: 409, has: []string{"was unpublished and cannot be published again"}},
		{name: "a tarball alone, old revision", method: "DELETE", path: file("@open/part", "1.3.0") + "/-rev/1-x", who: "olga", header: cmd, status: 409},
	})
	w.want(200, "DELETE "+del("1.3.0"), "olga", "", cmd...)
	w.run([]call{
		{name: "its tag goes with it", method: "GET", path: "/-/package/@open%2fpart/dist-tags", status: 200, has: []string{`{"latest":"1.1.0","stable":"1.0.0"}`}},
		{name: "latest is proposed wrongly", method: "PUT", path: put(), who: "olga", header: cmd, body: remaining("@open/part", `{"latest":"9.9.9"}`, "1.0.0", "1.1.0", "2.0.0-rc.1"), status: 201},
		{name: "so it stays where it resolves", method: "GET", path: "/-/package/@open%2fpart/dist-tags", status: 200, has: []string{`"latest":"1.1.0"`}},
	})
	w.want(201, "PUT "+put(), "olga", remaining("@open/part", `{"latest":"9.9.9"}`, "1.0.0", "2.0.0-rc.1"), cmd...)
	w.run([]call{{name: "else the highest stable", method: "GET", path: "/-/package/@open%2fpart/dist-tags", status: 200, has: []string{`"latest":"1.0.0"`}}})
	w.want(201, "PUT "+put(), "olga", remaining("@open/part", `{}`, "2.0.0-rc.1"), cmd...)
	w.run([]call{{name: "else the highest", method: "GET", path: "/-/package/@open%2fpart/dist-tags", status: 200, has: []string{`{"latest":"2.0.0-rc.1"}`}}})
}

// TestUnpublishPackage: section 4.3, all of it; the name stays ours.
func TestUnpublishPackage(t *testing.T) {
	w := newWorld(t)
	w.upstream("left", "1.0.0")
	w.want(200, "GET /left", "", "")
	w.publish("admin", "good", "1.0.0")
	w.publish("admin", "good", "1.1.0")
	first := "/good/-rev/" + w.rev("good", "admin")
	w.far.Forget()
	gone := []call{
		{name: "document", method: "GET", path: "/good", who: "admin", status: 404},
		{name: "tags", method: "GET", path: "/-/package/good/dist-tags", status: 404},
		{name: "tarball", method: "GET", path: file("good", "1.0.0"), status: 404},
		{name: "manifest", method: "GET", path: "/good/1.0.0", status: 404},
		{name: "search", method: "GET", path: "/-/v1/search?text=about+good", status: 200, lacks: []string{"good"}},
	}
	w.run([]call{
		{name: "not by nobody", method: "DELETE", path: first, status: 401},
		{name: "not by others", method: "DELETE", path: first, who: "bob", status: 403},
		{name: "old revision", method: "DELETE", path: "/good/-rev/1-larder", who: "admin", status: 409},
		{name: "all", method: "DELETE", path: first, who: "admin", status: 200, has: []string{`{"ok":`}},
		{name: "npm's retry", method: "DELETE", path: first, who: "admin", status: 200},
		{name: "star it", method: "PUT", path: "/good", who: "admin", header: []string{"npm-command: star"}, body: `{"_id":"good","users":{"admin":true}}`, status: 404},
		{name: "deprecate it", method: "PUT", path: "/good", who: "admin", body: `{"_id":"good","name":"good","versions":{"1.0.0":{"deprecated":"x"}}}`, status: 404},
		{name: "tag it", method: "DELETE", path: "/-/package/good/dist-tags/next", who: "admin", status: 404},
		{name: "open it", method: "POST", path: "/-/package/good/access", who: "admin", body: `{"access":"public"}`, status: 404},
		{name: "second half of an unpublish", method: "DELETE", path: file("good", "1.0.0") + "/-rev/1-larder", who: "admin", status: 200},
		{name: "of an upstream package", method: "DELETE", path: "/left/-rev/1-0", who: "admin", status: 403, has: []string{"upstream"}},
		{name: "tarball of an upstream package", method: "DELETE", path: file("left", "1.0.0") + "/-rev/1-0", who: "admin", status: 403},
		{name: "versions of an upstream package", method: "PUT", path: "/left/-rev/1-0", who: "admin", body: remaining("left", "{}"), status: 403},
		{name: "of no package", method: "DELETE", path: "/@acme%2fnone/-rev/1", who: "olga", status: 404},
	})
	w.run(gone)
	w.upstream("good", "9.0.0")
	w.Clock.Advance(time.Hour)
	w.run(gone)
	w.silent("/good")
	w.run([]call{
		{name: "the same version never again", method: "PUT", path: "/good", who: "admin", body: body(t, "good", "1.0.0"), status: 409, has: []string{"was unpublished"}},
		{name: "another one", method: "PUT", path: "/good", who: "admin", body: body(t, "good", "1.2.0"), status: 201},
		{name: "is back", method: "GET", path: "/good", status: 200, has: []string{`"latest":"1.2.0"`}, lacks: []string{"1.0.0", "9.0.0"}},
	})
	// Version by version comes to the same.
	w.want(201, "PUT /good/-rev/"+w.rev("good", "admin"), "admin", remaining("good", "{}"))
	w.run(gone)
	w.want(201, "PUT /good", "admin", body(t, "good", "1.3.0"))
	w.want(200, "DELETE "+file("good", "1.3.0")+"/-rev/"+w.rev("good", "admin"), "admin", "")
	w.run(gone)
	w.silent("/good")
}

// TestTags: section 4.4.
func TestDistTags(t *testing.T) {
	w := newWorld(t)
	w.upstream("left", "1.0.0")
	w.upstream("right", "1.0.0")
	w.want(200, "GET /left", "", "")
	w.publish("olga", "@open/part", "1.0.0", tagged("beta"))
	w.publish("olga", "@open/part", "1.1.0")
	const tags = "/-/package/@open%2fpart/dist-tags"
	w.run([]call{
		{name: "list", method: "GET", path: tags, status: 200, has: []string{`{"beta":"1.0.0","latest":"1.1.0"}`, "Content-Type: application/json"}},
		{name: "list, other spelling", method: "GET", path: "/-/package/@open/part/dist-tags", status: 200},
		{name: "list of an upstream package", method: "GET", path: "/-/package/left/dist-tags", status: 200, has: []string{`{"latest":"1.0.0"}`}},
		{name: "list of none", method: "GET", path: "/-/package/none/dist-tags", status: 404},
		{name: "set", method: "PUT", path: tags + "/next", who: "olga", body: `"1.0.0"`, status: 201, has: []string{`{"ok":`}},
		{name: "set by POST", method: "POST", path: tags + "/next2", who: "olga", body: `"1.0.0"`, status: 201},
		{name: "set an escaped one", method: "PUT", path: tags + "/a%2Db%21", who: "olga", body: `"1.0.0"`, status: 201},
		{name: "latest goes where it is told", method: "PUT", path: tags + "/latest", who: "olga", body: `"1.0.0"`, status: 201},
		{name: "all there", method: "GET", path: tags, status: 200, has: []string{`{"a-b!":"1.0.0","beta":"1.0.0","latest":"1.0.0","next":"1.0.0","next2":"1.0.0"}`}},
		{name: "to a missing version", method: "PUT", path: tags + "/next", who: "olga", body: `"7.0.0"`, status: 404, has: []string{"this version doesn't exist"}},
		{name: "to no version", method: "PUT", path: tags + "/next", who: "olga", body: `7`, status: 400},
		{name: "to null", method: "PUT", path: tags + "/next", who: "olga", body: `null`, status: 400},
		{name: "a range", method: "PUT", path: tags + "/1.x", who: "olga", body: `"1.0.0"`, status: 400},
		{name: "a version", method: "PUT", path: tags + "/v1", who: "olga", body: `"1.0.0"`, status: 400},
		{name: "a number", method: "PUT", path: tags + "/1", who: "olga", body: `"1.0.0"`, status: 400},
		{name: "a slash", method: "PUT", path: tags + "/a%2fb", who: "olga", body: `"1.0.0"`, status: 404},
		{name: "remove", method: "DELETE", path: tags + "/next", who: "olga", status: 200, has: []string{`{"ok":`}},
		{name: "remove a missing one", method: "DELETE", path: tags + "/next", who: "olga", status: 404},
		{name: "remove latest", method: "DELETE", path: tags + "/latest", who: "olga", status: 400, has: []string{`{"error":"the latest tag cannot be removed"`}},
		{name: "set many", method: "PUT", path: tags, who: "olga", body: `{"one":"1.0.0","two":"1.1.0"}`, status: 201},
		{name: "set many by POST", method: "POST", path: tags, who: "olga", body: `{"latest":"1.1.0"}`, status: 201},
		{name: "set many, all or none", method: "PUT", path: tags, who: "olga", body: `{"a":"1.0.0","z":"7.0.0"}`, status: 404},
		{name: "set many, a list", method: "PUT", path: tags, who: "olga", body: `["1.0.0"]`, status: 400},
		{name: "set none", method: "PUT", path: tags, who: "olga", body: `{}`, status: 400},
		{name: "what is left", method: "GET", path: tags, status: 200, has: []string{`{"a-b!":"1.0.0","beta":"1.0.0","latest":"1.1.0","next2":"1.0.0","one":"1.0.0","two":"1.1.0"}`}},
		{name: "not by readers", method: "PUT", path: tags + "/next", who: "bob", body: `"1.0.0"`, status: 403},
		{name: "not by nobody", method: "DELETE", path: tags + "/one", status: 401},
		{name: "set on an upstream package", method: "PUT", path: "/-/package/left/dist-tags/next", who: "admin", body: `"1.0.0"`, status: 403},
		{name: "remove on an upstream package", method: "DELETE", path: "/-/package/left/dist-tags/next", who: "admin", status: 403},
		{name: "set on one nobody asked for yet", method: "PUT", path: "/-/package/right/dist-tags/next", who: "admin", body: `"1.0.0"`, status: 403},
		{name: "set on none", method: "PUT", path: "/-/package/none/dist-tags/next", who: "admin", body: `"1.0.0"`, status: 404},
	})
	first := w.want(200, "GET "+tags, "", "")
	w.want(304, "GET "+tags, "", "", "If-None-Match: "+first.Header.Get("ETag"))
	w.silent("open")
}

// TestAccess: section 4.5.
func TestAccess(t *testing.T) {
	w := newWorld(t)
	w.publish("wim", "@acme/widget", "1.0.0")
	w.publish("olga", "@open/part", "1.0.0")
	w.publish("olga", "@open/secret", "1.0.0", top("access", "restricted"))
	w.publish("olga", "@acme/shown", "1.0.0", top("access", "public"))
	access := func(name string) string { return "/-/package" + path(name) + "/access" }
	visible := func(name string) string { return "/-/package" + path(name) + "/visibility" }
	w.run([]call{
		{name: "as the repository", method: "GET", path: visible("@acme/widget"), who: "rita", status: 200, has: []string{`{"public":false}`}},
		{name: "as its repository", method: "GET", path: visible("@open/part"), status: 200, has: []string{`{"public":true}`}},
		{name: "restricted at publish", method: "GET", path: "/@open%2fsecret", who: "bob", status: 404},
		{name: "public at publish", method: "GET", path: "/@acme%2fshown", status: 200},
		{name: "needs admin", method: "POST", path: access("@acme/widget"), who: "wim", body: `{"access":"public"}`, status: 403},
		{name: "open", method: "POST", path: access("@acme/widget"), who: "olga", body: `{"access":"public"}`, status: 200, has: []string{`{"ok":`}},
		{name: "is open", method: "GET", path: "/@acme%2fwidget", status: 200},
		{name: "its tarball too", method: "GET", path: file("@acme/widget", "1.0.0"), status: 200, has: []string{"Cache-Control: public"}},
		{name: "and stays so", method: "POST", path: access("@acme/widget"), who: "olga", body: `{"access":"restricted"}`, status: 409},
		{name: "no second factor here", method: "POST", path: access("@acme/widget"), who: "olga", body: `{"publish_requires_tfa":true}`, status: 400},
		{name: "which may be switched off", method: "POST", path: access("@acme/widget"), who: "olga", body: `{"publish_requires_tfa":false}`, status: 200},
		{name: "another word", method: "POST", path: access("@acme/widget"), who: "olga", body: `{"access":"secret"}`, status: 400},
		{name: "no object", method: "POST", path: access("@acme/widget"), who: "olga", body: `"public"`, status: 400},
		{name: "no JSON", method: "POST", path: access("@acme/widget"), who: "olga", body: `{"access":"public"`, status: 400},
		{name: "of an organization", method: "GET", path: "/-/org/acme/package", who: "rita", status: 200, has: []string{`"@acme/widget":`, `"@open/part":"read"`}},
		{name: "of which one writes some", method: "GET", path: "/-/org/acme/package", who: "wim", status: 200, has: []string{`"@acme/widget":"write"`, `"@open/part":"read"`}},
		{name: "filtered", method: "GET", path: "/-/org/acme/package", who: "bob", status: 200, lacks: []string{"@open/secret"}},
		{name: "of a user", method: "GET", path: "/-/user/admin/package", who: "bob", status: 200},
		{name: "teams", method: "GET", path: "/-/team/acme/devs/package", who: "olga", status: 404},
		{name: "grant to a team", method: "PUT", path: "/-/team/acme/devs/package", who: "olga", body: `{"package":"@acme/x","permissions":"read-write"}`, status: 404},
		{name: "revoke from a team", method: "DELETE", path: "/-/team/acme/devs/package", who: "olga", body: `{"package":"@acme/x"}`, status: 404},
		{name: "members", method: "GET", path: "/-/org/acme/user", who: "olga", status: 404},
		{name: "list of teams", method: "GET", path: "/-/org/acme/team", who: "olga", status: 404},
		{name: "team members", method: "GET", path: "/-/team/acme/devs/user", who: "olga", status: 404},
		{name: "stage", method: "POST", path: "/-/stage/package/@acme%2fwidget", who: "olga", body: "{}", status: 404},
		{name: "stages", method: "GET", path: "/-/stage?page=1", who: "olga", status: 404},
		{name: "trust", method: "GET", path: "/-/package/@acme%2fwidget/trust", who: "olga", status: 404},
		{name: "trusted publishing", method: "POST", path: "/-/npm/v1/oidc/token/exchange/package/@acme%2fwidget", status: 404},
	})
}

// TestAccessAtPublish: npm's --access says who may read, also of a package that is there.
func TestAccessAtPublish(t *testing.T) {
	w := newWorld(t)
	w.publish("wim", "@acme/widget", "1.0.0")
	w.publish("wim", "@acme/widget", "1.0.1", top("access", "restricted"))
	w.run([]call{
		{name: "a writer opens nothing", method: "PUT", path: "/@acme%2fwidget", who: "wim", body: body(t, "@acme/widget", "1.1.0", top("access", "public")), status: 403},
		{name: "so it is not there", method: "GET", path: "/@acme%2fwidget", who: "wim", status: 200, lacks: []string{"1.1.0"}},
		{name: "an admin does", method: "PUT", path: "/@acme%2fwidget", who: "olga", body: body(t, "@acme/widget", "1.1.0", top("access", "public")), status: 201},
		{name: "open", method: "GET", path: "/@acme%2fwidget", status: 200, has: []string{"1.1.0"}},
		{name: "what is public stays so, and says it", method: "PUT", path: "/@acme%2fwidget", who: "olga", body: body(t, "@acme/widget", "1.2.0", top("access", "restricted")), status: 403, has: []string{"public"}},
		{name: "no word, no change", method: "PUT", path: "/@acme%2fwidget", who: "wim", body: body(t, "@acme/widget", "1.2.0"), status: 201},
		{name: "the same word, no change", method: "PUT", path: "/@acme%2fwidget", who: "wim", body: body(t, "@acme/widget", "1.3.0", top("access", "public")), status: 201},
	})
	if !strings.Contains(w.want(200, "GET /@acme%2fwidget", "", "").text(), "1.3.0") {
		t.Error("1.3.0 is not there")
	}
}
