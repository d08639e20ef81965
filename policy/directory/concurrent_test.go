package directory

import (
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
