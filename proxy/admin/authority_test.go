package admin

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// cast are the callers of the matrix below, in its order. The organization acme
// has the private repository acme/tools.
func cast() []string {
	return []string{
		"nobody", "outsider", "member", "reader", "writer", "repoadmin", "owner", "owner without admin:org",
		"admin", "admin, read:packages only", "admin without admin:instance", "admin limited to bob",
	}
}

// authority is who may make a call. N in path and body is the caller's number,
// so that each has a thing of his own; TOKEN is the id of one of his tokens.
type authority struct {
	method, path, body string
	may                []string
}

func authorities() []authority {
	everybody := cast()
	known := everybody[1:]
	readers := []string{"reader", "writer", "repoadmin", "owner", "owner without admin:org", "admin", "admin, read:packages only", "admin without admin:instance"}
	admins := []string{"repoadmin", "owner", "owner without admin:org", "admin", "admin without admin:instance"}
	owners := []string{"owner", "admin", "admin without admin:instance"}
	// Of a package with grants of its own the admins of its repository are none.
	keepers := []string{"owner", "owner without admin:org", "admin", "admin without admin:instance"}
	server := []string{"admin"}
	inside := []string{"member", "owner", "owner without admin:org", "admin", "admin, read:packages only", "admin without admin:instance"}
	return []authority{
		{"GET", "/api/v1/openapi.json", "", everybody},
		{"GET", "/api/v1/whoami", "", known},
		{"GET", "/api/v1/users", "", server},
		{"POST", "/api/v1/users", `{"name":"newN"}`, server},
		{"GET", "/api/v1/users/uN", "", known},
		{"POST", "/api/v1/users/uN/suspend", "", server},
		{"POST", "/api/v1/users/uN/resume", "", server},
		{"PATCH", "/api/v1/orgs/acme", `{"base_role":"none"}`, owners},
		{"PUT", "/api/v1/orgs/acme/members/uN", `{"role":"member"}`, owners},
		{"DELETE", "/api/v1/orgs/acme/members/uN", "", owners},
		{"GET", "/api/v1/orgs/acme/members", "", inside},
		{"GET", "/api/v1/orgs/acme/teams", "", inside},
		{"GET", "/api/v1/orgs/acme/teams/tN", "", inside},
		{"GET", "/api/v1/orgs/acme/teams/tN/members", "", inside},
		{"PUT", "/api/v1/orgs/acme/teams/tN/members/mN", "", owners},
		{"DELETE", "/api/v1/orgs/acme/teams/tN/members/mN", "", owners},
		{"PUT", "/api/v1/repos/acme/tools/teams/tN", `{"role":"admin"}`, admins},
		{"DELETE", "/api/v1/repos/acme/tools/teams/tN", "", admins},
		{"PUT", "/api/v1/orgs/acme/teams/newN", "", owners},
		{"DELETE", "/api/v1/orgs/acme/teams/tN", "", owners},
		{"GET", "/api/v1/repos/acme/tools/grants", "", admins},
		{"GET", "/api/v1/repos", "", everybody},
		{"POST", "/api/v1/repos", `{"name":"acme/newN"}`, keepers},
		{"GET", "/api/v1/repos/acme/tools", "", readers},
		{"PATCH", "/api/v1/repos/acme/tools", `{"visibility":"private"}`, admins},
		{"PUT", "/api/v1/repos/acme/tools/grants/uN", `{"role":"admin"}`, admins},
		{"DELETE", "/api/v1/repos/acme/tools/grants/uN", "", admins},
		{"GET", "/api/v1/claims", "", server},
		{"POST", "/api/v1/claims", `{"id":"newN","match":["xN"],"repository":"acme/tools"}`, server},
		{"DELETE", "/api/v1/claims/cN", "", server},
		{"GET", "/api/v1/tokens", "", known},
		{"POST", "/api/v1/tokens", `{"scopes":["read:packages"]}`, known},
		{"DELETE", "/api/v1/tokens/TOKEN", "", known},
		{"GET", "/api/v1/packages", "", everybody},
		{"GET", "/api/v1/used", "", everybody},
		{"GET", "/api/v1/package?purl=pkg:npm/pN", "", readers},
		{"DELETE", "/api/v1/package?purl=pkg:npm/pN", "", admins},
		{"POST", "/api/v1/package/restore?purl=pkg:npm/qN", "", admins},
		{"PUT", "/api/v1/package/visibility?purl=pkg:npm/rN", `{"visibility":"private"}`, admins},
		{"GET", "/api/v1/package/grants?purl=pkg:npm/rN", "", admins},
		{"PUT", "/api/v1/package/repository?purl=pkg:npm/rN", `{"repository":"acme/tools"}`, admins},
		{"PUT", "/api/v1/package/grants/users/mN?purl=pkg:npm/sN", `{"role":"read"}`, keepers},
		{"DELETE", "/api/v1/package/grants/users/mN?purl=pkg:npm/sN", "", keepers},
		{"PUT", "/api/v1/package/grants/teams/kept?purl=pkg:npm/sN", `{"role":"read"}`, keepers},
		{"DELETE", "/api/v1/package/grants/teams/kept?purl=pkg:npm/sN", "", keepers},
		{"GET", "/api/v1/policy/explain?purl=pkg:npm/pN", "", everybody},
		{"GET", "/api/v1/policy/rules", "", server},
		{"GET", "/api/v1/policy/waivers", "", server},
		{"POST", "/api/v1/policy/waivers", `{"rule":"cool","match":["pkg:npm/pN"],"until":"2026-03-08T00:00:00Z","why":"so"}`, server},
		{"DELETE", "/api/v1/policy/waivers/WAIVER", "", server},
		{"POST", "/api/v1/policy/approve", `{"purls":["pkg:npm/pN@1.0.0"]}`, server},
		{"POST", "/api/v1/policy/origin/reset?purl=pkg:npm/oN", "", server},
		{"GET", "/api/v1/decisions/REFUSED", "", everybody},
		{"GET", "/api/v1/audit", "", server},
		{"POST", "/api/v1/audit/verify", "", server},
		{"GET", "/api/v1/upstreams", "", server},
		{"POST", "/api/v1/gc", "", server},
		{"POST", "/api/v1/verify", "", server},
		{"POST", "/api/v1/reload", "", server},
	}
}

