package admin

import (
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"larder/policy/audit"
)

// staff are those that the tests below let try a package, and what each has in
// the organization acme.
func staff() []string {
	return []string{"tools", "open", "base", "team", "own", "repoadmin", "boss", "out"}
}

// house is acme with the private repositories acme/tools, where tools may write
// and repoadmin is admin, and acme/open, where open may write. Members have the
// role read; team is in the team core; boss owns acme; out is nobody. The
// package secret is in acme/tools.
func house(t *testing.T) (*world, map[string]string) {
	w := newWorld(t)
	w.acme()
	w.want(201, "POST", "/api/v1/repos", w.admin, `{"name":"acme/open"}`)
	w.want(204, "PATCH", "/api/v1/orgs/acme", w.admin, `{"base_role":"read"}`)
	w.want(201, "PUT", "/api/v1/orgs/acme/teams/core", w.admin, "")
	tokens := map[string]string{"nobody": ""}
	for _, name := range staff() {
		w.want(201, "POST", "/api/v1/users", w.admin, `{"name":"`+name+`"}`)
		tokens[name] = w.token(name, `["read:packages","write:packages","delete:packages","repo","admin:org"]`)
		if name != "out" {
			w.want(204, "PUT", "/api/v1/orgs/acme/members/"+name, w.admin, `{"role":"member"}`)
		}
	}
	w.want(204, "PUT", "/api/v1/orgs/acme/members/boss", w.admin, `{"role":"owner"}`)
	w.want(204, "PUT", "/api/v1/orgs/acme/teams/core/members/team", w.admin, "")
	w.want(204, "PUT", "/api/v1/repos/acme/tools/grants/tools", w.admin, `{"role":"write"}`)
	w.want(204, "PUT", "/api/v1/repos/acme/tools/grants/repoadmin", w.admin, `{"role":"admin"}`)
	w.want(204, "PUT", "/api/v1/repos/acme/open/grants/open", w.admin, `{"role":"write"}`)
	if rec := w.do("PUT", "/r/acme/tools/npm/secret/0", w.admin, "secret"); rec.Code != 201 {
		t.Fatalf("publish: %d %s", rec.Code, rec.Body)
	}
	return w, tokens
}

const secret = "?purl=pkg:npm/secret"

// access is what somebody can do with the package secret, by every path there
// is: r reads, w writes, a administers. A path that says otherwise than the
// others fails the test.
func (w *world) access(who, token, repository string) string {
	w.t.Helper()
	may := ""
	for _, paths := range []struct {
		letter string
		calls  []string // METHOD path body
	}{
		{"r", []string{
			"GET /npm/secret/0", "HEAD /npm/secret/0", "GET /r/" + repository + "/npm/secret/0",
			"GET /api/v1/package" + secret, "LIST /api/v1/packages secret", "LIST /api/v1/packages?prefix=sec secret",
			"LIST /api/v1/policy/explain" + secret + ` "source":"hosted"`,
		}},
		{"w", []string{
			w.fresh("PUT /npm/secret/%d x"), w.fresh("PUT /r/" + repository + "/npm/secret/%d x"),
			"LIST /api/v1/policy/explain" + secret + ` "publish":{"allowed":true`,
		}},
		{"a", []string{
			"PUT /api/v1/package/visibility" + secret + ` {"visibility":"private"}`, "GET /api/v1/package/grants" + secret,
			"DELETE /api/v1/package" + secret + "@0&dry_run=true", "DELETE /npm/secret/0", "POST /api/v1/package/restore" + secret + "@0",
		}},
	} {
		said := []string{}
		for _, call := range paths.calls {
			if ok := w.tried(call, token); len(said) == 0 || ok != (said[0] == "yes") {
				said = append(said, map[bool]string{true: "yes", false: "no by " + call}[ok])
			}
		}
		if len(said) > 1 {
			w.t.Errorf("%s, %s: %q", who, paths.letter, said)
		}
		if said[0] == "yes" {
			may += paths.letter
		}
	}
	return may
}

