package admin

import (
	"time"

	"larder/policy"
	"larder/policy/directory"
)

// Account is a user or an organization as the API shows it.
type Account struct {
	Name      string      `json:"name"`
	Kind      string      `json:"kind"` // "user" or "organization"
	Email     string      `json:"email,omitempty"`
	Admin     bool        `json:"admin,omitempty"`
	Suspended bool        `json:"suspended,omitempty"`
	BaseRole  policy.Role `json:"base_role,omitzero"` // of an organization
	Created   time.Time   `json:"created_at"`
}

func describeAccount(a directory.Account) Account {
	kind := "user"
	if a.Org {
		kind = "organization"
	}
	return Account{
		Name: a.Name, Kind: kind, Email: a.Email, Admin: a.Admin, Suspended: a.Suspended,
		BaseRole: a.BaseRole, Created: a.Created,
	}
}

// Caller is who a token belongs to.
type Caller struct {
	User    string         `json:"user"`
	TokenID string         `json:"token_id"`
	Scopes  []policy.Scope `json:"scopes"`
	Limits  policy.Limits  `json:"limits,omitzero"`
	Admin   bool           `json:"admin,omitempty"`
}

func (c *call) whoami() (any, error) {
	s := c.caller
	return Caller{User: s.User, TokenID: s.TokenID, Scopes: s.Scopes, Limits: s.Limits, Admin: s.Admin}, nil
}

// NewAccount is the body of POST /api/v1/users.
type NewAccount struct {
	Name  string `json:"name"`
	Org   bool   `json:"org,omitempty"`
	Email string `json:"email,omitempty"`
	Admin bool   `json:"admin,omitempty"`
}

func (c *call) createUser() (any, error) {
	var in NewAccount
	if err := c.body(&in); err != nil {
		return nil, err
	}
	ctx := c.r.Context()
	err := c.Directory.CreateUser(ctx, c.caller, directory.Account{Name: in.Name, Org: in.Org, Email: in.Email, Admin: in.Admin})
	if err != nil {
		return nil, err
	}
	made, err := c.Directory.Account(ctx, in.Name)
	if err != nil {
		return nil, err
	}
	return created{describeAccount(made)}, nil
}

// UserList is the answer of GET /api/v1/users.
type UserList struct {
	Users []Account `json:"users"`
	Next  string    `json:"next,omitempty"`
}

// listUsers lists users and organizations.
func (c *call) listUsers() (any, error) {
	limit, after, err := c.window()
	if err != nil {
		return nil, err
	}
	found := shown(c.Directory.Accounts(c.r.Context(), after), all(describeAccount))
	users, next, err := pageOf(found, limit, func(a Account) string { return a.Name })
	return UserList{users, next}, err
}

// showAccount shows all of it to the user and to administrators, what members may
// do to the members, and the public part to everybody who signed in.
func (c *call) showAccount() (any, error) {
	ctx := c.r.Context()
	a, err := c.Directory.Account(ctx, c.r.PathValue("name"))
	if err != nil {
		return nil, err
	}
	shown := describeAccount(a)
	own := c.caller.User == a.Name
	if !own && c.Directory.Authorize(ctx, c.caller, policy.Administer, policy.Resource{}).Err() != nil {
		shown.Email, shown.Admin, shown.Suspended = "", false, false
		role, err := c.Directory.Role(ctx, c.caller.User, a.Name)
		if err != nil {
			return nil, err
		}
		shown.BaseRole = min(shown.BaseRole, role) // whoever is no member has none
	}
	return shown, nil
}

func (c *call) suspend() (any, error) {
	return nil, c.Directory.Suspend(c.r.Context(), c.caller, c.r.PathValue("name"))
}

func (c *call) resume() (any, error) {
	return nil, c.Directory.Resume(c.r.Context(), c.caller, c.r.PathValue("name"))
}

// Organization is the body of PATCH /api/v1/orgs/{org}.
type Organization struct {
	BaseRole policy.Role `json:"base_role"`
}

func (c *call) setOrganization() (any, error) {
	var in struct {
		BaseRole *policy.Role `json:"base_role"`
	}
	if err := c.body(&in); err != nil {
		return nil, err
	}
	if in.BaseRole == nil {
		return nil, bad("the body changes nothing: give base_role, one of none, read, write and admin")
	}
	return nil, c.Directory.SetBaseRole(c.r.Context(), c.caller, c.r.PathValue("org"), *in.BaseRole)
}

// Member is the body of PUT /api/v1/orgs/{org}/members/{user}.
type Member struct {
	Role directory.Membership `json:"role"`
}

func (c *call) setMember() (any, error) {
	var in Member
	if err := c.body(&in); err != nil {
		return nil, err
	}
	if in.Role == "" {
		return nil, bad("the role is missing: owner or member")
	}
	return nil, c.Directory.SetMember(c.r.Context(), c.caller, c.r.PathValue("org"), c.r.PathValue("user"), in.Role)
}

func (c *call) removeMember() (any, error) {
	return nil, c.Directory.SetMember(c.r.Context(), c.caller, c.r.PathValue("org"), c.r.PathValue("user"), "")
}
