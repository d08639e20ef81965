package admin

import (
	"errors"
	"time"

	"larder/cache"
	"larder/policy"
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

// showRepository tells no one whether a repository exists that he may not read:
// one that is not there looks like one that is private.
func (c *call) showRepository() (any, error) {
	shown, err := c.repository(c.fullName())
	if err != nil && !errors.Is(err, cache.ErrNotExist) {
		return nil, err
	}
	res := policy.Resource{Repository: c.fullName(), Visibility: shown.Visibility}
	if denied := c.Directory.Authorize(c.r.Context(), c.caller, policy.Read, res).Err(); denied != nil {
		return nil, hide(denied)
	}
	return shown, hide(err)
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

// Grant is the body of PUT /api/v1/repos/{owner}/{name}/grants/{user}.
type Grant struct {
	Role policy.Role `json:"role"`
}

func (c *call) grant() (any, error) {
	var in struct {
		Role *policy.Role `json:"role"`
	}
	if err := c.body(&in); err != nil {
		return nil, err
	}
	if in.Role == nil {
		return nil, bad("the role is missing: read, write or admin")
	}
	return nil, c.Directory.Grant(c.r.Context(), c.caller, c.fullName(), c.r.PathValue("user"), *in.Role)
}

func (c *call) takeBack() (any, error) {
	return nil, c.Directory.Grant(c.r.Context(), c.caller, c.fullName(), c.r.PathValue("user"), policy.RoleNone)
}
