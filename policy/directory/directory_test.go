package directory

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"larder/cache"
	"larder/cache/memory"
	"larder/policy"
	"larder/policy/token"
)

func TestBootstrap(t *testing.T) {
	ctx, index, dir := t.Context(), memory.NewIndex(), t.TempDir()
	d, err := Open(ctx, index, Options{})
	must(t, err)
	file := filepath.Join(dir, "admin.token")
	if _, err := d.Bootstrap(ctx, filepath.Join(dir, "missing", "x")); err == nil {
		t.Fatal("a token that could not be written counts")
	}
	if _, err := d.Account(ctx, FirstAdmin); !errors.Is(err, cache.ErrNotExist) {
		t.Fatalf("a failed bootstrap left an account: %v", err)
	}
	created, err := d.Bootstrap(ctx, file)
	if err != nil || !created {
		t.Fatal(created, err)
	}
	text, err := os.ReadFile(file)
	must(t, err)
	info, err := os.Stat(file)
	must(t, err)
	if !regexp.MustCompile(`^ldrp_[0-9A-Za-z]{36}\n$`).Match(text) || info.Mode().Perm() != 0o600 {
		t.Errorf("file of %d bytes and mode %v", len(text), info.Mode())
	}
	if files, err := os.ReadDir(dir); err != nil || len(files) != 1 {
		t.Errorf("left behind: %v %v", files, err)
	}
	s, err := d.Authenticate(ctx, strings.TrimSpace(string(text)), here)
	if err != nil || s.User != FirstAdmin || !s.Admin || !policy.Covers(s.Scopes, policy.AllScopes()) {
		t.Errorf("signed in as %+v, %v", s, err)
	}
	if v, err := d.Visibility(ctx, "admin/packages"); v != policy.Public || err != nil {
		t.Errorf("admin/packages is %q, %v", v, err)
	}
	must(t, os.Remove(file))
	again, err := Open(ctx, index, Options{})
	must(t, err)
	if created, err := again.Bootstrap(ctx, file); created || err != nil {
		t.Error("bootstrapped twice", err)
	}
	if _, err := os.Stat(file); !errors.Is(err, os.ErrNotExist) {
		t.Error("a second token was written")
	}
}

// Whatever lies where the first token goes is replaced, not written to: a link
// would lead it elsewhere, and a file might be open to others.
func TestBootstrapReplacesWhatIsThere(t *testing.T) {
	for name, prepare := range map[string]func(dir, file string) error{
		"link":          func(dir, file string) error { return os.Symlink(filepath.Join(dir, "victim"), file) },
		"dangling link": func(dir, file string) error { return os.Symlink(filepath.Join(dir, "nowhere"), file) },
		"open file": func(_, file string) error {
			return os.WriteFile(file, []byte("old, and longer than any token is"+strings.Repeat(".", 99)), 0o666)
		},
		"hard link": func(dir, file string) error { return os.Link(filepath.Join(dir, "victim"), file) },
	} {
		dir := t.TempDir()
		victim, file := filepath.Join(dir, "victim"), filepath.Join(dir, "admin.token")
		must(t, os.WriteFile(victim, []byte("precious"), 0o644))
		must(t, prepare(dir, file))
		d, err := Open(t.Context(), memory.NewIndex(), Options{})
		must(t, err)
		created, err := d.Bootstrap(t.Context(), file)
		must(t, err)
		info, err := os.Lstat(file)
		must(t, err)
		if !created || info.Mode() != 0o600 || info.Size() != int64(token.Length+1) {
			t.Errorf("%s: a file of mode %v and %d bytes", name, info.Mode(), info.Size())
		}
		if text, err := os.ReadFile(victim); string(text) != "precious" || err != nil {
			t.Errorf("%s: the other file holds %d bytes now, %v", name, len(text), err)
		}
		if _, err := os.Lstat(filepath.Join(dir, "nowhere")); err == nil {
			t.Errorf("%s: a file was made where the link pointed to", name)
		}
	}
}

