package directory

import (
	"context"
	"fmt"
	"testing"

	"larder/cache"
	"larder/policy"
)

// thing is a private package of acme/tools.
func thing(access string) policy.Resource {
	return policy.Resource{Format: "npm", Package: "thing", Repository: "acme/tools", Visibility: policy.Private, Hosted: true, Access: access}
}

func (w *world) detach(actor policy.Subject) (access string, err error) {
	err = w.index.Update(w.t.Context(), func(x cache.Writer) (err error) {
		access, err = w.Detach(w.t.Context(), x, actor, thing(""))
		return err
	})
	return access, err
}

func (w *world) as(name string) policy.Subject {
	w.t.Helper()
	_, secret := w.mint(w.admin, Mint{User: name, Scopes: policy.AllScopes()})
	return w.signIn(secret)
}

func (w *world) verdict(name string, a policy.Action, res policy.Resource) policy.Verdict {
	w.t.Helper()
	return w.Authorize(w.t.Context(), w.as(name), a, res).Verdict
}

// Grants of a package's own take the place of those of its repository and of
// the role of members; owners of the organization keep what they have.
func TestOwnGrants(t *testing.T) {
	w, ann := crew(t)
	ctx := t.Context()
	must(t, w.SetOrganization(ctx, ann, "acme", OrgSettings{BaseRole: new(policy.RoleWrite)}))
	must(t, w.Grant(ctx, ann, "acme/tools", "bob", policy.RoleAdmin))
	bob := w.as("bob")
	before := w.rows()
	access, err := w.detach(bob)
	must(t, err)
	own := thing(access)
	for name, want := range map[string]policy.Verdict{"bob": policy.Allow, "ann": policy.Allow, "admin": policy.Allow, "cid": policy.Deny, "eve": policy.Deny} {
		if got := w.verdict(name, policy.Settings, own); got != want {
			t.Errorf("%s changes settings: %v, want %v", name, got, want)
		}
	}
	if got := w.verdict("cid", policy.Read, own); got != policy.Hide {
		t.Errorf("a member of role write reads: %v", got)
	}
	must(t, w.GrantPackage(ctx, bob, own, "cid", policy.RoleRead))
	must(t, w.GrantPackage(ctx, bob, own, "@core", policy.RoleWrite))
	must(t, w.GrantPackage(ctx, ann, own, "bob", policy.RoleNone))
	if r, p := w.verdict("cid", policy.Read, own), w.verdict("bob", policy.Publish, own); r != policy.Allow || p != policy.Allow {
		t.Errorf("granted: %v, %v", r, p)
	}
	wantKind(t, "no admin any more", w.GrantPackage(ctx, bob, own, "bob", policy.RoleAdmin), policy.ErrDenied)

	// Who leaves keeps nothing that is not for everybody.
	must(t, w.SetMember(ctx, ann, "acme", "cid", ""))
	open := own
	open.Visibility = policy.Public
	must(t, w.GrantPackage(ctx, ann, open, "eve", policy.RoleWrite))
	for name, want := range map[string]policy.Verdict{"cid": policy.Deny, "eve": policy.Allow} {
		if got := w.verdict(name, policy.Publish, open); got != want {
			t.Errorf("%s publishes to what is public: %v, want %v", name, got, want)
		}
		if got := w.verdict(name, policy.Read, own); got != policy.Hide {
			t.Errorf("%s reads what is private: %v", name, got)
		}
	}
	must(t, w.index.Update(ctx, func(x cache.Writer) error { return w.Attach(x, access) }))
	if after := w.rows(); after != before-1 { // cid left
		t.Errorf("%d rows before, %d after", before, after)
	}
	wantKind(t, "a grant under an id that ended", w.GrantPackage(ctx, ann, own, "bob", policy.RoleRead), ErrConflict)
	must(t, w.index.Update(ctx, func(x cache.Writer) error { return w.Attach(x, access) }))
}