// fresh fills in a version that was never published.
func (w *world) fresh(call string) string {
	w.published++
	return fmt.Sprintf(call, w.published)
}

// tried makes one call; what is refused must be refused as policy says.
func (w *world) tried(call, token string) bool {
	w.t.Helper()
	method, rest, _ := strings.Cut(call, " ")
	path, body, _ := strings.Cut(rest, " ")
	if method == "LIST" {
		return strings.Contains(w.do("GET", path, token, "").Body.String(), body)
	}
	rec := w.do(method, path, token, body)
	refused := http.StatusForbidden
	switch {
	case token == "":
		refused = http.StatusUnauthorized
	case rec.Code == http.StatusNotFound && (method == "GET" || method == "HEAD"):
		refused = http.StatusNotFound
	}
	if rec.Code >= 300 && rec.Code != refused {
		w.t.Errorf("%s: %d %s", call, rec.Code, rec.Body)
	}
	return rec.Code < 300
}

// stands compares what everybody may do, as "name:letters", with what is wanted;
// who is not named may nothing.
func (w *world) stands(tokens map[string]string, repository, want string) {
	w.t.Helper()
	var got []string
	for _, name := range append(staff(), "nobody") {
		if may := w.access(name, tokens[name], repository); may != "" {
			got = append(got, name+":"+may)
		}
	}
	if text := strings.Join(got, " "); text != want {
		w.t.Errorf("in %s\n%s\nwant\n%s", repository, text, want)
	}
}

func TestAccessOfAPackage(t *testing.T) {
	w, tokens := house(t)
	w.stands(tokens, "acme/tools", "tools:rw open:r base:r team:r own:r repoadmin:rwa boss:rwa")

	// Moved: those of the one repository lose it, those of the other one have it.
	move := "/api/v1/package/repository" + secret
	w.want(403, "PUT", move, tokens["repoadmin"], `{"repository":"acme/open"}`)
	w.want(403, "PUT", move, tokens["open"], `{"repository":"acme/open"}`)
	w.want(204, "PUT", move, tokens["boss"], `{"repository":"acme/open"}`)
	w.stands(tokens, "acme/open", "tools:r open:rw base:r team:r own:r repoadmin:r boss:rwa")
	for name, token := range tokens {
		if rec := w.do("GET", "/r/acme/tools/npm/secret/0", token, ""); rec.Code < 400 {
			t.Errorf("%s has it at its old place: %d", name, rec.Code)
		}
	}
	w.want(204, "PUT", move, tokens["boss"], `{"repository":"acme/tools"}`)

	// Grants of its own replace those of the repository, and the role of members.
	w.want(204, "PUT", move, tokens["repoadmin"], `{"inherit_access":false}`)
	w.stands(tokens, "acme/tools", "repoadmin:rwa boss:rwa")
	grants := "/api/v1/package/grants/"
	w.want(204, "PUT", grants+"users/own"+secret, tokens["repoadmin"], `{"role":"write"}`)
	w.want(204, "PUT", grants+"teams/core"+secret, tokens["repoadmin"], `{"role":"read"}`)
	w.want(409, "PUT", grants+"users/out"+secret, tokens["repoadmin"], `{"role":"read"}`)
	w.want(404, "PUT", grants+"teams/none"+secret, tokens["repoadmin"], `{"role":"read"}`)
	w.stands(tokens, "acme/tools", "team:r own:rw repoadmin:rwa boss:rwa")
	w.want(204, "DELETE", grants+"users/repoadmin"+secret, tokens["repoadmin"], "")
	w.stands(tokens, "acme/tools", "team:r own:rw boss:rwa")
	w.want(403, "PUT", grants+"users/repoadmin"+secret, tokens["repoadmin"], `{"role":"admin"}`)
	w.want(403, "PUT", move, tokens["repoadmin"], `{"inherit_access":true}`)

	// It keeps them where it goes.
	w.want(204, "PUT", move, tokens["boss"], `{"repository":"acme/open"}`)
	w.stands(tokens, "acme/open", "team:r own:rw boss:rwa")
	w.want(204, "PUT", "/api/v1/orgs/acme/members/own", w.admin, `{"role":"member"}`)
	w.want(204, "DELETE", "/api/v1/orgs/acme/members/own", w.admin, "")
	w.want(204, "DELETE", "/api/v1/orgs/acme/members/team", w.admin, "")
	w.stands(tokens, "acme/open", "boss:rwa")

	// Whoever switches back and forth begins anew.
	w.want(204, "PUT", "/api/v1/orgs/acme/members/own", w.admin, `{"role":"member"}`)
	w.want(204, "PUT", move, tokens["boss"], `{"repository":"acme/tools","inherit_access":true}`)
	w.stands(tokens, "acme/tools", "tools:rw open:r base:r own:r repoadmin:rwa boss:rwa")
	w.want(204, "PUT", move, tokens["boss"], `{"inherit_access":false}`)
	w.stands(tokens, "acme/tools", "boss:rwa")
}