// No row holds a token in clear (threat 31, and what a copy of the data gives).
func TestRowsHoldNoSecret(t *testing.T) {
	w := newWorld(t, Options{})
	w.user("ann")
	body := w.token[5:]
	must(t, w.index.View(t.Context(), func(r cache.Reader) error {
		for row, err := range r.Scan(nil, nil) {
			must(t, err)
			if strings.Contains(string(row.Key)+string(row.Value), body) {
				t.Errorf("row %q holds the token", row.Key)
			}
		}
		return nil
	}))
}

func TestRoles(t *testing.T) {
	w, ctx := newWorld(t, Options{}), t.Context()
	ann, bob, eve := w.user("ann"), w.user("bob"), w.user("eve")
	w.org("acme")
	must(t, w.SetMember(ctx, w.admin, "acme", "ann", Owner))
	must(t, w.CreateRepository(ctx, ann, "acme/inner", policy.Internal))
	must(t, w.Grant(ctx, ann, "acme/packages", "eve", policy.RoleWrite))
	must(t, w.SetMember(ctx, ann, "acme", "bob", Member))

	check := func(user, repository string, want policy.Role) {
		t.Helper()
		if got, err := w.Role(ctx, user, policy.Resource{Repository: repository}); got != want || err != nil {
			t.Errorf("%s in %s: %v, %v, want %v", user, repository, got, err, want)
		}
	}
	check("admin", "acme/packages", policy.RoleAdmin)
	check("ann", "acme/packages", policy.RoleAdmin)
	check("ann", "ann/packages", policy.RoleAdmin)
	check("bob", "acme/packages", policy.RoleRead)
	check("bob", "ann/packages", policy.RoleNone)
	check("eve", "acme/packages", policy.RoleWrite)
	check("eve", "acme/inner", policy.RoleNone)
	check("ann", "acme/none", policy.RoleNone)
	check("nobody", "acme/packages", policy.RoleNone)
	check("ann", "acme", policy.RoleAdmin)
	check("ann", "../x", policy.RoleNone)

	must(t, w.SetOrganization(ctx, ann, "acme", OrgSettings{BaseRole: new(policy.RoleNone)}))
	check("bob", "acme/packages", policy.RoleNone)
	for who, want := range map[*policy.Subject]policy.Verdict{&bob: policy.Allow, &eve: policy.Hide, &ann: policy.Allow, {}: policy.Challenge} {
		if got := w.decide(*who, policy.Read, "acme/inner", policy.Internal); got != want {
			t.Errorf("%q reads what is internal: %v, want %v", who.User, got, want)
		}
	}
	must(t, w.SetOrganization(ctx, ann, "acme", OrgSettings{BaseRole: new(policy.RoleWrite)}))
	check("bob", "acme/inner", policy.RoleWrite)
	must(t, w.SetMember(ctx, ann, "acme", "bob", ""))
	check("bob", "acme/inner", policy.RoleNone)
	must(t, w.Grant(ctx, ann, "acme/packages", "eve", policy.RoleNone))
	check("eve", "acme/packages", policy.RoleNone)
	must(t, w.Suspend(ctx, w.admin, "ann"))
	check("ann", "acme/packages", policy.RoleNone)
	must(t, w.Resume(ctx, w.admin, "ann"))
	check("ann", "acme/packages", policy.RoleAdmin)
}

