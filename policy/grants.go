package policy

import (
	"slices"
	"strings"
)

// Grant is what a narrowed token was made for: some actions with one package, or
// Open with no package, which is the list of their names.
type Grant struct {
	Format string
	// Package is the name as clients of the format have it: that of a registry
	// which mirrors another has the registry's name in front, or not where the
	// client came by another host.
	Package string
	Actions []Action
}

// Grants narrow a token to what it was made for. They add nothing: whatever they
// hold is allowed only where it would be without them. They do not change.
type Grants struct{ list []Grant }

// NewGrants returns those of a list, which the caller must not change any more.
func NewGrants(list []Grant) *Grants { return &Grants{list} }

// List returns the grants, not to be changed.
func (g *Grants) List() []Grant { return g.list }

// allow reports whether an action is among the grants. What a token may write it
// may look at, as with scopes.
func (g *Grants) allow(res Resource, a Action) bool {
	if a == Administer && res.Package != "" {
		a = Delete // from a mirror, which has no other administrator
	}
	return slices.ContainsFunc(g.list, func(one Grant) bool {
		return one.Format == res.Format && res.spelled(one.Package) &&
			(slices.Contains(one.Actions, a) || a == Read && slices.Contains(one.Actions, Publish))
	})
}

// spelled reports whether clients may mean the package of res by a name. Only
// registries that mirror others have a slash in theirs.
func (r Resource) spelled(name string) bool {
	if name == "" || r.Package == "" {
		return name == r.Package
	}
	if rest, ok := strings.CutPrefix(name, r.Registry+"/"); ok && strings.Contains(r.Registry, "/") {
		name = rest
	}
	return name == r.Package || name == r.Alias && name != ""
}

// narrowed is the refusal of a token that was made for something else.
func narrowed() Decision {
	return Decision{
		Verdict: Challenge, Narrow: true,
		Reason: "this token was made for something else: ask the token service for one that is for this, or sign in with your own",
	}
}

// ForLists returns the subject for whom a list of names is filtered: who has a
// token for the list sees in it all that the user may read.
func (s Subject) ForLists(format string) Subject {
	if s.Grants != nil && s.Grants.allow(Resource{Format: format}, Open) {
		s.Grants = nil
	}
	return s
}

// MustOwn returns the refusal of whoever has not signed in with a token of the
// own: nobody, and those whose token was made for something else.
func MustOwn(s Subject) error { return Decide(Input{Subject: s, Action: Self}).Err() }
