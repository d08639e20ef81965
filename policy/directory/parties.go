package directory

import (
	"context"
	"strings"
	"time"

	"larder/cache"
	"larder/policy"
)

// parties are those whom a standing is between, nil for who is not there.
type parties struct {
	who, whose *Account
	exists     bool // the repository, or the owner where none is named
	teamed     bool // the owner has teams
}

// parties returns what is remembered of them, and the time of the oldest part.
func (d *Directory) parties(ctx context.Context, k place) (p parties, at time.Time, err error) {
	owner, _, scoped := strings.Cut(k.where, "/")
	var ats [4]time.Time
	if p.who, ats[0], err = d.accountAt(ctx, k.user); err != nil {
		return p, at, err
	}
	if p.whose, ats[1], err = d.accountAt(ctx, owner); err != nil {
		return p, at, err
	}
	p.exists, ats[2] = p.whose != nil, ats[1]
	if scoped {
		var r *Repository
		if r, ats[2], err = d.repositoryAt(ctx, k.where); err != nil {
			return p, at, err
		}
		p.exists = r != nil
	}
	if p.teamed, ats[3], err = d.teamedAt(ctx, owner); err != nil {
		return p, at, err
	}
	at = ats[0]
	for _, other := range ats[1:] {
		if other.Before(at) {
			at = other
		}
	}
	return p, at, nil
}

// teamedAt reports whether an owner has teams: looking for those of a user among
// none would be the dearest part of a decision.
func (d *Directory) teamedAt(ctx context.Context, owner string) (bool, time.Time, error) {
	generation, now := d.changes.ofAccount(owner), d.now()
	if teamed, at, ok := d.teamed.getAt(owner, generation, now); ok {
		return teamed, at, nil
	}
	var n int
	err := d.index.View(ctx, func(r cache.Reader) (err error) {
		n, err = count(r, teamKey(owner, ""), 1)
		return err
	})
	if err == nil {
		d.teamed.put(owner, generation, now, n > 0)
	}
	return n > 0, now, err
}

// readParties reads them as they are now.
func readParties(r cache.Reader, k place) (p parties, err error) {
	owner, name, scoped := strings.Cut(k.where, "/")
	if p.who, err = readAccount(r, k.user); err != nil {
		return p, err
	}
	if p.whose, err = readAccount(r, owner); err != nil {
		return p, err
	}
	p.exists, p.teamed = p.whose != nil, true
	if scoped {
		p.exists, err = has(r, repositoryKey(owner, name))
	}
	return p, err
}

func readAccount(r cache.Reader, name string) (*Account, error) {
	a := new(Account)
	ok, err := get(r, accountKey(name), a)
	if err != nil || !ok {
		return nil, err
	}
	return a, nil
}

// readStanding is the standing as it is now.
func readStanding(r cache.Reader, k place) (standing, error) {
	p, err := readParties(r, k)
	if err != nil {
		return standing{}, err
	}
	return p.standing(r, k)
}

// standing is the effective role of policy.md section 1: the strongest of
// ownership, base role, grant, and grants to teams.
func (p parties) standing(r cache.Reader, k place) (s standing, err error) {
	if p.who == nil || p.who.Suspended || p.whose == nil {
		return s, nil
	}
	if s.Standing, err = readOwnership(r, *p.who, *p.whose); err != nil {
		return standing{}, err
	}
	if s.exists = p.exists; !strings.Contains(k.where, "/") {
		return s, nil
	}
	if !s.exists {
		s.Role = policy.RoleNone
		return s, nil
	}
	if k.access != "" && !s.Owner {
		s.Role = policy.RoleNone // the role of members is one in repositories
	}
	granted, err := p.granted(r, s.Standing, k)
	s.Role = max(s.Role, granted)
	return s, err
}

// granted is the strongest role of the user's own grant and of those to the
// teams of the owner that the user is in. It reads at most MaxTeamsOfMember and
// one grants, and none where they could add nothing: an organization's own
// package is for its members.
func (p parties) granted(r cache.Reader, s policy.Standing, k place) (strongest policy.Role, err error) {
	if s.Role == policy.RoleAdmin || k.access != "" && p.whose.Org && !s.Member && !k.public {
		return policy.RoleNone, nil
	}
	grantees := []string{k.user}
	if p.teamed && s.Member && !s.Owner {
		ids, err := teamsOf(r, p.whose.Name, k.user)
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
