package admin

import (
	"iter"

	"larder/policy"
	"larder/policy/directory"
)

// Grant is the body of PUT …/grants/{user} and …/teams/{team}.
type Grant struct {
	Role policy.Role `json:"role" doc:"What the user or team may do in the repository; none takes it back."`
}

// Granted is a role of a user or of a team.
type Granted struct {
	User string      `json:"user,omitempty" doc:"Name of the user whose role it is."`
	Team string      `json:"team,omitempty" doc:"Name of the team whose role it is."`
	Role policy.Role `json:"role" doc:"What the user or team may do in the repository."`

	cursor string
}

// GrantList is the answer of GET …/grants.
type GrantList struct {
	Grants []Granted `json:"grants" doc:"Of users and teams."`
	Page
	// Of a package only.
	InheritedFrom string `json:"inherited_from,omitempty" doc:"The repository whose grants they are, OWNER/NAME; absent for grants of a package's own."`
}

// grantee is the user or the team of the path.
func (c *call) grantee() string {
	if team := c.r.PathValue("team"); team != "" {
		return "@" + team
	}
	return c.r.PathValue("user")
}

func (c *call) grant(_ none, in Grant) (none, error) {
	return none{}, c.Directory.Grant(c.r.Context(), c.caller, c.fullName(), c.grantee(), in.Role)
}

func (c *call) grantTeam(_ none, in Grant) (none, error) { return c.grant(none{}, in) }

func (c *call) takeBack(none, none) (none, error) { return c.grant(none{}, Grant{policy.RoleNone}) }

func (c *call) takeBackFromTeam(none, none) (none, error) { return c.takeBack(none{}, none{}) }

// listGrants shows the grants in a repository to its admins. Whoever may not
// read it cannot tell it from one that does not exist.
func (c *call) listGrants(q paging, _ none) (GrantList, error) {
	res, _, err := c.readable(c.fullName())
	if err != nil {
		return GrantList{}, err
	}
	ctx := c.r.Context()
	if err := c.Directory.Authorize(ctx, c.caller, policy.Settings, res).Err(); err != nil {
		return GrantList{}, err
	}
	return grantList(shown(c.Directory.Grants(ctx, res, q.After), all(describeGrant)), q.Limit)
}

func describeGrant(g directory.Granted) Granted { return Granted{g.User, g.Team, g.Role, g.After} }

func grantList(found iter.Seq2[Granted, error], limit int) (GrantList, error) {
	grants, next, err := pageOf(found, limit, func(g Granted) string { return g.cursor })
	return GrantList{Grants: grants, Page: Page{next}}, err
}
