package admin

import (
	"errors"
	"time"

	"larder/cache"
	"larder/policy"
	"larder/policy/directory"
)

// Repository is a repository as the API shows it.
type Repository struct {
	Name       string            `json:"name" doc:"Full name, OWNER/NAME."`
	Visibility policy.Visibility `json:"visibility" doc:"Who may read it without a grant."`
	Created    time.Time         `json:"created_at,omitzero" doc:"When it was made."`
	// ImmutableTags are told to whoever may read the repository.
	ImmutableTags []string    `json:"immutable_tags,omitempty" doc:"Patterns of container tags that stay on the image they were first given to; absent: none."`
	SparseIndexes bool        `json:"sparse_indexes,omitempty" doc:"Whether image indexes may be pushed without some of the manifests that they name; absent: not."`
	Role          policy.Role `json:"role,omitzero" doc:"What the caller may do there, without what its visibility adds; absent for none."`
}

// NewRepository is the body of POST /api/v1/repos.
type NewRepository struct {
	Name       string            `json:"name" max:"165" doc:"Full name, OWNER/NAME; NAME has up to 100 of a-z, 0-9, dot, dash and underscore."`
	Visibility policy.Visibility `json:"visibility,omitempty" default:"private" doc:"Who may read it without a grant."`
}

func (c *call) createRepository(_ none, in NewRepository) (created[Repository], error) {
	if in.Visibility == "" {
		in.Visibility = policy.Private
	}
	if err := c.Directory.CreateRepository(c.r.Context(), c.caller, in.Name, in.Visibility); err != nil {
		return created[Repository]{}, err
	}
	shown, err := c.repository(in.Name)
	return created[Repository]{shown, "/api/v1/repos/" + in.Name}, err
}

func (c *call) fullName() string { return c.r.PathValue("owner") + "/" + c.r.PathValue("name") }

func (c *call) repository(name string) (Repository, error) {
	ctx := c.r.Context()
	r, err := c.Directory.Repository(ctx, name)
	if err != nil {
		return Repository{}, err
	}
	shown := Repository{
		Name: r.Owner + "/" + r.Name, Visibility: r.Visibility, Created: r.Created,
		ImmutableTags: r.ImmutableTags, SparseIndexes: r.SparseIndexes,
	}
	if !c.caller.Anonymous() {
		if shown.Role, err = c.Directory.Role(ctx, c.caller.User, policy.Resource{Repository: name}); err != nil {
			return Repository{}, err
		}
	}
	return shown, nil
}

// readable returns a repository that the caller may read. No one else is told
// whether it exists: one that is not there looks like one that is private.
func (c *call) readable(name string) (policy.Resource, Repository, error) {
	found, err := c.repository(name)
	if err != nil && !errors.Is(err, cache.ErrNotExist) {
		return policy.Resource{}, found, err
	}
	res := policy.Resource{Repository: name, Visibility: found.Visibility}
	if denied := c.Directory.Authorize(c.r.Context(), c.caller, policy.Read, res).Err(); denied != nil {
		return res, found, hide(denied)
	}
	return res, found, hide(err)
}

func (c *call) showRepository(none, none) (Repository, error) {
	_, found, err := c.readable(c.fullName())
	return found, err
}

// RepositoryList is the answer of GET /api/v1/repos.
type RepositoryList struct {
	Repositories []Repository `json:"repositories" doc:"By full name."`
	Page
}

type repositoriesQuery struct {
	Owner string `query:"owner" doc:"Only repositories of this user or organization."`
	paging
}

// listRepositories lists those that the caller may read.
func (c *call) listRepositories(q repositoriesQuery, _ none) (RepositoryList, error) {
	ctx := c.r.Context()
	found := shown(c.Directory.Repositories(ctx, q.Owner, q.After), func(r directory.Repository) (string, bool) {
		name := r.Owner + "/" + r.Name
		res := policy.Resource{Repository: name, Visibility: r.Visibility}
		return name, c.Directory.Authorize(ctx, c.caller, policy.Read, res).Verdict == policy.Allow
	})
	names, next, err := pageOf(found, q.Limit, func(name string) string { return name })
	list := RepositoryList{Repositories: []Repository{}, Page: Page{next}}
	for _, name := range names {
		r, err := c.repository(name)
		if err != nil {
			return list, err
		}
		list.Repositories = append(list.Repositories, r)
	}
	return list, err
}

// RepositorySettings is the body of PATCH /api/v1/repos/{owner}/{name}.
type RepositorySettings struct {
	Visibility    policy.Visibility `json:"visibility,omitempty" doc:"Who may read it without a grant. What was public cannot be taken back. Absent: as it is."`
	ImmutableTags []string          `json:"immutable_tags,omitzero" max:"50" doc:"Patterns of container tags that stay on the image they were first given to, such as v* or 1.2.*; an empty list takes all back. Absent: as it is."`
	SparseIndexes *bool             `json:"sparse_indexes,omitempty" doc:"Whether image indexes may be pushed without some of the manifests that they name. Absent: as it is."`
}

func (c *call) setRepository(_ none, in RepositorySettings) (none, error) {
	if in.Visibility == "" && in.ImmutableTags == nil && in.SparseIndexes == nil {
		return none{}, bad("the body changes nothing: give visibility, immutable_tags or sparse_indexes")
	}
	return none{}, c.Directory.SetRepository(c.r.Context(), c.caller, c.fullName(),
		directory.RepositorySettings{Visibility: in.Visibility, ImmutableTags: in.ImmutableTags, SparseIndexes: in.SparseIndexes})
}
