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
	Name       string            `json:"name"` // owner/name
	Visibility policy.Visibility `json:"visibility"`
	Created    time.Time         `json:"created_at,omitzero"`
	// Role is what the caller may do there, without what its visibility adds.
	Role policy.Role `json:"role,omitzero"`
}

// NewRepository is the body of POST /api/v1/repos.
type NewRepository struct {
	Name string `json:"name"` // owner/name
	// Visibility is private when empty.
	Visibility policy.Visibility `json:"visibility,omitempty"`
}

func (c *call) createRepository() (any, error) {
	var in NewRepository
	if err := c.body(&in); err != nil {
		return nil, err
	}
	if in.Visibility == "" {
		in.Visibility = policy.Private
	}
	if _, err := policy.ParseVisibility(string(in.Visibility)); err != nil {
		return nil, bad("%s", err)
	}
	if err := c.Directory.CreateRepository(c.r.Context(), c.caller, in.Name, in.Visibility); err != nil {
		return nil, err
	}
	shown, err := c.repository(in.Name)
	return created{shown}, err
}

func (c *call) fullName() string { return c.r.PathValue("owner") + "/" + c.r.PathValue("name") }

func (c *call) repository(name string) (Repository, error) {
	ctx := c.r.Context()
	r, err := c.Directory.Repository(ctx, name)
	if err != nil {
		return Repository{}, err
	}
	shown := Repository{Name: r.Owner + "/" + r.Name, Visibility: r.Visibility, Created: r.Created}
	if !c.caller.Anonymous() {
		if shown.Role, err = c.Directory.Role(ctx, c.caller.User, name); err != nil {
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

func (c *call) showRepository() (any, error) {
	_, found, err := c.readable(c.fullName())
	return found, err
}

// RepositoryList is the answer of GET /api/v1/repos.
type RepositoryList struct {
	Repositories []Repository `json:"repositories"`
	Next         string       `json:"next,omitempty"`
}

// listRepositories lists those that the caller may read. Query: owner, limit,
// after.
func (c *call) listRepositories() (any, error) {
	limit, after, err := c.window()
	if err != nil {
		return nil, err
	}
	ctx := c.r.Context()
	found := shown(c.Directory.Repositories(ctx, c.r.URL.Query().Get("owner"), after), func(r directory.Repository) (string, bool) {
		name := r.Owner + "/" + r.Name
		res := policy.Resource{Repository: name, Visibility: r.Visibility}
		return name, c.Directory.Authorize(ctx, c.caller, policy.Read, res).Verdict == policy.Allow
	})
	names, next, err := pageOf(found, limit, func(name string) string { return name })
	list := RepositoryList{Repositories: []Repository{}, Next: next}
	for _, name := range names {
		r, err := c.repository(name)
		if err != nil {
			return nil, err
		}
		list.Repositories = append(list.Repositories, r)
	}
	return list, err
}

func (c *call) setRepository() (any, error) {
	var in struct {
		Visibility policy.Visibility `json:"visibility"`
	}
	if err := c.body(&in); err != nil {
		return nil, err
	}
	if _, err := policy.ParseVisibility(string(in.Visibility)); err != nil {
		return nil, bad("%s", err)
	}
	return nil, c.Directory.SetVisibility(c.r.Context(), c.caller, c.fullName(), in.Visibility)
}
