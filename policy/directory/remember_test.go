package directory

import (
	"fmt"
	"testing"

	"larder/policy"
)

// reads counts the transactions that fn reads in.
func (w *world) reads(fn func()) int {
	w.index.mu.Lock()
	before := w.index.views
	w.index.mu.Unlock()
	fn()
	w.index.mu.Lock()
	defer w.index.mu.Unlock()
	return w.index.views - before
}

// What changes about some leaves what is remembered of others: a storm of grants
// must not make every decision a first one. What it does concern counts at once.
func TestChangesAreNarrow(t *testing.T) {
	w, ctx := newWorld(t, Options{}), t.Context()
	ann, bob := w.user("ann"), w.user("bob")
	w.org("acme")
	w.org("other")
	must(t, w.CreateRepository(ctx, w.admin, "acme/one", policy.Private))
	must(t, w.SetMember(ctx, w.admin, "acme", "ann", Member))
	must(t, w.Grant(ctx, w.admin, "acme/one", "ann", policy.RoleWrite))
	_, secret := w.mint(w.admin, Mint{User: "ann", Scopes: policy.AllScopes()})
	_, others := w.mint(w.admin, Mint{User: "bob", Scopes: policy.AllScopes()})
	decide := func() policy.Verdict {
		return w.decide(w.signIn(secret), policy.Publish, "acme/one", policy.Private)
	}
	generation := w.Generation()
	for name, c := range map[string]struct {
		change func() error
		shape  bool // claims, repositories and accounts are to be looked at again
	}{
		"a grant to another user": {func() error { return w.Grant(ctx, w.admin, "acme/one", "bob", policy.RoleRead) }, false},
		"another member":          {func() error { return w.SetMember(ctx, w.admin, "acme", "bob", Member) }, false},
		"a grant elsewhere":       {func() error { return w.Grant(ctx, w.admin, "other/packages", "ann", policy.RoleRead) }, false},
		"another user":            {func() error { return w.CreateUser(ctx, w.admin, Account{Name: "carol"}) }, true},
		"another repository":      {func() error { return w.CreateRepository(ctx, w.admin, "other/two", policy.Public) }, true},
		"a suspension":            {func() error { return w.Suspend(ctx, w.admin, "bob") }, true},
		"a token that ends":       {func() error { return w.RevokeSecret(ctx, w.admin, parse(t, others)) }, false},
	} {
		if got := decide(); got != policy.Allow {
			t.Fatalf("before %s: %v", name, got)
		}
		if n := w.reads(func() { decide() }); n != 0 {
			t.Errorf("before %s: %d reads for what was just asked", name, n)
		}
		must(t, c.change())
		if n := w.reads(func() { decide() }); n != 0 {
			t.Errorf("after %s: %d reads for what it does not concern", name, n)
		}
		if moved := w.Generation() != generation; moved != c.shape {
			t.Errorf("%s moved the generation: %v, want %v", name, moved, c.shape)
		}
		generation = w.Generation()
	}
	must(t, w.Resume(ctx, w.admin, bob.User))
	must(t, w.Grant(ctx, w.admin, "acme/one", "ann", policy.RoleNone))
	if got := w.decide(ann, policy.Publish, "acme/one", policy.Private); got != policy.Deny {
		t.Errorf("after the grant was taken back: %v", got)
	}
}

// What was remembered on the way does not make an answer older than MaxAge.
func TestAgesDoNotAddUp(t *testing.T) {
	w, ctx := newWorld(t, Options{}), t.Context()
	ann := w.user("ann")
	w.org("acme")
	must(t, w.Grant(ctx, w.admin, "acme/packages", "ann", policy.RoleWrite))
	if _, err := w.Account(ctx, "ann"); err != nil {
		t.Fatal(err)
	}
	w.clock.Advance(MaxAge - 1)
	if got := w.decide(ann, policy.Publish, "acme/packages", policy.Private); got != policy.Allow {
		t.Fatal(got)
	}
	// Another process suspends ann, which nothing here hears of.
	other, err := Open(ctx, w.index, Options{Clock: w.clock.Now})
	must(t, err)
	must(t, other.Suspend(ctx, w.admin, "ann"))
	w.clock.Advance(1)
	if got := w.decide(ann, policy.Publish, "acme/packages", policy.Private); got != policy.Deny {
		t.Errorf("%v by an account that was read %s ago", got, MaxAge)
	}
}

// A decision about what is remembered costs no allocation that grows with who
// there is: a handful for the answer, whatever the instance holds.
func TestAllocations(t *testing.T) {
	count := func(users, grants int) float64 {
		w, ctx := newWorld(t, Options{}), t.Context()
		w.org("acme")
		var secrets []string
		for i := range users {
			name := fmt.Sprintf("user-%d", i)
			must(t, w.CreateUser(ctx, w.admin, Account{Name: name}))
			_, secret := w.mint(w.admin, Mint{User: name, Scopes: policy.AllScopes()})
			secrets = append(secrets, secret)
			must(t, w.Grant(ctx, w.admin, "acme/packages", name, policy.RoleRead))
		}
		for i := range grants {
			repository := fmt.Sprintf("acme/repository-%d", i)
			must(t, w.CreateRepository(ctx, w.admin, repository, policy.Private))
			must(t, w.Grant(ctx, w.admin, repository, "user-0", policy.RoleRead))
		}
		at := 0
		decide := func() {
			at = (at + 1) % users
			if got := w.decide(w.signIn(secrets[at]), policy.Read, "acme/packages", policy.Private); got != policy.Allow {
				t.Fatal(got)
			}
		}
		for range users {
			decide()
		}
		return testing.AllocsPerRun(200, decide)
	}
	few, many := count(2, 2), count(200, 200)
	if many > few || few > 5 {
		t.Errorf("a decision costs %v allocations with few users and %v with many", few, many)
	}
}
