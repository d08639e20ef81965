package proxy_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"larder/cache/clocktest"
	"larder/cache/evict"
	"larder/formats/npm"
	"larder/policy"
	"larder/policy/directory"
	"larder/policy/rulebook"
	"larder/proxy"
	"larder/proxy/admin"
	"larder/proxy/proxytest"
	"larder/proxy/registry"
	"larder/upstream/upstreamtest/npmtest"
)

// house is a whole server over memory, with one upstream that has nothing.
//
// The organization acme has the private repositories acme/packages, which its
// scope and claimed-* go to, and acme/secret, and the public acme/open. bob
// stands outside, mia is a member without any role, and rita reads
// acme/packages. What is called hidden is there, what is called absent is not.
type house struct{ *proxytest.World }

type idle struct{}

func (idle) GC(context.Context, bool, func(int)) (evict.Report, error) { return evict.Report{}, nil }
func (idle) Retain(context.Context, bool) (admin.Retention, error)     { return admin.Retention{}, nil }
func (idle) Verify(context.Context, bool, func(done, total int64)) (admin.Verification, error) {
	return admin.Verification{}, nil
}

func newHouse(t *testing.T) *house {
	h := &house{proxytest.New(t)}
	h.Clock = clocktest.New(0) // answers about two names may not differ by when they were asked for
	h.OpenDirectory(directory.Options{AnonymousRead: true, Formats: []string{"npm"}})
	h.Tokens[""] = "" // nobody's
	h.populate()
	h.open()
	for _, name := range []string{"@acme/hidden", "claimed-hidden"} {
		h.publish("/npm/", name)
	}
	h.publish("/r/acme/secret/npm/", "hidden")
	h.publish("/r/acme/secret/npm/", "@acme/inner-hidden")
	return h
}

func (h *house) populate() {
	ctx := h.T.Context()
	h.Must(h.Directory.CreateUser(ctx, h.Admin, directory.Account{Name: "acme", Org: true}))
	h.Must(h.Directory.SetOrganization(ctx, h.Admin, "acme", directory.OrgSettings{BaseRole: new(policy.RoleNone)}))
	h.Must(h.Directory.CreateRepository(ctx, h.Admin, "acme/secret", policy.Private))
	h.Must(h.Directory.CreateRepository(ctx, h.Admin, "acme/open", policy.Public))
	_, err := h.Directory.AddClaim(ctx, h.Admin, policy.Claim{Match: []string{"claimed-*"}, Repository: "acme/packages"})
	h.Must(err)
	for _, name := range []string{"bob", "mia", "rita"} {
		h.Must(h.Directory.CreateUser(ctx, h.Admin, directory.Account{Name: name}))
		h.mint(name, directory.Mint{User: name, Scopes: policy.AllScopes()})
	}
	h.Must(h.Directory.SetMember(ctx, h.Admin, "acme", "mia", directory.Member))
	h.Must(h.Directory.Grant(ctx, h.Admin, "acme/packages", "rita", policy.RoleRead))
	h.mint("bob, limited", directory.Mint{User: "bob", Scopes: policy.AllScopes(), Limits: policy.Limits{Repositories: []string{"admin/packages"}}})
	h.mint("bob, delete only", directory.Mint{User: "bob", Scopes: []policy.Scope{policy.DeletePackages}})
	h.mint("admin, limited", directory.Mint{Scopes: policy.AllScopes(), Limits: policy.Limits{Repositories: []string{"bob/packages"}}})
}

func (h *house) mint(who string, m directory.Mint) {
	h.T.Helper()
	secret, _, err := h.Directory.MintToken(h.T.Context(), h.Admin, m)
	h.Must(err)
	h.Tokens[who] = secret.Reveal()
}