// The bits that a call needs of its package are checked in words.
func TestAccessRefusesWhatIsWrong(t *testing.T) {
	w, tokens := house(t)
	move, seen := "/api/v1/package/repository", "/api/v1/package/visibility"
	w.want(201, "POST", "/api/v1/users", w.admin, `{"name":"other","org":true}`)
	for _, c := range []struct {
		status     int
		path, body string
	}{
		{400, move + secret, `{}`}, {400, move + secret + "@0", `{"inherit_access":true}`}, {400, move, `{"inherit_access":true}`},
		{400, move + "?purl=pkg:maven/a/b", `{"inherit_access":true}`}, {404, move + "?purl=pkg:npm/none", `{"inherit_access":true}`},
		{409, move + secret, `{"repository":"other/packages"}`}, {403, move + secret, `{"repository":"acme/none"}`},
		{403, move + secret, `{"repository":"../x"}`}, {400, seen + secret, `{"visibility":"secret"}`}, {400, seen + secret, `{}`},
		{409, "/api/v1/package/grants/users/base" + secret, `{"role":"read"}`}, {400, "/api/v1/package/grants/users/base" + secret, `{}`},
		{404, "/api/v1/package/grants/users/base?purl=pkg:npm/none", `{"role":"read"}`},
	} {
		w.want(c.status, "PUT", c.path, w.admin, c.body)
	}
	// A token that is limited to one repository takes nothing out of it or into it.
	limited := w.token("boss", `["write:packages"],"limits":{"repositories":["acme/tools"]}`)
	w.want(403, "PUT", move+secret, limited, `{"repository":"acme/open"}`)
	w.want(204, "PUT", move+secret, tokens["boss"], `{"repository":"acme/open"}`)
	w.want(403, "PUT", move+secret, limited, `{"repository":"acme/tools"}`)
	w.want(403, "PUT", "/api/v1/package/grants/users/base"+secret, limited, `{"role":"read"}`)
	w.want(204, "PUT", move+secret, tokens["boss"], `{"repository":"acme/tools"}`)
	w.want(204, "PUT", move+secret, limited, `{"inherit_access":false}`)
	w.want(204, "PUT", move+secret, limited, `{"inherit_access":true}`)
	// A public package stays so, wherever it goes, and whatever it goes by.
	w.want(204, "PUT", seen+secret, tokens["repoadmin"], `{"visibility":"internal"}`)
	w.want(204, "PUT", seen+secret, tokens["repoadmin"], `{"visibility":"public"}`)
	w.want(409, "PUT", seen+secret, tokens["boss"], `{"visibility":"private"}`)
	w.want(409, "PUT", seen+secret, tokens["boss"], `{"visibility":"internal"}`)
	w.want(204, "PUT", move+secret, tokens["boss"], `{"repository":"acme/open","inherit_access":false}`)
	var p Package
	if w.get("/api/v1/package"+secret, "", &p); p.Visibility != "public" || p.Repository != "acme/open" || p.Inherit {
		t.Errorf("%+v", p)
	}
	// Everybody may have a role in what everybody may read.
	w.want(204, "PUT", "/api/v1/package/grants/users/out"+secret, tokens["boss"], `{"role":"write"}`)
	if may := w.access("out", tokens["out"], "acme/open"); may != "rw" {
		t.Errorf("an outsider with the role write: %s", may)
	}
	var list GrantList
	if w.get("/api/v1/package/grants"+secret, tokens["boss"], &list); len(list.Grants) != 1 || list.Grants[0].User != "out" || list.InheritedFrom != "" {
		t.Errorf("%+v", list)
	}
	w.want(204, "PUT", move+secret, tokens["boss"], `{"inherit_access":true}`)
	if w.get("/api/v1/package/grants"+secret, tokens["boss"], &list); len(list.Grants) != 1 || list.Grants[0].User != "open" || list.InheritedFrom != "acme/open" {
		t.Errorf("%+v", list)
	}
}

