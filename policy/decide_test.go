package policy

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// wants are the statuses of one caller in the columns of the matrix.
type wants [7]int

type columnCase struct {
	name       string
	action     Action
	visibility Visibility
}

// columns of policy.md section 4.
func columns() []columnCase {
	return []columnCase{
		{"get public", Read, Public}, {"get internal", Read, Internal}, {"get private", Read, Private},
		{"publish to public", Publish, Public}, {"publish to private", Publish, Private},
		{"delete in private", Delete, Private}, {"settings of private", Settings, Private},
	}
}

type callerCase struct {
	name     string
	subject  Subject
	standing Standing
	repo     bool // repository-scoped package
	wants    wants
}

func user(limits Limits, scopes ...Scope) Subject {
	return Subject{User: "ann", TokenID: "t1", Scopes: scopes, Limits: limits}
}

func callers() []callerCase {
	all := user(Limits{}, AllScopes()...)
	admin := Standing{Role: RoleAdmin, Member: true}
	elsewhere := user(Limits{Repositories: []string{"acme/other"}}, AllScopes()...)
	deleter := user(Limits{}, DeletePackages)
	noRepo := user(Limits{}, WritePackages, DeletePackages)
	return []callerCase{
		{"anonymous", Subject{}, Standing{}, false, wants{200, 401, 401, 401, 401, 401, 401}},
		{"outsider", all, Standing{}, false, wants{200, 404, 404, 403, 403, 403, 403}},
		{"member without role", all, Standing{Member: true}, false, wants{200, 200, 404, 403, 403, 403, 403}},
		{"role read", all, Standing{Role: RoleRead, Member: true}, false, wants{200, 200, 200, 403, 403, 403, 403}},
		{"role read, no member", all, Standing{Role: RoleRead}, false, wants{200, 200, 200, 403, 403, 403, 403}},
		{"role write", all, Standing{Role: RoleWrite}, false, wants{200, 200, 200, 200, 200, 403, 403}},
		{"role admin", all, admin, false, wants{200, 200, 200, 200, 200, 200, 200}},
		{"admin, read:packages", user(Limits{}, ReadPackages), admin, false, wants{200, 200, 200, 403, 403, 403, 403}},
		{"admin, write:packages", user(Limits{}, WritePackages), admin, false, wants{200, 200, 200, 200, 200, 403, 200}},
		{"admin, delete:packages", deleter, admin, false, wants{200, 403, 403, 403, 403, 403, 403}},
		{"admin, no repo scope", noRepo, admin, true, wants{200, 200, 200, 403, 403, 403, 403}},
		{"admin, all scopes, repository-scoped", all, admin, true, wants{200, 200, 200, 200, 200, 200, 200}},
		{"admin, token of another repository", elsewhere, admin, false, wants{200, 404, 404, 403, 403, 403, 403}},
		{"admin, no scope at all", user(Limits{}), admin, false, wants{200, 403, 403, 403, 403, 403, 403}},
		{"job with role write", user(Limits{}, WritePackages), Standing{Role: RoleWrite}, false, wants{200, 200, 200, 200, 200, 403, 403}},
	}
}

func status(d Decision) int {
	err := d.Err()
	switch {
	case err == nil:
		return 200
	case errors.Is(err, ErrUnauthenticated):
		return 401
	case errors.Is(err, ErrHidden):
		return 404
	case errors.Is(err, ErrDenied):
		return 403
	}
	return 500
}

func TestMatrix(t *testing.T) {
	for _, c := range callers() {
		for i, col := range columns() {
			for _, hosted := range []bool{true, false} {
				in := Input{
					Subject: c.subject, Standing: c.standing, Action: col.action, AnonymousRead: true,
					Resource: Resource{
						Format: "npm", Package: "@acme/one", Repository: "acme/lib", Hosted: hosted,
						Visibility: col.visibility, Claim: "acme", RepositoryScoped: c.repo,
					},
				}
				d := Decide(in)
				if got := status(d); got != c.wants[i] {
					t.Errorf("%s, %s, hosted %v: %d, want %d (%s)", c.name, col.name, hosted, got, c.wants[i], d.Reason)
				}
				checkWords(t, fmt.Sprintf("%s, %s", c.name, col.name), in, d)
			}
		}
	}
}

// checkWords: whoever is refused reads why, except where nothing may be told.
func checkWords(t *testing.T, name string, in Input, d Decision) {
	t.Helper()
	switch d.Verdict {
	case Allow, Hide:
		if d.Reason != "" || d.Accepted != nil || d.Rule != "" {
			t.Errorf("%s: says %q %v where it must be silent", name, d.Reason, d.Accepted)
		}
	case Deny:
		if !strings.Contains(d.Reason, in.Resource.Package) {
			t.Errorf("%s: %q does not say what was asked", name, d.Reason)
		}
		if in.Standing.Role == RoleNone && strings.Contains(d.Reason, in.Resource.Repository) {
			t.Errorf("%s: %q names a repository the caller has no role in", name, d.Reason)
		}
		if strings.Contains(d.Reason, "lacks the scope") == (len(d.Accepted) == 0) {
			t.Errorf("%s: %q with accepted scopes %v", name, d.Reason, d.Accepted)
		}
	}
}