// Who lacks authority is refused, whether or not the thing exists.
func TestAuthority(t *testing.T) {
	w, ctx := newWorld(t, Options{}), t.Context()
	ann, eve := w.user("ann"), w.user("eve")
	w.org("acme")
	must(t, w.SetMember(ctx, w.admin, "acme", "ann", Member))
	w.team("core")
	_, weakToken := w.mint(w.admin, Mint{Scopes: []policy.Scope{policy.ReadPackages}})
	weak := w.signIn(weakToken)
	_, limitedToken := w.mint(w.admin, Mint{Scopes: policy.AllScopes(), Limits: policy.Limits{Owners: []string{"eve"}}})
	limited := w.signIn(limitedToken)

	calls := map[string]func(policy.Subject) error{
		"create user":    func(s policy.Subject) error { return w.CreateUser(ctx, s, Account{Name: "new"}) },
		"create org":     func(s policy.Subject) error { return w.CreateUser(ctx, s, Account{Name: "new", Org: true}) },
		"suspend":        func(s policy.Subject) error { return w.Suspend(ctx, s, "admin") },
		"resume":         func(s policy.Subject) error { return w.Resume(ctx, s, "ann") },
		"member":         func(s policy.Subject) error { return w.SetMember(ctx, s, "acme", "eve", Owner) },
		"member of none": func(s policy.Subject) error { return w.SetMember(ctx, s, "none", "eve", Owner) },
		"base role": func(s policy.Subject) error {
			return w.SetOrganization(ctx, s, "acme", OrgSettings{BaseRole: new(policy.RoleAdmin)})
		},
		"repository": func(s policy.Subject) error { return w.CreateRepository(ctx, s, "acme/new", policy.Public) },
		"visibility": func(s policy.Subject) error {
			return w.SetRepository(ctx, s, "acme/packages", RepositorySettings{Visibility: policy.Public})
		},
		"visibility of none": func(s policy.Subject) error {
			return w.SetRepository(ctx, s, "acme/none", RepositorySettings{Visibility: policy.Public})
		},
		"grant":           func(s policy.Subject) error { return w.Grant(ctx, s, "acme/packages", "eve", policy.RoleRead) },
		"grant to a team": func(s policy.Subject) error { return w.Grant(ctx, s, "acme/packages", "@core", policy.RoleRead) },
		"create team":     func(s policy.Subject) error { _, err := w.CreateTeam(ctx, s, "acme", "new"); return err },
		"team of none":    func(s policy.Subject) error { _, err := w.CreateTeam(ctx, s, "none", "new"); return err },
		"delete team":     func(s policy.Subject) error { return w.DeleteTeam(ctx, s, "acme", "core") },
		"delete none":     func(s policy.Subject) error { return w.DeleteTeam(ctx, s, "acme", "none") },
		"team member":     func(s policy.Subject) error { return w.SetTeamMember(ctx, s, TeamMember{"acme", "core", "ann"}, true) },
		"out of a team":   func(s policy.Subject) error { return w.SetTeamMember(ctx, s, TeamMember{"acme", "core", "ann"}, false) },
		"add claim": func(s policy.Subject) error {
			_, err := w.AddClaim(ctx, s, policy.Claim{Match: []string{"x"}, Repository: "acme/packages"})
			return err
		},
		"remove claim": func(s policy.Subject) error { return w.RemoveClaim(ctx, s, "x") },
		"claims":       func(s policy.Subject) error { _, err := w.Claims(ctx, s); return err },
		"token for another": func(s policy.Subject) error {
			_, _, err := w.MintToken(ctx, s, Mint{User: "bob", Scopes: []policy.Scope{policy.ReadPackages}})
			return err
		},
	}
	before := w.Generation()
	for name, call := range calls {
		wantKind(t, name+" by nobody", call(policy.Subject{}), policy.ErrUnauthenticated)
		for who, s := range map[string]policy.Subject{"a member": ann, "an outsider": eve, "a weak token": weak, "a limited token": limited} {
			wantKind(t, name+" by "+who, call(s), policy.ErrDenied)
		}
	}
	if w.Generation() != before {
		t.Error("a refused change moved the generation")
	}
}

