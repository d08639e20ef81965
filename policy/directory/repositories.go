package directory

import (
	"context"

	"larder/cache"
	"larder/policy"
	"larder/policy/audit"
)

// CreateRepository makes owner/name. For the owner, the owners of the
// organization and administrators. Errors: ErrInvalid, ErrExists,
// cache.ErrNotExist for the owner.
func (d *Directory) CreateRepository(ctx context.Context, actor policy.Subject, full string, v policy.Visibility) error {
	owner, name, err := splitRepository(full)
	if err != nil {
		return err
	}
	if _, err := policy.ParseVisibility(string(v)); err != nil {
		return fail(ErrInvalid, "repository %s: %s", full, err)
	}
	if err := d.mayIn(ctx, actor, full); err != nil {
		return err
	}
	return d.change(ctx, "create repository "+full, func(w cache.Writer) error {
		if ok, err := has(w, accountKey(owner)); err != nil || !ok {
			return orMissing(err, "user or organization", owner)
		}
		taken, err := has(w, repositoryKey(owner, name))
		if err != nil {
			return err
		}
		if taken {
			return fail(ErrExists, "the repository %s is there already", full)
		}
		if err := put(w, repositoryKey(owner, name), Repository{Owner: owner, Name: name, Visibility: v, Created: d.now().UTC()}); err != nil {
			return err
		}
		return d.record(ctx, w, actor, audit.Record{
			Action: "repository.create", Resource: audit.Resource{Repository: full}, After: visibilityState(v),
		})
	})
}

func orMissing(err error, what, name string) error {
	if err != nil {
		return err
	}
	return missing(what, name)
}

// mayIn checks authority over a repository; administrators have it over those
// of owners that do not exist, and then read that they do not.
func (d *Directory) mayIn(ctx context.Context, actor policy.Subject, full string) error {
	if administer(actor) == nil && policy.Holds(actor.Scopes, policy.WritePackages) {
		return nil
	}
	return d.may(ctx, actor, policy.Settings, full)
}

// needRepository reads a repository inside a change.
func needRepository(r cache.Reader, full string) (Repository, error) {
	owner, name, err := splitRepository(full)
	if err != nil {
		return Repository{}, err
	}
	var repo Repository
	ok, err := get(r, repositoryKey(owner, name), &repo)
	if err != nil || !ok {
		return repo, orMissing(err, "repository", full)
	}
	return repo, nil
}

// SetVisibility changes who may read a repository without a grant. What was
// public cannot be taken back. For the repository's admins. Errors:
// ErrConflict, ErrInvalid, cache.ErrNotExist.
func (d *Directory) SetVisibility(ctx context.Context, actor policy.Subject, full string, v policy.Visibility) error {
	if _, err := policy.ParseVisibility(string(v)); err != nil {
		return fail(ErrInvalid, "repository %.170s: %s", full, err)
	}
	if err := d.mayIn(ctx, actor, full); err != nil {
		return err
	}
	return d.change(ctx, "change "+full, func(w cache.Writer) error {
		r, err := needRepository(w, full)
		if err != nil {
			return err
		}
		if r.Visibility == policy.Public && v != policy.Public {
			return fail(ErrConflict, "%s is public and stays so: others may hold what it published; make a new repository instead", full)
		}
		old := r.Visibility
		r.Visibility = v
		if err := put(w, repositoryKey(r.Owner, r.Name), r); err != nil {
			return err
		}
		return d.record(ctx, w, actor, audit.Record{
			Action: "repository.visibility", Resource: audit.Resource{Repository: full},
			Before: visibilityState(old), After: visibilityState(v),
		})
	})
}

// Grant gives a user a role in a repository; RoleNone takes the grant back. For
// the repository's admins. Errors: cache.ErrNotExist, ErrInvalid.
func (d *Directory) Grant(ctx context.Context, actor policy.Subject, full, user string, role policy.Role) error {
	if role > policy.RoleAdmin {
		return fail(ErrInvalid, "role %d is not known", role)
	}
	if err := d.mayIn(ctx, actor, full); err != nil {
		return err
	}
	return d.change(ctx, "grant "+user+" a role in "+full, func(w cache.Writer) error {
		r, err := needRepository(w, full)
		if err != nil {
			return err
		}
		if _, err := needAccount(w, user, false); err != nil {
			return err
		}
		return d.putGrant(ctx, w, actor, grant{full, user, grantKey(r.Owner, r.Name, user), role})
	})
}

// grant is one grant; RoleNone takes it back.
type grant struct {
	repository, user string
	key              []byte
	role             policy.Role
}

// putGrant stores and records a grant.
func (d *Directory) putGrant(ctx context.Context, w cache.Writer, actor policy.Subject, g grant) error {
	var old policy.Role
	if _, err := get(w, g.key, &old); err != nil {
		return err
	}
	r := audit.Record{
		Action: "grant.set", Resource: audit.Resource{Repository: g.repository, ID: g.user},
		Before: roleState(old), After: roleState(g.role),
	}
	store := func() error { return put(w, g.key, g.role) }
	if g.role == policy.RoleNone {
		r.Action, store = "grant.remove", func() error { return w.Delete(g.key) }
	}
	if err := store(); err != nil {
		return err
	}
	return d.record(ctx, w, actor, r)
}

func visibilityState(v policy.Visibility) audit.State {
	return audit.State{"visibility": string(v)}
}