func (h *house) open() {
	far, err := npmtest.Start()
	h.Must(err)
	book, err := rulebook.Open(h.T.Context(), h.Index, rulebook.Options{Clock: h.Clock.Now})
	h.Must(err)
	h.OpenEngine(registry.Options{Rules: book.Set})
	h.T.Cleanup(far.Close)
	mount := h.Engine.Registry(registry.Spec{Name: "npm", Format: npm.New(npm.Options{Clock: h.Clock.Now}), Hosted: true, Upstreams: h.Source("far", far.URL)})
	empty := mount.Empty()
	handlers, err := admin.New(admin.Options{
		Directory: h.Directory, Identifier: h.Accounts, Pairing: h.Accounts.Pairing(), Maintenance: idle{}, Rules: book, Audit: h.Index,
		Registries: []admin.Registry{{Mount: mount, Hosted: true, Upstreams: []string{"far"}, Explain: mount.Explain, Empty: &admin.Registry{Mount: empty, Explain: empty.Explain}}},
		Upstreams:  func(context.Context) []admin.Upstream { return nil },
		Reload:     func(context.Context) error { return nil }, Metrics: admin.NewMetrics("test"),
	})
	h.Must(err)
	h.Edge = h.OpenEdge(proxy.Options{Mounts: []proxy.Mount{mount}, Handlers: handlers})
}

