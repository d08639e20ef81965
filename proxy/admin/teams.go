package admin

import (
	"errors"
	"time"

	"larder/formats"
	"larder/policy"
	"larder/policy/directory"
)

// OrgMember is a member of an organization or of a team.
type OrgMember struct {
	User string               `json:"user" doc:"Name of the user."`
	Role directory.Membership `json:"role,omitempty" doc:"In an organization; absent in a team."`
}

// MemberList is the answer of GET …/members.
type MemberList struct {
	Members []OrgMember `json:"members" doc:"By name."`
	Page
}

// Team is a team as the API shows it.
type Team struct {
	Name    string    `json:"name" doc:"Name, within its organization."`
	ID      string    `json:"id" doc:"Id, which tells it from an earlier one of the same name."`
	Created time.Time `json:"created_at" doc:"When it was made."`
}

// TeamList is the answer of GET /api/v1/orgs/{org}/teams.
type TeamList struct {
	Teams []Team `json:"teams" doc:"By name."`
	Page
}

func describeTeam(t directory.Team) Team { return Team{Name: t.Name, ID: t.ID, Created: t.Created} }

// inside lets those in who may see who is in an organization: its members. To
// others it looks like one that does not exist.
func (c *call) inside() (org string, err error) {
	org = c.r.PathValue("org")
	if err := c.isInside(org); err != nil {
		return "", hide(err)
	}
	a, err := c.Directory.Account(c.r.Context(), org)
	if err == nil && !a.Org {
		err = formats.ErrNotFound
	}
	return org, hide(err)
}

func (c *call) isInside(org string) error {
	res := policy.Resource{Repository: org, Visibility: policy.Internal}
	return c.Directory.Authorize(c.r.Context(), c.caller, policy.Read, res).Err()
}

func (c *call) listMembers(q paging, _ none) (MemberList, error) {
	org, err := c.inside()
	if err != nil {
		return MemberList{}, err
	}
	found := shown(c.Directory.Members(c.r.Context(), org, q.After), all(func(m directory.OrgMember) OrgMember { return OrgMember(m) }))
	members, next, err := pageOf(found, q.Limit, func(m OrgMember) string { return m.User })
	return MemberList{members, Page{next}}, err
}

func (c *call) listTeams(q paging, _ none) (TeamList, error) {
	org, err := c.inside()
	if err != nil {
		return TeamList{}, err
	}
	teams, next, err := pageOf(shown(c.Directory.Teams(c.r.Context(), org, q.After), all(describeTeam)), q.Limit, func(t Team) string { return t.Name })
	return TeamList{teams, Page{next}}, err
}

// team returns the team of the path to those who may see it.
func (c *call) team() (directory.Team, error) {
	org, err := c.inside()
	if err != nil {
		return directory.Team{}, err
	}
	t, err := c.Directory.Team(c.r.Context(), org, c.r.PathValue("team"))
	return t, hide(err)
}

func (c *call) showTeam(none, none) (Team, error) {
	t, err := c.team()
	return describeTeam(t), err
}

func (c *call) listTeamMembers(q paging, _ none) (MemberList, error) {
	t, err := c.team()
	if err != nil {
		return MemberList{}, err
	}
	found := shown(c.Directory.TeamMembers(c.r.Context(), t, q.After), all(func(user string) OrgMember { return OrgMember{User: user} }))
	members, next, err := pageOf(found, q.Limit, func(m OrgMember) string { return m.User })
	return MemberList{members, Page{next}}, err
}

// putTeam makes the team where it is not there yet.
func (c *call) putTeam(none, none) (placed[Team], error) {
	ctx, org, name := c.r.Context(), c.r.PathValue("org"), c.r.PathValue("team")
	made, err := c.Directory.CreateTeam(ctx, c.caller, org, name)
	fresh := !errors.Is(err, directory.ErrExists)
	if !fresh {
		made, err = c.Directory.Team(ctx, org, name)
	}
	return placed[Team]{created[Team]{describeTeam(made), "/api/v1/orgs/" + org + "/teams/" + name}, fresh}, err
}

func (c *call) deleteTeam(none, none) (none, error) {
	return none{}, c.Directory.DeleteTeam(c.r.Context(), c.caller, c.r.PathValue("org"), c.r.PathValue("team"))
}

func (c *call) teamMember() directory.TeamMember {
	return directory.TeamMember{Org: c.r.PathValue("org"), Team: c.r.PathValue("team"), User: c.r.PathValue("user")}
}

func (c *call) addTeamMember(none, none) (none, error) {
	return none{}, c.Directory.SetTeamMember(c.r.Context(), c.caller, c.teamMember(), true)
}

func (c *call) removeTeamMember(none, none) (none, error) {
	return none{}, c.Directory.SetTeamMember(c.r.Context(), c.caller, c.teamMember(), false)
}