// TestAuthority asks every call of everybody. A route without a row fails it.
func TestAuthority(t *testing.T) {
	w := newWorld(t)
	tokens := w.people()
	covered := map[string]bool{}
	for _, row := range authorities() {
		path, _, _ := strings.Cut(row.path, "?")
		for _, r := range apiRoutes() {
			if r.method == row.method && fits(r.pattern, path) {
				covered[r.method+" "+r.pattern] = true
			}
		}
		for n, who := range cast() {
			w.tries(row, n, who, tokens[who])
		}
	}
	for _, r := range apiRoutes() {
		if !covered[r.method+" "+r.pattern] {
			t.Errorf("%s %s: nobody said who may", r.method, r.pattern)
		}
	}
}

// fits reports whether a path is one of a route's.
func fits(pattern, path string) bool {
	want, got := strings.Split(pattern, "/"), strings.Split(path, "/")
	return len(want) == len(got) && !slices.ContainsFunc(want, func(s string) bool {
		at := slices.Index(want, s)
		return !strings.HasPrefix(s, "{") && got[at] != s
	})
}

// tries makes one call. What may not be read is hidden; what may not be changed
// is refused.
func (w *world) tries(row authority, n int, who, token string) {
	w.t.Helper()
	path, body := w.filled(row, n, token)
	rec := w.do(row.method, path, token, body)
	refused := map[int]bool{http.StatusForbidden: true}
	switch {
	case who == "nobody":
		refused = map[int]bool{http.StatusUnauthorized: true}
	case row.method == http.MethodGet:
		refused = map[int]bool{http.StatusForbidden: true, http.StatusNotFound: true}
	}
	if may := slices.Contains(row.may, who); may != (rec.Code < 300) || !may && !refused[rec.Code] {
		w.t.Errorf("%s: %s %s: %d, may %v: %s", who, row.method, path, rec.Code, may, rec.Body)
	}
}

