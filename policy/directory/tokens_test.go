package directory

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"larder/cache"
	"larder/policy"
	"larder/policy/token"
)

func TestSignInRefusals(t *testing.T) {
	w, ctx := newWorld(t, Options{}), t.Context()
	ann := w.user("ann")
	scopes := []policy.Scope{policy.ReadPackages}
	unknown, err := token.New(token.Personal)
	must(t, err)
	for _, bad := range []string{"", "x", w.token + "x", strings.ToLower(w.token), "ldrp_" + strings.Repeat("0", 35) + "1"} {
		w.refusedSignIn(bad, "malformed")
	}
	w.refusedSignIn(unknown.Reveal(), "not known")

	made, secret := w.mint(ann, Mint{Scopes: scopes})
	w.signIn(secret)
	must(t, w.RevokeToken(ctx, ann, made.ID))
	w.refusedSignIn(secret, "revoked on 2026-03-01")
	var refusal *policy.Refusal
	if _, err := w.Authenticate(ctx, secret, here); !errors.As(err, &refusal) || refusal.Decision.TokenID != made.ID {
		t.Errorf("whose token it was is not told: %v", err)
	}

	_, secret = w.mint(ann, Mint{Scopes: scopes, Limits: policy.Limits{CIDRs: []string{"198.51.100.0/24"}}})
	w.refusedSignIn(secret, "198.51.100.0/24")
	if _, err := w.Authenticate(ctx, secret, netip.MustParseAddr("198.51.100.7")); err != nil {
		t.Error(err)
	}
	if _, err := w.Authenticate(ctx, secret, netip.Addr{}); err == nil {
		t.Error("an unknown address is inside a limit")
	}

	_, secret = w.mint(ann, Mint{Scopes: scopes, Lifetime: time.Hour})
	must(t, w.Suspend(ctx, w.admin, "ann"))
	w.refusedSignIn(secret, "suspended")
	must(t, w.Resume(ctx, w.admin, "ann"))
	w.signIn(secret)
	w.clock.Advance(time.Hour - time.Second)
	w.signIn(secret)
	w.clock.Advance(time.Second)
	w.refusedSignIn(secret, "expired on 2026-03-01")
}

// What a token may not do, no token made with it may (threat 30).
func TestMintsOnlySubsets(t *testing.T) {
	w, ctx := newWorld(t, Options{}), t.Context()
	w.user("ann")
	_, secret := w.mint(w.admin, Mint{User: "ann", Scopes: []policy.Scope{policy.WritePackages}, Limits: policy.Limits{Owners: []string{"ann"}}})
	ann := w.signIn(secret)
	for _, s := range []policy.Scope{policy.DeletePackages, policy.Repo, policy.AdminOrg, policy.AdminInstance} {
		_, _, err := w.MintToken(ctx, ann, Mint{Scopes: []policy.Scope{s}})
		var refusal *policy.Refusal
		if !errors.As(err, &refusal) || !slices.Equal(refusal.Decision.Accepted, []policy.Scope{s}) {
			t.Errorf("mint %s: %v", s, err)
		}
	}
	made, text := w.mint(ann, Mint{Name: "ci", Scopes: []policy.Scope{policy.ReadPackages, policy.WritePackages}})
	if !slices.Equal(made.Limits.Owners, []string{"ann"}) || made.MintedFrom != ann.TokenID || made.User != "ann" {
		t.Errorf("made %+v", made)
	}
	if got := w.signIn(text); !slices.Equal(got.Limits.Owners, []string{"ann"}) {
		t.Errorf("signed in with %+v", got.Limits)
	}
	for name, c := range map[string]struct {
		mint Mint
		kind error
	}{
		"wider limits":   {Mint{Scopes: made.Scopes, Limits: policy.Limits{Owners: []string{"admin"}}}, policy.ErrDenied},
		"for another":    {Mint{Scopes: made.Scopes, User: "admin"}, policy.ErrDenied},
		"forever":        {Mint{Scopes: made.Scopes, Forever: true}, policy.ErrDenied},
		"no scope":       {Mint{}, ErrInvalid},
		"unknown scope":  {Mint{Scopes: []policy.Scope{"all"}}, ErrInvalid},
		"unknown kind":   {Mint{Scopes: made.Scopes, Kind: "x"}, ErrInvalid},
		"signed kind":    {Mint{Scopes: made.Scopes, Kind: token.Bearer}, ErrInvalid},
		"signed, traded": {Mint{Scopes: made.Scopes, Kind: token.Bearer, Trade: true}, ErrInvalid},
		"bad limit":      {Mint{Scopes: made.Scopes, Limits: policy.Limits{CIDRs: []string{"x"}}}, ErrInvalid},
		"long life":      {Mint{Scopes: made.Scopes, Lifetime: MaxLifetime + time.Second}, ErrInvalid},
		"negative life":  {Mint{Scopes: made.Scopes, Lifetime: -time.Hour}, ErrInvalid},
		"no life":        {Mint{Scopes: made.Scopes, Lifetime: time.Millisecond}, ErrInvalid},
		"long job":       {Mint{Scopes: made.Scopes, Kind: token.Job, Lifetime: 2 * time.Hour}, ErrInvalid},
		"eternal job":    {Mint{Scopes: made.Scopes, Kind: token.Job, Forever: true}, ErrInvalid},
		"name of lines":  {Mint{Scopes: made.Scopes, Name: "a\nb"}, ErrInvalid},
		"name too long":  {Mint{Scopes: made.Scopes, Name: strings.Repeat("n", 201)}, ErrInvalid},
		"limits too big": {Mint{Scopes: made.Scopes, Limits: policy.Limits{Packages: slices.Repeat([]string{strings.Repeat("p", 256)}, 100), Repositories: slices.Repeat([]string{strings.Repeat("r", 90) + "/" + strings.Repeat("r", 90)}, 100)}}, ErrInvalid},
	} {
		_, _, err := w.MintToken(ctx, ann, c.mint)
		wantKind(t, name, err, c.kind)
	}
	_, _, err := w.MintToken(ctx, policy.Subject{}, Mint{Scopes: made.Scopes})
	wantKind(t, "by nobody", err, policy.ErrUnauthenticated)
	must(t, w.Suspend(ctx, w.admin, "ann"))
	_, _, err = w.MintToken(ctx, w.admin, Mint{User: "ann", Scopes: made.Scopes})
	wantKind(t, "for a suspended user", err, ErrConflict)
}

