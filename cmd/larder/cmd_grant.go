package main

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/spf13/cobra"

	"larder/policy"
	"larder/policy/directory"
	"larder/proxy/admin"
)

func grantCommand() *cobra.Command {
	var s shared
	cmd := &cobra.Command{
		Use: "grant ORG|OWNER/NAME|PURL USER|@TEAM ROLE", Short: "Give a role to a user or a team",
		Long: `Give a user a role in an organization, or a user or a team of the owner one in
a repository, or in a package that has grants of its own (larder pkg access).
In an organization the roles are owner and member, elsewhere read, write and
admin. The role none takes it back.`,
		Example: "  larder grant acme alice member\n  larder grant acme/packages bob write\n" +
			"  larder grant acme/packages @core write\n  larder grant pkg:npm/@acme/widget @core read",
		Args: cobra.ExactArgs(3),
		RunE: func(cmd *cobra.Command, args []string) error {
			o, err := grantOrder(args[0], args[1], args[2])
			if err != nil {
				return err
			}
			return s.do(cmd, o, "%s: %s %s", args[0], args[1], args[2])
		},
	}
	return s.flags(cmd)
}

// grantOrder is what to send.
func grantOrder(where, who, role string) (order, error) {
	team, isTeam := strings.CutPrefix(who, "@")
	if !strings.Contains(where, "/") {
		if isTeam {
			return order{}, usagef("a team has no role in an organization; a repository is written OWNER/NAME")
		}
		return memberOrder(where, who, role)
	}
	r, err := policy.ParseRole(role)
	if err != nil {
		return order{}, usageError{err}
	}
	o := order{method: http.MethodPut, body: admin.Grant{Role: r}}
	if r == policy.RoleNone {
		o.method, o.body = http.MethodDelete, nil
	}
	if strings.HasPrefix(where, "pkg:") {
		which, err := purlOf(where)
		if err != nil {
			return o, err
		}
		o.query = ofPackage(which)
		o.path = "/api/v1/package/grants/users/" + url.PathEscape(who)
		if isTeam {
			o.path = "/api/v1/package/grants/teams/" + url.PathEscape(team)
		}
		return o, nil
	}
	base, err := repoPath(where)
	o.path = base + "/grants/" + url.PathEscape(who)
	if isTeam {
		o.path = base + "/teams/" + url.PathEscape(team)
	}
	return o, err
}

func memberOrder(org, user, role string) (order, error) {
	o := order{method: http.MethodPut, path: orgPath(org) + "/members/" + url.PathEscape(user)}
	switch m := directory.Membership(role); m {
	case directory.Owner, directory.Member:
		o.body = admin.Member{Role: m}
	case "none":
		o.method = http.MethodDelete
	default:
		return o, usagef("the role in an organization is owner, member or none, not %q; a repository is written OWNER/NAME", role)
	}
	return o, nil
}

// grants lists those in a repository or a package.
func grants(cmd *cobra.Command, s *shared, path string, query url.Values) error {
	return listing[admin.GrantList, admin.Granted]{
		columns: []string{"USER OR TEAM", "ROLE"},
		part:    func(p admin.GrantList) ([]admin.Granted, string) { return p.Grants, p.Next },
		cells: func(g admin.Granted) []string {
			if g.Team != "" {
				return []string{"@" + g.Team, g.Role.String()}
			}
			return []string{g.User, g.Role.String()}
		},
	}.run(cmd, s, path, query)
}