func TestOwnGrantsRefuseWhatIsWrong(t *testing.T) {
	w, ann := crew(t)
	ctx := t.Context()
	must(t, w.Grant(ctx, ann, "acme/tools", "eve", policy.RoleAdmin))
	_, err := w.detach(w.as("eve"))
	wantKind(t, "an outsider would lose it", err, ErrConflict)
	access, err := w.detach(ann)
	must(t, err)
	own, gone := thing(access), thing(access)
	gone.Hosted = false
	for name, c := range map[string]struct{ err, kind error }{
		"outsider":        {w.GrantPackage(ctx, ann, own, "eve", policy.RoleRead), ErrConflict},
		"nobody":          {w.GrantPackage(ctx, ann, own, "nobody", policy.RoleRead), cache.ErrNotExist},
		"no team":         {w.GrantPackage(ctx, ann, own, "@none", policy.RoleRead), cache.ErrNotExist},
		"inherits":        {w.GrantPackage(ctx, ann, thing(""), "bob", policy.RoleRead), ErrConflict},
		"unknown id":      {w.GrantPackage(ctx, ann, thing("none"), "bob", policy.RoleRead), ErrConflict},
		"not there":       {w.GrantPackage(ctx, ann, gone, "bob", policy.RoleRead), cache.ErrNotExist},
		"role":            {w.GrantPackage(ctx, ann, own, "bob", 9), ErrInvalid},
		"repository's":    {w.GrantPackage(ctx, w.as("eve"), own, "bob", policy.RoleRead), policy.ErrDenied},
		"no admin":        {w.GrantPackage(ctx, w.as("bob"), own, "bob", policy.RoleRead), policy.ErrDenied},
		"nobody asks":     {w.GrantPackage(ctx, policy.Subject{}, own, "bob", policy.RoleRead), policy.ErrUnauthenticated},
		"no admin, no id": {w.GrantPackage(ctx, w.as("bob"), thing(""), "bob", policy.RoleRead), policy.ErrDenied},
	} {
		wantKind(t, name, c.err, c.kind)
	}
	must(t, w.GrantPackage(ctx, ann, own, "eve", policy.RoleNone)) // what is not there can be taken back
	must(t, w.index.Update(ctx, func(x cache.Writer) error {
		for i := range MaxGrants {
			must(t, put(x, grantAt("", access, fmt.Sprintf("u%d", i)), policy.RoleRead))
		}
		return nil
	}))
	wantKind(t, "one too many", w.GrantPackage(ctx, ann, own, "bob", policy.RoleRead), ErrConflict)
}

// A team takes the grants in packages along when it goes.
func TestTeamsOfOwnGrants(t *testing.T) {
	w, ann := crew(t)
	ctx := t.Context()
	access, err := w.detach(ann)
	must(t, err)
	own := thing(access)
	before := w.rows()
	must(t, w.GrantPackage(ctx, ann, own, "@core", policy.RoleWrite))
	if got := w.verdict("bob", policy.Publish, own); got != policy.Allow {
		t.Errorf("by the team: %v", got)
	}
	must(t, w.DeleteTeam(ctx, ann, "acme", "core"))
	w.team("core", "bob")
	if got := w.verdict("bob", policy.Read, own); got != policy.Hide {
		t.Errorf("by a team of the same name: %v", got)
	}
	if after := w.rows(); after != before {
		t.Errorf("%d rows before, %d after", before, after)
	}
}

// A decision about a package that inherits costs what it cost before.
func TestOwnGrantsAreCheap(t *testing.T) {
	w, ann := crew(t)
	access, err := w.detach(ann)
	must(t, err)
	bob := w.as("bob")
	must(t, w.GrantPackage(t.Context(), ann, thing(access), "@core", policy.RoleWrite))
	for _, res := range []policy.Resource{thing(""), thing(access)} {
		ask := func() { w.Authorize(context.Background(), bob, policy.Read, res) }
		ask()
		views := w.index.views
		if n := testing.AllocsPerRun(100, ask); n != 0 || w.index.views != views {
			t.Errorf("access %q: %v allocations, %d transactions", res.Access, n, w.index.views-views)
		}
	}
}
