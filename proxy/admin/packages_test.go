package admin

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"maps"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"larder/formats"
	"larder/formats/formattest"
	"larder/policy"
	"larder/policy/rules"
	"larder/proxy"
	"larder/proxy/registry"
)

func TestPackages(t *testing.T) {
	w := newWorld(t)
	for _, name := range []string{"ab", "abc", "abd", "b"} {
		w.publish(name, "1.0.0", w.admin)
	}
	w.publish("abc", "1.1.0", w.admin)
	names := func(target string) (out []string, next string) {
		var list PackageList
		w.get(target, "", &list)
		for _, p := range list.Packages {
			out = append(out, p.Name)
		}
		return out, list.Next
	}
	for target, want := range map[string]string{
		"/api/v1/packages":                         "ab abc abd b",
		"/api/v1/packages?format=npm&prefix=ab":    "ab abc abd",
		"/api/v1/packages?prefix=abc":              "abc",
		"/api/v1/packages?prefix=c":                "",
		"/api/v1/packages?format=maven":            "",
		"/api/v1/packages?after=npm:abc":           "abd b",
		"/api/v1/packages?after=npm:ab&prefix=abd": "abd",
		"/api/v1/packages?after=zzz:ab":            "",
	} {
		if got, next := names(target); strings.Join(got, " ") != want || next != "" {
			t.Errorf("%s: %v, next %q", target, got, next)
		}
	}
	first, next := names("/api/v1/packages?limit=3")
	second, end := names("/api/v1/packages?limit=3&after=" + next)
	if len(first) != 3 || !slices.Equal(second, []string{"b"}) || end != "" {
		t.Errorf("pages %v, %v", first, second)
	}
	for _, limit := range []string{"0", "-1", "1001", "x"} {
		w.want(400, "GET", "/api/v1/packages?limit="+limit, "", "")
	}

	var p Package
	w.get("/api/v1/package?purl=pkg:npm/abc", "", &p)
	if p.Purl != "pkg:npm/abc" || p.Repository != "admin/packages" || p.Visibility != policy.Public || len(p.Versions) != 2 ||
		p.Versions[0].Publisher != "admin" || p.Versions[0].Files[0].Size != int64(len("abc 1.0.0")) || len(p.Versions[0].Files[0].SHA256) != 64 {
		t.Errorf("%+v", p)
	}
	w.get("/api/v1/package?purl=pkg:npm/abc@1.1.0", "", &p)
	if len(p.Versions) != 1 {
		t.Errorf("%+v", p)
	}
	w.want(404, "GET", "/api/v1/package?purl=pkg:npm/abc@9.9.9", "", "")
	w.want(404, "GET", "/api/v1/package?purl=pkg:npm/none", "", "")
	w.want(400, "GET", "/api/v1/package?purl=pkg:maven/a/b", "", "")
	w.want(400, "GET", "/api/v1/package?purl=abc", "", "")
}

func TestDelete(t *testing.T) {
	w := newWorld(t)
	w.publish("tool", "1.0.0", w.admin)
	w.publish("tool", "1.1.0", w.admin)
	const both, one = "/api/v1/package?purl=pkg:npm/tool", "/api/v1/package?purl=pkg:npm/tool@1.0.0"
	w.want(403, "DELETE", one, w.bob, "")
	w.want(400, "DELETE", one+"&dry_run=perhaps", w.admin, "")
	changed := func(method, target string) (c Changed) {
		w.must(json.Unmarshal([]byte(w.want(200, method, target, w.admin, "")), &c))
		return c
	}
	versions := func() int {
		var p Package
		w.get(both, "", &p)
		return len(p.Versions)
	}
	dry := changed("DELETE", one+"&dry_run=true")
	if !dry.DryRun || !slices.Equal(dry.Versions, []string{"1.0.0"}) || dry.Package || versions() != 2 {
		t.Errorf("dry: %+v", dry)
	}
	if c := changed("DELETE", one); !slices.Equal(c.Versions, dry.Versions) || c.DryRun || versions() != 1 {
		t.Errorf("%+v", c)
	}
	w.want(404, "DELETE", one, w.admin, "")
	if c := changed("DELETE", both); !slices.Equal(c.Versions, []string{"1.1.0"}) || !c.Package {
		t.Errorf("%+v", c)
	}
	w.want(404, "GET", both, w.admin, "")
	w.want(404, "DELETE", both, w.admin, "")
	w.want(404, "DELETE", "/api/v1/package?purl=pkg:npm/none", w.admin, "")
}