func TestChangesRefuseWhatIsWrong(t *testing.T) {
	w, ctx := newWorld(t, Options{}), t.Context()
	ann := w.user("ann")
	w.org("acme")
	for _, name := range []string{"", "v2", "mirror", "api", "Ann", "-a", "a_b", "a/b", "a.b", "ä", strings.Repeat("a", 65), "a\x00b"} {
		wantKind(t, "name "+name, w.CreateUser(ctx, w.admin, Account{Name: name}), ErrInvalid)
	}
	for _, name := range []string{"", "ann", "ann/", "ann/A", "ann/.a", "ann/a/b", "/a", "v2/a", "ann/" + strings.Repeat("a", 101)} {
		wantKind(t, "repository "+name, w.CreateRepository(ctx, ann, name, policy.Private), ErrInvalid)
	}
	must(t, w.CreateRepository(ctx, ann, "ann/pub", policy.Private))
	must(t, w.SetRepository(ctx, ann, "ann/pub", RepositorySettings{Visibility: policy.Public}))
	_, _, err := w.MintToken(ctx, w.admin, Mint{User: "acme", Scopes: policy.AllScopes()})
	wantKind(t, "a token of an organization", err, cache.ErrNotExist)
	for name, c := range map[string]struct{ err, kind error }{
		"same user":          {w.CreateUser(ctx, w.admin, Account{Name: "ann"}), ErrExists},
		"org of user's name": {w.CreateUser(ctx, w.admin, Account{Name: "ann", Org: true}), ErrExists},
		"admin org":          {w.CreateUser(ctx, w.admin, Account{Name: "o", Org: true, Admin: true}), ErrInvalid},
		"same repository":    {w.CreateRepository(ctx, ann, "ann/packages", policy.Private), ErrExists},
		"no visibility":      {w.CreateRepository(ctx, ann, "ann/x", ""), ErrInvalid},
		"no such owner":      {w.CreateRepository(ctx, w.admin, "nobody/x", policy.Private), cache.ErrNotExist},
		"public to private":  {w.SetRepository(ctx, ann, "ann/pub", RepositorySettings{Visibility: policy.Private}), ErrConflict},
		"public to internal": {w.SetRepository(ctx, ann, "ann/pub", RepositorySettings{Visibility: policy.Internal}), ErrConflict},
		"no such repository": {w.SetRepository(ctx, w.admin, "ann/none", RepositorySettings{Visibility: policy.Public}), cache.ErrNotExist},
		"grant to nobody":    {w.Grant(ctx, ann, "ann/pub", "nobody", policy.RoleRead), cache.ErrNotExist},
		"grant to org":       {w.Grant(ctx, ann, "ann/pub", "acme", policy.RoleRead), cache.ErrNotExist},
		"unknown role":       {w.Grant(ctx, ann, "ann/pub", "ann", 9), ErrInvalid},
		"last owner leaves":  {w.SetMember(ctx, w.admin, "acme", "admin", ""), ErrConflict},
		"last owner steps":   {w.SetMember(ctx, w.admin, "acme", "admin", Member), ErrConflict},
		"member of a user":   {w.SetMember(ctx, w.admin, "ann", "admin", Member), cache.ErrNotExist},
		"org as member":      {w.SetMember(ctx, w.admin, "acme", "acme", Member), cache.ErrNotExist},
		"membership":         {w.SetMember(ctx, w.admin, "acme", "ann", "boss"), ErrInvalid},
		"suspend oneself":    {w.Suspend(ctx, w.admin, "admin"), ErrConflict},
		"suspend nobody":     {w.Suspend(ctx, w.admin, "nobody"), cache.ErrNotExist},
		"suspend org":        {w.Suspend(ctx, w.admin, "acme"), cache.ErrNotExist},
	} {
		wantKind(t, name, c.err, c.kind)
	}
	must(t, w.SetMember(ctx, w.admin, "acme", "ann", Owner))
	must(t, w.SetMember(ctx, w.admin, "acme", "admin", ""))
}

// The last administrator stays: who is suspended by now suspends nobody, also
// with a request that was let in before.
func TestAnAdministratorRemains(t *testing.T) {
	w, ctx := newWorld(t, Options{}), t.Context()
	must(t, w.CreateUser(ctx, w.admin, Account{Name: "second", Admin: true}))
	_, secret := w.mint(w.admin, Mint{User: "second", Scopes: policy.AllScopes()})
	second := w.signIn(secret)
	must(t, w.Suspend(ctx, w.admin, "second"))
	wantKind(t, "suspended in turn", w.Suspend(ctx, second, "admin"), policy.ErrDenied)
	w.signIn(w.token)
	must(t, w.Resume(ctx, w.admin, "second"))
	must(t, w.Suspend(ctx, second, "admin"))
	w.refusedSignIn(w.token, "suspended")
}

