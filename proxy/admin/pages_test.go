package admin

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"larder/policy"
	"larder/policy/audit"
	"larder/policy/rules"
)

// Every page is in the table, names an action, and is asked for below.
func TestEveryPageHasAnAction(t *testing.T) {
	w := newWorld(t)
	_, code, err := w.accounts.Pairing().Begin(t.Context(), netipOf("192.0.2.1"))
	w.must(err)
	paths := map[string]string{
		"GET /ui": "/ui", "GET /ui/{$}": "/ui/", "GET /ui/style.css": "/ui/style.css", "GET /ui/login/{code}": "/ui/login/" + code,
		"POST /ui/login/{code}": "/ui/login/" + code, "GET /ui/why/{id}": "/ui/why/" + w.decision(audit.Record{}),
	}
	for _, p := range pageRoutes() {
		name := p.method + " " + p.pattern
		path, ok := paths[name]
		if !ok || p.action != policy.Open || p.serve == nil || !strings.HasPrefix(p.pattern, "/ui") {
			t.Errorf("%s: action %q, and nobody said how it is asked for", name, p.action)
		}
		if rec := w.do(p.method, path, "", ""); rec.Code == 404 || rec.Code == 405 {
			t.Errorf("%s: %d", name, rec.Code)
		}
		if rec := w.do("PATCH", path, "", ""); rec.Code != 405 {
			t.Errorf("PATCH %s: %d", path, rec.Code)
		}
		delete(paths, name)
	}
	if len(paths) != 0 {
		t.Errorf("no pages: %v", paths)
	}
}

func TestPageWithoutAnActionIsShut(t *testing.T) {
	w := newWorld(t)
	h := newPages(newAPI(w.options(nil, NewMetrics("x"))), []page{{"GET", "/ui/x", "", func(*pages, *call) error {
		t.Error("it is open")
		return nil
	}}})
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, httptest.NewRequest("GET", "/ui/x", nil))
	if rec.Code != 500 {
		t.Errorf("%d", rec.Code)
	}
}

// Pages of every kind are fenced in as policy.md section 11 says, and ask only
// for what that lets them have.
func TestPageHeaders(t *testing.T) {
	w := newWorld(t)
	for _, path := range []string{"/ui", "/ui/", "/ui/login/x", "/ui/nothing", "/ui/why/none", "/ui/why/" + w.decision(audit.Record{}), "/ui/a/b/c"} {
		rec := w.do("GET", path, "", "", "Accept: text/html,application/xhtml+xml,*/*;q=0.8")
		for key, want := range map[string]string{
			"Content-Security-Policy": "default-src 'none'; style-src 'self'; img-src 'self' data:; script-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
			"X-Content-Type-Options":  "nosniff", "Referrer-Policy": "no-referrer", "X-Frame-Options": "DENY", "Cache-Control": "no-store",
			"Content-Type": "text/html; charset=utf-8", "Cross-Origin-Opener-Policy": "same-origin",
		} {
			if got := rec.Header().Get(key); got != want {
				t.Errorf("%s: %s %q, want %q", path, key, got, want)
			}
		}
		body := rec.Body.String()
		if regexp.MustCompile(`<script|<style|style=|src=|\son[a-z]+=`).MatchString(body) {
			t.Errorf("%s asks for what its policy refuses: %s", path, body)
		}
		sheet := regexp.MustCompile(`<link rel="stylesheet" href="([^"]*)">`).FindStringSubmatch(body)
		if len(sheet) != 2 {
			t.Fatalf("%s has no style sheet: %s", path, body)
		}
		from, err := url.Parse("http://larder.example" + path)
		w.must(err)
		to, err := from.Parse(sheet[1])
		w.must(err)
		if css := w.do("GET", to.Path, "", ""); css.Code != 200 || css.Header().Get("Content-Type") != "text/css; charset=utf-8" {
			t.Errorf("%s leads to %s: %d %v", path, to.Path, css.Code, css.Header())
		}
	}
}