// shelf is a hosted package in memory whose versions can be brought back.
type shelf struct {
	formattest.Refusing
	pkg      formats.Package
	releases []*formats.Release
	saved    int
	now      time.Time
}

func (s *shelf) Name() string           { return "npm" }
func (s *shelf) Format() formats.Format { return plainFormat{} }
func (s *shelf) Resource(context.Context, string, formats.Request) (policy.Resource, error) {
	return policy.Resource{}, nil
}
func (s *shelf) For(policy.Subject, string, string) formats.Registry { return s }

// Change keeps what fn did only if it returned nil.
func (s *shelf) Change(_ context.Context, _ formats.Change, fn func(formats.Tx) error) error {
	before, kept := s.pkg, []*formats.Release{}
	for _, r := range s.releases {
		one := *r
		kept = append(kept, &one)
	}
	before.Tags = maps.Clone(s.pkg.Tags)
	err := fn(shelfTx{s: s})
	if err != nil {
		s.pkg, s.releases = before, kept
	}
	return err
}

// shelfTx has neither links nor tags of their own: the API asks for none.
type shelfTx struct {
	formats.Linking
	formats.Tagging
	s *shelf
}

func (t shelfTx) Package() (*formats.Package, error) {
	p := t.s.pkg
	p.Tags = maps.Clone(p.Tags)
	return &p, nil
}

func (t shelfTx) Release(version string) (*formats.Release, error) {
	for _, r := range t.s.releases {
		if r.Version == version {
			return r, nil
		}
	}
	return nil, formats.ErrNoVersion
}

func (t shelfTx) Releases() iter.Seq2[*formats.Release, error] {
	return func(yield func(*formats.Release, error) bool) {
		for _, r := range t.s.releases {
			if !yield(r, nil) {
				return
			}
		}
	}
}

func (t shelfTx) Add(*formats.Release) error   { return formats.ErrUnsupported }
func (t shelfTx) Amend(*formats.Release) error { return formats.ErrUnsupported }

func (t shelfTx) Retract(version string) error {
	r, err := t.Release(version)
	if err == nil {
		r.Retracted = t.s.now
	}
	return err
}

func (t shelfTx) Restore(version string) error {
	r, err := t.Release(version)
	if err == nil {
		r.Retracted = time.Time{}
	}
	return err
}

func (t shelfTx) Save(p *formats.Package) error {
	t.s.pkg = *p
	t.s.saved++
	return nil
}

// ask sends one call to the API over a shelf.
func (s *shelf) ask(t *testing.T, w *world, method, target string) (int, Changed) {
	t.Helper()
	handlers, err := New(w.options(proxy.Mount(s), NewMetrics("x")))
	w.must(err)
	r := httptest.NewRequest(method, target, nil)
	r.Header.Set("Authorization", "Bearer "+w.admin)
	rec := httptest.NewRecorder()
	handlers["api"].ServeHTTP(rec, r)
	var c Changed
	w.must(json.Unmarshal(rec.Body.Bytes(), &c))
	return rec.Code, c
}

func TestTagsAreSettled(t *testing.T) {
	w := newWorld(t)
	s := &shelf{now: w.Now(), pkg: formats.Package{Name: "tool", Revision: 3, Tags: map[string]string{"latest": "2", "next": "2", "old": "1"}}}
	for i := range 3 {
		s.releases = append(s.releases, &formats.Release{Version: fmt.Sprint(i)})
	}
	if code, _ := s.ask(t, w, "DELETE", "/api/v1/package?purl=pkg:npm/tool@2"); code != 200 {
		t.Fatal(code)
	}
	if want := map[string]string{"latest": "1", "old": "1"}; !maps.Equal(s.pkg.Tags, want) {
		t.Errorf("tags %v", s.pkg.Tags)
	}
}