// While a package changes hands nobody gets through who has a role before and
// after it only in the other place: the log, which is in the order of the
// commits, has no publish under grants that did not count.
func TestAccessWhileItChanges(t *testing.T) {
	w, tokens := house(t)
	if rec := w.do("PUT", "/npm/secret/first", tokens["tools"], "x"); rec.Code != 201 {
		t.Fatalf("publish: %d %s", rec.Code, rec.Body)
	}
	var group sync.WaitGroup
	stop := make(chan struct{})
	for _, name := range []string{"tools", "open"} {
		group.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				w.do("PUT", fmt.Sprintf("/npm/secret/%s%d", name, n), tokens[name], "x")
			}
		})
	}
	move := "/api/v1/package/repository" + secret
	for range 25 {
		for _, body := range []string{`{"repository":"acme/open"}`, `{"inherit_access":false}`, `{"repository":"acme/tools","inherit_access":true}`} {
			w.want(204, "PUT", move, tokens["boss"], body)
		}
	}
	close(stop)
	group.Wait()

	may, published := "tools", 0
	for r, err := range audit.Export(t.Context(), w.index, 0, audit.Filter{}) {
		w.must(err)
		switch {
		case r.Decision != audit.Allow || r.Resource.Package != "secret":
		case r.Action == "package.publish" && r.Actor.ID != "admin":
			if published++; r.Actor.ID != may {
				t.Errorf("%d: %s published while the access was of %q", r.Seq, r.Actor.ID, may)
			}
		case r.Action == "package.change":
			may = map[bool]string{true: r.After["repository"], false: may}[r.After["repository"] != ""]
			may = strings.TrimPrefix(may, "acme/")
			if strings.HasPrefix(r.After["access"], "own") {
				may = "nobody but boss"
			}
		}
	}
	if published == 0 {
		t.Error("nothing was published meanwhile")
	}
}

// Each change of access is in the log, with what it was and what it is.
func TestAccessIsRecorded(t *testing.T) {
	w, tokens := house(t)
	move := "/api/v1/package/repository" + secret
	w.want(204, "PUT", move, tokens["boss"], `{"repository":"acme/open","inherit_access":false}`)
	w.want(204, "PUT", move, tokens["boss"], `{"repository":"acme/open","inherit_access":false}`) // nothing to do
	w.want(204, "PUT", "/api/v1/package/grants/teams/core"+secret, tokens["boss"], `{"role":"read"}`)
	w.want(204, "PUT", "/api/v1/package/visibility"+secret, tokens["boss"], `{"visibility":"public"}`)
	w.want(204, "PUT", move, tokens["boss"], `{"inherit_access":true}`)
	ids := regexp.MustCompile(`[0-9a-f]{16}`)
	var got []string
	for r, err := range audit.Export(t.Context(), w.index, 0, audit.Filter{}) {
		w.must(err)
		if r.Actor.ID == "boss" && r.Resource.Package == "secret" {
			got = append(got, ids.ReplaceAllString(fmt.Sprint(r.Action, r.Resource.ID, r.Before, r.After), "ID"))
		}
	}
	want := []string{
		"package.changemap[access:repository repository:acme/tools] map[access:own ID repository:acme/open]",
		"grant.set@coremap[role:none] map[role:read]",
		"package.changemap[visibility:private] map[visibility:public]",
		"package.changemap[access:own ID] map[access:repository]",
	}
	if !slices.Equal(got, want) {
		t.Errorf("recorded\n%q\nwant\n%q", got, want)
	}
}

