package admin

import (
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"regexp"
	"strings"
	"testing"
	"time"

	"larder/policy"
)

func netipOf(s string) netip.Addr { return netip.MustParseAddr(s) }

// A route without an action is no route.
func TestEveryRouteHasAnAction(t *testing.T) {
	known := map[policy.Action]bool{
		policy.Self: true, policy.Read: true, policy.Delete: true, policy.Restore: true,
		policy.Settings: true, policy.Organize: true, policy.Administer: true,
	}
	seen := map[string]bool{}
	for _, r := range apiRoutes() {
		name := r.method + " " + r.pattern
		if r.action == policy.Open && (r.pattern == "/api/v1/decisions/{id}" || r.pattern == "/api/v1/openapi.json") {
			continue // its id is the key; the same for everybody
		}
		if !known[r.action] || r.operation.serve == nil || !strings.HasPrefix(r.pattern, "/api/v1/") || seen[name] {
			t.Errorf("%s: action %q", name, r.action)
		}
		seen[name] = true
		if r.method == http.MethodGet && r.action != policy.Read && r.action != policy.Self && r.action != policy.Administer {
			t.Errorf("%s changes nothing and asks for %s", name, r.action)
		}
	}
}

func TestRouteWithoutAnActionIsShut(t *testing.T) {
	w := newWorld(t)
	a := newAPI(w.options(nil, NewMetrics("x")))
	if _, err := newRouter(a, []route{{"GET", "/api/v1/whoami", "", handler((*call).whoami), "x", nil}}); err == nil {
		t.Error("the table takes it")
	}
	if err := (&call{api: a, caller: policy.Subject{User: "admin", Admin: true}}).gate(""); !errors.Is(err, errNoAction) {
		t.Errorf("the gate: %v", err)
	}
}

// Each route refuses those who may not, before it looks at what they sent.
func TestGate(t *testing.T) {
	w := newWorld(t)
	variable := regexp.MustCompile(`{[a-z]+}`)
	for _, r := range apiRoutes() {
		path := variable.ReplaceAllString(r.pattern, "admin")
		w.Advance(time.Minute) // failed sign-ins are slowed down
		if r.action != policy.Read && r.action != policy.Open {
			w.want(401, r.method, path, "", "")
		}
		w.want(401, r.method, path, "ldrp_wrong", "")
		if r.action == policy.Administer {
			w.want(403, r.method, path, w.bob, "{}")
			w.want(403, r.method, path, w.token("admin", `["read:packages"]`), "{}")
		}
	}
	rec := w.do("POST", "/api/v1/gc", w.bob, "")
	if !strings.Contains(rec.Body.String(), "admin:instance") {
		t.Errorf("the missing scope is not named: %s", rec.Body)
	}
	if h := rec.Header(); h.Get("X-Accepted-OAuth-Scopes") != "admin:instance" || h.Get("X-OAuth-Scopes") != "read:packages, write:packages" {
		t.Errorf("scopes held and needed: %v", h)
	}
}

// TestThreat06ContainerTokensMakeNoCall: a token of the token service is none of
// the API's, even that of an administrator, and confirms nobody's login.
func TestThreat06ContainerTokensMakeNoCall(t *testing.T) {
	w := newWorld(t)
	admin, err := w.directory.Authenticate(t.Context(), w.admin, netipOf("192.0.2.1"))
	w.must(err)
	made, err := w.directory.MintBearer(t.Context(), admin, []policy.Grant{{Format: "oci", Actions: []policy.Action{policy.Open}}})
	w.must(err)
	variable := regexp.MustCompile(`{[a-z]+}`)
	for _, r := range apiRoutes() {
		if r.action != policy.Open {
			w.want(401, r.method, variable.ReplaceAllString(r.pattern, "admin"), made.Secret, "")
		}
	}
	id, code, err := w.accounts.Pairing().Begin(t.Context(), netipOf("192.0.2.1"))
	w.must(err)
	rec := w.do("POST", "/ui/login/"+code, "", "token="+made.Secret, "Content-Type: application/x-www-form-urlencoded")
	if _, ok, err := w.accounts.Pairing().Take(t.Context(), id); rec.Code != 401 || ok || err != nil {
		t.Errorf("confirmed: %d, taken %v, %v", rec.Code, ok, err)
	}
}

