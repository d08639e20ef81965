package policy

import "testing"

const image = "acme/app"

func grants(list ...Grant) *Grants { return NewGrants(list) }

func grant(name string, actions ...Action) Grant {
	return Grant{Format: "oci", Package: name, Actions: actions}
}

// Grants take away and never add: beside every verdict of the matrix stands the
// same for a token that was made for that, for something else, and for nothing.
func TestGrantsOnlyNarrow(t *testing.T) {
	actions := []Action{Read, Publish, Delete, Restore, Settings}
	for _, c := range callers() {
		for _, a := range actions {
			for _, v := range []Visibility{Public, Internal, Private} {
				in := Input{
					Subject: c.subject, Standing: c.standing, Action: a, AnonymousRead: true,
					Resource: Resource{Format: "oci", Registry: "oci", Package: image, Repository: "acme/lib", Hosted: true, Visibility: v},
				}
				whole := Decide(in)
				for _, g := range []struct {
					name string
					*Grants
					good bool
				}{
					{"that", grants(grant("acme/other", actions...), grant(image, a)), true},
					{"other", grants(grant("acme/other", actions...), Grant{"npm", image, actions}, grant("", Open)), false},
					{"none", grants(), false},
					{"zero", new(Grants), false},
				} {
					in.Subject.Grants = g.Grants
					d := Decide(in)
					want := whole.Verdict
					if want == Allow && !g.good {
						want = Challenge
					}
					if d.Verdict != want || d.Narrow != (want != whole.Verdict) || d.Narrow && d.Reason == "" {
						t.Errorf("%s, %s %s, grants for %s: %s (narrow %v), want %s; without grants %s",
							c.name, a, v, g.name, d.Verdict, d.Narrow, want, whole.Verdict)
					}
				}
			}
		}
	}
}

// What a narrowed token was not made for it cannot do, whoever it belongs to.
func TestNarrowedTokensAreForNothingElse(t *testing.T) {
	boss := Subject{User: "boss", Admin: true, Scopes: AllScopes(), Grants: grants(grant("", Open), grant(image, Read, Publish, Delete))}
	for _, a := range []Action{Self, Organize, Administer, Read, Publish, Delete, Restore, Settings} {
		for _, res := range []Resource{{}, {Repository: "acme/lib"}, {Format: "npm", Package: image, Repository: "acme/lib"}, {Format: "npm", Visibility: Public}} {
			in := Input{Subject: boss, Standing: Standing{Role: RoleAdmin, Member: true, Owner: true}, Action: a, Resource: res, AnonymousRead: true}
			if d := Decide(in); d.Verdict == Allow {
				t.Errorf("%s of %+v is allowed", a, res)
			}
		}
	}
	if MustAdminister(boss) == nil || MustOwn(boss) == nil {
		t.Error("an administrator's narrowed token is one of an administrator")
	}
	if MustOwn(Subject{}) == nil || MustOwn(Subject{Guest: true}) == nil || MustOwn(Subject{User: "ann"}) != nil {
		t.Error("who signed in with a token of the own is mistaken")
	}
	if d := Decide(Input{Subject: boss, Action: Open}); d.Verdict != Allow {
		t.Error("what is open to all is shut")
	}
}

func TestGrantNames(t *testing.T) {
	hosted := Resource{Format: "oci", Registry: "oci", Package: "acme/app"}
	mirrored := Resource{Format: "oci", Registry: "mirror/up", Package: "library/app", Alias: "app"}
	for _, c := range []struct {
		name string
		res  Resource
		want bool
	}{
		{"acme/app", hosted, true},
		{"acme/app/more", hosted, false},
		{"acme", hosted, false},
		{"app", hosted, false},
		{"oci/acme/app", hosted, false}, // an image of an owner named oci
		{"", hosted, false},
		{"mirror/up/library/app", mirrored, true},
		{"mirror/up/app", mirrored, true},
		{"library/app", mirrored, true}, // by another host, or by ns=
		{"app", mirrored, true},
		{"mirror/other/library/app", mirrored, false},
		{"mirror/up", mirrored, false},
		{"mirror/up/", mirrored, false},
		{"", mirrored, false},
		{"mirror/up/", Resource{Format: "oci", Registry: "mirror/up", Package: "acme/app"}, false},
	} {
		g := grants(grant(c.name, Read))
		if got := g.allow(c.res, Read); got != c.want {
			t.Errorf("%q for %s of %s: %v", c.name, c.res.Package, c.res.Registry, got)
		}
	}
}

func TestGrantedActions(t *testing.T) {
	hosted := Resource{Format: "oci", Registry: "oci", Package: image}
	for _, c := range []struct {
		granted, asked Action
		want           bool
	}{
		{Read, Read, true}, {Read, Publish, false}, {Read, Delete, false},
		{Publish, Publish, true}, {Publish, Read, true}, {Publish, Delete, false},
		{Delete, Delete, true}, {Delete, Read, false}, {Delete, Publish, false},
		{Delete, Administer, true}, {Publish, Administer, false}, {Read, Settings, false}, {Open, Read, false},
	} {
		if got := grants(grant(image, c.granted)).allow(hosted, c.asked); got != c.want {
			t.Errorf("granted %s, asked %s: %v", c.granted, c.asked, got)
		}
	}
	if grants(grant(image, Delete)).allow(Resource{Format: "oci"}, Administer) {
		t.Error("the right to delete an image administers the server")
	}
}

// A list shows to a token made for it what its user may read, and to another
// what that one was made for.
func TestForLists(t *testing.T) {
	whole := Subject{User: "ann"}
	list, other := whole, whole
	list.Grants, other.Grants = grants(grant("", Open)), grants(grant(image, Read))
	for _, c := range []struct {
		name   string
		s      Subject
		format string
		narrow bool
	}{
		{"whole", whole, "oci", false}, {"list", list, "oci", false}, {"list of npm", list, "npm", true}, {"other", other, "oci", true},
	} {
		if got := c.s.ForLists(c.format).Grants != nil; got != c.narrow {
			t.Errorf("%s: narrowed %v", c.name, got)
		}
	}
	if list.Grants == nil {
		t.Error("the subject itself was changed")
	}
}

func TestNarrowAllocatesNothing(t *testing.T) {
	in := Input{
		Subject: Subject{Guest: true, Grants: grants(grant("other", Read), grant("mirror/up/app", Read))}, Action: Read, AnonymousRead: true,
		Resource: Resource{Format: "oci", Registry: "mirror/up", Package: "app", Visibility: Public},
	}
	if n := testing.AllocsPerRun(100, func() {
		if Decide(in).Verdict != Allow {
			t.Error("refused")
		}
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
}
