package admin

import (
	"larder/formats"
	"larder/policy"
	"larder/policy/purl"
)

// PackageHome is the body of PUT /api/v1/package/repository. What is absent
// stays as it is.
type PackageHome struct {
	Repository    string `json:"repository,omitempty" max:"165" doc:"Repository of the same owner to move it to, OWNER/NAME; absent: where it is."`
	InheritAccess *bool  `json:"inherit_access,omitempty" doc:"Whether the grants of the repository count, or grants of its own; absent: as it is. A change ends the grants that it had."`
}

// PackageVisibility is the body of PUT /api/v1/package/visibility.
type PackageVisibility struct {
	Visibility policy.Visibility `json:"visibility" doc:"Who may read it without a role. What was public cannot be taken back."`
}

// target is the package of a call about its access, which the caller may change.
type target struct {
	name string
	reg  formats.Registry
	res  policy.Resource
}

// wholePurl reads the package of the query.
func (c *call) wholePurl() (purl.Purl, error) {
	which, err := c.purl()
	if err == nil && which.Version != "" {
		err = bad("access is that of a package: leave out the version %s", which.Version)
	}
	return which, err
}

// target refuses whoever may not change the package, whether or not it exists.
func (c *call) target() (target, error) {
	which, err := c.wholePurl()
	if err != nil {
		return target{}, err
	}
	at, reg, err := c.registryOf(which.Format)
	if err != nil {
		return target{}, err
	}
	ctx := c.r.Context()
	res, err := at.Mount.Resource(ctx, "", formats.Request{Package: which.Name, Action: policy.Settings})
	if err != nil {
		return target{}, err
	}
	if err := c.Directory.Authorize(ctx, c.caller, policy.Settings, res).Err(); err != nil {
		return target{}, err
	}
	if !res.Hosted {
		return target{}, formats.Refuse(formats.ErrNotFound, notFound)
	}
	return target{which.Name, reg, res}, nil
}

// changeAccess runs fn on the package, unless that has other access by now than the
// call was decided by.
func (c *call) changeAccess(t target, into string, fn func(tx formats.Tx, p *formats.Package) error) error {
	change := formats.Change{Package: t.name, Action: policy.Settings, Into: into}
	return t.reg.Change(c.r.Context(), change, func(tx formats.Tx) error {
		p, err := tx.Package()
		if err != nil {
			return err
		}
		if p.Repository != t.res.Repository || p.Access != t.res.Access || !p.Deleted.IsZero() {
			return formats.Refuse(formats.ErrConflict, "the package has just been changed: look at it and try again")
		}
		return fn(tx, p)
	})
}

// movePackage puts a package into another repository, or says whose grants count
// for it.
func (c *call) movePackage(_ purlQuery, in PackageHome) (none, error) {
	if in.Repository == "" && in.InheritAccess == nil {
		return none{}, bad("the body changes nothing: give repository, inherit_access or both")
	}
	t, err := c.target()
	if err != nil {
		return none{}, err
	}
	into, inherit := t.res.Repository, t.res.Access == ""
	if in.Repository != "" {
		into = in.Repository
	}
	if in.InheritAccess != nil {
		inherit = *in.InheritAccess
	}
	return none{}, c.changeAccess(t, into, func(tx formats.Tx, p *formats.Package) error {
		if p.Repository == into && (p.Access == "") == inherit {
			return nil
		}
		m, ok := tx.(formats.Mover)
		if !ok {
			return formats.Refuse(formats.ErrUnsupported, "packages of this registry cannot be moved")
		}
		if err := m.Move(inherit); err != nil {
			return err
		}
		return tx.Save(p)
	})
}

// setPackageVisibility says who may read a package without a grant.
func (c *call) setPackageVisibility(_ purlQuery, in PackageVisibility) (none, error) {
	t, err := c.target()
	if err != nil {
		return none{}, err
	}
	return none{}, c.changeAccess(t, "", func(tx formats.Tx, p *formats.Package) error {
		if p.Visibility == in.Visibility {
			return nil
		}
		p.Visibility = in.Visibility
		return tx.Save(p)
	})
}

type grantsQuery struct {
	purlQuery
	paging
}

// listPackageGrants shows the admins of a package the grants that count for it.
func (c *call) listPackageGrants(q grantsQuery, _ none) (GrantList, error) {
	which, err := c.wholePurl()
	if err != nil {
		return GrantList{}, err
	}
	at, _, err := c.registryOf(which.Format)
	if err != nil {
		return GrantList{}, err
	}
	ctx := c.r.Context()
	res, err := at.Mount.Resource(ctx, "", formats.Request{Package: which.Name, Action: policy.Read})
	if err == nil {
		err = c.Directory.Authorize(ctx, c.caller, policy.Read, res).Err()
	}
	if err == nil && !res.Hosted {
		err = formats.ErrNotFound
	}
	if err != nil {
		return GrantList{}, hide(err)
	}
	if err := c.Directory.Authorize(ctx, c.caller, policy.Settings, res).Err(); err != nil {
		return GrantList{}, err
	}
	found, err := grantList(shown(c.Directory.Grants(ctx, res, q.After), all(describeGrant)), q.Limit)
	if res.Access == "" {
		found.InheritedFrom = res.Repository
	}
	return found, err
}

func (c *call) grantPackage(_ purlQuery, in Grant) (none, error) {
	t, err := c.target()
	if err != nil {
		return none{}, err
	}
	return none{}, c.Directory.GrantPackage(c.r.Context(), c.caller, t.res, c.grantee(), in.Role)
}

func (c *call) grantPackageToTeam(q purlQuery, in Grant) (none, error) { return c.grantPackage(q, in) }

func (c *call) takeBackPackage(q purlQuery, _ none) (none, error) {
	return c.grantPackage(q, Grant{policy.RoleNone})
}

func (c *call) takeBackPackageFromTeam(q purlQuery, _ none) (none, error) {
	return c.takeBackPackage(q, none{})
}
