package admin

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"larder/cache"
	"larder/policy"
	"larder/policy/directory"
	"larder/policy/rules"
)

// exchange is a call that fails in a way of its own.
type exchange struct {
	status                  int
	who, method, path, body string
}

// exchanges are the failures that the rows of the table name, and those of 403
// that do not come of a lack of role. The organization solo has one owner, the
// user gone is suspended, MORE is a token that may do more than that of bob.
func exchanges() []exchange {
	return []exchange{
		{409, "admin", "POST", "/api/v1/users", `{"name":"bob"}`},
		{404, "admin", "GET", "/api/v1/users/none", ""},
		{404, "admin", "POST", "/api/v1/users/none/suspend", ""},
		{409, "admin", "POST", "/api/v1/users/admin/suspend", ""},
		{404, "admin", "POST", "/api/v1/users/none/resume", ""},
		{404, "admin", "PATCH", "/api/v1/orgs/admin", `{"base_role":"none"}`},
		{404, "admin", "GET", "/api/v1/orgs/none/members", ""},
		{404, "admin", "PUT", "/api/v1/orgs/acme/members/none", `{"role":"member"}`},
		{409, "admin", "PUT", "/api/v1/orgs/solo/members/admin", `{"role":"member"}`},
		{404, "admin", "DELETE", "/api/v1/orgs/acme/members/none", ""},
		{409, "admin", "DELETE", "/api/v1/orgs/solo/members/admin", ""},
		{403, "member without read:packages", "GET", "/api/v1/orgs/acme/members", ""},
		{403, "member without read:packages", "GET", "/api/v1/orgs/acme/teams", ""},
		{403, "member without read:packages", "GET", "/api/v1/orgs/acme/teams/kept", ""},
		{403, "member without read:packages", "GET", "/api/v1/orgs/acme/teams/kept/members", ""},
		{404, "admin", "GET", "/api/v1/orgs/none/teams", ""},
		{404, "admin", "GET", "/api/v1/orgs/acme/teams/none", ""},
		{404, "admin", "PUT", "/api/v1/orgs/admin/teams/x", ""},
		{409, "admin", "PUT", "/api/v1/orgs/full/teams/x", ""},
		{200, "admin", "PUT", "/api/v1/orgs/acme/teams/kept", ""},
		{404, "admin", "DELETE", "/api/v1/orgs/acme/teams/none", ""},
		{404, "admin", "GET", "/api/v1/orgs/acme/teams/none/members", ""},
		{404, "admin", "PUT", "/api/v1/orgs/acme/teams/none/members/m1", ""},
		{409, "admin", "PUT", "/api/v1/orgs/acme/teams/kept/members/outsider", ""},
		{404, "admin", "DELETE", "/api/v1/orgs/acme/teams/none/members/m1", ""},
		{404, "outsider", "GET", "/api/v1/tokens?user=admin", ""},
		{403, "outsider", "POST", "/api/v1/tokens", `{"scopes":["read:packages"],"forever":true}`},
		{404, "admin", "POST", "/api/v1/tokens", `{"user":"none","scopes":["read:packages"]}`},
		{409, "admin", "POST", "/api/v1/tokens", `{"user":"gone","scopes":["read:packages"]}`},
		{403, "bob", "DELETE", "/api/v1/tokens/MORE", ""},
		{404, "admin", "DELETE", "/api/v1/tokens/none", ""},

		{404, "admin", "POST", "/api/v1/repos", `{"name":"none/x"}`},
		{409, "admin", "POST", "/api/v1/repos", `{"name":"acme/tools"}`},
		{404, "admin", "GET", "/api/v1/repos/acme/none", ""},
		{403, "reader without read:packages", "GET", "/api/v1/repos/acme/tools", ""},
		{404, "admin", "PATCH", "/api/v1/repos/acme/none", `{"visibility":"public"}`},
		{409, "admin", "PATCH", "/api/v1/repos/admin/packages", `{"visibility":"private"}`},
		{403, "reader", "GET", "/api/v1/repos/acme/tools/grants", ""},
		{404, "admin", "GET", "/api/v1/repos/acme/none/grants", ""},
		{404, "admin", "PUT", "/api/v1/repos/acme/tools/grants/none", `{"role":"read"}`},
		{404, "admin", "DELETE", "/api/v1/repos/acme/none/grants/bob", ""},
		{404, "admin", "PUT", "/api/v1/repos/acme/tools/teams/none", `{"role":"read"}`},
		{409, "admin", "PUT", "/api/v1/repos/bob/packages/teams/x", `{"role":"read"}`},
		{404, "admin", "DELETE", "/api/v1/repos/acme/none/teams/kept", ""},
		{409, "admin", "DELETE", "/api/v1/repos/bob/packages/teams/x", ""},
		{404, "admin", "POST", "/api/v1/claims", `{"match":["z"],"repository":"acme/none"}`},
		{409, "admin", "POST", "/api/v1/claims", `{"id":"c1","match":["z"],"repository":"acme/tools"}`},
		{404, "admin", "DELETE", "/api/v1/claims/none", ""},
		{409, "admin", "DELETE", "/api/v1/claims/written", ""},

		{404, "admin", "GET", "/api/v1/package?purl=pkg:npm/none", ""},
		{403, "reader without read:packages", "GET", "/api/v1/package?purl=pkg:npm/p1", ""},
		{404, "admin", "DELETE", "/api/v1/package?purl=pkg:npm/none", ""},
		{409, "admin", "DELETE", "/api/v1/package?purl=pkg:npm/image@part", ""},
		{404, "admin", "POST", "/api/v1/package/restore?purl=pkg:npm/none", ""},
		{409, "admin", "POST", "/api/v1/package/restore?purl=pkg:npm/image@torn", ""},
		{404, "admin", "PUT", "/api/v1/package/repository?purl=pkg:npm/none", `{"inherit_access":true}`},
		{409, "admin", "PUT", "/api/v1/package/repository?purl=pkg:npm/r1", `{"repository":"solo/packages"}`},
		{404, "admin", "PUT", "/api/v1/package/visibility?purl=pkg:npm/none", `{"visibility":"public"}`},
		{409, "admin", "PUT", "/api/v1/package/visibility?purl=pkg:npm/open", `{"visibility":"private"}`},
		{403, "reader", "GET", "/api/v1/package/grants?purl=pkg:npm/r1", ""},
		{404, "admin", "GET", "/api/v1/package/grants?purl=pkg:npm/none", ""},
		{404, "admin", "PUT", "/api/v1/package/grants/users/m1?purl=pkg:npm/none", `{"role":"read"}`},
		{409, "admin", "PUT", "/api/v1/package/grants/users/m1?purl=pkg:npm/r1", `{"role":"read"}`},
		{404, "admin", "DELETE", "/api/v1/package/grants/users/m1?purl=pkg:npm/none", ""},
		{409, "admin", "DELETE", "/api/v1/package/grants/users/m1?purl=pkg:npm/r1", ""},
		{404, "admin", "PUT", "/api/v1/package/grants/teams/kept?purl=pkg:npm/none", `{"role":"read"}`},
		{409, "admin", "PUT", "/api/v1/package/grants/teams/kept?purl=pkg:npm/r1", `{"role":"read"}`},
		{404, "admin", "DELETE", "/api/v1/package/grants/teams/kept?purl=pkg:npm/none", ""},
		{409, "admin", "DELETE", "/api/v1/package/grants/teams/kept?purl=pkg:npm/r1", ""},
		{409, "admin", "POST", "/api/v1/policy/waivers", `{"rule":"cool","match":["pkg:npm/p1"],"until":"2026-03-08T00:00:00Z","why":"so"}`},
		{404, "admin", "DELETE", "/api/v1/policy/waivers/none", ""},
		{404, "admin", "POST", "/api/v1/policy/origin/reset?purl=pkg:npm/none", ""},
		{409, "admin", "POST", "/api/v1/policy/origin/reset?purl=pkg:npm/open", ""},
		{409, "admin", "DELETE", "/api/v1/policy/waivers/WRITTEN", ""},
		{404, "", "GET", "/api/v1/decisions/none", ""},
	}
}

