package directory

import (
	"errors"
	"fmt"
	"sync"
	"testing"

	"larder/policy"
)

// Changes, sign-ins and decisions may run side by side; what a change took away
// is gone for whoever asks after it returned.
func TestConcurrentUse(t *testing.T) {
	w, ctx := newWorld(t, Options{}), t.Context()
	users := make([]policy.Subject, 4)
	for i := range users {
		users[i] = w.user(fmt.Sprintf("u%d", i))
	}
	w.org("acme")
	var group sync.WaitGroup
	for i, s := range users {
		group.Go(func() {
			for range 25 {
				grantAndTakeBack(t, w, s)
			}
		})
		group.Go(func() {
			for n := range 25 {
				secret, made, err := w.MintToken(ctx, s, Mint{Scopes: policy.AllScopes()})
				if err != nil {
					t.Error(err)
					return
				}
				if _, err := w.Authenticate(ctx, secret.Reveal(), here); err != nil {
					t.Errorf("user %d, token %d: %v", i, n, err)
				}
				if err := w.RevokeToken(ctx, s, made.ID); err != nil {
					t.Error(err)
				}
				if _, err := w.Authenticate(ctx, secret.Reveal(), here); err == nil {
					t.Errorf("user %d, token %d works after it was revoked", i, n)
				}
				if err := w.Flush(ctx); err != nil {
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
}

func grantAndTakeBack(t *testing.T, w *world, s policy.Subject) {
	for _, c := range []struct {
		role policy.Role
		want policy.Verdict
	}{{policy.RoleWrite, policy.Allow}, {policy.RoleNone, policy.Deny}} {
		if err := w.Grant(t.Context(), w.admin, "acme/packages", s.User, c.role); err != nil {
			t.Error(err)
		}
		if got := w.decide(s, policy.Publish, "acme/packages", policy.Private); got != c.want {
			t.Errorf("%s with role %v publishes: %v, want %v", s.User, c.role, got, c.want)
		}
	}
}

// A change of any kind counts for whoever asks after it returned, whatever else
// changes at the moment and however many ask meanwhile.
func TestEveryChangeCountsAtOnce(t *testing.T) {
	w, ctx := newWorld(t, Options{}), t.Context()
	w.org("acme")
	must(t, w.CreateRepository(ctx, w.admin, "acme/one", policy.Private))
	team, err := w.CreateTeam(ctx, w.admin, "acme", "crew")
	must(t, err)
	must(t, w.Grant(ctx, w.admin, "acme/one", teamMark+team.Name, policy.RoleAdmin))
	kinds := []struct {
		name     string
		give     func(user string) error
		take     func(user string) error
		action   policy.Action
		was, has policy.Verdict
	}{
		{"membership", func(u string) error { return w.SetMember(ctx, w.admin, "acme", u, Member) },
			func(u string) error { return w.SetMember(ctx, w.admin, "acme", u, "") }, policy.Read, policy.Hide, policy.Allow},
		{"grant", func(u string) error { return w.Grant(ctx, w.admin, "acme/one", u, policy.RoleWrite) },
			func(u string) error { return w.Grant(ctx, w.admin, "acme/one", u, policy.RoleNone) }, policy.Publish, policy.Deny, policy.Allow},
		{"team", func(u string) error {
			return errors.Join(w.SetMember(ctx, w.admin, "acme", u, Member), w.SetTeamMember(ctx, w.admin, TeamMember{"acme", "crew", u}, true))
		}, func(u string) error { return w.SetTeamMember(ctx, w.admin, TeamMember{"acme", "crew", u}, false) }, policy.Settings, policy.Deny, policy.Allow},
		{"suspension", func(u string) error {
			return errors.Join(w.Resume(ctx, w.admin, u), w.Grant(ctx, w.admin, "acme/one", u, policy.RoleRead))
		}, func(u string) error { return w.Suspend(ctx, w.admin, u) }, policy.Read, policy.Hide, policy.Allow},
	}
	var changing, asking sync.WaitGroup
	done := make(chan struct{})
	for i, k := range kinds {
		s := w.user(fmt.Sprintf("user%d", i))
		changing.Go(func() {
			for range 20 {
				for _, step := range []struct {
					change func(string) error
					want   policy.Verdict
				}{{k.give, k.has}, {k.take, k.was}} {
					if err := step.change(s.User); err != nil {
						t.Error(err)
					}
					if got := w.decide(s, k.action, "acme/one", policy.Private); got != step.want {
						t.Errorf("%s: %v, want %v", k.name, got, step.want)
					}
				}
			}
		})
		asking.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
					w.decide(s, k.action, "acme/one", policy.Private)
				}
			}
		})
	}
	changing.Wait()
	close(done)
	asking.Wait()
}
