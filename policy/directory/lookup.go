package directory

import (
	"context"
	"fmt"
	"time"

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
	a, _, err := d.accountAt(ctx, name)
	return a, err
}

// accountAt is account with the time at which it was read.
func (d *Directory) accountAt(ctx context.Context, name string) (*Account, time.Time, error) {
	generation, now := d.changes.ofAccount(name), d.now()
	if a, at, ok := d.accounts.getAt(name, generation, now); ok {
		return a, at, nil
	}
	a := new(Account)
	if !accountName.MatchString(name) {
		return nil, now, nil
	}
	err := d.index.View(ctx, func(r cache.Reader) error {
		ok, err := get(r, accountKey(name), a)
		if !ok {
			a = nil
		}
		return err
	})
	if err != nil {
		return nil, now, fmt.Errorf("look up account %s: %w", name, err)
	}
	d.accounts.put(name, generation, now, a)
	return a, now, nil
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
	r, _, err := d.repositoryAt(ctx, full)
	return r, err
}

// repositoryAt is repository with the time at which it was read.
func (d *Directory) repositoryAt(ctx context.Context, full string) (*Repository, time.Time, error) {
	generation, now := d.changes.ofAccount(ofRepository(full).owner), d.now()
	if r, at, ok := d.repositories.getAt(full, generation, now); ok {
		return r, at, nil
	}
	owner, name, err := splitRepository(full)
	if err != nil {
		return nil, now, nil
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
		return nil, now, fmt.Errorf("look up repository %s: %w", full, err)
	}
	d.repositories.put(full, generation, now, repo)
	return repo, now, nil
}

// Visibility of a repository named owner/name. Errors: cache.ErrNotExist.
func (d *Directory) Visibility(ctx context.Context, repository string) (policy.Visibility, error) {
	r, err := d.Repository(ctx, repository)
	return r.Visibility, err
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
