package directory

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"larder/policy"
	"larder/policy/bearer"
)

func pulls(names ...string) (list []policy.Grant) {
	for _, n := range names {
		list = append(list, policy.Grant{Format: "oci", Package: n, Actions: []policy.Action{policy.Read}})
	}
	return list
}

func (w *world) bearer(actor policy.Subject, grants ...policy.Grant) string {
	w.t.Helper()
	b, err := w.MintBearer(w.t.Context(), actor, grants)
	must(w.t, err)
	return b.Secret
}

// image asks whether somebody may read a private image of ann's.
func (w *world) image(s policy.Subject, name string) policy.Decision {
	return w.Authorize(w.t.Context(), s, policy.Read, policy.Resource{
		Format: "oci", Registry: "oci", Package: name, Repository: "ann/packages", Visibility: policy.Private, Hosted: true,
	})
}

func TestBearer(t *testing.T) {
	w := newWorld(t, Options{})
	ann := w.user("ann")
	b, err := w.MintBearer(t.Context(), ann, pulls("ann/app"))
	must(t, err)
	if !b.Issued.Equal(w.clock.Now()) || b.Expires.Sub(b.Issued) != 5*time.Minute {
		t.Errorf("made %s, ends %s", b.Issued, b.Expires)
	}
	s := w.signIn(b.Secret)
	if s.User != "ann" || s.TokenID != ann.TokenID || s.TokenKind != "ldrx" || s.TokenLast4 != ann.TokenLast4 || s.Grants == nil || s.Guest {
		t.Errorf("signed in as %+v", s)
	}
	if d := w.image(s, "ann/app"); d.Verdict != policy.Allow {
		t.Errorf("what it was made for: %s (%s)", d.Verdict, d.Reason)
	}
	if d := w.image(s, "ann/other"); d.Verdict != policy.Challenge || !d.Narrow {
		t.Errorf("another: %s (%s)", d.Verdict, d.Reason)
	}
	eve := w.signIn(w.bearer(w.user("eve"), pulls("ann/app")...))
	if d := w.image(eve, "ann/app"); d.Verdict != policy.Hide || d.Narrow {
		t.Errorf("of somebody without the right: %s", d.Verdict)
	}
	w.clock.Advance(5*time.Minute - time.Second)
	w.signIn(b.Secret)
	w.clock.Advance(time.Second)
	w.refusedSignIn(b.Secret, "expired")
}

// What a token was traded for is looked at again at every request.
func TestBearerEndsWithItsParent(t *testing.T) {
	for name, c := range map[string]struct {
		end  func(w *world, ann policy.Subject) error
		word string
	}{
		"revoked":   {func(w *world, ann policy.Subject) error { return w.RevokeToken(t.Context(), w.admin, ann.TokenID) }, "revoked"},
		"suspended": {func(w *world, _ policy.Subject) error { return w.Suspend(t.Context(), w.admin, "ann") }, "suspended"},
	} {
		w := newWorld(t, Options{})
		ann := w.user("ann")
		secret := w.bearer(ann, pulls("ann/app")...)
		w.signIn(secret)
		must(t, c.end(w, ann))
		w.refusedSignIn(secret, c.word)
		if _, err := w.MintBearer(t.Context(), ann, nil); name == "revoked" && !errors.Is(err, policy.ErrUnauthenticated) {
			t.Errorf("%s: another one: %v", name, err)
		}
	}
}

// Another process may have revoked the parent: that counts within MaxAge.
func TestBearerOfAnotherProcess(t *testing.T) {
	w := newWorld(t, Options{})
	ann := w.user("ann")
	other, err := Open(t.Context(), w.index, Options{Clock: w.clock.Now, AnonymousRead: true})
	must(t, err)
	_, err = other.Authenticate(t.Context(), "ldrx_"+strings.Repeat("a", 60), here) // remembers that there is no key
	wantKind(t, "forged", err, policy.ErrUnauthenticated)
	secret := w.bearer(ann, pulls("ann/app")...)
	s, err := other.Authenticate(t.Context(), secret, here)
	if err != nil || s.User != "ann" {
		t.Fatalf("%+v, %v", s, err)
	}
	must(t, w.RevokeToken(t.Context(), w.admin, ann.TokenID))
	w.clock.Advance(MaxAge)
	_, err = other.Authenticate(t.Context(), secret, here)
	wantKind(t, "revoked elsewhere", err, policy.ErrUnauthenticated)
}

func TestBearerEndsNoLaterThanItsParent(t *testing.T) {
	w := newWorld(t, Options{})
	made, secret := w.mint(w.admin, Mint{Scopes: policy.AllScopes(), Lifetime: time.Minute})
	b, err := w.MintBearer(t.Context(), w.signIn(secret), nil)
	if err != nil || !b.Expires.Equal(made.Expires) {
		t.Errorf("ends %s, and the token it was traded for %s: %v", b.Expires, made.Expires, err)
	}
}

func TestBearerKeepsLimits(t *testing.T) {
	w := newWorld(t, Options{})
	_, secret := w.mint(w.admin, Mint{Scopes: policy.AllScopes(), Limits: policy.Limits{CIDRs: []string{"192.0.2.0/24"}, Repositories: []string{"admin/other"}}})
	b := w.bearer(w.signIn(secret), pulls("ann/app")...)
	w.user("ann")
	s := w.signIn(b)
	if d := w.image(s, "ann/app"); d.Verdict != policy.Hide || !d.Limited {
		t.Errorf("beyond the repositories of the token: %s", d.Verdict)
	}
	_, err := w.Authenticate(t.Context(), b, netip.MustParseAddr("198.51.100.1"))
	wantKind(t, "from elsewhere", err, policy.ErrUnauthenticated)
}

