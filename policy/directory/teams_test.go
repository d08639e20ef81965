package directory

import (
	"fmt"
	"slices"
	"testing"

	"larder/cache"
	"larder/policy"
)

// crew is an organization acme with its owner ann, the members bob and cid, the
// team core with bob in it, and eve outside.
func crew(t *testing.T) (*world, policy.Subject) {
	w, ctx := newWorld(t, Options{}), t.Context()
	ann := w.user("ann")
	for _, name := range []string{"bob", "cid", "eve"} {
		w.user(name)
	}
	w.org("acme")
	must(t, w.SetMember(ctx, w.admin, "acme", "ann", Owner))
	must(t, w.SetMember(ctx, w.admin, "acme", "bob", Member))
	must(t, w.SetMember(ctx, w.admin, "acme", "cid", Member))
	must(t, w.SetOrganization(ctx, w.admin, "acme", OrgSettings{BaseRole: new(policy.RoleNone)}))
	must(t, w.CreateRepository(ctx, w.admin, "acme/tools", policy.Private))
	w.team("core", "bob")
	return w, ann
}

// team makes a team of acme.
func (w *world) team(name string, members ...string) Team {
	w.t.Helper()
	made, err := w.CreateTeam(w.t.Context(), w.admin, "acme", name)
	must(w.t, err)
	for _, m := range members {
		must(w.t, w.SetTeamMember(w.t.Context(), w.admin, TeamMember{"acme", name, m}, true))
	}
	return made
}

func (w *world) has(user, repository string, want policy.Role) {
	w.t.Helper()
	if got, err := w.Role(w.t.Context(), user, policy.Resource{Repository: repository}); got != want || err != nil {
		w.t.Errorf("%s in %s: %v, %v, want %v", user, repository, got, err, want)
	}
}

// gather reads a list to its end.
func gather[T any](t *testing.T, each func(func(T, error) bool)) (all []T) {
	t.Helper()
	each(func(v T, err error) bool {
		must(t, err)
		all = append(all, v)
		return true
	})
	return all
}

func TestTeamRoles(t *testing.T) {
	w, ann := crew(t)
	ctx := t.Context()
	must(t, w.Grant(ctx, ann, "acme/tools", "@core", policy.RoleWrite))
	w.has("bob", "acme/tools", policy.RoleWrite)
	w.has("bob", "acme/packages", policy.RoleNone)
	w.has("cid", "acme/tools", policy.RoleNone)

	// The strongest counts, wherever it comes from.
	must(t, w.Grant(ctx, ann, "acme/tools", "bob", policy.RoleRead))
	w.has("bob", "acme/tools", policy.RoleWrite)
	w.team("leads", "bob", "cid")
	must(t, w.Grant(ctx, ann, "acme/tools", "@leads", policy.RoleAdmin))
	w.has("bob", "acme/tools", policy.RoleAdmin)
	must(t, w.Grant(ctx, ann, "acme/tools", "@leads", policy.RoleNone))
	w.has("bob", "acme/tools", policy.RoleWrite)
	w.has("cid", "acme/tools", policy.RoleNone)
	must(t, w.SetOrganization(ctx, ann, "acme", OrgSettings{BaseRole: new(policy.RoleAdmin)}))
	w.has("bob", "acme/tools", policy.RoleAdmin)
	must(t, w.SetOrganization(ctx, ann, "acme", OrgSettings{BaseRole: new(policy.RoleNone)}))

	must(t, w.SetTeamMember(ctx, ann, TeamMember{"acme", "core", "bob"}, false))
	w.has("bob", "acme/tools", policy.RoleRead)
}

// Who leaves the organization or is suspended has nothing of its teams left, and
// who comes back is in none.
func TestTeamsEndWithMembership(t *testing.T) {
	w, ann := crew(t)
	ctx := t.Context()
	must(t, w.Grant(ctx, ann, "acme/tools", "@core", policy.RoleAdmin))
	must(t, w.Suspend(ctx, w.admin, "bob"))
	w.has("bob", "acme/tools", policy.RoleNone)
	must(t, w.Resume(ctx, w.admin, "bob"))
	w.has("bob", "acme/tools", policy.RoleAdmin)

	must(t, w.SetMember(ctx, ann, "acme", "bob", ""))
	w.has("bob", "acme/tools", policy.RoleNone)
	must(t, w.SetMember(ctx, ann, "acme", "bob", Member))
	w.has("bob", "acme/tools", policy.RoleNone)
	core, err := w.Team(ctx, "acme", "core")
	must(t, err)
	if left := gather(t, w.TeamMembers(ctx, core, "")); len(left) != 0 {
		t.Errorf("still in the team: %v", left)
	}
	if r := w.recorded(0); r[len(r)-2].Action != "member.remove" || r[len(r)-2].Before["teams"] != "core" {
		t.Errorf("recorded %+v", r[len(r)-2])
	}
}