func TestRestore(t *testing.T) {
	w := newWorld(t)
	long := w.Now().Add(-time.Hour)
	s := &shelf{now: w.Now(), pkg: formats.Package{Name: "tool", Revision: 1, Tags: map[string]string{"latest": "2"}}}
	for i := range 3 {
		s.releases = append(s.releases, &formats.Release{Version: fmt.Sprint(i)})
	}
	s.releases[0].Retracted = long
	if _, c := s.ask(t, w, "DELETE", "/api/v1/package?purl=pkg:npm/tool"); !c.Package || s.pkg.Deleted.IsZero() || len(s.pkg.Tags) != 0 {
		t.Errorf("%+v %+v", c, s.pkg)
	}
	saved := s.saved
	if code, c := s.ask(t, w, "POST", "/api/v1/package/restore?purl=pkg:npm/tool&dry_run=true"); code != 200 || len(c.Versions) != 2 || s.saved != saved || s.pkg.Deleted.IsZero() {
		t.Errorf("dry: %d %+v", code, c)
	}
	// What went with the package comes back with it, what went before does not.
	_, c := s.ask(t, w, "POST", "/api/v1/package/restore?purl=pkg:npm/tool")
	if !slices.Equal(c.Versions, []string{"1", "2"}) || !c.Package || !s.pkg.Deleted.IsZero() || s.pkg.Tags["latest"] != "2" || s.releases[0].Retracted.IsZero() {
		t.Errorf("%+v %+v", c, s.pkg)
	}
	if _, c := s.ask(t, w, "POST", "/api/v1/package/restore?purl=pkg:npm/tool@0"); !slices.Equal(c.Versions, []string{"0"}) || c.Package {
		t.Errorf("%+v", c)
	}
	for _, purl := range []string{"pkg:npm/tool@0", "pkg:npm/tool", "pkg:npm/tool@7"} {
		if code, _ := s.ask(t, w, "POST", "/api/v1/package/restore?purl="+purl); code != 404 {
			t.Errorf("%s: %d", purl, code)
		}
	}
}

func TestExplain(t *testing.T) {
	w := newWorld(t)
	w.want(201, "POST", "/api/v1/users", w.admin, `{"name":"acme","org":true}`)
	w.want(201, "POST", "/api/v1/claims", w.admin, `{"id":"ours","formats":["npm"],"match":["@acme/**"],"repository":"acme/packages"}`)
	w.publish("tool", "1.0.0", w.admin)
	explain := func(purl, token string) (e Explanation) {
		w.get("/api/v1/policy/explain?purl="+purl, token, &e)
		return e
	}
	e := explain("pkg:npm/tool", w.bob)
	if e.Source != "hosted" || e.Repository != "admin/packages" || !e.Read.Allowed || e.Publish.Allowed || e.Publish.Reason == "" || e.Caller != "bob" {
		t.Errorf("hosted: %+v", e)
	}
	if e = explain("pkg:npm/@acme/widget", w.admin); e.Source != "claimed" || e.Claim != "ours" || !e.Read.Allowed || !e.Publish.Allowed {
		t.Errorf("claimed: %+v", e)
	}
	if e = explain("pkg:npm/left", w.admin); e.Source != "upstream" || !slices.Equal(e.Upstreams, []string{"far"}) || !strings.Contains(e.Publish.Reason, "unless an upstream has the name") {
		t.Errorf("upstream: %+v", e)
	}
	w.want(200, "DELETE", "/api/v1/package?purl=pkg:npm/tool", w.admin, "")
	if e = explain("pkg:npm/tool", w.admin); e.Source != "deleted" || e.Repository != "admin/packages" || e.Upstreams != nil {
		t.Errorf("deleted: %+v", e)
	}
	// Whoever may not read a name learns nothing of it.
	w.publish("@acme%2fwidget", "1.0.0", w.admin)
	one, other := explain("pkg:npm/@acme/widget", w.bob), explain("pkg:npm/@acme/nothing", w.bob)
	other.Purl = one.Purl
	one.Publish.Reason = strings.ReplaceAll(one.Publish.Reason, "widget", "nothing")
	if fmt.Sprint(one) != fmt.Sprint(other) || one.Read.Allowed || one.Repository != "" || one.Claim != "" || one.Source != "" {
		t.Errorf("hidden  %+v\nmissing %+v", one, other)
	}
	w.want(400, "GET", "/api/v1/policy/explain?purl=pkg:npm/x&registry=other", w.admin, "")
	w.want(400, "GET", "/api/v1/policy/explain", w.admin, "")
}