func TestLifetimes(t *testing.T) {
	w := newWorld(t, Options{})
	now := w.clock.Now()
	for _, c := range []struct {
		mint Mint
		want time.Time
	}{
		{Mint{}, now.Add(90 * 24 * time.Hour)},
		{Mint{Lifetime: MaxLifetime}, now.Add(365 * 24 * time.Hour)},
		{Mint{Kind: token.Robot, Lifetime: time.Minute}, now.Add(time.Minute)},
		{Mint{Kind: token.Job}, now.Add(15 * time.Minute)},
		{Mint{Forever: true}, time.Time{}},
	} {
		c.mint.Scopes = policy.AllScopes()
		made, secret := w.mint(w.admin, c.mint)
		if !made.Expires.Equal(c.want) || !strings.HasPrefix(secret, made.Hint) || !strings.HasSuffix(secret, made.Last4) {
			t.Errorf("%+v expires %v, want %v", c.mint, made.Expires, c.want)
		}
	}
}

// A traded token expires no later than the one it was traded for and ends with
// it; so does all that is made with it.
func TestTradedTokensEndWithTheirs(t *testing.T) {
	w, ctx := newWorld(t, Options{}), t.Context()
	w.user("ann")
	scopes := []policy.Scope{policy.WritePackages}
	first, firstSecret := w.mint(w.admin, Mint{User: "ann", Scopes: scopes, Lifetime: 24 * time.Hour})
	ann := w.signIn(firstSecret)
	session, sessionSecret := w.mint(ann, Mint{Scopes: scopes, Trade: true})
	made, madeSecret := w.mint(w.signIn(sessionSecret), Mint{Scopes: scopes})
	free, freeSecret := w.mint(ann, Mint{Scopes: scopes})
	if !session.Expires.Equal(first.Expires) || !made.Expires.Equal(first.Expires) || !free.Expires.Equal(first.Expires) {
		t.Errorf("expiries: first %v, session %v, made %v, free %v", first.Expires, session.Expires, made.Expires, free.Expires)
	}
	must(t, w.RevokeToken(ctx, ann, session.ID))
	w.refusedSignIn(sessionSecret, "revoked")
	w.signIn(madeSecret) // logging out does not end what was made meanwhile
	must(t, w.RevokeSecret(ctx, ann, parse(t, firstSecret)))
	w.refusedSignIn(madeSecret, "traded")
	w.signIn(freeSecret)
	_, _, err := w.MintToken(ctx, ann, Mint{Scopes: scopes})
	wantKind(t, "mint with a revoked token", err, policy.ErrUnauthenticated)
}

