package admin

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"larder/policy"
)

// acme makes the organization acme with the private repository acme/tools, of
// which bob is a member; nobody has a role by being one.
func (w *world) acme() {
	w.t.Helper()
	w.want(201, "POST", "/api/v1/users", w.admin, `{"name":"acme","org":true}`)
	w.want(204, "PATCH", "/api/v1/orgs/acme", w.admin, `{"base_role":"none"}`)
	w.want(204, "PUT", "/api/v1/orgs/acme/members/bob", w.admin, `{"role":"member"}`)
	w.want(201, "POST", "/api/v1/repos", w.admin, `{"name":"acme/tools"}`)
}

func TestTeams(t *testing.T) {
	w := newWorld(t)
	w.acme()
	w.want(201, "PUT", "/api/v1/orgs/acme/teams/core", w.admin, "")
	w.want(200, "PUT", "/api/v1/orgs/acme/teams/core", w.admin, "")
	w.want(400, "PUT", "/api/v1/orgs/acme/teams/Core", w.admin, "")
	w.want(403, "PUT", "/api/v1/orgs/none/teams/core", w.admin, "")
	w.want(204, "PUT", "/api/v1/orgs/acme/teams/core/members/bob", w.admin, "")
	w.want(409, "PUT", "/api/v1/orgs/acme/teams/core/members/admin2", w.admin2(), "")
	w.want(404, "PUT", "/api/v1/orgs/acme/teams/core/members/nobody", w.admin, "")
	w.want(404, "PUT", "/api/v1/orgs/acme/teams/none/members/bob", w.admin, "")
	w.want(404, "DELETE", "/api/v1/orgs/acme/teams/none", w.admin, "")

	w.want(404, "GET", "/api/v1/repos/acme/tools", w.bob, "")
	w.want(204, "PUT", "/api/v1/repos/acme/tools/teams/core", w.admin, `{"role":"write"}`)
	w.want(400, "PUT", "/api/v1/repos/acme/tools/teams/core", w.admin, `{"role":"owner"}`)
	w.want(409, "PUT", "/api/v1/repos/admin/packages/teams/core", w.admin, `{"role":"write"}`)
	var r Repository
	if w.get("/api/v1/repos/acme/tools", w.bob, &r); r.Role != policy.RoleWrite {
		t.Errorf("%+v", r)
	}
	w.want(403, "GET", "/api/v1/repos/acme/tools/grants", w.bob, "")
	var grants GrantList
	w.get("/api/v1/repos/acme/tools/grants", w.admin, &grants)
	if len(grants.Grants) != 1 || grants.Grants[0].Team != "core" || grants.Grants[0].Role != policy.RoleWrite || grants.Next != "" {
		t.Errorf("%+v", grants)
	}
	var members MemberList
	w.get("/api/v1/orgs/acme/teams/core/members", w.bob, &members)
	if len(members.Members) != 1 || members.Members[0] != (OrgMember{User: "bob"}) {
		t.Errorf("%+v", members)
	}
	w.want(204, "DELETE", "/api/v1/orgs/acme/teams/core/members/bob", w.admin, "")
	w.want(404, "GET", "/api/v1/repos/acme/tools", w.bob, "")
	w.want(204, "PUT", "/api/v1/orgs/acme/teams/core/members/bob", w.admin, "")
	w.want(200, "GET", "/api/v1/repos/acme/tools", w.bob, "")
	w.want(204, "DELETE", "/api/v1/repos/acme/tools/teams/core", w.admin, "")
	w.want(404, "GET", "/api/v1/repos/acme/tools", w.bob, "")
	w.want(204, "DELETE", "/api/v1/orgs/acme/teams/core", w.admin, "")
	w.want(404, "GET", "/api/v1/orgs/acme/teams/core", w.bob, "")
}

// admin2 makes another administrator, who is no member of anything.
func (w *world) admin2() string {
	w.want(201, "POST", "/api/v1/users", w.admin, `{"name":"admin2","admin":true}`)
	return w.token("admin2", `["admin:org"]`)
}

