package directory

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"larder/policy"
	"larder/policy/audit"
)

// recorded returns the records behind the first n.
func (w *world) recorded(n int) (all []audit.Record) {
	w.t.Helper()
	for r, err := range audit.Export(w.t.Context(), w.index, uint64(n), audit.Filter{}) {
		must(w.t, err)
		all = append(all, r)
	}
	return all
}

func TestEveryChangeIsRecorded(t *testing.T) {
	w := newWorld(t, Options{})
	ctx := t.Context()
	if all := w.recorded(0); len(all) != 1 || all[0].Action != "instance.bootstrap" || all[0].Actor.Kind != audit.System {
		t.Fatalf("bootstrap: %+v", all)
	}
	made, secret := Token{}, ""
	claim := policy.Claim{ID: "c", Match: []string{"@acme/**"}, Repository: "acme/tools"}
	const before, after = "before", "after"
	bob := TeamMember{"acme", "core", "bob"}
	for _, step := range []struct {
		action string
		run    func() error
		state  map[string]string // what before and after have to hold
	}{
		{"user.create", func() error { return w.CreateUser(ctx, w.admin, Account{Name: "bob"}) }, nil},
		{"org.create", func() error { return w.CreateUser(ctx, w.admin, Account{Name: "acme", Org: true}) }, nil},
		{"user.suspend", func() error { return w.Suspend(ctx, w.admin, "bob") }, nil},
		{"user.resume", func() error { return w.Resume(ctx, w.admin, "bob") }, nil},
		{"org.set", func() error {
			return w.SetOrganization(ctx, w.admin, "acme", OrgSettings{BaseRole: new(policy.RoleWrite)})
		},
			map[string]string{before: "role read", after: "role write"}},
		{"org.set", func() error {
			return w.SetOrganization(ctx, w.admin, "acme", OrgSettings{Visibilities: []policy.Visibility{policy.Private, policy.Internal}})
		}, map[string]string{before: "visibilities any", after: "visibilities internal private"}},
		{"member.set", func() error { return w.SetMember(ctx, w.admin, "acme", "bob", Member) }, map[string]string{after: "role member"}},
		{"team.create", func() error { _, err := w.CreateTeam(ctx, w.admin, "acme", "core"); return err }, nil},
		{"team.member.add", func() error { return w.SetTeamMember(ctx, w.admin, bob, true) }, map[string]string{after: "user bob"}},
		{"team.member.remove", func() error { return w.SetTeamMember(ctx, w.admin, bob, false) }, map[string]string{before: "user bob"}},
		{"grant.set", func() error { return w.Grant(ctx, w.admin, "acme/packages", "@core", policy.RoleWrite) },
			map[string]string{before: "role none", after: "role write"}},
		{"grant.remove", func() error { return w.Grant(ctx, w.admin, "acme/packages", "@core", policy.RoleNone) },
			map[string]string{before: "role write", after: "role none"}},
		{"team.delete", func() error { return w.DeleteTeam(ctx, w.admin, "acme", "core") }, nil},
		{"member.remove", func() error { return w.SetMember(ctx, w.admin, "acme", "bob", "") }, map[string]string{before: "role member"}},
		{"repository.create", func() error { return w.CreateRepository(ctx, w.admin, "acme/tools", policy.Private) },
			map[string]string{after: "visibility private"}},
		{"repository.visibility", func() error {
			return w.SetRepository(ctx, w.admin, "acme/tools", RepositorySettings{Visibility: policy.Internal})
		},
			map[string]string{before: "visibility private", after: "visibility internal"}},
		{"repository.tags", func() error {
			return w.SetRepository(ctx, w.admin, "acme/tools", RepositorySettings{ImmutableTags: []string{"v*", "1.*"}})
		}, map[string]string{before: "immutable_tags none", after: "immutable_tags 1.* v*"}},
		{"repository.sparse", func() error {
			return w.SetRepository(ctx, w.admin, "acme/tools", RepositorySettings{SparseIndexes: new(true)})
		}, map[string]string{before: "sparse_indexes false", after: "sparse_indexes true"}},
		{"grant.set", func() error { return w.Grant(ctx, w.admin, "acme/tools", "bob", policy.RoleWrite) },
			map[string]string{before: "role none", after: "role write"}},
		{"grant.remove", func() error { return w.Grant(ctx, w.admin, "acme/tools", "bob", policy.RoleNone) },
			map[string]string{before: "role write", after: "role none"}},
		{"claim.add", func() error { _, err := w.AddClaim(ctx, w.admin, claim); return err }, map[string]string{after: "match @acme/**"}},
		{"claim.remove", func() error { return w.RemoveClaim(ctx, w.admin, "c") }, map[string]string{before: "match @acme/**"}},
		{"token.create", func() error {
			made, secret = w.mint(w.admin, Mint{User: "bob", Scopes: []policy.Scope{policy.ReadPackages}, Lifetime: time.Hour})
			return nil
		}, map[string]string{after: "scopes read:packages"}},
		{"token.revoke", func() error { return w.RevokeToken(ctx, w.admin, made.ID) }, map[string]string{before: "user bob"}},
		{"token.forget", func() error {
			w.clock.Advance(keepEnded + 2*time.Hour)
			_, err := w.Purge(ctx)
			return err
		}, map[string]string{after: "tokens 1"}},
	} {
		n := len(w.recorded(0))
		must(t, step.run())
		all := w.recorded(n)
		if len(all) != 1 || all[0].Action != step.action || all[0].Decision != audit.Allow {
			t.Errorf("%s: %+v", step.action, all)
			continue
		}
		r := all[0]
		if step.action != "token.forget" && (r.Actor.ID != "admin" || r.Actor.TokenID != w.admin.TokenID || r.Actor.TokenLast4 == "") {
			t.Errorf("%s by %+v", step.action, r.Actor)
		}
		for which, state := range map[string]audit.State{before: r.Before, after: r.After} {
			key, value, _ := strings.Cut(step.state[which], " ")
			if state[key] != value {
				t.Errorf("%s: %s is %v, want %s", step.action, which, state, step.state[which])
			}
		}
	}
	text, err := json.Marshal(w.recorded(0))
	must(t, err)
	if made.ID == "" || strings.Contains(string(text), secret) || strings.Contains(string(text), w.token) {
		t.Error("a token stands in the log")
	}
	report, err := audit.Verify(ctx, w.index)
	if err != nil || report.Fault != nil {
		t.Errorf("verify: %v %v", report.Fault, err)
	}
}

func TestChangesThatFailLeaveNoRecord(t *testing.T) {
	w := newWorld(t, Options{})
	n := len(w.recorded(0))
	errs := []error{
		w.CreateUser(t.Context(), w.admin, Account{Name: FirstAdmin}),
		w.Suspend(t.Context(), w.admin, "nobody"),
		w.Grant(t.Context(), w.admin, "admin/packages", "nobody", policy.RoleRead),
		w.RevokeToken(t.Context(), w.admin, "none"),
		w.SetMember(t.Context(), w.admin, "acme", FirstAdmin, Member),
	}
	if _, err := w.Purge(t.Context()); err != nil {
		t.Error(err)
	}
	if slices.Contains(errs, nil) || len(w.recorded(n)) != 0 {
		t.Errorf("%v: %+v", errs, w.recorded(n))
	}
}
