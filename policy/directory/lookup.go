package directory

import (
	"context"
	"fmt"
	"strings"

	"larder/cache"
	"larder/policy"
)

// Account returns a user or an organization. Errors: cache.ErrNotExist.
func (d *Directory) Account(ctx context.Context, name string) (Account, error) {
	a, err := d.account(ctx, name)
	if err != nil {
		return Account{}, err
	}
	if a == nil {
		return Account{}, missing("user or organization", name)
	}
	return *a, nil
}

// account returns nil for a name nobody has.
func (d *Directory) account(ctx context.Context, name string) (*Account, error) {
	generation, now := d.generation.Load(), d.now()
	if a, ok := d.accounts.get(name, generation, now); ok {
		return a, nil
	}
	a := new(Account)
	if !accountName.MatchString(name) {
		return nil, nil
	}
	err := d.index.View(ctx, func(r cache.Reader) error {
		ok, err := get(r, accountKey(name), a)
		if !ok {
			a = nil
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("look up account %s: %w", name, err)
	}
	d.accounts.put(name, generation, now, a)
	return a, nil
}

// Repository returns the repository named owner/name. Errors: cache.ErrNotExist.
func (d *Directory) Repository(ctx context.Context, name string) (Repository, error) {
	r, err := d.repository(ctx, name)
	if err != nil {
		return Repository{}, err
	}
	if r == nil {
		return Repository{}, missing("repository", name)
	}
	return *r, nil
}

func (d *Directory) repository(ctx context.Context, full string) (*Repository, error) {
	generation, now := d.generation.Load(), d.now()
	if r, ok := d.repositories.get(full, generation, now); ok {
		return r, nil
	}
	owner, name, err := splitRepository(full)
	if err != nil {
		return nil, nil
	}
	repo := new(Repository)
	err = d.index.View(ctx, func(r cache.Reader) error {
		ok, err := get(r, repositoryKey(owner, name), repo)
		if !ok {
			repo = nil
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("look up repository %s: %w", full, err)
	}
	d.repositories.put(full, generation, now, repo)
	return repo, nil
}

// Visibility of a repository named owner/name. Errors: cache.ErrNotExist.
func (d *Directory) Visibility(ctx context.Context, repository string) (policy.Visibility, error) {
	r, err := d.Repository(ctx, repository)
	return r.Visibility, err
}

// place is a user and what he may have a role in: owner/name, or an owner.
type place struct {
	user, where string
	// access names the grants of a package in that repository, where it has its
	// own; public says that everybody may read it.
	access string
	public bool
}

// standing is what is remembered of a place.
type standing struct {
	policy.Standing
	exists bool // the repository, or the owner
}

// Role returns what a user may do in the repository of a resource, or with a
// package that has grants of its own, without what its visibility adds. Nobody
// has a role in a repository that does not exist.
func (d *Directory) Role(ctx context.Context, user string, res policy.Resource) (policy.Role, error) {
	s, err := d.standing(ctx, placeOf(user, res))
	return s.Role, err
}

func (d *Directory) standing(ctx context.Context, k place) (standing, error) {
	generation, now := d.generation.Load(), d.now()
	if s, ok := d.standings.get(k, generation, now); ok {
		return s, nil
	}
	var s standing
	if !isPlace(k.where) {
		return s, nil
	}
	err := d.index.View(ctx, func(r cache.Reader) (err error) {
		s, err = readStanding(r, k)
		return err
	})
	if err != nil {
		return standing{}, fmt.Errorf("look up the role of %s in %s: %w", k.user, k.where, err)
	}
	d.standings.put(k, generation, now, s)
	return s, nil
}

// isPlace reports whether where can be a repository or an owner: nothing is
// looked up or remembered for anything else that a caller may send.
func isPlace(where string) bool {
	if strings.Contains(where, "/") {
		_, _, err := splitRepository(where)
		return err == nil
	}
	return accountName.MatchString(where)
}

// readStanding is the effective role of policy.md section 1: the strongest of
// ownership, base role, grant, and grants to teams.
func readStanding(r cache.Reader, k place) (s standing, err error) {
	owner, name, scoped := strings.Cut(k.where, "/")
	var who, whose Account
	ok, err := get(r, accountKey(k.user), &who)
	if err != nil || !ok || who.Suspended {
		return s, err
	}
	if ok, err = get(r, accountKey(owner), &whose); err != nil || !ok {
		return s, err
	}
	if s.Standing, err = readOwnership(r, who, whose); err != nil {
		return standing{}, err
	}
	if !scoped {
		s.exists = true
		return s, nil
	}
	s.exists, err = has(r, repositoryKey(owner, name))
	if err != nil || !s.exists {
		s.Role = policy.RoleNone
		return s, err
	}
	if k.access != "" && !s.Owner {
		s.Role = policy.RoleNone // the role of members is one in repositories
	}
	granted, err := readGranted(r, s.Standing, k, whose)
	s.Role = max(s.Role, granted)
	return s, err
}

// readGranted is the strongest role of the user's own grant and of those to the
// teams of the owner that the user is in. It reads at most MaxTeamsOfMember and
// one grants.
func readGranted(r cache.Reader, s policy.Standing, k place, whose Account) (strongest policy.Role, err error) {
	if k.access != "" && whose.Org && !s.Member && !k.public {
		return policy.RoleNone, nil // an organization's own package is for its members
	}
	grantees := []string{k.user}
	if s.Member && !s.Owner {
		ids, err := teamsOf(r, whose.Name, k.user)
		if err != nil {
			return strongest, err
		}
		for _, id := range ids {
			grantees = append(grantees, teamMark+id)
		}
	}
	for _, g := range grantees {
		var role policy.Role
		if _, err := get(r, grantAt(k.where, k.access, g), &role); err != nil {
			return policy.RoleNone, err
		}
		strongest = max(strongest, role)
	}
	return strongest, nil
}

// readOwnership is the standing that a user has in all that an owner has.
func readOwnership(r cache.Reader, who, whose Account) (policy.Standing, error) {
	owner := policy.Standing{Role: policy.RoleAdmin, Member: true, Owner: true}
	if who.Name == whose.Name || who.Admin {
		return owner, nil
	}
	if !whose.Org {
		return policy.Standing{}, nil
	}
	membership, err := readMembership(r, whose.Name, who.Name)
	switch {
	case err != nil || membership == "":
		return policy.Standing{}, err
	case membership == Owner:
		return owner, nil
	}
	return policy.Standing{Role: whose.BaseRole, Member: true}, nil
}

func has(r cache.Reader, key []byte) (bool, error) {
	var any struct{}
	return get(r, key, &any)
}

// Authorize decides whether s may do a to res. It refuses when it cannot tell.
func (d *Directory) Authorize(ctx context.Context, s policy.Subject, a policy.Action, res policy.Resource) policy.Decision {
	in := policy.Input{Subject: s, Action: a, Resource: res, AnonymousRead: d.opt.AnonymousRead}
	if !needsStanding(s, a, res) {
		return policy.Decide(in)
	}
	st, err := d.standing(ctx, placeOf(s.User, res))
	if err != nil {
		return policy.Decision{Verdict: policy.Deny, Reason: "the access rights could not be read, so this is refused: try again later"}
	}
	in.Standing = st.Standing
	out := policy.Decide(in)
	if out.Verdict == policy.Deny && len(out.Accepted) == 0 && !st.exists && st.Owner {
		out.Reason = "there is no repository " + res.Repository + ": create it with `larder repo create " + res.Repository + "`"
	}
	return out
}

func placeOf(user string, res policy.Resource) place {
	return place{user, res.Repository, res.Access, res.Access != "" && res.Visibility == policy.Public}
}

// needsStanding spares the lookup where the answer does not depend on it.
func needsStanding(s policy.Subject, a policy.Action, res policy.Resource) bool {
	switch a {
	case policy.Open, policy.Self, policy.Administer:
		return false
	case policy.Read:
		return !s.Anonymous() && res.Visibility != policy.Public && res.Repository != ""
	}
	return !s.Anonymous() && res.Repository != ""
}
