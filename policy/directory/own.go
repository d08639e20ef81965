package directory

import (
	"context"

	"larder/cache"
	"larder/policy"
	"larder/policy/audit"
)

// MaxGrants is how many grants one package may have of its own.
const MaxGrants = 1000

// ownAccess says whose the grants under an id are. The package has the id in its
// own record; where the two go apart the grants count for nothing.
type ownAccess struct {
	Owner   string `json:"owner"`
	Format  string `json:"format"`
	Package string `json:"package"`
}

// Detach gives a package grants of its own, in the transaction that notes their
// id in the package. They begin with the actor as admin, unless all of the
// owner's packages are the actor's anyway. Errors: ErrConflict for an actor who
// could have no grant.
func (d *Directory) Detach(ctx context.Context, w cache.Writer, actor policy.Subject, res policy.Resource) (access string, err error) {
	if res.Access, err = newID(); err != nil {
		return "", err
	}
	owner, _ := cut(res.Repository)
	if err := put(w, accessKey(res.Access), ownAccess{owner, res.Format, res.Package}); err != nil {
		return "", err
	}
	all, err := readStanding(w, place{user: actor.User, where: owner})
	if err != nil || all.Owner {
		return res.Access, err
	}
	return res.Access, d.grantOwn(ctx, w, actor, own{res, actor.User, policy.RoleAdmin})
}

// Attach ends the grants that a package had of its own, in the transaction that
// takes their id from the package.
func (d *Directory) Attach(w cache.Writer, access string) error {
	var a ownAccess
	if ok, err := get(w, accessKey(access), &a); err != nil || !ok {
		return err
	}
	keys, prefix := [][]byte{accessKey(access)}, grantAt("", access, "")
	for row, err := range w.Scan(prefix, nil) {
		if err != nil {
			return err
		}
		keys = append(keys, row.Key)
		if name := string(row.Key[len(prefix):]); name[:1] == teamMark {
			keys = append(keys, teamGrantKey(a.Owner, name[1:], row.Key))
		}
	}
	return drop(w, keys...)
}

// GrantPackage is Grant for a package that has grants of its own; res is the
// package as the engine resolved it. For the package's admins. Errors:
// cache.ErrNotExist, ErrInvalid, ErrConflict for a package that takes its access
// from its repository, for users whom the organization does not know, and beyond
// MaxGrants.
func (d *Directory) GrantPackage(ctx context.Context, actor policy.Subject, res policy.Resource, grantee string, role policy.Role) error {
	if role > policy.RoleAdmin {
		return fail(ErrInvalid, "role %d is not known", role)
	}
	if err := d.Authorize(ctx, actor, policy.Settings, res).Err(); err != nil {
		return err
	}
	switch {
	case !res.Hosted:
		return missing("package", res.Package)
	case res.Access == "":
		return fail(ErrConflict, "%.300s takes its access from the repository %s: grant there, or give the package grants of its own first", res.Package, res.Repository)
	}
	return d.changeOf(ctx, concerns(grantee, res.Repository), "grant "+grantee+" a role in "+res.Package, func(w cache.Writer) error {
		return d.grantOwn(ctx, w, actor, own{res, grantee, role})
	})
}

// own is a grant in a package.
type own struct {
	res     policy.Resource
	grantee string
	role    policy.Role
}

func (d *Directory) grantOwn(ctx context.Context, w cache.Writer, actor policy.Subject, o own) error {
	var a ownAccess
	ok, err := get(w, accessKey(o.res.Access), &a)
	if err != nil || !ok {
		return orConflict(err, "the access of %.300s has just been changed: look at it and try again", o.res.Package)
	}
	to, err := needGrantee(w, a.Owner, o.grantee)
	if err != nil {
		return err
	}
	if o.role != policy.RoleNone {
		if err := admitToPackage(w, a.Owner, to, o.res); err != nil {
			return err
		}
	}
	on := audit.Resource{Repository: o.res.Repository, Format: o.res.Format, Package: o.res.Package}
	return d.putGrant(ctx, w, actor, grant{to, on, grantAt("", o.res.Access, to.key), o.role})
}

// admitToPackage holds that what an organization keeps from the public it keeps
// among its members, and that there are not too many grants.
func admitToPackage(r cache.Reader, owner string, to grantee, res policy.Resource) error {
	n, err := count(r, grantAt("", res.Access, ""), MaxGrants)
	if err != nil || n == MaxGrants {
		return orConflict(err, "%.300s has %d grants, which is the limit: grant to teams", res.Package, n)
	}
	if to.id != "" || res.Visibility == policy.Public {
		return nil
	}
	var whose Account
	if _, err := get(r, accountKey(owner), &whose); err != nil || !whose.Org {
		return err
	}
	if role, err := readMembership(r, owner, to.name); err != nil || role == "" {
		return orConflict(err, "%s is no member of %s: only members and teams can have a role in a package that it keeps from the public", to.name, owner)
	}
	return nil
}