// Who began to send something is asked once more when it is all there.
func TestLives(t *testing.T) {
	w, ctx := newWorld(t, Options{}), t.Context()
	w.user("ann")
	scopes := []policy.Scope{policy.WritePackages}
	_, secret := w.mint(w.admin, Mint{User: "ann", Scopes: scopes, Lifetime: time.Hour})
	ann := w.signIn(secret)
	_, traded := w.mint(ann, Mint{Scopes: scopes, Trade: true})
	session, bearer := w.signIn(traded), w.signIn(w.bearer(ann))
	all := []policy.Subject{ann, session, bearer}
	for _, s := range append(all, policy.Subject{}, policy.Subject{Guest: true}, policy.Subject{User: "system"}) {
		must(t, w.Lives(ctx, s))
	}
	wantKind(t, "a token that never was", w.Lives(ctx, policy.Subject{User: "ann", TokenID: "x"}), policy.ErrUnauthenticated)
	w.clock.Advance(2 * time.Hour)
	w.refusedSignIn(secret, "expired")
	for _, s := range all {
		must(t, w.Lives(ctx, s)) // it was in time when it came
	}
	must(t, w.RevokeToken(ctx, w.admin, session.TokenID))
	wantKind(t, "a session that ended", w.Lives(ctx, session), policy.ErrUnauthenticated)
	must(t, w.Lives(ctx, ann))
	_, other := w.mint(w.admin, Mint{User: "ann", Scopes: scopes})
	ann = w.signIn(other)
	_, traded = w.mint(ann, Mint{Scopes: scopes, Trade: true})
	session = w.signIn(traded)
	must(t, w.RevokeToken(ctx, w.admin, ann.TokenID))
	for _, s := range []policy.Subject{ann, session} {
		wantKind(t, "revoked", w.Lives(ctx, s), policy.ErrUnauthenticated)
	}
}

func TestJobTokensCannotOutliveThemselves(t *testing.T) {
	w, ctx := newWorld(t, Options{}), t.Context()
	scopes := policy.AllScopes()
	job, secret := w.mint(w.admin, Mint{Kind: token.Job, Scopes: scopes})
	for range maxAncestors {
		var made Token
		made, secret = w.mint(w.signIn(secret), Mint{Scopes: scopes, Trade: true})
		if !made.Expires.Equal(job.Expires) {
			t.Fatalf("expires %v, the job %v", made.Expires, job.Expires)
		}
	}
	_, _, err := w.MintToken(ctx, w.signIn(secret), Mint{Scopes: scopes, Trade: true})
	wantKind(t, "one trade too many", err, policy.ErrDenied)
	forever, _, err := w.MintToken(ctx, w.signIn(secret), Mint{Scopes: scopes, Forever: true})
	must(t, err)
	w.clock.Advance(15 * time.Minute)
	w.refusedSignIn(forever.Reveal(), "")
}

// The end of a token is one of its limits: nobody gets a longer access out of
// it. Administrators decide how long access lasts, also their own.
func TestNoTokenIsOutlivedByWhatItMakes(t *testing.T) {
	w, ctx := newWorld(t, Options{}), t.Context()
	w.user("ann")
	scopes := []policy.Scope{policy.ReadPackages}
	first, secret := w.mint(w.admin, Mint{User: "ann", Scopes: scopes, Lifetime: 24 * time.Hour})
	ann := w.signIn(secret)
	for lifetime, want := range map[time.Duration]time.Time{
		0: first.Expires, time.Hour: first.Created.Add(time.Hour), 24 * time.Hour: first.Expires,
	} {
		if made, _ := w.mint(ann, Mint{Scopes: scopes, Lifetime: lifetime}); !made.Expires.Equal(want) {
			t.Errorf("asked for %v, made one until %v, want %v", lifetime, made.Expires, want)
		}
	}
	_, _, err := w.MintToken(ctx, ann, Mint{Scopes: scopes, Lifetime: 25 * time.Hour})
	wantKind(t, "a longer life", err, policy.ErrDenied)
	if err == nil || !strings.Contains(err.Error(), first.Expires.Format(time.DateOnly)) {
		t.Errorf("the refusal does not say until when: %v", err)
	}
	_, secret = w.mint(w.admin, Mint{Scopes: policy.AllScopes(), Lifetime: 24 * time.Hour})
	if made, _ := w.mint(w.signIn(secret), Mint{User: "ann", Scopes: scopes}); !made.Expires.Equal(first.Created.Add(DefaultLifetime)) {
		t.Errorf("an administrator made one until %v", made.Expires)
	}
	_, secret = w.mint(w.admin, Mint{Scopes: scopes, Lifetime: 24 * time.Hour})
	if made, _ := w.mint(w.signIn(secret), Mint{Scopes: scopes}); made.Expires.After(first.Expires) {
		t.Errorf("an administrator's token without that scope made one until %v", made.Expires)
	}
}

