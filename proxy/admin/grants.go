package admin

import (
	"iter"

	"larder/policy"
	"larder/policy/directory"
)

// Grant is the body of PUT …/grants/{user} and …/teams/{team}.
type Grant struct {
	Role policy.Role `json:"role"`
}

// Granted is a role of a user or of a team.
type Granted struct {
	User string      `json:"user,omitempty"`
	Team string      `json:"team,omitempty"`
	Role policy.Role `json:"role"`

	cursor string
}

// GrantList is the answer of GET …/grants.
type GrantList struct {
	Grants []Granted `json:"grants"`
	Next   string    `json:"next,omitempty"`
}

// role reads the body of a grant.
func (c *call) role() (policy.Role, error) {
	var in struct {
		Role *policy.Role `json:"role"`
	}
	if err := c.body(&in); err != nil {
		return policy.RoleNone, err
	}
	if in.Role == nil {
		return policy.RoleNone, bad("the role is missing: read, write or admin")
	}
	return *in.Role, nil
}

// grantee is the user or the team of the path.
func (c *call) grantee() string {
	if team := c.r.PathValue("team"); team != "" {
		return "@" + team
	}
	return c.r.PathValue("user")
}

func (c *call) grant() (any, error) {
	role, err := c.role()
	if err != nil {
		return nil, err
	}
	return nil, c.Directory.Grant(c.r.Context(), c.caller, c.fullName(), c.grantee(), role)
}

func (c *call) takeBack() (any, error) {
	return nil, c.Directory.Grant(c.r.Context(), c.caller, c.fullName(), c.grantee(), policy.RoleNone)
}

// listGrants shows the grants in a repository to its admins. Whoever may not
// read it cannot tell it from one that does not exist.
func (c *call) listGrants() (any, error) {
	limit, after, err := c.window()
	if err != nil {
		return nil, err
	}
	res, _, err := c.readable(c.fullName())
	if err != nil {
		return nil, err
	}
	ctx := c.r.Context()
	if err := c.Directory.Authorize(ctx, c.caller, policy.Settings, res).Err(); err != nil {
		return nil, err
	}
	return grantList(shown(c.Directory.Grants(ctx, c.fullName(), after), all(describeGrant)), limit)
}

func describeGrant(g directory.Granted) Granted { return Granted{g.User, g.Team, g.Role, g.After} }

func grantList(found iter.Seq2[Granted, error], limit int) (any, error) {
	grants, next, err := pageOf(found, limit, func(g Granted) string { return g.cursor })
	return GrantList{grants, next}, err
}