// An organization can leave some visibilities to its owners: nobody else makes a
// package or repository so, by whatever call.
func TestVisibilitiesOfMembers(t *testing.T) {
	w, tokens := house(t)
	w.want(400, "PATCH", "/api/v1/orgs/acme", w.admin, `{"visibilities":[]}`)
	w.want(400, "PATCH", "/api/v1/orgs/acme", w.admin, `{"visibilities":["secret"]}`)
	w.want(400, "PATCH", "/api/v1/orgs/acme", w.admin, `{}`)
	w.want(403, "PATCH", "/api/v1/orgs/acme", tokens["repoadmin"], `{"visibilities":["public"]}`)
	w.want(204, "PATCH", "/api/v1/orgs/acme", tokens["boss"], `{"visibilities":["private","private"],"base_role":"none"}`)
	var a Account
	if w.get("/api/v1/users/acme", tokens["base"], &a); len(a.Visibilities) != 1 || a.Visibilities[0] != "private" {
		t.Errorf("to a member: %+v", a)
	}
	a = Account{}
	if w.get("/api/v1/users/acme", tokens["out"], &a); a.Visibilities != nil {
		t.Errorf("to an outsider: %+v", a)
	}

	repository, visibility := "/api/v1/repos/acme/tools", "/api/v1/package/visibility"+secret
	for _, v := range []string{"internal", "public"} {
		if text := w.want(403, "PATCH", repository, tokens["repoadmin"], `{"visibility":"`+v+`"}`); !strings.Contains(text, "others make it private") {
			t.Errorf("the sentence: %s", text)
		}
		w.want(403, "PUT", visibility, tokens["repoadmin"], `{"visibility":"`+v+`"}`)
	}
	w.want(204, "PUT", visibility, tokens["boss"], `{"visibility":"internal"}`)
	w.want(204, "PUT", visibility, tokens["repoadmin"], `{"visibility":"private"}`)
	w.want(204, "PATCH", repository, tokens["boss"], `{"visibility":"public"}`)
	for who, status := range map[string]int{"tools": 403, "repoadmin": 403, "boss": 201} {
		if rec := w.do("PUT", "/r/acme/tools/npm/new-"+who+"/1", tokens[who], "x"); rec.Code != status {
			t.Errorf("%s publishes something public: %d %s", who, rec.Code, rec.Body)
		}
	}
	w.want(404, "GET", "/api/v1/package?purl=pkg:npm/new-tools", tokens["boss"], "")
	// What is there already goes on as it is.
	if rec := w.do("PUT", "/r/acme/tools/npm/new-boss/2", tokens["tools"], "x"); rec.Code != 201 {
		t.Errorf("a version of a public package: %d %s", rec.Code, rec.Body)
	}
	w.want(204, "PATCH", "/api/v1/orgs/acme", tokens["boss"], `{"visibilities":["public","internal","private"]}`)
	if rec := w.do("PUT", "/r/acme/tools/npm/new-tools/1", tokens["tools"], "x"); rec.Code != 201 {
		t.Errorf("all are allowed again: %d %s", rec.Code, rec.Body)
	}
}