func TestGuests(t *testing.T) {
	w := newWorld(t, Options{})
	before := w.index.updates
	secret := w.bearer(policy.Subject{}, pulls("app")...)
	s := w.signIn(secret)
	if !s.Guest || !s.Anonymous() || s.Grants == nil || s.TokenID != "" || len(s.Scopes) > 0 {
		t.Errorf("%+v", s)
	}
	for name, want := range map[string]policy.Verdict{"app": policy.Allow, "other": policy.Challenge} {
		d := w.Authorize(t.Context(), s, policy.Read, policy.Resource{Format: "oci", Registry: "oci", Package: name, Visibility: policy.Public})
		if d.Verdict != want || d.Narrow != (want == policy.Challenge) {
			t.Errorf("%s: %s", name, d.Verdict)
		}
	}
	for range 100 {
		w.bearer(policy.Subject{}, pulls("app")...)
	}
	if n := w.index.updates - before; n != 1 {
		t.Errorf("%d transactions for tokens that leave no row", n)
	}
	// A change of the setting counts for those that are out.
	shut, err := Open(t.Context(), w.index, Options{Clock: w.clock.Now})
	must(t, err)
	_, err = shut.Authenticate(t.Context(), secret, here)
	wantKind(t, "guest", err, policy.ErrUnauthenticated)
	_, err = shut.MintBearer(t.Context(), policy.Subject{}, nil)
	wantKind(t, "guest", err, policy.ErrUnauthenticated)
}

// A narrowed token makes nothing wider, and manages no tokens, whoever's it is.
func TestBearersManageNothing(t *testing.T) {
	w := newWorld(t, Options{})
	boss, ctx := w.signIn(w.bearer(w.admin, policy.Grant{Format: "oci", Actions: []policy.Action{policy.Open}})), t.Context()
	ann := w.user("ann")
	_, err1 := w.MintBearer(ctx, boss, pulls("a"))
	_, _, err2 := w.MintToken(ctx, boss, Mint{Scopes: []policy.Scope{policy.ReadPackages}, Trade: true})
	_, err3 := w.Tokens(ctx, boss, "admin")
	guest := w.signIn(w.bearer(policy.Subject{}))
	_, err4 := w.MintBearer(ctx, guest, nil)
	_, err5 := w.AddClaim(ctx, boss, policy.Claim{ID: "x", Match: []string{"x/**"}, Repository: "admin/packages"})
	for name, err := range map[string]error{
		"bearer": err1, "token": err2, "list": err3, "bearer of a guest": err4,
		"revoke": w.RevokeToken(ctx, boss, boss.TokenID), "revoke secret": w.RevokeSecret(ctx, boss, parse(t, w.token)),
		"revoke another's": w.RevokeToken(ctx, boss, ann.TokenID),
		"user":             w.CreateUser(ctx, boss, Account{Name: "new"}), "suspend": w.Suspend(ctx, boss, "ann"),
		"repository": w.CreateRepository(ctx, boss, "admin/new", policy.Private), "visibility": w.SetRepository(ctx, boss, "admin/packages", RepositorySettings{Visibility: policy.Public}),
		"member": w.SetMember(ctx, boss, "acme", "ann", Member), "grant": w.Grant(ctx, boss, "admin/packages", "ann", policy.RoleAdmin),
		"claim": err5,
	} {
		var refusal *policy.Refusal
		if !errors.As(err, &refusal) || refusal.Decision.Verdict == policy.Allow {
			t.Errorf("%s: %v", name, err)
		}
	}
	w.signIn(w.token)
}

// Expired tokens are what clients come with every few minutes, many of them
// behind one address; guesses are not.
func TestBearersAndBackoff(t *testing.T) {
	w := newWorld(t, Options{})
	secret := w.bearer(w.admin)
	w.clock.Advance(time.Hour)
	var wait *ThrottledError
	for range 500 {
		if _, err := w.Authenticate(t.Context(), secret, here); errors.As(err, &wait) {
			t.Fatal("a client whose token has expired has to wait")
		}
	}
	guess := "ldrx_" + strings.Repeat("a", 100)
	for i := 0; ; i++ {
		_, err := w.Authenticate(t.Context(), guess, here)
		wantKind(t, "guess", err, policy.ErrUnauthenticated)
		if errors.As(err, &wait) {
			break
		}
		if i > 200 {
			t.Fatal("nobody counts guesses")
		}
	}
	w.signIn(w.bearer(w.admin)) // what is good is never held up
}

func TestBearerKeysRotate(t *testing.T) {
	w := newWorld(t, Options{})
	w.bearer(w.admin)
	w.clock.Advance(bearer.Rotation - time.Minute)
	_, secret := w.mint(w.admin, Mint{Scopes: policy.AllScopes()})
	admin := w.signIn(secret)
	before := w.bearer(admin)
	w.clock.Advance(time.Minute)
	updates := w.index.updates
	after := w.bearer(admin)
	if w.index.updates != updates+1 {
		t.Errorf("%d transactions", w.index.updates-updates)
	}
	w.signIn(before)
	w.signIn(after)
}

// A fault is not taken for a token that is no good: clients would throw it away.
func TestBearerWhenTheIndexFails(t *testing.T) {
	w := newWorld(t, Options{})
	secret := w.bearer(w.admin)
	w.clock.Advance(time.Minute)
	broken := errors.New("broken")
	w.index.fail(broken)
	if _, err := w.Authenticate(t.Context(), secret, here); !errors.Is(err, broken) || errors.Is(err, policy.ErrUnauthenticated) {
		t.Errorf("%v", err)
	}
	if _, err := w.MintBearer(t.Context(), w.admin, nil); !errors.Is(err, broken) {
		t.Errorf("%v", err)
	}
}