// A team of the name of one that was deleted has neither its members nor its roles.
func TestTeamOfAnOldName(t *testing.T) {
	w, ann := crew(t)
	ctx := t.Context()
	must(t, w.Grant(ctx, ann, "acme/tools", "@core", policy.RoleWrite))
	before := w.rows()
	old, err := w.Team(ctx, "acme", "core")
	must(t, err)
	must(t, w.DeleteTeam(ctx, ann, "acme", "core"))
	w.has("bob", "acme/tools", policy.RoleNone)
	if after := w.rows(); after >= before-5 {
		t.Errorf("%d rows, %d after the deletion", before, after)
	}
	made := w.team("core")
	if made.ID == old.ID || made.ID == "" {
		t.Errorf("ids %q and %q", old.ID, made.ID)
	}
	w.has("bob", "acme/tools", policy.RoleNone)
	if g := gather(t, w.Grants(ctx, policy.Resource{Repository: "acme/tools"}, "")); len(g) != 0 {
		t.Errorf("grants: %+v", g)
	}
	must(t, w.SetTeamMember(ctx, ann, TeamMember{"acme", "core", "cid"}, true))
	w.has("cid", "acme/tools", policy.RoleNone)
}

// rows counts those of the directory.
func (w *world) rows() (n int) {
	w.t.Helper()
	must(w.t, w.index.View(w.t.Context(), func(r cache.Reader) (err error) {
		n, err = count(r, []byte("o"), 1<<30)
		return err
	}))
	return n
}

// A team that is too large for one transaction goes in several.
func TestLargeTeamIsDeleted(t *testing.T) {
	w, ann := crew(t)
	ctx := t.Context()
	core, err := w.Team(ctx, "acme", "core")
	must(t, err)
	before := w.rows()
	must(t, w.index.Update(ctx, func(x cache.Writer) error {
		for i := range 2*page + 3 {
			user := fmt.Sprintf("u%d", i)
			must(t, put(x, memberTeamKey("acme", user, core.ID), struct{}{}))
			must(t, put(x, teamMemberKey("acme", core.ID, user), struct{}{}))
		}
		return nil
	}))
	if n := len(gather(t, w.TeamMembers(ctx, core, ""))); n != 2*page+4 {
		t.Errorf("%d members are listed", n)
	}
	n := len(w.recorded(0))
	must(t, w.DeleteTeam(ctx, ann, "acme", "core"))
	if after := w.rows(); after != before-4 {
		t.Errorf("%d rows before, %d after", before, after)
	}
	var actions []string
	for _, r := range w.recorded(n) {
		actions = append(actions, r.Action)
	}
	if !slices.Equal(actions, []string{"team.empty", "team.empty", "team.delete"}) {
		t.Errorf("recorded %v", actions)
	}
}

// A decision reads a bounded number of rows, whatever there is.
func TestTeamLimits(t *testing.T) {
	w, ann := crew(t)
	ctx := t.Context()
	for i := range MaxTeamsOfMember - 1 {
		w.team(fmt.Sprintf("t%d", i), "bob")
	}
	w.team("more")
	wantKind(t, "one team too many for bob", w.SetTeamMember(ctx, ann, TeamMember{"acme", "more", "bob"}, true), ErrConflict)
	must(t, w.SetTeamMember(ctx, ann, TeamMember{"acme", "t0", "bob"}, false))
	must(t, w.SetTeamMember(ctx, ann, TeamMember{"acme", "more", "bob"}, true))
	must(t, w.Grant(ctx, ann, "acme/tools", "@more", policy.RoleWrite))
	w.has("bob", "acme/tools", policy.RoleWrite)
	for i := len(gather(t, w.Teams(ctx, "acme", ""))); i < MaxTeams; i++ {
		w.team(fmt.Sprintf("x%d", i))
	}
	_, err := w.CreateTeam(ctx, ann, "acme", "last")
	wantKind(t, "one team too many for acme", err, ErrConflict)
}

