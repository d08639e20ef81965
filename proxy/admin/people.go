package admin

import (
	"time"

	"larder/policy"
	"larder/policy/directory"
)

// Account is a user or an organization as the API shows it.
type Account struct {
	Name      string      `json:"name" doc:"Name, by which it owns repositories."`
	Kind      string      `json:"kind" doc:"What it is." enum:"user,organization"`
	Email     string      `json:"email,omitempty" doc:"Email address, shown to the user and to administrators."`
	Admin     bool        `json:"admin,omitempty" doc:"May administer the server; shown to the user and to administrators."`
	Suspended bool        `json:"suspended,omitempty" doc:"Has no rights for the time being; shown to administrators."`
	BaseRole  policy.Role `json:"base_role,omitzero" doc:"What members of an organization may do in all its repositories; absent for none, and for who is no member."`
	Created   time.Time   `json:"created_at" doc:"When it was made."`
	// Of an organization, for its members.
	Visibilities []policy.Visibility `json:"visibilities,omitempty" doc:"What those who do not own an organization may make its packages and repositories; absent for any, and for who is no member."`
}

func describeAccount(a directory.Account) Account {
	kind := "user"
	if a.Org {
		kind = "organization"
	}
	return Account{
		Name: a.Name, Kind: kind, Email: a.Email, Admin: a.Admin, Suspended: a.Suspended,
		BaseRole: a.BaseRole, Created: a.Created, Visibilities: a.Visibilities,
	}
}

// Caller is who a token belongs to.
type Caller struct {
	User    string         `json:"user" doc:"Name of the user."`
	TokenID string         `json:"token_id" doc:"Id of the token in use."`
	Scopes  []policy.Scope `json:"scopes" doc:"What the token may be used for, where the user may do it."`
	Limits  policy.Limits  `json:"limits,omitzero" doc:"What the token is limited to."`
	Admin   bool           `json:"admin,omitempty" doc:"The user may administer the server, with a token of the scope admin:instance."`
}

func (c *call) whoami(none, none) (Caller, error) {
	s := c.caller
	return Caller{User: s.User, TokenID: s.TokenID, Scopes: s.Scopes, Limits: s.Limits, Admin: s.Admin}, nil
}

// NewAccount is the body of POST /api/v1/users.
type NewAccount struct {
	Name  string `json:"name" min:"1" max:"64" doc:"Name: a-z, 0-9 and dashes, beginning with a letter or digit."`
	Org   bool   `json:"org,omitempty" doc:"An organization instead of a user."`
	Email string `json:"email,omitempty" max:"254" doc:"Email address, shown to package clients."`
	Admin bool   `json:"admin,omitempty" doc:"May administer the server; for users only."`
}

func (c *call) createUser(_ none, in NewAccount) (created[Account], error) {
	ctx := c.r.Context()
	err := c.Directory.CreateUser(ctx, c.caller, directory.Account{Name: in.Name, Org: in.Org, Email: in.Email, Admin: in.Admin})
	if err != nil {
		return created[Account]{}, err
	}
	made, err := c.Directory.Account(ctx, in.Name)
	return created[Account]{describeAccount(made), "/api/v1/users/" + made.Name}, err
}

// UserList is the answer of GET /api/v1/users.
type UserList struct {
	Users []Account `json:"users" doc:"Users and organizations, by name."`
	Page
}

// listUsers lists users and organizations.
func (c *call) listUsers(q paging, _ none) (UserList, error) {
	found := shown(c.Directory.Accounts(c.r.Context(), q.After), all(describeAccount))
	users, next, err := pageOf(found, q.Limit, func(a Account) string { return a.Name })
	return UserList{users, Page{next}}, err
}

// showAccount shows all of it to the user and to administrators, what members may
// do to the members, and the public part to everybody who signed in.
func (c *call) showAccount(none, none) (Account, error) {
	ctx := c.r.Context()
	a, err := c.Directory.Account(ctx, c.r.PathValue("user"))
	if err != nil {
		return Account{}, err
	}
	shown := describeAccount(a)
	own := c.caller.User == a.Name
	if !own && c.Directory.Authorize(ctx, c.caller, policy.Administer, policy.Resource{}).Err() != nil {
		shown.Email, shown.Admin, shown.Suspended = "", false, false
		role, err := c.Directory.Role(ctx, c.caller.User, policy.Resource{Repository: a.Name})
		if err != nil {
			return Account{}, err
		}
		shown.BaseRole = min(shown.BaseRole, role) // whoever is no member has none
		if c.isInside(a.Name) != nil {
			shown.Visibilities = nil
		}
	}
	return shown, nil
}

func (c *call) suspend(none, none) (none, error) {
	return none{}, c.Directory.Suspend(c.r.Context(), c.caller, c.r.PathValue("user"))
}

func (c *call) resume(none, none) (none, error) {
	return none{}, c.Directory.Resume(c.r.Context(), c.caller, c.r.PathValue("user"))
}

// Organization is the body of PATCH /api/v1/orgs/{org}.
type Organization struct {
	BaseRole     *policy.Role        `json:"base_role,omitempty" doc:"What members may do in all repositories of the organization; absent: as it is."`
	Visibilities []policy.Visibility `json:"visibilities,omitempty" doc:"What those who are no owners may make its packages and repositories, one at least; absent: as it is."`
}

func (c *call) setOrganization(_ none, in Organization) (none, error) {
	if in.BaseRole == nil && in.Visibilities == nil {
		return none{}, bad("the body changes nothing: give base_role, visibilities or both")
	}
	return none{}, c.Directory.SetOrganization(c.r.Context(), c.caller, c.r.PathValue("org"), directory.OrgSettings{
		BaseRole: in.BaseRole, Visibilities: in.Visibilities,
	})
}

// Member is the body of PUT /api/v1/orgs/{org}/members/{user}.
type Member struct {
	Role directory.Membership `json:"role" doc:"Owners may change the organization and have the role admin in its repositories."`
}

func (c *call) setMember(_ none, in Member) (none, error) {
	return none{}, c.Directory.SetMember(c.r.Context(), c.caller, c.r.PathValue("org"), c.r.PathValue("user"), in.Role)
}

func (c *call) removeMember(none, none) (none, error) {
	return none{}, c.Directory.SetMember(c.r.Context(), c.caller, c.r.PathValue("org"), c.r.PathValue("user"), "")
}
