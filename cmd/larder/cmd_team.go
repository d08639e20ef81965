package main

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/spf13/cobra"

	"larder/proxy/admin"
)

func teamCommand() *cobra.Command {
	return group("team", "Teams of organizations",
		teamStateCommand("create", http.MethodPut, "Create a team of an organization", "created the team %s"),
		teamStateCommand("delete", http.MethodDelete, "Delete a team; all that it was granted ends", "deleted the team %s"),
		teamMemberCommand("add", http.MethodPut, "Put a member of the organization into a team", "%s is in the team %s"),
		teamMemberCommand("remove", http.MethodDelete, "Take a user out of a team; what it was granted ends at once", "%s is not in the team %s"),
		teamListCommand(), teamMembersCommand())
}

// teamPath is where the API has a team.
func teamPath(full string) (string, error) {
	org, team, ok := strings.Cut(full, "/")
	if team = strings.TrimPrefix(team, "@"); !ok || org == "" || team == "" || strings.Contains(team, "/") {
		return "", usagef("%q is not of the form ORG/TEAM", full)
	}
	return orgPath(org) + "/teams/" + url.PathEscape(team), nil
}

func teamStateCommand(verb, method, short, done string) *cobra.Command {
	var s shared
	return s.flags(&cobra.Command{
		Use: verb + " ORG/TEAM", Short: short, Example: "  larder team " + verb + " acme/core", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			path, err := teamPath(args[0])
			if err != nil {
				return err
			}
			return s.do(cmd, order{method: method, path: path}, done, args[0])
		},
	})
}

func teamMemberCommand(verb, method, short, done string) *cobra.Command {
	var s shared
	return s.flags(&cobra.Command{
		Use: verb + " ORG/TEAM USER", Short: short, Example: "  larder team " + verb + " acme/core alice", Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			path, err := teamPath(args[0])
			if err != nil {
				return err
			}
			return s.do(cmd, order{method: method, path: path + "/members/" + url.PathEscape(args[1])}, done, args[1], args[0])
		},
	})
}

func teamListCommand() *cobra.Command {
	var s shared
	return s.flags(&cobra.Command{
		Use: "list ORG", Short: "List the teams of an organization", Example: "  larder team list acme", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return listing[admin.TeamList, admin.Team]{
				columns: []string{"TEAM", "CREATED"},
				part:    func(p admin.TeamList) ([]admin.Team, string) { return p.Teams, p.Next },
				cells:   func(t admin.Team) []string { return []string{t.Name, dateTime(t.Created, "-")} },
			}.run(cmd, &s, orgPath(args[0])+"/teams", url.Values{})
		},
	})
}

func teamMembersCommand() *cobra.Command {
	var s shared
	return s.flags(&cobra.Command{
		Use: "members ORG/TEAM", Short: "List the members of a team", Example: "  larder team members acme/core", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			path, err := teamPath(args[0])
			if err != nil {
				return err
			}
			return members(cmd, &s, path+"/members", func(m admin.OrgMember) []string { return []string{m.User} }, "USER")
		},
	})
}

// members lists those of a team or an organization.
func members(cmd *cobra.Command, s *shared, path string, cells func(admin.OrgMember) []string, columns ...string) error {
	return listing[admin.MemberList, admin.OrgMember]{
		columns: columns, cells: cells,
		part: func(p admin.MemberList) ([]admin.OrgMember, string) { return p.Members, p.Next },
	}.run(cmd, s, path, url.Values{})
}
