package main

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/spf13/cobra"

	"larder/policy"
	"larder/proxy/admin"
)

func orgCommand() *cobra.Command {
	return group("org", "Organizations", orgSetCommand(), orgShowCommand(), orgMembersCommand())
}

func orgPath(org string) string { return "/api/v1/orgs/" + url.PathEscape(org) }

func orgSetCommand() *cobra.Command {
	var s shared
	var role string
	var visibilities []string
	cmd := &cobra.Command{
		Use: "set ORG", Short: "Change the settings of an organization",
		Long: `Change what members of an organization may do in all its repositories, and
which visibilities those who do not own it may give to packages and
repositories.`,
		Example: "  larder org set acme --base-role none\n  larder org set acme --visibilities internal,private", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			in, told, err := orgSettings(cmd, role, visibilities)
			if err != nil {
				return err
			}
			return s.do(cmd, order{method: http.MethodPatch, path: orgPath(args[0]), body: in}, "%s: %s", args[0], told)
		},
	}
	cmd.Flags().StringVar(&role, "base-role", "", "of members: none, read, write or admin")
	cmd.Flags().StringSliceVar(&visibilities, "visibilities", nil, "some of public, internal and private")
	return s.flags(cmd)
}

// orgSettings is what to send, and how to tell it.
func orgSettings(cmd *cobra.Command, role string, visibilities []string) (in admin.Organization, told string, err error) {
	var parts []string
	if cmd.Flags().Changed("base-role") {
		r, err := policy.ParseRole(role)
		if err != nil {
			return in, "", usagef("--base-role: %w", err)
		}
		in.BaseRole = &r
		parts = append(parts, fmt.Sprintf("members have the role %s in its repositories", r))
	}
	for _, text := range visibilities {
		v, err := policy.ParseVisibility(text)
		if err != nil {
			return in, "", usagef("--visibilities: %w", err)
		}
		in.Visibilities = append(in.Visibilities, v)
	}
	if len(visibilities) > 0 {
		parts = append(parts, "its owners alone make something other than "+strings.Join(visibilities, " or "))
	}
	if len(parts) == 0 {
		return in, "", usagef("nothing to change: give --base-role, --visibilities or both")
	}
	return in, strings.Join(parts, "; "), nil
}

func orgShowCommand() *cobra.Command {
	var s shared
	return s.flags(&cobra.Command{
		Use: "show ORG", Short: "Show an organization", Example: "  larder org show acme", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := s.open()
			if err != nil {
				return err
			}
			var a admin.Account
			if err := c.call(cmd.Context(), http.MethodGet, "/api/v1/users/"+url.PathEscape(args[0]), nil, nil, &a); err != nil {
				return err
			}
			return s.show(cmd, a, func(w io.Writer) {
				visibilities := "any"
				if len(a.Visibilities) > 0 {
					visibilities = strings.Trim(fmt.Sprint(a.Visibilities), "[]")
				}
				row(w, "NAME", "KIND", "BASE ROLE", "VISIBILITIES", "CREATED")
				row(w, a.Name, a.Kind, a.BaseRole.String(), visibilities, dateTime(a.Created, "-"))
			})
		},
	})
}

func orgMembersCommand() *cobra.Command {
	var s shared
	return s.flags(&cobra.Command{
		Use: "members ORG", Short: "List the members of an organization", Example: "  larder org members acme", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return members(cmd, &s, orgPath(args[0])+"/members", func(m admin.OrgMember) []string { return []string{m.User, string(m.Role)} }, "USER", "ROLE")
		},
	})
}
