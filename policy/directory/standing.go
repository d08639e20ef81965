package directory

import (
	"context"
	"fmt"
	"strings"

	"larder/cache"
	"larder/policy"
)

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
	owner := ofRepository(k.where).owner
	generation, now := d.changes.ofPlace(k.user, owner), d.now()
	if s, ok := d.standings.get(k, generation, now); ok {
		return s, nil
	}
	if !isPlace(k.where) {
		return standing{}, nil
	}
	p, at, err := d.parties(ctx, k)
	var s standing
	if err == nil {
		err = d.index.View(ctx, func(r cache.Reader) (err error) {
			if d.changes.ofPlace(k.user, owner) != generation {
				// What is remembered and what is read belong to different moments, and
				// together could give what neither gave: read everything as it is now.
				at = now
				if p, err = readParties(r, k); err != nil {
					return err
				}
			}
			s, err = p.standing(r, k)
			return err
		})
	}
	if err != nil {
		return standing{}, fmt.Errorf("look up the role of %s in %s: %w", k.user, k.where, err)
	}
	d.standings.put(k, generation, at, s)
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