func TestTeamsRefuseWhatIsWrong(t *testing.T) {
	w, ann := crew(t)
	ctx := t.Context()
	w.org("other")
	_, err := w.CreateTeam(ctx, w.admin, "other", "theirs")
	must(t, err)
	create := func(org, name string) error { _, err := w.CreateTeam(ctx, w.admin, org, name); return err }
	for name, c := range map[string]struct{ err, kind error }{
		"same name":            {create("acme", "core"), ErrExists},
		"team of a user":       {create("eve", "core"), cache.ErrNotExist},
		"team of nobody":       {create("nobody", "core"), policy.ErrDenied},
		"name":                 {create("acme", "@core"), ErrInvalid},
		"name of two parts":    {create("acme", "a/b"), ErrInvalid},
		"no name":              {create("acme", ""), ErrInvalid},
		"zero byte":            {create("acme", "a\x00b"), ErrInvalid},
		"delete none":          {w.DeleteTeam(ctx, ann, "acme", "none"), cache.ErrNotExist},
		"outsider in team":     {w.SetTeamMember(ctx, ann, TeamMember{"acme", "core", "eve"}, true), ErrConflict},
		"nobody in team":       {w.SetTeamMember(ctx, ann, TeamMember{"acme", "core", "nobody"}, true), cache.ErrNotExist},
		"member of no team":    {w.SetTeamMember(ctx, ann, TeamMember{"acme", "none", "bob"}, true), cache.ErrNotExist},
		"another org's team":   {w.Grant(ctx, w.admin, "acme/tools", "@theirs", policy.RoleRead), cache.ErrNotExist},
		"team on a user's":     {w.Grant(ctx, w.admin, "eve/packages", "@core", policy.RoleRead), ErrConflict},
		"no such team":         {w.Grant(ctx, ann, "acme/tools", "@none", policy.RoleRead), cache.ErrNotExist},
		"a team's id":          {w.Grant(ctx, ann, "acme/tools", "@@core", policy.RoleRead), cache.ErrNotExist},
		"no team":              {w.Grant(ctx, ann, "acme/tools", "@", policy.RoleRead), cache.ErrNotExist},
		"no such repository":   {w.Grant(ctx, ann, "acme/none", "@core", policy.RoleRead), cache.ErrNotExist},
		"unknown role":         {w.Grant(ctx, ann, "acme/tools", "@core", 9), ErrInvalid},
		"the name of a prefix": {w.DeleteTeam(ctx, ann, "acme", "cor"), cache.ErrNotExist},
	} {
		wantKind(t, name, c.err, c.kind)
	}
	n := len(w.recorded(0))
	must(t, w.SetTeamMember(ctx, ann, TeamMember{"acme", "core", "bob"}, true))
	must(t, w.SetTeamMember(ctx, ann, TeamMember{"acme", "core", "eve"}, false))
	if r := w.recorded(n); len(r) != 0 {
		t.Errorf("what changed nothing is recorded: %+v", r)
	}
}

func TestLists(t *testing.T) {
	w, ann := crew(t)
	ctx := t.Context()
	must(t, w.Grant(ctx, ann, "acme/tools", "eve", policy.RoleRead))
	must(t, w.Grant(ctx, ann, "acme/tools", "@core", policy.RoleWrite))
	w.org("acm")
	w.org("acmee")
	_, err := w.CreateTeam(ctx, w.admin, "acm", "other")
	must(t, err)
	var names []string
	for _, a := range gather(t, w.Accounts(ctx, "acme")) {
		names = append(names, a.Name)
	}
	for _, r := range gather(t, w.Repositories(ctx, "acme", "")) {
		names = append(names, r.Owner+"/"+r.Name)
	}
	for _, r := range gather(t, w.Repositories(ctx, "", "bob/packages")) {
		names = append(names, r.Owner+"/"+r.Name)
	}
	for _, r := range gather(t, w.Repositories(ctx, "acme", "acme/packages")) {
		names = append(names, r.Owner+"/"+r.Name)
	}
	for _, m := range gather(t, w.Members(ctx, "acme", "admin")) {
		names = append(names, m.User+":"+string(m.Role))
	}
	for _, team := range gather(t, w.Teams(ctx, "acme", "")) {
		names = append(names, team.Org+"/"+team.Name)
	}
	grants := gather(t, w.Grants(ctx, policy.Resource{Repository: "acme/tools"}, ""))
	for _, g := range slices.Concat(grants, gather(t, w.Grants(ctx, policy.Resource{Repository: "acme/tools"}, grants[0].After))) {
		names = append(names, g.User+"@"+g.Team+":"+g.Role.String())
	}
	want := []string{
		"acmee", "admin", "ann", "bob", "cid", "eve",
		"acme/packages", "acme/tools", "cid/packages", "eve/packages", "acme/tools",
		"ann:owner", "bob:member", "cid:member", "acme/core",
		"@core:write", "eve@:read", "eve@:read",
	}
	if !slices.Equal(names, want) {
		t.Errorf("listed\n%v\nwant\n%v", names, want)
	}
}
