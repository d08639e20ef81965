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
	return d.changeOf(ctx, ofRepository(full), "create repository "+full, func(w cache.Writer) error {
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
	if policy.MustAdminister(actor) == nil && policy.Holds(actor.Scopes, policy.WritePackages) {
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
	return d.changeOf(ctx, ofRepository(full), "change "+full, func(w cache.Writer) error {
		r, err := needRepository(w, full)
		if err != nil {
			return err
		}
		if r.Visibility == policy.Public && v != policy.Public {
			return fail(ErrConflict, "%s is public and stays so: others may hold what it published; make a new repository instead", full)
		}
		if err := d.Admit(w, actor, full, v); err != nil {
			return err
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

func visibilityState(v policy.Visibility) audit.State {
	return audit.State{"visibility": string(v)}
}