// TestEveryStatus sees each status that the document names, of each call, and
// do holds each of them against it.
func TestEveryStatus(t *testing.T) {
	w := newWorld(t)
	tokens := w.people()
	const me = 8 // of the cast: the administrator
	for _, row := range authorities() {
		r := routeOf(row.method, row.path)
		path, body := w.filled(row, me, w.admin)
		w.Advance(time.Minute) // failed sign-ins are slowed down
		w.want(401, row.method, path, "ldrp_wrong", body)
		w.want(400, row.method, withQuery(path, "nosuch=1"), w.admin, body)
		if r.action != policy.Self && (r.action == policy.Administer || row.method != "GET") && r.action != policy.Open {
			w.want(403, row.method, path, tokens["outsider"], body)
		}
		if body != "" {
			if rec := w.do(row.method, path, w.admin, body, "Content-Type: text/plain"); rec.Code != 415 {
				t.Errorf("%s %s as text: %d", row.method, path, rec.Code)
			}
			w.want(413, row.method, path, w.admin, `{"x":"`+strings.Repeat("x", maxBody)+`"}`)
		}
		if rec := w.do(row.method, path, w.admin, body); rec.Code >= 300 {
			t.Errorf("%s %s: %d %s", row.method, path, rec.Code, rec.Body)
		}
	}
	fill := w.corners(tokens)
	for _, x := range exchanges() {
		if rec := w.do(x.method, fill.Replace(x.path), tokens[x.who], x.body); rec.Code != x.status {
			t.Errorf("%s %s by %s: %d, want %d: %s", x.method, x.path, x.who, rec.Code, x.status, rec.Body)
		}
	}
	w.throttled()
	for pattern, path := range w.contract().doc.Paths {
		for method, op := range path {
			for status := range op.Responses {
				if status != "5XX" && !w.contract().seen[op.ID+" "+status] {
					t.Errorf("%s %s: nobody saw its %s", method, pattern, status)
				}
			}
		}
	}
}