// Owners who are suspended count for nothing where one must remain.
func TestAnOwnerRemains(t *testing.T) {
	w, ctx := newWorld(t, Options{}), t.Context()
	w.user("ann")
	w.user("bob")
	w.org("acme")
	for _, name := range []string{"ann", "bob"} {
		must(t, w.SetMember(ctx, w.admin, "acme", name, Owner))
	}
	must(t, w.SetMember(ctx, w.admin, "acme", "admin", ""))
	must(t, w.Suspend(ctx, w.admin, "bob"))
	wantKind(t, "the last owner who can act", w.SetMember(ctx, w.admin, "acme", "ann", Member), ErrConflict)
	must(t, w.SetMember(ctx, w.admin, "acme", "bob", "")) // the suspended one may go
	must(t, w.Resume(ctx, w.admin, "bob"))
}

// held is how many entries a memo holds.
func held[K comparable, V any](m *memo[K, V]) (n int) {
	for _, s := range m.shards {
		n += s.Len()
	}
	return n
}

// What can be no repository takes no room in memory: callers may send any.
func TestNonsenseIsNotRemembered(t *testing.T) {
	w, ctx := newWorld(t, Options{}), t.Context()
	ann := w.user("ann")
	before := held(&w.standings)
	for _, where := range []string{strings.Repeat("a", 500) + "/" + strings.Repeat("b", 500), "A/b", "v2/x", "..", strings.Repeat("a", 500), "a\x00b"} {
		if role, err := w.Role(ctx, ann.User, policy.Resource{Repository: where}); role != policy.RoleNone || err != nil {
			t.Errorf("%.20q: %v, %v", where, role, err)
		}
	}
	if got := held(&w.standings); got != before {
		t.Errorf("%d entries were added", got-before)
	}
}

func TestNewOwnersHaveAPrivateRepository(t *testing.T) {
	w, ctx := newWorld(t, Options{}), t.Context()
	w.user("ann")
	w.org("acme")
	for _, name := range []string{"ann/packages", "acme/packages"} {
		if v, err := w.Visibility(ctx, name); v != policy.Private || err != nil {
			t.Errorf("%s is %q, %v", name, v, err)
		}
	}
	_, err := w.Visibility(ctx, "acme/none")
	wantKind(t, "visibility of none", err, cache.ErrNotExist)
	_, err = w.Repository(ctx, "nonsense")
	wantKind(t, "repository of no form", err, cache.ErrNotExist)
}

// An owner who publishes to a repository that is not there reads so; others
// cannot tell it from one that they have no role in.
func TestMissingRepository(t *testing.T) {
	w, ctx := newWorld(t, Options{}), t.Context()
	ann, eve := w.user("ann"), w.user("eve")
	ask := func(s policy.Subject, repository string) policy.Decision {
		return w.Authorize(ctx, s, policy.Publish, policy.Resource{Package: "one", Repository: repository, Visibility: policy.Private})
	}
	if d := ask(ann, "ann/none"); d.Verdict != policy.Deny || !strings.Contains(d.Reason, "larder repo create ann/none") {
		t.Errorf("the owner reads %+v", d)
	}
	if missing, hidden := ask(eve, "ann/none"), ask(eve, "ann/packages"); missing.Verdict != policy.Deny || missing.Reason != hidden.Reason {
		t.Errorf("an outsider reads %q and %q", missing.Reason, hidden.Reason)
	}
	if got := w.decide(eve, policy.Read, "ann/none", policy.Private); got != policy.Hide {
		t.Errorf("read: %v", got)
	}
}