func publication(t testing.TB, name string) string {
	t.Helper()
	manifest := map[string]any{"name": name, "version": "1.0.0"}
	tarball, err := npmtest.Pack(map[string][]byte{"package.json": fmt.Appendf(nil, `{"name":%q,"version":"1.0.0"}`, name)})
	if err != nil {
		t.Fatal(err)
	}
	body, err := npmtest.PublishBody(manifest, tarball, "latest")
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

func (h *house) publish(at, name string) {
	h.T.Helper()
	rec := h.ask(request{method: "PUT", path: at + escaped(name), body: publication(h.T, name)}, "admin")
	if rec.Code != 201 {
		h.T.Fatalf("publish %s: %d %s", name, rec.Code, rec.Body)
	}
}

func escaped(name string) string { return strings.Replace(name, "/", "%2f", 1) }

// request is one to be made about two names. NAME stands for the escaped name,
// PURL for the plain one, BARE for what stands behind the scope.
type request struct {
	method, path, body string
	lines              []string
}

func (r request) about(name string) request {
	_, bare, scoped := strings.Cut(name, "/")
	if !scoped {
		bare = name
	}
	fill := strings.NewReplacer("NAME", escaped(name), "PURL", name, "BARE", bare)
	r.path, r.body = fill.Replace(r.path), fill.Replace(r.body)
	return r
}

func (h *house) ask(q request, who string) *httptest.ResponseRecorder {
	h.T.Helper()
	lines := append([]string{"X-Request-Id: the-same-for-both"}, q.lines...)
	if strings.HasPrefix(q.body, "{") {
		lines = append(lines, "Content-Type: application/json")
	}
	r := h.Request(q.method, q.path, who, strings.NewReader(q.body), lines...)
	rec := httptest.NewRecorder()
	h.Edge.ServeHTTP(rec, r)
	return rec
}

// shown is all that a client gets to see of a reply. The id of a decision is
// another each time, and tells as little as that of a request.
func shown(rec *httptest.ResponseRecorder) string {
	text := fmt.Sprintf("%d %v %s", rec.Code, rec.Header(), rec.Body)
	if id := rec.Header().Get("X-Larder-Decision"); id != "" {
		text = strings.ReplaceAll(text, id, "DECISION")
	}
	return text
}

// questions are every kind of request that names a package.
func questions(at string) []request {
	all := []request{
		{method: "GET", path: at + "NAME", lines: []string{"Accept: application/vnd.npm.install-v1+json"}},
		{method: "GET", path: at + "NAME", lines: []string{"If-None-Match: *"}},
		{method: "GET", path: at + "NAME", lines: []string{"If-Match: \"x\""}},
		{method: "GET", path: at + "NAME", lines: []string{"If-Modified-Since: " + clocktest.New(0).Now().Format(http.TimeFormat)}},
		{method: "GET", path: at + "NAME/-/BARE-1.0.0.tgz", lines: []string{"Range: bytes=0-0"}},
		{method: "GET", path: at + "NAME/-/BARE-1.0.0.tgz", lines: []string{"Range: bytes=999999999-"}},
		{method: "PUT", path: at + "NAME", body: `{"_id":"PURL","users":{"bob":true}}`, lines: []string{"npm-command: star"}},
		{method: "PUT", path: at + "NAME/-rev/1-larder", body: `{"_id":"PURL","maintainers":[{"name":"bob"}]}`, lines: []string{"npm-command: owner"}},
		{method: "PUT", path: at + "NAME/-rev/1-larder", body: `{"_id":"PURL","versions":{}}`, lines: []string{"npm-command: unpublish"}},
	}
	for _, path := range []string{
		"NAME", "NAME?write=true", "NAME/1.0.0", "NAME/latest", "NAME/9.9.9", "NAME/-/BARE-1.0.0.tgz", "NAME/-/BARE-9.9.9.tgz", "NAME/-rev/1-larder",
		"NAME/-/BARE-1.0.0.tgz/-rev/1-larder", "-/package/NAME/dist-tags", "-/package/NAME/dist-tags/latest", "-/package/NAME/dist-tags/next",
		"-/package/NAME/collaborators", "-/package/NAME/visibility", "-/package/NAME/access", "-/package/NAME/trust", "-/npm/v1/attestations/NAME@1.0.0",
		"-/v1/search?text=PURL", "-/v1/search?text=BARE&size=1", "-/stage/package/NAME",
	} {
		for _, method := range []string{"GET", "HEAD", "PUT", "POST", "DELETE", "OPTIONS", "PATCH"} {
			all = append(all, request{method: method, path: at + path, body: `{"access":"public"}`})
		}
	}
	return all
}

// audits name packages in their bodies. An upstream is told no name of ours and
// counts what it is told, so that a name which nobody claims shows in the count.
func audits(at string) []request {
	return []request{
		{method: "POST", path: at + "-/npm/v1/security/advisories/bulk", body: `{"PURL":["1.0.0"]}`},
		{method: "POST", path: at + "-/npm/v1/security/audits/quick", body: `{"requires":{"PURL":"1.0.0"},"dependencies":{"PURL":{"version":"1.0.0"}}}`},
	}
}

// TestThreat08NothingTellsHiddenFromMissing asks everything about a package that
// is there and about one that is not, for everybody who may not know.
func TestThreat08NothingTellsHiddenFromMissing(t *testing.T) {
	h := newHouse(t)
	api := []request{
		{method: "GET", path: "/api/v1/package?purl=pkg:npm/PURL"}, {method: "HEAD", path: "/api/v1/package?purl=pkg:npm/PURL@1.0.0"},
		{method: "GET", path: "/api/v1/package?purl=pkg:npm/PURL@9.9.9"},
		{method: "DELETE", path: "/api/v1/package?purl=pkg:npm/PURL"}, {method: "DELETE", path: "/api/v1/package?purl=pkg:npm/PURL@1.0.0&dry_run=true"},
		{method: "POST", path: "/api/v1/package/restore?purl=pkg:npm/PURL"}, {method: "GET", path: "/api/v1/policy/explain?purl=pkg:npm/PURL"},
		{method: "GET", path: "/api/v1/policy/explain?purl=pkg:npm/PURL@1.0.0"},
		{method: "GET", path: "/api/v1/packages?prefix=PURL"},
	}
	outsiders := []string{"bob", "mia", "bob, limited", "bob, delete only", "admin, limited"}
	for _, c := range []struct {
		name    string
		at      []string
		claimed bool // then nobody is asked for a credential, whether or not it is there
	}{
		{"@acme/hidden", []string{"/npm/", "/r/acme/packages/npm/", "/r/acme/open/npm/", "/r/bob/packages/npm/"}, true},
		{"@acme/inner-hidden", []string{"/npm/", "/r/acme/secret/npm/", "/r/bob/packages/npm/"}, true},
		{"claimed-hidden", []string{"/npm/", "/r/acme/packages/npm/", "/r/bob/packages/npm/"}, true},
		{"hidden", []string{"/npm/", "/r/acme/secret/npm/"}, false},
	} {
		all := api
		for _, at := range c.at {
			all = append(all, questions(at)...)
			all = append(all, request{method: "PUT", path: at + "NAME", body: publication(t, c.name)})
			if c.claimed {
				all = append(all, audits(at)...)
			}
		}
		who := outsiders
		if c.claimed {
			who = append([]string{""}, outsiders...)
		}
		for _, q := range all {
			for _, name := range who {
				h.same(q, name, c.name, strings.Replace(c.name, "hidden", "absent", 1))
			}
		}
	}
}

// TestThreat08OwnGrants: nor who may read the repository of a package that has
// grants of its own.
func TestThreat08OwnGrants(t *testing.T) {
	h := newHouse(t)
	h.publish("/npm/", "@acme/own-hidden")
	own := request{method: "PUT", path: "/api/v1/package/repository?purl=pkg:npm/@acme/own-hidden", body: `{"repository":"acme/packages","inherit_access":false}`}
	if rec := h.ask(own, "admin"); rec.Code != 204 {
		t.Fatalf("own grants: %d %s", rec.Code, rec.Body)
	}
	all := append(questions("/npm/"), questions("/r/acme/packages/npm/")...)
	for _, rest := range []string{"package?purl=", "policy/explain?purl=", "packages?prefix="} {
		all = append(all, request{method: "GET", path: "/api/v1/" + strings.Replace(rest, "purl=", "purl=pkg:npm/", 1) + "PURL"})
	}
	all = append(all, request{method: "GET", path: "/api/v1/policy/explain?purl=pkg:npm/PURL@1.0.0"})
	for _, q := range all {
		h.same(q, "rita", "@acme/own-hidden", "@acme/own-absent")
	}
}

// same fails if the replies about two names differ in more than the name.
func (h *house) same(q request, who, hidden, absent string) {
	h.T.Helper()
	absentBody := strings.ReplaceAll(q.about(absent).body, hidden, absent)
	if strings.Contains(q.body, "_attachments") {
		absentBody = publication(h.T, absent)
	}
	x := shown(h.ask(q.about(hidden), who))
	q = q.about(absent)
	q.body = absentBody
	y := strings.ReplaceAll(shown(h.ask(q, who)), "absent", "hidden")
	if x != y {
		h.T.Errorf("%q: %s %s %v\nthere   %.400s\nmissing %.400s", who, q.method, q.path, q.lines, x, y)
	}
}

// TestThreat08RepositoriesAndOwners: those too.
func TestThreat08RepositoriesAndOwners(t *testing.T) {
	h := newHouse(t)
	for _, q := range []request{
		{method: "GET", path: "/api/v1/repos/acme/NAME"}, {method: "HEAD", path: "/api/v1/repos/acme/NAME"},
		{method: "PATCH", path: "/api/v1/repos/acme/NAME", body: `{"visibility":"public"}`},
		{method: "PUT", path: "/api/v1/repos/acme/NAME/grants/bob", body: `{"role":"admin"}`},
		{method: "DELETE", path: "/api/v1/repos/acme/NAME/grants/bob"},
		{method: "POST", path: "/api/v1/repos", body: `{"name":"acme/NAME"}`},
		{method: "GET", path: "/r/acme/NAME/npm/left"}, {method: "GET", path: "/r/acme/NAME/npm/-/v1/search?text=x"},
		{method: "PUT", path: "/r/acme/NAME/npm/left", body: publication(t, "left")}, {method: "GET", path: "/r/acme/NAME/npm/-/npm/v1/keys"},
	} {
		for _, who := range []string{"", "bob", "mia", "bob, limited", "bob, delete only"} {
			x := shown(h.ask(q.about("secret"), who))
			y := strings.ReplaceAll(shown(h.ask(q.about("absent"), who)), "absent", "secret")
			if x != y {
				t.Errorf("%q: %s %s\nthere   %.400s\nmissing %.400s", who, q.method, q.path, x, y)
			}
		}
	}
	// Whoever administers no organization learns of none that it is there.
	for _, q := range []request{
		{method: "PATCH", path: "/api/v1/orgs/NAME", body: `{"base_role":"admin"}`},
		{method: "PUT", path: "/api/v1/orgs/NAME/members/bob", body: `{"role":"owner"}`}, {method: "DELETE", path: "/api/v1/orgs/NAME/members/bob"},
		{method: "GET", path: "/npm/-/org/NAME/package"}, {method: "GET", path: "/npm/-/user/NAME/package"},
		{method: "GET", path: "/api/v1/tokens?user=NAME"},
	} {
		for _, who := range []string{"", "bob", "mia"} {
			x, y := shown(h.ask(q.about("acme"), who)), strings.ReplaceAll(shown(h.ask(q.about("none"), who)), "none", "acme")
			if x != y {
				t.Errorf("%q: %s %s\nthere   %.400s\nmissing %.400s", who, q.method, q.path, x, y)
			}
		}
	}
}