func TestNoSuchCall(t *testing.T) {
	w := newWorld(t)
	for _, path := range []string{"/api", "/api/v1", "/api/v2/users", "/api/v1/users/a/b/c", "/ui/nothing"} {
		w.want(404, "GET", path, w.admin, "")
	}
	rec := w.do("PUT", "/api/v1/tokens", w.admin, "")
	if rec.Code != 405 || rec.Header().Get("Allow") != "GET, HEAD, OPTIONS, POST" {
		t.Errorf("%d %v", rec.Code, rec.Header())
	}
	if rec := w.do("GET", "/api/v1/whoami", "", ""); rec.Header().Get("WWW-Authenticate") == "" {
		t.Errorf("no challenge: %v", rec.Header())
	}
	head := w.do("HEAD", "/api/v1/whoami", w.admin, "")
	if head.Code != 200 || head.Body.Len() != 0 || head.Header().Get("Content-Length") == "0" {
		t.Errorf("HEAD: %d %v", head.Code, head.Header())
	}
}

func TestThrottling(t *testing.T) {
	w := newWorld(t)
	for i := range 1000 {
		bad := fmt.Sprintf("ldrp_%036d", i)
		if rec := w.do("GET", "/api/v1/whoami", bad, ""); rec.Code == 429 {
			if rec.Header().Get("Retry-After") == "" {
				t.Error("nobody says for how long to wait")
			}
			w.want(200, "GET", "/api/v1/whoami", w.admin, "") // a good token passes
			return
		}
	}
	t.Error("a thousand guesses, and no end")
}

func TestBodies(t *testing.T) {
	w := newWorld(t)
	const target = "/api/v1/users"
	for body, status := range map[string]int{
		`{"name":"x1","nmae":"y"}`: 400,
		`{"name":1}`:               400,
		`{"name":"x2"} {}`:         400,
		`{"name":`:                 400,
		`{"name":"x3","x":"` + strings.Repeat("a", maxBody) + `"}`: 413,
		`{"name":"bob"}`:        409,
		`{"name":"Not A Name"}`: 400,
		`{}`:                    400,
	} {
		w.want(status, "POST", target, w.admin, body)
	}
	if rec := w.do("POST", target, w.admin, "name=x", "Content-Type: application/x-www-form-urlencoded"); rec.Code != 415 {
		t.Errorf("a form: %d", rec.Code)
	}
	if rec := w.do("POST", target, w.admin, `{"name":"x4"}`, "Content-Encoding: gzip"); rec.Code != 415 {
		t.Errorf("an encoded body: %d", rec.Code)
	}
	if rec := w.do("POST", target, w.admin, "", "Content-Type: application/json"); rec.Code != 400 {
		t.Errorf("no body: %d", rec.Code)
	}
	text := w.want(400, "POST", target, w.admin, `{"name":1}`)
	if !strings.Contains(text, "name") || strings.Contains(text, "Go ") || strings.Contains(text, "NewAccount") {
		t.Errorf("the sentence: %s", text)
	}
}

// Each path tells its methods, without a credential, and nothing else.
func TestOptions(t *testing.T) {
	w := newWorld(t)
	for _, r := range apiRoutes() {
		rec := w.do("OPTIONS", pathName.ReplaceAllString(r.pattern, "x"), "", "")
		if rec.Code != 204 || !strings.Contains(rec.Header().Get("Allow"), r.method) || !strings.Contains(rec.Header().Get("Allow"), "OPTIONS") {
			t.Errorf("%s: %d %v", r.pattern, rec.Code, rec.Header())
		}
	}
}

func TestLinkLeadsToTheNextPage(t *testing.T) {
	w := newWorld(t)
	rec := w.do("GET", "/api/v1/users?limit=1", w.admin, "")
	if link := rec.Header().Get("Link"); link != `<http://example.com/api/v1/users?after=admin&limit=1>; rel="next"` {
		t.Errorf("%q", link)
	}
	if last := w.do("GET", "/api/v1/users?limit=1&after=admin", w.admin, ""); last.Header().Get("Link") != "" {
		t.Errorf("of the last page: %v", last.Header())
	}
}

// What a caller mistypes is named, and what was meant.
func TestUnknownParameters(t *testing.T) {
	w := newWorld(t)
	for query, words := range map[string]string{
		"limt=3":          "did you mean limit?",
		"colour=red":      "use limit, after",
		"limit=1&limit=2": "is there 2 times",
		"limit=":          "is no whole number",
		"limit=1001":      "cannot be above 1000",
		"limit=%zz":       "the query cannot be read",
		"limit=1;after=a": "the query cannot be read",
	} {
		if text := w.want(400, "GET", "/api/v1/users?"+query, w.admin, ""); !strings.Contains(text, words) {
			t.Errorf("%s: %s", query, text)
		}
	}
	if text := w.want(400, "GET", "/api/v1/whoami?x=1", w.admin, ""); !strings.Contains(text, "takes none") {
		t.Errorf("%s", text)
	}
}
