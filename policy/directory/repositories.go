package directory

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

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

// RepositorySettings changes a repository; what is empty stays as it is.
type RepositorySettings struct {
	// Visibility says who may read it without a grant. What was public cannot be
	// taken back.
	Visibility policy.Visibility
	// ImmutableTags are patterns of tags that stay on the version they were first
	// given to; of no entry: none do. At most MaxTagPatterns.
	ImmutableTags []string
	// SparseIndexes says whether pushes of image indexes may lack some of the
	// manifests that they name.
	SparseIndexes *bool
}

// MaxTagPatterns is how many patterns of immutable tags a repository may have.
const MaxTagPatterns = 50

func (s *RepositorySettings) check(full string) error {
	if s.Visibility != "" || s.ImmutableTags == nil && s.SparseIndexes == nil {
		if _, err := policy.ParseVisibility(string(s.Visibility)); err != nil {
			return fail(ErrInvalid, "repository %.170s: %s", full, err)
		}
	}
	if len(s.ImmutableTags) == 0 {
		return nil // which takes all back, or leaves them
	}
	s.ImmutableTags = slices.Compact(slices.Sorted(slices.Values(s.ImmutableTags)))
	if len(s.ImmutableTags) > MaxTagPatterns {
		return fail(ErrInvalid, "repository %.170s: at most %d patterns of immutable tags, not %d", full, MaxTagPatterns, len(s.ImmutableTags))
	}
	for _, p := range s.ImmutableTags {
		err := policy.CheckPattern(p)
		if err == nil && strings.Contains(p, "/") {
			err = fmt.Errorf("no tag has a slash, which %q asks for", p)
		}
		if err != nil {
			return fail(ErrInvalid, "repository %.170s, immutable tags: %s", full, err)
		}
	}
	return nil
}

// SetRepository changes the settings of a repository. For its admins. Errors:
// ErrConflict, ErrInvalid, cache.ErrNotExist.
func (d *Directory) SetRepository(ctx context.Context, actor policy.Subject, full string, set RepositorySettings) error {
	if err := set.check(full); err != nil {
		return err
	}
	if err := d.mayIn(ctx, actor, full); err != nil {
		return err
	}
	return d.changeOf(ctx, ofRepository(full), "change "+full, func(w cache.Writer) error {
		r, err := needRepository(w, full)
		if err != nil {
			return err
		}
		was := r
		if set.Visibility != "" {
			if err := d.admitVisibility(w, actor, r, set.Visibility); err != nil {
				return err
			}
			r.Visibility = set.Visibility
		}
		if set.ImmutableTags != nil {
			r.ImmutableTags = set.ImmutableTags
		}
		if set.SparseIndexes != nil {
			r.SparseIndexes = *set.SparseIndexes
		}
		if err := put(w, repositoryKey(r.Owner, r.Name), r); err != nil {
			return err
		}
		for _, done := range set.records(was, r) {
			if err := d.record(ctx, w, actor, done); err != nil {
				return err
			}
		}
		return nil
	})
}

// records tell what the settings have made of a repository.
func (s *RepositorySettings) records(was, is Repository) (all []audit.Record) {
	on := audit.Resource{Repository: is.Owner + "/" + is.Name}
	if s.Visibility != "" {
		all = append(all, audit.Record{
			Action: "repository.visibility", Resource: on, Before: visibilityState(was.Visibility), After: visibilityState(is.Visibility),
		})
	}
	if s.ImmutableTags != nil {
		all = append(all, audit.Record{
			Action: "repository.tags", Resource: on, Before: tagsState(was.ImmutableTags), After: tagsState(is.ImmutableTags),
		})
	}
	if s.SparseIndexes != nil {
		all = append(all, audit.Record{
			Action: "repository.sparse", Resource: on, Before: sparseState(was.SparseIndexes), After: sparseState(is.SparseIndexes),
		})
	}
	return all
}

func (d *Directory) admitVisibility(r cache.Reader, actor policy.Subject, repo Repository, v policy.Visibility) error {
	full := repo.Owner + "/" + repo.Name
	if repo.Visibility == policy.Public && v != policy.Public {
		return fail(ErrConflict, "%s is public and stays so: others may hold what it published; make a new repository instead", full)
	}
	return d.Admit(r, actor, full, v)
}

// Immutable reports whether a tag of a repository's packages stays where it is.
// A repository that is not there keeps none.
func (d *Directory) Immutable(ctx context.Context, repository, tag string) (bool, error) {
	r, err := d.repository(ctx, repository)
	if err != nil || r == nil {
		return false, err
	}
	return slices.ContainsFunc(r.ImmutableTags, func(p string) bool { return policy.Match(p, tag) }), nil
}

// SparseIndexes reports whether a repository takes image indexes without some of the
// manifests that they name. One that is not there does not.
func (d *Directory) SparseIndexes(ctx context.Context, repository string) (bool, error) {
	r, err := d.repository(ctx, repository)
	return r != nil && r.SparseIndexes, err
}

func sparseState(on bool) audit.State { return audit.State{"sparse_indexes": strconv.FormatBool(on)} }

func tagsState(patterns []string) audit.State {
	words := "none"
	if len(patterns) > 0 {
		words = strings.Join(patterns, " ")
	}
	return audit.State{"immutable_tags": words}
}

func visibilityState(v policy.Visibility) audit.State {
	return audit.State{"visibility": string(v)}
}