// What a stranger asks of an organization, or of a repository, looks the same
// whether or not it is there.
func TestInsidesAreHidden(t *testing.T) {
	w := newWorld(t)
	w.acme()
	w.want(201, "PUT", "/api/v1/orgs/acme/teams/core", w.admin, "")
	w.want(201, "POST", "/api/v1/users", w.admin, `{"name":"eve"}`)
	eve := w.token("eve", `["read:packages","write:packages","admin:org"]`)
	for there, missing := range map[string]string{
		"/api/v1/orgs/acme/members":            "/api/v1/orgs/none/members",
		"/api/v1/orgs/acme/teams":              "/api/v1/orgs/none/teams",
		"/api/v1/orgs/acme/teams/core":         "/api/v1/orgs/acme/teams/none",
		"/api/v1/orgs/acme/teams/core/members": "/api/v1/orgs/none/teams/core/members",
		"/api/v1/repos/acme/tools/grants":      "/api/v1/repos/acme/none/grants",
		"/api/v1/orgs/bob/members":             "/api/v1/orgs/bob%2fx/members",
	} {
		a, b := w.do("GET", there, eve, ""), w.do("GET", missing, eve, "")
		if cut := `"request_id"`; a.Code != 404 || b.Code != 404 || strings.Split(a.Body.String(), cut)[0] != strings.Split(b.Body.String(), cut)[0] {
			t.Errorf("%s: %d %s\n%s: %d %s", there, a.Code, a.Body, missing, b.Code, b.Body)
		}
		for _, path := range []string{there, missing} {
			w.want(http.StatusUnauthorized, "GET", path, "", "")
		}
	}
	w.want(404, "GET", "/api/v1/orgs/bob/members", w.bob, "") // a user has none
	if list := w.want(200, "GET", "/api/v1/repos", eve, ""); strings.Contains(list, "acme") || !strings.Contains(list, "admin/packages") || !strings.Contains(list, "eve/packages") {
		t.Errorf("the repositories of an outsider: %s", list)
	}
	if list := w.want(200, "GET", "/api/v1/repos?owner=acme", eve, ""); list != w.want(200, "GET", "/api/v1/repos?owner=none", eve, "") {
		t.Errorf("those of an organization: %s", list)
	}
	if list := w.want(200, "GET", "/api/v1/repos", "", ""); strings.Contains(list, "eve") || !strings.Contains(list, "admin/packages") {
		t.Errorf("those that everybody may read: %s", list)
	}
}

// Every list has pages, which together hold all of it once.
func TestListsHavePages(t *testing.T) {
	w := newWorld(t)
	w.acme()
	for n := range 5 {
		w.want(201, "POST", "/api/v1/users", w.admin, fmt.Sprintf(`{"name":"u%d"}`, n))
		w.want(204, "PUT", fmt.Sprintf("/api/v1/orgs/acme/members/u%d", n), w.admin, `{"role":"member"}`)
		w.want(201, "PUT", fmt.Sprintf("/api/v1/orgs/acme/teams/t%d", n), w.admin, "")
		w.want(204, "PUT", fmt.Sprintf("/api/v1/orgs/acme/teams/t0/members/u%d", n), w.admin, "")
		w.want(204, "PUT", fmt.Sprintf("/api/v1/repos/acme/tools/grants/u%d", n), w.admin, `{"role":"read"}`)
		w.want(204, "PUT", fmt.Sprintf("/api/v1/repos/acme/tools/teams/t%d", n), w.admin, `{"role":"read"}`)
		w.want(201, "POST", "/api/v1/repos", w.admin, fmt.Sprintf(`{"name":"acme/r%d"}`, n))
		w.want(201, "POST", "/api/v1/claims", w.admin, fmt.Sprintf(`{"match":["c%d"],"repository":"acme/tools"}`, n))
		w.another(w.admin)
		w.publish(fmt.Sprintf("p%d", n), "1.0.0", w.admin)
	}
	for path, want := range map[string]int{
		"/api/v1/users": 8, "/api/v1/orgs/acme/members": 7, "/api/v1/orgs/acme/teams": 5, "/api/v1/orgs/acme/teams/t0/members": 5,
		"/api/v1/repos/acme/tools/grants": 10, "/api/v1/repos?owner=acme": 7, "/api/v1/repos": 14, "/api/v1/packages": 5,
		"/api/v1/claims": 5, "/api/v1/tokens": 6,
	} {
		whole := w.pages(path, 1000)
		if len(whole) != want || !slices.Equal(w.pages(path, 2), whole) || !slices.Equal(w.pages(path, want), whole) {
			t.Errorf("%s: %d items, want %d; by two: %q", path, len(whole), want, w.pages(path, 2))
		}
		for _, q := range []string{"limit=0", "limit=x", "limit=1001", "after=" + strings.Repeat("a", 1000+1)} {
			w.want(400, "GET", withQuery(path, q), w.admin, "")
		}
		w.want(200, "GET", withQuery(path, "after=zzz%00/"), w.admin, "")
	}
}

func withQuery(path, query string) string {
	if strings.Contains(path, "?") {
		return path + "&" + query
	}
	return path + "?" + query
}

// pages reads a list page by page and returns its items as they came.
func (w *world) pages(path string, limit int) (items []string) {
	w.t.Helper()
	after := ""
	for range 100 {
		var page map[string]any
		w.get(withQuery(path, fmt.Sprintf("limit=%d&after=%s", limit, url.QueryEscape(after))), w.admin, &page)
		for _, v := range page {
			list, is := v.([]any)
			if is && len(list) > limit {
				w.t.Errorf("%s: %d items", path, len(list))
			}
			for _, item := range list {
				items = append(items, fmt.Sprint(item))
			}
		}
		next, more := page["next"].(string)
		if !more {
			return items
		}
		after = next
	}
	w.t.Fatalf("%s does not end", path)
	return nil
}