// A token that may do little cannot shut its user out by ending those that may
// do more; itself, and those that may do no more, it can end.
func TestRevokesNoMoreThanItMay(t *testing.T) {
	w, ctx := newWorld(t, Options{}), t.Context()
	w.user("ann")
	mint := func(limits policy.Limits, scopes ...policy.Scope) (Token, string) {
		return w.mint(w.admin, Mint{User: "ann", Scopes: scopes, Limits: limits})
	}
	one := policy.Limits{Owners: []string{"ann"}, Packages: []string{"@ann/**"}, CIDRs: []string{"192.0.2.0/24"}}
	main, mainSecret := mint(policy.Limits{}, policy.AllScopes()...)
	free, _ := mint(policy.Limits{}, policy.ReadPackages)
	writer, _ := mint(one, policy.WritePackages)
	peer, _ := mint(one, policy.ReadPackages)
	narrower, _ := mint(policy.Limits{Owners: one.Owners, Packages: []string{"@ann/a"}, CIDRs: []string{"192.0.2.1"}}, policy.ReadPackages)
	self, selfSecret := mint(one, policy.ReadPackages)
	ci := w.signIn(selfSecret)
	for _, more := range []Token{main, free, writer} {
		wantKind(t, "end a token that may do more", w.RevokeToken(ctx, ci, more.ID), policy.ErrDenied)
	}
	wantKind(t, "the same by its secret", w.RevokeSecret(ctx, ci, parse(t, mainSecret)), policy.ErrDenied)
	w.signIn(mainSecret)
	for _, less := range []Token{peer, narrower, self} {
		must(t, w.RevokeToken(ctx, ci, less.ID))
	}
	w.refusedSignIn(selfSecret, "revoked")
	must(t, w.RevokeToken(ctx, w.signIn(mainSecret), writer.ID))
	must(t, w.RevokeToken(ctx, w.admin, free.ID))
}

func TestTokensOfOthersDoNotExist(t *testing.T) {
	w, ctx := newWorld(t, Options{}), t.Context()
	ann, eve := w.user("ann"), w.user("eve")
	made, secret := w.mint(ann, Mint{Name: "ci", Scopes: []policy.Scope{policy.ReadPackages}})
	wantKind(t, "revoke a foreign id", w.RevokeToken(ctx, eve, made.ID), cache.ErrNotExist)
	wantKind(t, "revoke a foreign secret", w.RevokeSecret(ctx, eve, parse(t, secret)), cache.ErrNotExist)
	foreign, unknown := w.RevokeToken(ctx, eve, made.ID).Error(), w.RevokeToken(ctx, eve, "0000000000000000").Error()
	if strings.ReplaceAll(foreign, made.ID, "") != strings.ReplaceAll(unknown, "0000000000000000", "") {
		t.Errorf("foreign %q, unknown %q", foreign, unknown)
	}
	_, err := w.Tokens(ctx, eve, "ann")
	wantKind(t, "list foreign tokens", err, cache.ErrNotExist)
	wantKind(t, "revoke by nobody", w.RevokeToken(ctx, policy.Subject{}, made.ID), policy.ErrUnauthenticated)
	list, err := w.Tokens(ctx, ann, "ann")
	if err != nil || len(list) != 2 {
		t.Fatalf("own tokens: %v, %v", list, err)
	}
	if list, err = w.Tokens(ctx, w.admin, "ann"); err != nil || len(list) != 2 {
		t.Errorf("listed by an administrator: %v, %v", list, err)
	}
	must(t, w.RevokeToken(ctx, w.admin, made.ID))
	w.refusedSignIn(secret, "revoked")
	wantKind(t, "revoke twice", w.RevokeToken(ctx, ann, made.ID), cache.ErrNotExist)
	if list, err = w.Tokens(ctx, ann, "ann"); err != nil || len(list) != 1 {
		t.Errorf("after the revocation: %v, %v", list, err)
	}
	wantKind(t, "a very long id", w.RevokeToken(ctx, ann, strings.Repeat("a", 5000)), cache.ErrNotExist)
}

