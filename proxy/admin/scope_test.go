package admin

import (
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"larder/policy"
)

// scoped finds out who asks, and gives him the scopes that the world says.
type scoped struct{ w *world }

func (s scoped) Identify(r *http.Request, remote netip.Addr) (policy.Subject, error) {
	who, err := s.w.accounts.Identify(r, remote)
	if s.w.held != nil {
		who.Scopes = *s.w.held
	}
	return who, err
}

// subsets are all sets of scopes, the empty one first.
func subsets() [][]policy.Scope {
	all := policy.AllScopes()
	var list [][]policy.Scope
	for bits := range 1 << len(all) {
		set := []policy.Scope{}
		for i, s := range all {
			if bits&(1<<i) != 0 {
				set = append(set, s)
			}
		}
		list = append(list, set)
	}
	return list
}

// needed says which scopes a route asks for, by its action: policy.md section 2.
func needed(a policy.Action) []policy.Scope {
	switch a {
	case policy.Read:
		return []policy.Scope{policy.ReadPackages}
	case policy.Delete:
		return []policy.Scope{policy.DeletePackages, policy.ReadPackages}
	case policy.Publish, policy.Restore, policy.Settings:
		return []policy.Scope{policy.WritePackages}
	case policy.Organize:
		return []policy.Scope{policy.AdminOrg}
	case policy.Administer:
		return []policy.Scope{policy.AdminInstance}
	}
	return nil
}

// TestThreat06EveryRouteWithEverySetOfScopes: the administrator, who has every
// role, makes every call with every set of scopes. What succeeds is what the
// set gives, and with none of them nothing private is read or changed.
func TestThreat06EveryRouteWithEverySetOfScopes(t *testing.T) {
	w := newWorld(t)
	w.want(201, "POST", "/api/v1/users", w.admin, `{"name":"acme","org":true}`)
	w.want(201, "POST", "/api/v1/repos", w.admin, `{"name":"acme/tools"}`)
	w.want(201, "PUT", "/api/v1/orgs/acme/teams/kept", w.admin, "")
	sets := subsets()
	w.things(len(sets))
	for _, row := range authorities() {
		for n, held := range sets {
			w.triesWith(row, n, held)
		}
	}
}

// triesWith makes a call with a set of scopes, about the things of a number.
func (w *world) triesWith(row authority, n int, held []policy.Scope) {
	w.t.Helper()
	path := row.path
	if strings.Contains(path, "TOKEN") {
		path = strings.ReplaceAll(path, "TOKEN", w.another(w.admin))
	}
	if strings.Contains(path, "REFUSED") {
		path = strings.ReplaceAll(path, "REFUSED", w.do("POST", "/api/v1/gc", w.bob, "").Header().Get("X-Larder-Decision"))
	}
	if strings.Contains(path, "WAIVER") {
		path = strings.ReplaceAll(path, "WAIVER", w.waived(fmt.Sprintf("pkg:npm/w%d", n)))
	}
	fill := strings.NewReplacer("N", fmt.Sprint(n))
	if !strings.HasPrefix(row.path, "/api/v1/tokens/") && !strings.Contains(row.path, "REFUSED") && !strings.Contains(row.path, "WAIVER") {
		path = fill.Replace(path)
	}
	w.held = &held
	body := fill.Replace(row.body)
	r, rec := w.send(row.method, path, w.admin, body)
	w.held = nil
	if len(held) <= 1 { // those that are refused most
		for _, complaint := range w.contract().broken(r, body, rec) {
			w.t.Errorf("%s %s with %q: %s", row.method, path, held, complaint)
		}
	}
	want := w.suffices(row, held)
	if got := rec.Code < 300; got != want || !got && rec.Code != http.StatusForbidden {
		w.t.Errorf("%s %s with %q: %d, want it allowed: %v: %s", row.method, path, held, rec.Code, want, rec.Body)
	}
	if accepted := rec.Header().Get("X-Accepted-OAuth-Scopes"); rec.Code == http.StatusForbidden && accepted == "" {
		w.t.Errorf("%s %s with %q: the missing scope is not named: %s", row.method, path, held, rec.Body)
	}
}

// suffices says whether a set of scopes is enough for a call.
func (w *world) suffices(row authority, held []policy.Scope) bool {
	w.t.Helper()
	bare, _, _ := strings.Cut(row.path, "?")
	at := slices.IndexFunc(apiRoutes(), func(r route) bool { return r.method == row.method && fits(r.pattern, bare) })
	if at < 0 {
		w.t.Fatalf("%s %s is no route", row.method, row.path)
	}
	action := apiRoutes()[at].action
	switch {
	case action == policy.Read && slices.Contains(row.may, "nobody"):
		return true // it shows to each what is his to see
	case row.method == "GET" && strings.HasSuffix(bare, "/grants"):
		return policy.Covers(held, needed(policy.Settings)) // for those who may change them
	case row.method == "POST" && bare == "/api/v1/tokens":
		return policy.Holds(held, policy.ReadPackages) // nothing gives what it has not
	case strings.HasPrefix(bare, "/api/v1/tokens/"):
		return policy.Covers(held, policy.AllScopes()[:1]) || policy.Holds(held, policy.AdminInstance)
	}
	return policy.Covers(held, needed(action))
}
