package accounts

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"larder/cache/clocktest"
	"larder/cache/memory"
	"larder/formats"
	"larder/policy"
	"larder/policy/directory"
)

// The compiler checks what the edge and the formats ask for.
var _ formats.Accounts = (*Accounts)(nil)

var here = netip.MustParseAddr("192.0.2.1")

type fixture struct {
	*Accounts
	*clocktest.Clock
	t     *testing.T
	dir   *directory.Directory
	admin policy.Subject
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	f := &fixture{t: t, Clock: clocktest.New(0)}
	d, err := directory.Open(t.Context(), memory.NewIndex(), directory.Options{Clock: f.Now})
	must(t, err)
	file := filepath.Join(t.TempDir(), "token")
	_, err = d.Bootstrap(t.Context(), file)
	must(t, err)
	text, err := os.ReadFile(file)
	must(t, err)
	f.dir, f.Accounts = d, New(d, f.Now)
	f.admin = f.signIn(strings.TrimSpace(string(text)))
	return f
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (f *fixture) signIn(secret string) policy.Subject {
	f.t.Helper()
	s, err := f.dir.Authenticate(f.t.Context(), secret, here)
	must(f.t, err)
	return s
}

// user makes a user with one token.
func (f *fixture) user(name string, m directory.Mint) (policy.Subject, string) {
	f.t.Helper()
	if _, err := f.dir.Account(f.t.Context(), name); err != nil {
		must(f.t, f.dir.CreateUser(f.t.Context(), f.admin, directory.Account{Name: name, Email: name + "@mail.example"}))
	}
	m.User = name
	if m.Scopes == nil {
		m.Scopes = policy.AllScopes()
	}
	secret, _, err := f.dir.MintToken(f.t.Context(), f.admin, m)
	must(f.t, err)
	caller, err := f.dir.Authenticate(f.t.Context(), secret.Reveal(), here)
	must(f.t, err)
	return caller, secret.Reveal()
}

func TestIdentify(t *testing.T) {
	f := newFixture(t)
	_, ann := f.user("ann", directory.Mint{Name: "one"})
	_, annToo := f.user("ann", directory.Mint{Name: "two", Scopes: []policy.Scope{policy.ReadPackages}})
	_, eve := f.user("eve", directory.Mint{})
	for _, c := range []struct {
		name, auth, key, user string
		err                   error
	}{
		{name: "nobody"},
		{name: "bearer", auth: "Bearer " + ann, user: "ann"},
		{name: "basic of another name", auth: "Basic " + b64("someone:"+ann), user: "ann"},
		{name: "bare", auth: ann, user: "ann"},
		{name: "key", key: ann, user: "ann"},
		{name: "key and basic of one user", auth: "Basic " + b64("ann:"+annToo), key: ann, user: "ann"},
		{name: "key and basic of two users", auth: "Basic " + b64("eve:"+eve), key: ann, err: formats.ErrBadRequest},
		{name: "good key, bad basic", auth: "Basic " + b64("ann:wrong"), key: ann, err: policy.ErrUnauthenticated},
		{name: "bad key, good basic", auth: "Basic " + b64("ann:"+ann), key: "ldrp_wrong", err: policy.ErrUnauthenticated},
		{name: "bad", auth: "Bearer x", err: policy.ErrUnauthenticated},
		{name: "empty", auth: "Bearer ", err: policy.ErrUnauthenticated},
	} {
		r := httptest.NewRequest(http.MethodGet, "/npm/x", nil)
		if c.auth != "" {
			r.Header.Set("Authorization", c.auth)
		}
		if c.key != "" {
			r.Header.Set("X-NuGet-ApiKey", c.key)
		}
		s, err := f.Identify(r, here)
		if s.User != c.user || !errors.Is(err, c.err) {
			t.Errorf("%s: %q, %v; want %q, %v", c.name, s.User, err, c.user, c.err)
		}
		if c.key == ann && c.user == "ann" && !policy.Holds(s.Scopes, policy.DeletePackages) {
			t.Errorf("%s: the key does not decide", c.name)
		}
	}
}

func TestUser(t *testing.T) {
	f := newFixture(t)
	f.user("ann", directory.Mint{})
	must(t, f.dir.CreateUser(t.Context(), f.admin, directory.Account{Name: "acme", Org: true}))
	u, err := f.User(t.Context(), "ann")
	if err != nil || u.Name != "ann" || u.Email != "ann@mail.example" || !u.Created.Equal(f.Now()) {
		t.Errorf("%+v, %v", u, err)
	}
	for _, name := range []string{"bob", "acme", "", "a/b"} {
		if _, err := f.User(t.Context(), name); !errors.Is(err, formats.ErrNotFound) {
			t.Errorf("user %q: %v", name, err)
		}
	}
}

func TestLogin(t *testing.T) {
	f, ctx := newFixture(t), t.Context()
	ann, secret := f.user("ann", directory.Mint{})
	session, err := f.Login(ctx, here, "ann", secret)
	must(t, err)
	s := f.signIn(session)
	if s.User != "ann" || s.TokenID == ann.TokenID || policy.Holds(s.Scopes, policy.AdminInstance) || !policy.Holds(s.Scopes, policy.WritePackages) {
		t.Errorf("signed in as %+v", s)
	}
	for name, password := range map[string]string{"eve": secret, "": secret, "ann": "hunter2"} {
		if _, err := f.Login(ctx, here, name, password); !errors.Is(err, policy.ErrUnauthenticated) {
			t.Errorf("login of %q: %v", name, err)
		}
	}
	must(t, f.Revoke(ctx, s, session))
	if _, err := f.dir.Authenticate(ctx, session, here); !errors.Is(err, policy.ErrUnauthenticated) {
		t.Errorf("after the logout: %v", err)
	}
	_, bound := f.user("ann", directory.Mint{Limits: policy.Limits{CIDRs: []string{"192.0.2.0/24"}}})
	if _, err := f.Login(ctx, netip.MustParseAddr("198.51.100.1"), "ann", bound); !errors.Is(err, policy.ErrUnauthenticated) {
		t.Errorf("login from outside the limit: %v", err)
	}
	if _, err := f.Login(ctx, here, "ann", bound); err != nil {
		t.Errorf("login from inside the limit: %v", err)
	}
	_, useless := f.user("ann", directory.Mint{Scopes: []policy.Scope{policy.AdminOrg}})
	if _, err := f.Login(ctx, here, "ann", useless); !errors.Is(err, formats.ErrBadRequest) {
		t.Errorf("login with a token of no use for packages: %v", err)
	}
}

func TestTokens(t *testing.T) {
	f, ctx := newFixture(t), t.Context()
	ann, _ := f.user("ann", directory.Mint{Scopes: []policy.Scope{policy.WritePackages}})
	eve, _ := f.user("eve", directory.Mint{})
	secret, made, err := f.Mint(ctx, ann, formats.Token{Name: "ci"})
	must(t, err)
	if !slices.Equal(made.Scopes, ann.Scopes) || !strings.HasPrefix(secret, made.Prefix) || !made.Expires.Equal(f.Now().Add(directory.DefaultLifetime)) {
		t.Errorf("made %+v", made)
	}
	until := f.Now().Add(48 * time.Hour)
	_, short, err := f.Mint(ctx, ann, formats.Token{Scopes: []policy.Scope{policy.ReadPackages}, Expires: until})
	if err != nil || !short.Expires.Equal(until) {
		t.Errorf("made %+v, %v", short, err)
	}
	for name, c := range map[string]struct {
		want formats.Token
		err  error
	}{
		"past":        {formats.Token{Expires: f.Now()}, formats.ErrBadRequest},
		"far":         {formats.Token{Expires: f.Now().Add(2 * directory.MaxLifetime)}, formats.ErrBadRequest},
		"more":        {formats.Token{Scopes: []policy.Scope{policy.DeletePackages}}, policy.ErrDenied},
		"unknown":     {formats.Token{Scopes: []policy.Scope{"x"}}, formats.ErrBadRequest},
		"wrong limit": {formats.Token{Limits: policy.Limits{CIDRs: []string{"x"}}}, formats.ErrBadRequest},
	} {
		if _, _, err := f.Mint(ctx, ann, c.want); !errors.Is(err, c.err) {
			t.Errorf("%s: %v, want %v", name, err, c.err)
		}
	}
	list, err := f.Tokens(ctx, ann)
	if err != nil || len(list) != 3 {
		t.Fatalf("listed %+v, %v", list, err)
	}
	for _, foreign := range []string{made.ID, secret, "unknown", ""} {
		if err := f.Revoke(ctx, eve, foreign); !errors.Is(err, formats.ErrNotFound) {
			t.Errorf("eve revokes: %v", err)
		}
	}
	must(t, f.Revoke(ctx, ann, made.ID))
	must(t, f.Revoke(ctx, ann, short.ID))
	if list, err = f.Tokens(ctx, ann); err != nil || len(list) != 1 {
		t.Errorf("left %+v, %v", list, err)
	}
	if _, err := f.Tokens(ctx, policy.Subject{}); !errors.Is(err, policy.ErrUnauthenticated) {
		t.Errorf("tokens of nobody: %v", err)
	}
}

func TestPairing(t *testing.T) {
	f, ctx := newFixture(t), t.Context()
	ann, annSecret := f.user("ann", directory.Mint{})
	p := f.Pairing()
	gone := func(what string, err error) {
		t.Helper()
		if !errors.Is(err, formats.ErrNotFound) {
			t.Errorf("%s: %v, want not found", what, err)
		}
	}
	id, code, err := p.Begin(ctx, here)
	must(t, err)
	if id == code || len(code) < 26 || len(id) < 26 {
		t.Errorf("one secret for both, or one that can be guessed: %d and %d characters", len(id), len(code))
	}
	if from, err := p.Waiting(ctx, code); from != here || err != nil {
		t.Errorf("begun at %v, %v", from, err)
	}
	_, err = p.Waiting(ctx, id)
	gone("the id shows", err)
	if s, ok, err := p.Take(ctx, id); s != "" || ok || err != nil {
		t.Errorf("before the confirmation: %q %v %v", s, ok, err)
	}
	gone("the id confirms", p.Confirm(ctx, id, ann))
	_, _, err = p.Take(ctx, code)
	gone("the code takes", err)
	if err := p.Confirm(ctx, code, policy.Subject{}); !errors.Is(err, policy.ErrUnauthenticated) {
		t.Errorf("nobody confirms: %v", err)
	}
	must(t, p.Confirm(ctx, code, ann))
	gone("a second confirmation", p.Confirm(ctx, code, ann))
	_, err = p.Waiting(ctx, code)
	gone("a confirmed code shows", err)
	secret, ok, err := p.Take(ctx, id)
	if err != nil || !ok || f.signIn(secret).User != "ann" {
		t.Fatalf("taken: %v %v", ok, err)
	}
	_, _, err = p.Take(ctx, id)
	gone("a second take", err)

	id, code, err = p.Begin(ctx, here)
	must(t, err)
	f.Advance(pairingLife)
	gone("a late confirmation", p.Confirm(ctx, code, ann))
	_, err = p.Waiting(ctx, code)
	gone("a late code shows", err)
	_, _, err = p.Take(ctx, id)
	gone("a late take", err)

	// Whoever confirmed and was then shut out gives nothing.
	id, code, err = p.Begin(ctx, here)
	must(t, err)
	must(t, p.Confirm(ctx, code, ann))
	must(t, f.Revoke(ctx, ann, annSecret))
	if _, ok, err := p.Take(ctx, id); ok || !errors.Is(err, policy.ErrUnauthenticated) {
		t.Errorf("taken with a revoked token: %v %v", ok, err)
	}
	_, _, err = p.Take(ctx, id)
	gone("another take", err)
}

// One network can keep itself from signing in, but nobody else; all together
// cannot fill the memory.
func TestPairingsAreBounded(t *testing.T) {
	f, ctx := newFixture(t), t.Context()
	p := f.Pairing()
	fill := func(from netip.Addr, n int) {
		t.Helper()
		for range n {
			_, _, err := p.Begin(ctx, from)
			must(t, err)
		}
	}
	refused := func(from netip.Addr, want time.Duration) {
		t.Helper()
		_, _, err := p.Begin(ctx, from)
		var wait interface{ RetryAfter() time.Duration }
		if !errors.As(err, &wait) || wait.RetryAfter() != want {
			t.Errorf("one too many from %v: %v, want a wait of %v", from, err, want)
		}
	}
	fill(here, maxWaiting)
	f.Advance(time.Minute)
	refused(here, pairingLife-time.Minute)
	for i := range (maxPairings - maxWaiting) / maxWaiting {
		// What one IPv6 customer has counts as one.
		fill(netip.MustParseAddr(fmt.Sprintf("2001:db8:0:%x::%d", i, i)), maxWaiting/2)
		fill(netip.MustParseAddr(fmt.Sprintf("2001:db8:0:%x::ffff", i)), maxWaiting/2)
	}
	refused(netip.MustParseAddr("198.51.100.1"), pairingLife-time.Minute)
	f.Advance(pairingLife - time.Minute)
	fill(netip.MustParseAddr("198.51.100.1"), 1)
	f.Advance(pairingLife)
	fill(here, maxWaiting)
	refused(here, pairingLife)
}

// Of many that ask at once, one gets the token, and one token is made.
func TestTakeOnce(t *testing.T) {
	f, ctx := newFixture(t), t.Context()
	ann, _ := f.user("ann", directory.Mint{})
	p := f.Pairing()
	id, code, err := p.Begin(ctx, here)
	must(t, err)
	must(t, p.Confirm(ctx, code, ann))
	var mu sync.Mutex
	taken := 0
	var group sync.WaitGroup
	for range 16 {
		group.Go(func() {
			if _, ok, err := p.Take(ctx, id); err == nil && ok {
				mu.Lock()
				taken++
				mu.Unlock()
			}
		})
	}
	group.Wait()
	list, err := f.Tokens(ctx, ann)
	if taken != 1 || err != nil || len(list) != 2 {
		t.Errorf("taken %d times, %d tokens, %v", taken, len(list), err)
	}
}

// A failure of the store does not cost the login.
func TestTakeAgainAfterFailure(t *testing.T) {
	broken, calls := errors.New("no"), 0
	p := newPairings(time.Now, func(context.Context, policy.Subject) (string, error) {
		if calls++; calls == 1 {
			return "", broken
		}
		return "secret", nil
	})
	id, code, err := p.Begin(t.Context(), here)
	must(t, err)
	must(t, p.Confirm(t.Context(), code, policy.Subject{User: "ann"}))
	if _, ok, err := p.Take(t.Context(), id); ok || !errors.Is(err, broken) {
		t.Errorf("first: %v %v", ok, err)
	}
	if s, ok, err := p.Take(t.Context(), id); s != "secret" || !ok || err != nil {
		t.Errorf("second: %v %v", ok, err)
	}
}