func routeOf(method, target string) route {
	path, _, _ := strings.Cut(target, "?")
	var found route
	for _, r := range apiRoutes() {
		if r.method == method && fits(r.pattern, path) && (found.name == "" || !strings.Contains(r.pattern, "{")) {
			found = r
		}
	}
	return found
}

// corners makes what exchanges needs beside the cast.
func (w *world) corners(tokens map[string]string) *strings.Replacer {
	w.t.Helper()
	for _, body := range []string{`{"name":"solo","org":true}`, `{"name":"full","org":true}`, `{"name":"gone"}`} {
		w.want(201, "POST", "/api/v1/users", w.admin, body)
	}
	w.want(204, "POST", "/api/v1/users/gone/suspend", w.admin, "")
	for n := range directory.MaxTeams {
		if _, err := w.directory.CreateTeam(w.t.Context(), subject(w.t, w, w.admin), "full", "t"+strconv.Itoa(n)); err != nil {
			w.t.Fatal(err)
		}
	}
	w.publish("open", "1.0.0", w.admin)
	w.images()
	w.must(w.directory.SetClaims(w.t.Context(), []policy.Claim{{ID: "written", Match: []string{"written"}, Repository: "acme/tools"}}))
	w.must(w.rules.Use(
		[]rules.Rule{{ID: "cool", Kind: rules.Cooldown, MinAge: 7 * 24 * time.Hour}},
		[]rules.Waiver{{Rule: "cool", Match: []string{"pkg:npm/w"}, By: "ann", Why: "so", Until: w.Now().AddDate(1, 0, 0)}}))
	given := rules.Waiver{Rule: "cool", Match: []string{"pkg:npm/w"}, Why: "so", Until: w.Now().AddDate(0, 0, 1)}
	for err := error(nil); !errors.Is(err, policy.ErrConflict); {
		if _, err = w.rules.Waive(w.t.Context(), subject(w.t, w, w.admin), given); err != nil && !errors.Is(err, policy.ErrConflict) {
			w.t.Fatal(err)
		}
	}
	list, err := w.rules.Waivers(subject(w.t, w, w.admin))
	w.must(err)
	tokens["bob"] = w.bob
	tokens["reader without read:packages"] = w.token("reader", `["delete:packages"]`)
	tokens["member without read:packages"] = w.token("member", `["delete:packages"]`)
	w.want(204, "PUT", "/api/v1/repos/acme/tools/grants/bob", w.admin, `{"role":"read"}`)
	var more MadeToken
	made := w.want(201, "POST", "/api/v1/tokens", w.admin, `{"user":"bob","scopes":["delete:packages"]}`)
	w.read(made, &more)
	return strings.NewReplacer("MORE", more.ID, "WRITTEN", list[0].ID)
}

// throttled fails to sign in until the address has to wait, and then makes each
// call with a bad token.
func (w *world) throttled() {
	w.t.Helper()
	for n := 0; w.do("GET", "/api/v1/whoami", "ldrp_wrong", "").Code != 429; n++ {
		if n == 1000 {
			w.t.Fatal("a thousand guesses, and no end")
		}
	}
	for _, row := range authorities() {
		w.want(429, row.method, row.path, "ldrp_wrong", row.body)
	}
}

// brittle is an index that can break.
type brittle struct {
	cache.Index
	broken atomic.Bool
}

func (b *brittle) View(ctx context.Context, fn func(cache.Reader) error) error {
	if b.broken.Load() {
		return errBroken
	}
	return b.Index.View(ctx, fn)
}

func (b *brittle) Update(ctx context.Context, fn func(cache.Writer) error) error {
	if b.broken.Load() {
		return errBroken
	}
	return b.Index.Update(ctx, fn)
}

// Where the index fails each call says so, as the document has it, and tells
// nothing of why.
func TestEveryCallFailsInWords(t *testing.T) {
	w := newWorld(t)
	calls := [][3]string{}
	for _, row := range authorities() {
		path, body := w.filled(row, 0, w.admin)
		calls = append(calls, [3]string{row.method, path, body})
	}
	w.index.broken.Store(true)
	defer w.index.broken.Store(false)
	w.Advance(time.Hour) // nobody is remembered
	failed := 0
	for _, c := range calls {
		rec := w.do(c[0], c[1], w.admin, c[2])
		if rec.Code < 500 {
			continue
		}
		failed++
		if strings.Contains(rec.Body.String(), "/secret/path") {
			t.Errorf("%s %s tells: %s", c[0], c[1], rec.Body)
		}
	}
	if failed < len(calls)/2 {
		t.Errorf("of %d calls only %d failed", len(calls), failed)
	}
}