// Whether a name exists may show in no decision: neither verdict nor words.
func TestExistenceDoesNotShow(t *testing.T) {
	for _, c := range callers() {
		if c.standing.Role > RoleNone {
			continue
		}
		for _, a := range []Action{Publish, Delete, Restore, Settings} {
			// A name that is missing would come to rest in a public repository, in
			// which the caller may have a role, and which a token may be limited to.
			res := Resource{Format: "npm", Package: "one"}
			hidden, missing := res, res
			hidden.Repository, hidden.Visibility, hidden.Hosted = "acme/secret", Private, true
			missing.Repository, missing.Visibility = "admin/packages", Public
			for _, role := range []Role{RoleNone, RoleRead} {
				for _, limits := range []Limits{c.subject.Limits, {Repositories: []string{"admin/packages"}}, {Owners: []string{"admin"}}} {
					s := c.subject
					s.Limits = limits
					x := Decide(Input{Subject: s, Standing: c.standing, Action: a, Resource: hidden, AnonymousRead: true})
					y := Decide(Input{Subject: s, Standing: Standing{Role: role}, Action: a, Resource: missing, AnonymousRead: true})
					if x.Verdict != y.Verdict || x.Reason != y.Reason || !slices.Equal(x.Accepted, y.Accepted) {
						t.Errorf("%s %s, role %s, limits %+v:\nhidden  %+v\nmissing %+v", c.name, a, role, limits, x, y)
					}
				}
			}
		}
	}
}

// Nor by a token that is limited to something else, to whoever has it and not the
// rights of its user: what it may not read is as if it were missing.
func TestExistenceDoesNotShowBeyondLimits(t *testing.T) {
	hidden := Resource{Format: "npm", Package: "one", Repository: "acme/secret", Visibility: Private, Hosted: true}
	own, missing, elsewhere := hidden, hidden, hidden
	own.Access, missing.Hosted = "id", false
	elsewhere.Repository, elsewhere.Visibility, elsewhere.Hosted = "admin/packages", Public, false
	for _, limits := range []Limits{
		{Owners: []string{"bob"}}, {Repositories: []string{"admin/packages"}}, {Packages: []string{"two"}}, {Formats: []string{"oci"}},
	} {
		for _, a := range []Action{Publish, Delete, Restore, Settings} {
			told := map[string]bool{}
			for _, res := range []Resource{hidden, own, missing, elsewhere} {
				for _, role := range []Role{RoleNone, RoleRead, RoleWrite, RoleAdmin} {
					d := Decide(Input{Subject: user(limits, AllScopes()...), Standing: Standing{Role: role}, Action: a, Resource: res, AnonymousRead: true})
					if limits.cover(res) && role >= needOf(a).role {
						continue // which makes it
					}
					if told[d.Reason] = true; d.Verdict != Deny || !strings.Contains(d.Reason, "limited to other") {
						t.Errorf("%s with role %s of %+v: %+v", a, role, res, d)
					}
				}
			}
			if len(told) != 1 {
				t.Errorf("%s, limits %+v: %v", a, limits, told)
			}
		}
	}
	d := Decide(Input{Subject: user(Limits{Owners: []string{"acme"}}, AllScopes()...), Standing: Standing{Role: RoleRead}, Action: Publish, Resource: hidden})
	if d.Limited || !strings.Contains(d.Reason, "in the repository acme/secret") {
		t.Errorf("what the token may read: %+v", d)
	}
}

func TestReadsWithoutAnonymousAccess(t *testing.T) {
	for _, res := range []Resource{{Package: "left-pad"}, {Package: "one", Repository: "a/b", Visibility: Public, Hosted: true}, {}} {
		if got := status(Decide(Input{Action: Read, Resource: res})); got != 401 {
			t.Errorf("anonymous read of %+v: %d, want 401", res, got)
		}
		if got := status(Decide(Input{Action: Read, Resource: res, Subject: user(Limits{})})); got != 200 {
			t.Errorf("signed-in read of public %+v: %d, want 200", res, got)
		}
		if got := status(Decide(Input{Action: Read, Resource: res, AnonymousRead: true})); got != 200 {
			t.Errorf("anonymous read of public %+v: %d, want 200", res, got)
		}
	}
}