func TestLastUseIsWrittenInBatches(t *testing.T) {
	w, ctx := newWorld(t, Options{}), t.Context()
	ann := w.user("ann")
	must(t, w.Flush(ctx))
	updates := w.index.updates
	made, secret := w.mint(ann, Mint{Scopes: []policy.Scope{policy.ReadPackages}})
	for range 50 {
		w.signIn(secret)
	}
	if w.index.updates != updates+1 {
		t.Errorf("%d transactions for one mint and 50 sign-ins", w.index.updates-updates)
	}
	broken := errors.New("no")
	w.index.fail(broken)
	wantKind(t, "flush", w.Flush(ctx), broken)
	w.index.fail(nil)
	must(t, w.Flush(ctx))
	updates = w.index.updates
	must(t, w.Flush(ctx))
	if w.index.updates != updates {
		t.Error("an empty flush writes")
	}
	list, err := w.Tokens(ctx, ann, "ann")
	must(t, err)
	i := slices.IndexFunc(list, func(x Token) bool { return x.ID == made.ID })
	if i < 0 || !list[i].LastUsed.Equal(w.clock.Now()) || list[i].LastAddress != here {
		t.Errorf("last use %+v", list)
	}
}

func TestFlushOfManyTokens(t *testing.T) {
	w, ctx := newWorld(t, Options{}), t.Context()
	for i := range 2*page + 7 {
		w.uses.note(fmt.Sprintf("%016x", i), use{At: w.clock.Now(), Address: here})
	}
	must(t, w.Flush(ctx))
	n := 0
	must(t, w.index.View(ctx, func(r cache.Reader) error {
		n = 0
		for range r.Scan([]byte("tl0"), nil) {
			n++
		}
		return nil
	}))
	if n < 2*page+7 {
		t.Errorf("%d of %d were written", n, 2*page+7)
	}
}

func TestListsAreReadInPages(t *testing.T) {
	w, ctx := newWorld(t, Options{}), t.Context()
	w.user("ann")
	must(t, w.index.Update(ctx, func(tx cache.Writer) error {
		for i := range page + 3 {
			dig := digest{1, byte(i), byte(i >> 8)}
			row := tokenRow{Token: Token{ID: fmt.Sprintf("%016x", i), User: "ann"}}
			if err := putToken(tx, dig, row); err != nil {
				return err
			}
		}
		return nil
	}))
	list, err := w.Tokens(ctx, w.admin, "ann")
	if err != nil || len(list) != page+4 {
		t.Errorf("%d tokens, %v", len(list), err)
	}
}

func TestTokensAreBounded(t *testing.T) {
	w, ctx := newWorld(t, Options{}), t.Context()
	must(t, w.index.Update(ctx, func(tx cache.Writer) error {
		for i := range MaxTokens {
			if err := tx.Put(tokenUserKey("admin", fmt.Sprint(i)), make([]byte, 32)); err != nil {
				return err
			}
		}
		return nil
	}))
	_, _, err := w.MintToken(ctx, w.admin, Mint{Scopes: policy.AllScopes()})
	wantKind(t, "one more", err, ErrConflict)
}

func TestPurge(t *testing.T) {
	w, ctx := newWorld(t, Options{}), t.Context()
	scopes := []policy.Scope{policy.ReadPackages}
	_, short := w.mint(w.admin, Mint{Scopes: scopes, Lifetime: time.Hour})
	_, long := w.mint(w.admin, Mint{Scopes: scopes, Lifetime: MaxLifetime})
	forever, _ := w.mint(w.admin, Mint{Scopes: scopes, Forever: true})
	must(t, w.RevokeToken(ctx, w.admin, forever.ID))
	w.signIn(short)
	must(t, w.Flush(ctx))
	w.clock.Advance(keepEnded)
	if n, err := w.Purge(ctx); n != 1 || err != nil {
		t.Errorf("purged %d, %v: want the revoked one", n, err)
	}
	w.refusedSignIn(short, "expired")
	w.clock.Advance(2 * time.Hour)
	if n, err := w.Purge(ctx); n != 1 || err != nil {
		t.Errorf("purged %d, %v: want the expired one", n, err)
	}
	w.refusedSignIn(short, "not known")
	w.signIn(long)
	list, err := w.Tokens(ctx, w.admin, "admin")
	if err != nil || len(list) != 2 {
		t.Errorf("left: %v, %v", list, err)
	}
}