// The rules are told to those who may read the name, and to nobody else.
func TestExplainTellsRules(t *testing.T) {
	w := newWorld(t)
	w.want(201, "POST", "/api/v1/users", w.admin, `{"name":"acme","org":true}`)
	opt := w.options(&shelf{}, NewMetrics("x"))
	opt.Registries[0].Explain = func(_ context.Context, pkg, version string) (*registry.Explanation, error) {
		e := &registry.Explanation{Newest: "1.3.0", Held: version != "", Findings: []rules.Finding{{Rule: "cool", Verdict: rules.Refuse, Reason: pkg + " is young"}}}
		if version == "1.4.0" {
			e.Refused, e.Reason = true, pkg+" is young. Newest allowed: 1.3.0"
		}
		return e, nil
	}
	handlers, err := New(opt)
	w.must(err)
	ask := func(purl string) (e Explanation) {
		rec := httptest.NewRecorder()
		handlers["api"].ServeHTTP(rec, httptest.NewRequest("GET", "/api/v1/policy/explain?purl="+purl, nil))
		w.must(json.Unmarshal(rec.Body.Bytes(), &e))
		return e
	}
	e := ask("pkg:npm/left@1.4.0")
	if e.Version == nil || e.Version.Allowed || e.Version.Reason != "left is young. Newest allowed: 1.3.0" || e.Newest != "1.3.0" || len(e.Rules) != 1 {
		t.Errorf("%+v", e)
	}
	if e = ask("pkg:npm/left@1.3.0"); e.Version == nil || !e.Version.Allowed {
		t.Errorf("%+v", e)
	}
	if e = ask("pkg:npm/left"); e.Version != nil || len(e.Rules) != 1 {
		t.Errorf("%+v", e)
	}
}

// A name that begins with that of a mirror, as clients write it, is the mirror's.
func TestExplainByTheNameOfAMirror(t *testing.T) {
	w := newWorld(t)
	opt := w.options(w.mount, NewMetrics("x"))
	var asked []string
	opt.Registries = append(opt.Registries, Registry{
		Mount: namedMount{w.mount, "mirror/up"}, Upstreams: []string{"up"},
		Explain: func(_ context.Context, pkg, version string) (*registry.Explanation, error) {
			asked = append(asked, pkg+"@"+version)
			return &registry.Explanation{}, nil
		},
	})
	handlers, err := New(opt)
	w.must(err)
	for name, want := range map[string]string{"mirror/up/base": "mirror/up", "mirror/up": "npm", "mirror/upper/base": "npm"} {
		rec := httptest.NewRecorder()
		handlers["api"].ServeHTTP(rec, httptest.NewRequest("GET", "/api/v1/policy/explain?purl=pkg:npm/"+name+"@1", nil))
		var e Explanation
		w.must(json.Unmarshal(rec.Body.Bytes(), &e))
		if e.Registry != want || want != "npm" && (e.Source != "upstream" || e.Publish.Allowed || e.Purl != "pkg:npm/mirror/up/base@1") {
			t.Errorf("%s: %+v", name, e)
		}
	}
	if !slices.Equal(asked, []string{"base@1"}) {
		t.Errorf("the mirror was asked about %q", asked)
	}
}

func TestExplainOfAMirror(t *testing.T) {
	w := newWorld(t)
	s := &shelf{}
	opt := w.options(s, NewMetrics("x"))
	opt.Registries[0].Hosted, opt.Registries[0].Upstreams = false, nil
	handlers, err := New(opt)
	w.must(err)
	rec := httptest.NewRecorder()
	handlers["api"].ServeHTTP(rec, httptest.NewRequest("GET", "/api/v1/policy/explain?purl=pkg:npm/x", nil))
	var e Explanation
	w.must(json.Unmarshal(rec.Body.Bytes(), &e))
	if e.Source != "none" || e.Publish.Allowed || e.Publish.Reason == "" {
		t.Errorf("%+v", e)
	}
}