// What has no visibility although it is ours is private.
func TestUnknownVisibilityIsPrivate(t *testing.T) {
	for _, res := range []Resource{{Repository: "a/b"}, {Claim: "c"}, {Hosted: true}, {Repository: "a/b", Visibility: "pubic"}} {
		if got := status(Decide(Input{Action: Read, Resource: res, AnonymousRead: true})); got != 401 {
			t.Errorf("anonymous read of %+v: %d, want 401", res, got)
		}
		if got := status(Decide(Input{Action: Read, Resource: res, Subject: user(Limits{}, AllScopes()...)})); got != 404 {
			t.Errorf("outsider's read of %+v: %d, want 404", res, got)
		}
	}
}

func TestRestoreAndScopeNames(t *testing.T) {
	res := Resource{Package: "one", Version: "1.0.0", Repository: "a/b", Visibility: Private}
	for _, c := range []struct {
		action   Action
		scopes   []Scope
		want     int
		accepted []Scope
	}{
		{Restore, []Scope{WritePackages}, 200, nil},
		{Restore, []Scope{DeletePackages, ReadPackages}, 403, []Scope{WritePackages}},
		{Delete, []Scope{DeletePackages}, 403, []Scope{ReadPackages, WritePackages}},
		{Delete, []Scope{DeletePackages, ReadPackages}, 200, nil},
		{Delete, []Scope{WritePackages}, 403, []Scope{DeletePackages}},
		{Read, []Scope{Repo}, 403, []Scope{ReadPackages, WritePackages}},
		{Publish, []Scope{AdminInstance, AdminOrg, Repo}, 403, []Scope{WritePackages}},
	} {
		d := Decide(Input{Action: c.action, Subject: user(Limits{}, c.scopes...), Standing: Standing{Role: RoleAdmin}, Resource: res})
		if status(d) != c.want || !slices.Equal(d.Accepted, c.accepted) {
			t.Errorf("%s with %v: %d %v, want %d %v", c.action, c.scopes, status(d), d.Accepted, c.want, c.accepted)
		}
	}
}

// A write of a name that belongs nowhere is refused, whoever asks.
func TestNoRepositoryNoWrite(t *testing.T) {
	s := user(Limits{}, AllScopes()...)
	s.Admin = true
	for _, a := range []Action{Publish, Delete, Restore, Settings} {
		if got := status(Decide(Input{Action: a, Subject: s, Standing: Standing{Role: RoleAdmin}, Resource: Resource{Package: "x"}})); got != 403 {
			t.Errorf("%s: %d, want 403", a, got)
		}
	}
}

func TestOtherActions(t *testing.T) {
	admin := user(Limits{}, AllScopes()...)
	admin.Admin = true
	limited := admin
	limited.Limits = Limits{Owners: []string{"acme"}}
	narrow := admin
	narrow.Limits = Limits{Packages: []string{"**"}}
	weak := admin
	weak.Scopes = []Scope{WritePackages, AdminOrg}
	plain := user(Limits{}, AllScopes()...)
	owner := Standing{Owner: true, Role: RoleAdmin}
	org := Resource{Repository: "acme"}
	for _, c := range []struct {
		name     string
		action   Action
		subject  Subject
		standing Standing
		want     int
	}{
		{"open to all", Open, Subject{}, Standing{}, 200},
		{"self of nobody", Self, Subject{}, Standing{}, 401},
		{"self", Self, user(Limits{}), Standing{}, 200},
		{"no action", "", admin, owner, 403},
		{"unknown action", "rename", admin, owner, 403},
		{"unknown action of nobody", "rename", Subject{}, Standing{}, 403},
		{"organize of nobody", Organize, Subject{}, Standing{}, 401},
		{"organize by owner", Organize, plain, owner, 200},
		{"organize by member", Organize, plain, Standing{Member: true, Role: RoleAdmin}, 403},
		{"organize without scope", Organize, user(Limits{}, WritePackages), owner, 403},
		{"organize limited to the owner", Organize, limited, owner, 200},
		{"organize limited to packages", Organize, narrow, owner, 403},
		{"administer of nobody", Administer, Subject{}, Standing{}, 401},
		{"administer", Administer, admin, Standing{}, 200},
		{"administer by a user with the scope", Administer, plain, owner, 403},
		{"administer by an admin without the scope", Administer, weak, owner, 403},
		{"administer with a limited token", Administer, limited, owner, 403},
	} {
		if got := status(Decide(Input{Action: c.action, Subject: c.subject, Standing: c.standing, Resource: org, AnonymousRead: true})); got != c.want {
			t.Errorf("%s: %d, want %d", c.name, got, c.want)
		}
	}
}