// filled is a call with a thing of the caller's own in it.
func (w *world) filled(row authority, n int, token string) (path, body string) {
	w.t.Helper()
	fill := strings.NewReplacer("N", fmt.Sprint(n))
	path, body = fill.Replace(strings.ReplaceAll(row.path, "TOKEN", "@")), fill.Replace(row.body)
	if strings.Contains(path, "@") {
		path = strings.ReplaceAll(path, "@", w.another(token))
	}
	if strings.Contains(path, "REFUSED") {
		id := w.do("POST", "/api/v1/gc", w.bob, "").Header().Get("X-Larder-Decision")
		path = strings.ReplaceAll(path, "REFUSED", id)
	}
	if strings.Contains(path, "WAIVER") {
		path = strings.ReplaceAll(path, "WAIVER", w.waived(fmt.Sprintf("pkg:npm/w%d", n)))
	}
	return path, body
}

// another makes a token with a token and returns its id.
func (w *world) another(token string) string {
	w.t.Helper()
	if token == "" {
		return "none"
	}
	var made MadeToken
	w.must(json.Unmarshal([]byte(w.want(201, "POST", "/api/v1/tokens", token, `{"scopes":["read:packages"]}`)), &made))
	return made.ID
}

// people makes the cast and all that it is asked about.
func (w *world) people() map[string]string {
	w.t.Helper()
	w.want(201, "POST", "/api/v1/users", w.admin, `{"name":"acme","org":true}`)
	w.want(201, "POST", "/api/v1/repos", w.admin, `{"name":"acme/tools"}`)
	const all = `["read:packages","write:packages","delete:packages","repo","admin:org","admin:instance"]`
	tokens := map[string]string{"nobody": "", "admin": w.admin}
	for _, name := range []string{"outsider", "member", "reader", "writer", "repoadmin", "owner"} {
		w.want(201, "POST", "/api/v1/users", w.admin, `{"name":"`+name+`"}`)
		tokens[name] = w.token(name, all)
	}
	w.want(204, "PATCH", "/api/v1/orgs/acme", w.admin, `{"base_role":"none"}`)
	for _, name := range []string{"member", "owner"} {
		w.want(204, "PUT", "/api/v1/orgs/acme/members/"+name, w.admin, `{"role":"`+name+`"}`)
	}
	for name, role := range map[string]string{"reader": "read", "writer": "write", "repoadmin": "admin"} {
		w.want(204, "PUT", "/api/v1/repos/acme/tools/grants/"+name, w.admin, `{"role":"`+role+`"}`)
	}
	tokens["owner without admin:org"] = w.token("owner", strings.ReplaceAll(all, `"admin:org",`, ""))
	tokens["admin, read:packages only"] = w.token("admin", `["read:packages"]`)
	tokens["admin without admin:instance"] = w.token("admin", strings.ReplaceAll(all, `,"admin:instance"`, ""))
	tokens["admin limited to bob"] = w.token("admin", all+`,"limits":{"owners":["bob"]}`)
	w.want(201, "PUT", "/api/v1/orgs/acme/teams/kept", w.admin, "")
	w.things(len(cast()))
	return tokens
}

// things makes what is asked about, so many of each.
func (w *world) things(count int) {
	w.t.Helper()
	for n := range count {
		w.want(201, "POST", "/api/v1/users", w.admin, fmt.Sprintf(`{"name":"u%d"}`, n))
		w.want(201, "POST", "/api/v1/users", w.admin, fmt.Sprintf(`{"name":"m%d"}`, n))
		w.want(204, "PUT", fmt.Sprintf("/api/v1/orgs/acme/members/m%d", n), w.admin, `{"role":"member"}`)
		w.want(201, "PUT", fmt.Sprintf("/api/v1/orgs/acme/teams/t%d", n), w.admin, "")
		w.want(201, "POST", "/api/v1/claims", w.admin, fmt.Sprintf(`{"id":"c%d","match":["y%d"],"repository":"acme/tools"}`, n, n))
		for _, name := range []string{"p", "q", "r", "s", "o"} {
			if rec := w.do("PUT", fmt.Sprintf("/r/acme/tools/npm/%s%d/1", name, n), w.admin, name); rec.Code != 201 {
				w.t.Fatalf("publish: %d %s", rec.Code, rec.Body)
			}
		}
		w.want(204, "PUT", fmt.Sprintf("/api/v1/package/repository?purl=pkg:npm/s%d", n), w.admin, `{"inherit_access":false}`)
		w.want(200, "DELETE", fmt.Sprintf("/api/v1/package?purl=pkg:npm/q%d", n), w.admin, "")
		w.want(200, "DELETE", fmt.Sprintf("/api/v1/package?purl=pkg:npm/o%d", n), w.admin, "")
	}
}