// decision records a refusal, filled up where r leaves things out.
func (w *world) decision(r audit.Record) string {
	w.t.Helper()
	r.Actor = audit.Actor{ID: "bob", Kind: audit.User, TokenID: "secret-token"}
	if r.Status == 0 {
		r.Status = http.StatusForbidden
	}
	r.Action = string(policy.Read)
	id, err := w.audit.Refused(w.t.Context(), r)
	w.must(err)
	return id
}

func young() audit.Record {
	return audit.Record{
		Resource: audit.Resource{Format: "npm", Package: "@acme/left-pad", Version: "1.4.0"},
		Reason:   audit.Reason{RuleID: "cool", Sentence: "@acme/left-pad 1.4.0 is 2 h old; this registry waits 7 d"},
		After:    audit.State{"opens": "2026-03-08T10:00:00Z", "newest": "1.3.0"},
	}
}

func TestWhyPage(t *testing.T) {
	w := newWorld(t)
	id := w.decision(young())
	rec := w.do("GET", "/ui/why/"+id, "", "", "Accept: text/html")
	text := rec.Body.String()
	for _, want := range []string{
		"<h1>Why @acme/left-pad 1.4.0 was refused</h1>", "is 2 h old; this registry waits 7 d", "<code>pkg:npm/%40acme/left-pad@1.4.0</code>, to read",
		"403 Forbidden", "<code>cool</code>, of the kind cooldown", `<time datetime="2026-03-01T12:00:00Z">2026-03-01 12:00 UTC</time>`,
		`<time datetime="2026-03-08T10:00:00Z">`, "<dd>1.3.0</dd>", "administrator", id,
		"larder policy waive cool pkg:npm/%40acme/left-pad@1.4.0 --until 7d --why WHY",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	for _, secret := range []string{"bob", "192.0.2.1", "secret-token", "that is over"} {
		if strings.Contains(text, secret) {
			t.Errorf("%q is told", secret)
		}
	}
	w.Advance(7 * 24 * time.Hour)
	if text := w.do("GET", "/ui/why/"+id, "", "").Body.String(); !strings.Contains(text, "that is over, try again") {
		t.Errorf("when it has opened: %s", text)
	}
	if head := w.do("HEAD", "/ui/why/"+id, "", ""); head.Code != 200 || head.Body.Len() != 0 {
		t.Errorf("HEAD: %d %s", head.Code, head.Body)
	}
}

// Programs get the same facts, from the page and from the API.
func TestWhyForPrograms(t *testing.T) {
	w := newWorld(t)
	id := w.decision(young())
	rec := w.do("GET", "/ui/why/"+id, "", "", "Accept: application/json")
	api := w.want(200, "GET", "/api/v1/decisions/"+id, "", "")
	if rec.Body.String() != api || rec.Header().Get("Content-Type") != "application/json" {
		t.Errorf("%s, and the API says %s", rec.Body, api)
	}
	var r Refusal
	w.must(json.Unmarshal([]byte(api), &r))
	want := &Remedy{
		Kind: "cooldown", Who: "an administrator of this server, with a token of the scope admin:instance",
		Command: "larder policy waive cool pkg:npm/%40acme/left-pad@1.4.0 --until 7d --why WHY",
	}
	if r.Newest != "1.3.0" || !r.Opens.Equal(time.Date(2026, 3, 8, 10, 0, 0, 0, time.UTC)) || !reflect.DeepEqual(r.Remedy, want) {
		t.Errorf("%+v %+v", r, r.Remedy)
	}
	if rec := w.do("GET", "/ui/why/none", "", "", "Accept: text/html"); rec.Code != 404 || !strings.Contains(rec.Body.String(), "<h1>Not Found</h1>") {
		t.Errorf("%d %s", rec.Code, rec.Body)
	}
	w.want(404, "GET", "/ui/why/none", "", "")
}

func TestRemedies(t *testing.T) {
	w := newWorld(t)
	w.must(w.rules.Use([]rules.Rule{{ID: "cool", Kind: rules.Cooldown, MinAge: time.Hour}}, nil))
	for _, tt := range []struct{ rule, pkg, version, command, note string }{
		{"cool", "left", "", "larder policy waive cool pkg:npm/left --until 7d --why WHY", ""},
		{"cool", "$HOME;x", "1.0.0", "larder policy waive cool 'pkg:npm/$HOME%3Bx@1.0.0' --until 7d --why WHY", ""},
		{"cool", "a'b", "1.0.0", "larder policy waive cool pkg:npm/a%27b@1.0.0 --until 7d --why WHY", ""},
		{"cool", "left", "*", "", ""},
		{"cool", "left", ">=1.0.0", "", ""},
		{"cool", "@*/**", "1.0.0", "", ""},
		{"gone", "left", "1.0.0", "", "not in force any more"},
		{"origin", "a'b", "", `larder claim add npm 'a'\''b' OWNER/REPOSITORY`, "cannot be waived"},
		{"pin", "left", "1.0.0", "", "cannot be waived"},
	} {
		id := w.decision(audit.Record{Resource: audit.Resource{Format: "npm", Package: tt.pkg, Version: tt.version}, Reason: audit.Reason{RuleID: tt.rule, Sentence: "no"}})
		var r Refusal
		w.get("/api/v1/decisions/"+id, "", &r)
		if r.Remedy == nil || r.Remedy.Command != tt.command || !strings.Contains(r.Remedy.Note, tt.note) {
			t.Errorf("%+v: %+v", tt, r.Remedy)
		}
	}
}

var anyTag = regexp.MustCompile(`<[^>]*>`)

// Whatever a name, a version, a rule or a reason holds, a page has the tags of
// its template and no others.
func TestWhyPageWithHostileTexts(t *testing.T) {
	w := newWorld(t)
	tags := func(payload string) []string {
		r := young()
		r.Resource.Package, r.Resource.Version, r.Resource.File, r.Resource.ID = payload, payload, payload, payload
		r.Reason.RuleID, r.Reason.Sentence, r.Reason.Scope = payload, payload, payload
		r.After["newest"] = payload
		rec := w.do("GET", "/ui/why/"+w.decision(r), "", "", "Accept: text/html")
		if rec.Code != 200 {
			t.Fatalf("%q: %d %s", payload, rec.Code, rec.Body)
		}
		return anyTag.FindAllString(rec.Body.String(), -1)
	}
	want := tags("harmless")
	for _, payload := range []string{
		`<script>alert(1)</script>`, `"><img src=x onerror=alert(1)>`, `'><svg/onload=alert(1)>`, `</title><script>alert(1)</script>`,
		`</code></pre><iframe src=javascript:alert(1)>`, `{{.ID}}`, `{{template "time" .Since}}`, `javascript:alert(1)`, `<!--`, `-->`, `]]>`,
		`&lt;script&gt;`, "\u202ecod\u202c<b>", `<a href="https://evil.example">here</a>`, `<meta http-equiv=refresh content="0;url=//evil.example">`,
		`<base href=//evil.example>`, `<link rel=stylesheet href=//evil.example>`, `<form action=//evil.example><input name=token>`,
		"<\x00script>", "\xff\xfe<script>", `<style>*{display:none}</style>`, "`${alert(1)}`", `<math><mtext></p><style><img src onerror=alert(1)>`,
	} {
		if got := tags(payload); !slices.Equal(got, want) {
			t.Errorf("%q: tags %q, want %q", payload, got, want)
		}
	}
	// The test can fail: a page that let one of them through has another tag.
	if got := anyTag.FindAllString("<p><script>x</script></p>", -1); slices.Equal(got, []string{"<p>", "</p>"}) {
		t.Error("the tags are not seen")
	}
	rec := w.do("GET", "/ui/<script>alert(1)<%2fscript>", "", "", "Accept: text/html")
	if strings.Contains(rec.Body.String(), "<script") {
		t.Errorf("a page that is not there: %s", rec.Body)
	}
}

// What a waiver lifted is not asked for again by the page.
func TestWhyPageOfARuleThatIsGone(t *testing.T) {
	w := newWorld(t)
	id := w.decision(young())
	w.must(w.rules.Use(nil, nil))
	text := w.do("GET", "/ui/why/"+id, "", "").Body.String()
	if !strings.Contains(text, "not in force any more") || strings.Contains(text, "policy waive") {
		t.Errorf("%s", text)
	}
	if _, ok := w.rules.Rule("cool"); ok {
		t.Error("the rule is there")
	}
}