func TestFailsClosed(t *testing.T) {
	w, ctx := newWorld(t, Options{}), t.Context()
	ann := w.user("ann")
	w.clock.Advance(MaxAge)
	broken := errors.New("disk on fire")
	w.index.fail(broken)
	for _, a := range []policy.Action{policy.Read, policy.Publish, policy.Delete, policy.Settings, policy.Organize} {
		if got := w.decide(ann, a, "ann/packages", policy.Private); got != policy.Deny {
			t.Errorf("%s with a broken index: %v", a, got)
		}
	}
	if _, err := w.Authenticate(ctx, w.token, here); !errors.Is(err, broken) || errors.Is(err, policy.ErrUnauthenticated) {
		t.Errorf("sign-in with a broken index: %v", err)
	}
	wantKind(t, "create", w.CreateUser(ctx, w.admin, Account{Name: "bob"}), broken)
	_, err := w.Visibility(ctx, "ann/packages")
	wantKind(t, "visibility", err, broken)
	_, err = w.Home(ctx, "npm", "x", "ann")
	wantKind(t, "home", err, broken)
	_, _, err = w.MintToken(ctx, w.admin, Mint{Scopes: policy.AllScopes()})
	wantKind(t, "mint", err, broken)
	wantKind(t, "revoke", w.RevokeToken(ctx, w.admin, "x"), broken)
	_, err = w.Tokens(ctx, w.admin, "admin")
	wantKind(t, "tokens", err, broken)
	if _, err := Open(ctx, w.index, Options{}); !errors.Is(err, broken) {
		t.Errorf("open: %v", err)
	}
	w.index.fail(nil)
	if got := w.decide(ann, policy.Publish, "ann/packages", policy.Private); got != policy.Allow {
		t.Errorf("afterwards: %v", got)
	}
}

// A decision costs no transaction and no allocation once its rows are in memory.
func TestWarmPathIsCheap(t *testing.T) {
	w, ctx := newWorld(t, Options{}), t.Context()
	ann := w.user("ann")
	_, secret := w.mint(ann, Mint{Scopes: policy.AllScopes()})
	res := policy.Resource{Format: "npm", Package: "one", Repository: "ann/packages", Visibility: policy.Private, Hosted: true}
	warm := func() {
		if w.Authorize(ctx, ann, policy.Publish, res).Verdict != policy.Allow {
			t.Error("refused")
		}
	}
	warm()
	w.signIn(secret)
	views := w.index.views
	if n := testing.AllocsPerRun(200, warm); n != 0 {
		t.Errorf("a decision allocates %v times", n)
	}
	w.signIn(secret)
	if w.index.views != views {
		t.Error("the index was asked again")
	}
	w.clock.Advance(MaxAge)
	warm()
	if w.index.views == views {
		t.Error("an answer was used beyond its age")
	}
}

// A row written by another process is seen within MaxAge.
func TestForeignChangesCountWithinMaxAge(t *testing.T) {
	w, ctx := newWorld(t, Options{}), t.Context()
	other, err := Open(ctx, w.index, Options{Clock: w.clock.Now})
	must(t, err)
	ann := w.user("ann")
	_, secret := w.mint(ann, Mint{Scopes: policy.AllScopes()})
	if _, err := other.Authenticate(ctx, secret, here); err != nil {
		t.Fatal(err)
	}
	must(t, w.Suspend(ctx, w.admin, "ann"))
	w.refusedSignIn(secret, "suspended")
	w.clock.Advance(MaxAge)
	_, err = other.Authenticate(ctx, secret, here)
	wantKind(t, "sign-in elsewhere", err, policy.ErrUnauthenticated)
}

func TestOpenRefusesBadOptions(t *testing.T) {
	for _, o := range []Options{
		{DefaultRepository: "packages"},
		{Claims: []policy.Claim{{ID: "a", Match: []string{"a**"}, Repository: "acme/x"}}},
		{Claims: []policy.Claim{{ID: "a", Match: []string{"a"}, Repository: "v2/x"}}},
		{Formats: []string{"npm"}, Claims: []policy.Claim{{ID: "a", Formats: []string{"nmp"}, Match: []string{"a"}, Repository: "acme/x"}}},
	} {
		if _, err := Open(context.Background(), memory.NewIndex(), o); err == nil {
			t.Errorf("%+v was accepted", o)
		}
	}
}