func TestLimitsBindTheDecision(t *testing.T) {
	res := Resource{Format: "npm", Package: "@acme/one", Repository: "acme/lib", Visibility: Private, Hosted: true}
	for _, c := range []struct {
		limits Limits
		want   int
	}{
		{Limits{Owners: []string{"acme"}}, 200},
		{Limits{Owners: []string{"acm"}}, 403},
		{Limits{Repositories: []string{"x/y", "acme/lib"}}, 200},
		{Limits{Packages: []string{"@acme/*"}}, 200},
		{Limits{Packages: []string{"@acme/two"}}, 403},
		{Limits{Formats: []string{"maven"}}, 403},
		{Limits{Formats: []string{"npm"}, Owners: []string{"other"}}, 403},
		{Limits{CIDRs: []string{"192.0.2.0/24"}}, 200}, // the address is looked at when the token is
	} {
		s := user(c.limits, AllScopes()...)
		s.Admin = true
		if got := status(Decide(Input{Action: Publish, Subject: s, Standing: Standing{Role: RoleAdmin}, Resource: res})); got != c.want {
			t.Errorf("%+v: %d, want %d", c.limits, got, c.want)
		}
	}
}

func TestDecideDoesNotAllocate(t *testing.T) {
	in := Input{
		Subject: user(Limits{Packages: []string{"@acme/**"}, Owners: []string{"acme"}}, WritePackages), Action: Publish,
		Standing: Standing{Role: RoleWrite}, Resource: Resource{Package: "@acme/one", Repository: "acme/lib", Visibility: Private},
	}
	if n := testing.AllocsPerRun(100, func() {
		if Decide(in).Verdict != Allow {
			t.Error("refused")
		}
	}); n != 0 {
		t.Errorf("a decision allocates %v times", n)
	}
}

// What a refusal is recorded with: the one thing that was missing.
func TestDecisionsNameWhatWasMissing(t *testing.T) {
	private := Resource{Format: "npm", Package: "@acme/one", Repository: "acme/packages", Visibility: Private, Hosted: true}
	subject := func(l Limits, s ...Scope) Subject { return Subject{User: "ann", Scopes: s, Limits: l} }
	elsewhere := Limits{Repositories: []string{"acme/other"}}
	for _, tt := range []struct {
		what   string
		in     Input
		needs  Role
		limit  bool
		scopes int
	}{
		{"read without a role", Input{Subject: subject(Limits{}, ReadPackages), Action: Read}, RoleRead, false, 0},
		{"read beyond the limit", Input{Subject: subject(elsewhere, ReadPackages), Action: Read, Standing: Standing{Role: RoleRead}}, RoleNone, true, 0},
		{"read without the scope", Input{Subject: subject(Limits{}, DeletePackages), Action: Read, Standing: Standing{Role: RoleRead}}, RoleNone, false, 2},
		{"publish without a role", Input{Subject: subject(Limits{}, WritePackages), Action: Publish, Standing: Standing{Role: RoleRead}}, RoleWrite, false, 0},
		{"publish beyond the limit", Input{Subject: subject(elsewhere, WritePackages), Action: Publish, Standing: Standing{Role: RoleWrite}}, RoleNone, true, 0},
		{"settings without a role", Input{Subject: subject(Limits{}, WritePackages), Action: Settings, Standing: Standing{Role: RoleWrite}}, RoleAdmin, false, 0},
		{"allowed", Input{Subject: subject(Limits{}, WritePackages), Action: Publish, Standing: Standing{Role: RoleWrite}}, RoleNone, false, 0},
	} {
		tt.in.Resource = private
		d := Decide(tt.in)
		if d.Needs != tt.needs || d.Limited != tt.limit || len(d.Accepted) != tt.scopes {
			t.Errorf("%s: needs %s, limited %t, scopes %v", tt.what, d.Needs, d.Limited, d.Accepted)
		}
	}
}

// A refusal names where the role is missing to those who have another one there,
// and to nobody else.
func TestRefusalNamesWhereTheRoleIsMissing(t *testing.T) {
	for _, c := range []struct {
		role   Role
		access string
		hosted bool
		want   string
	}{
		{RoleRead, "", true, "in the repository acme/lib"},
		{RoleRead, "id", true, "in the package itself"},
		{RoleNone, "", true, "in its repository"},
		{RoleNone, "id", true, "in its repository"},
		{RoleRead, "", false, "in its repository"},
	} {
		res := Resource{Format: "npm", Package: "@acme/one", Repository: "acme/lib", Access: c.access, Visibility: Private, Hosted: c.hosted}
		d := Decide(Input{Action: Publish, Subject: user(Limits{}, AllScopes()...), Standing: Standing{Role: c.role}, Resource: res})
		if d.Verdict != Deny || !strings.Contains(d.Reason, c.want) {
			t.Errorf("%+v: %+v", c, d)
		}
	}
}
