package main

import (
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/spf13/cobra"

	"larder/policy"
	"larder/policy/directory"
	"larder/proxy/admin"
)

func userCommand() *cobra.Command {
	return group("user", "Users and organizations", userCreateCommand(), userStateCommand("suspend",
		"Take all rights from a user at once"), userStateCommand("resume", "Give a suspended user all rights back"))
}

func userCreateCommand() *cobra.Command {
	var s shared
	var in admin.NewAccount
	cmd := &cobra.Command{
		Use: "create NAME", Short: "Create a user, or an organization with --org",
		Long:    "Create a user, or an organization with --org, and its private repository\nNAME/packages. Users and organizations share their names.",
		Example: "  larder user create alice --email alice@mail.example\n  larder user create acme --org",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := s.open()
			if err != nil {
				return err
			}
			in.Name = args[0]
			var made admin.Account
			if err := c.call(cmd.Context(), http.MethodPost, "/api/v1/users", nil, in, &made); err != nil {
				return err
			}
			s.say(cmd, "created the %s %s and its private repository %s/packages", made.Kind, made.Name, made.Name)
			return s.show(cmd, made, func(io.Writer) {})
		},
	}
	cmd.Flags().BoolVar(&in.Org, "org", false, "an organization instead of a user")
	cmd.Flags().StringVar(&in.Email, "email", "", "email address, shown to package clients")
	cmd.Flags().BoolVar(&in.Admin, "admin", false, "may administer the server")
	return s.flags(cmd)
}

func userStateCommand(verb, short string) *cobra.Command {
	var s shared
	return s.flags(&cobra.Command{
		Use: verb + " NAME", Short: short, Example: "  larder user " + verb + " alice", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := s.open()
			if err != nil {
				return err
			}
			if err := c.call(cmd.Context(), http.MethodPost, "/api/v1/users/"+url.PathEscape(args[0])+"/"+verb, nil, nil, nil); err != nil {
				return err
			}
			s.say(cmd, "done: %s %s", verb, args[0])
			return nil
		},
	})
}

func orgCommand() *cobra.Command {
	var s shared
	var role string
	set := &cobra.Command{
		Use: "set ORG", Short: "Change the settings of an organization",
		Example: "  larder org set acme --base-role none", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			r, err := policy.ParseRole(role)
			if err != nil {
				return usagef("--base-role: %w", err)
			}
			c, err := s.open()
			if err != nil {
				return err
			}
			err = c.call(cmd.Context(), http.MethodPatch, "/api/v1/orgs/"+url.PathEscape(args[0]), nil, admin.Organization{BaseRole: &r}, nil)
			if err != nil {
				return err
			}
			s.say(cmd, "members of %s have the role %s in its repositories", args[0], r)
			return nil
		},
	}
	set.Flags().StringVar(&role, "base-role", "", "of members: none, read, write or admin")
	return group("org", "Organizations", s.flags(set))
}

func repoCommand() *cobra.Command {
	return group("repo", "Repositories", repoCreateCommand(), repoShowCommand(), repoSetCommand())
}

func repoCreateCommand() *cobra.Command {
	var s shared
	var visibility string
	cmd := &cobra.Command{
		Use: "create OWNER/NAME", Short: "Create a repository",
		Example: "  larder repo create acme/tools --visibility internal", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			v, err := policy.ParseVisibility(visibility)
			if err != nil {
				return usagef("--visibility: %w", err)
			}
			c, err := s.open()
			if err != nil {
				return err
			}
			var made admin.Repository
			err = c.call(cmd.Context(), http.MethodPost, "/api/v1/repos", nil, admin.NewRepository{Name: args[0], Visibility: v}, &made)
			if err != nil {
				return err
			}
			s.say(cmd, "created the %s repository %s", made.Visibility, made.Name)
			return s.show(cmd, made, func(io.Writer) {})
		},
	}
	cmd.Flags().StringVar(&visibility, "visibility", string(policy.Private), "public, internal or private")
	return s.flags(cmd)
}

func repoShowCommand() *cobra.Command {
	var s shared
	return s.flags(&cobra.Command{
		Use: "show OWNER/NAME", Short: "Show a repository and your role in it",
		Example: "  larder repo show acme/packages", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			path, err := repoPath(args[0])
			if err != nil {
				return err
			}
			c, err := s.open()
			if err != nil {
				return err
			}
			var r admin.Repository
			if err := c.call(cmd.Context(), http.MethodGet, path, nil, nil, &r); err != nil {
				return err
			}
			return s.show(cmd, r, func(w io.Writer) {
				row(w, "NAME", "VISIBILITY", "YOUR ROLE", "CREATED")
				row(w, r.Name, string(r.Visibility), r.Role.String(), dateTime(r.Created, "-"))
			})
		},
	})
}

func repoSetCommand() *cobra.Command {
	var s shared
	var visibility string
	cmd := &cobra.Command{
		Use: "set OWNER/NAME", Short: "Change who may read a repository without a grant",
		Long:    "Change who may read a repository without a grant. What was public cannot be\ntaken back. Packages keep the visibility they were first published with.",
		Example: "  larder repo set acme/tools --visibility internal", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			v, err := policy.ParseVisibility(visibility)
			if err != nil {
				return usagef("--visibility: %w", err)
			}
			path, err := repoPath(args[0])
			if err != nil {
				return err
			}
			c, err := s.open()
			if err != nil {
				return err
			}
			if err := c.call(cmd.Context(), http.MethodPatch, path, nil, admin.RepositorySettings{Visibility: v}, nil); err != nil {
				return err
			}
			s.say(cmd, "%s is %s now", args[0], v)
			return nil
		},
	}
	cmd.Flags().StringVar(&visibility, "visibility", "", "public, internal or private")
	return s.flags(cmd)
}

// repoPath is where the API has a repository.
func repoPath(full string) (string, error) {
	owner, name, ok := strings.Cut(full, "/")
	if !ok || owner == "" || name == "" || strings.Contains(name, "/") {
		return "", usagef("%q is not of the form OWNER/NAME", full)
	}
	return "/api/v1/repos/" + url.PathEscape(owner) + "/" + url.PathEscape(name), nil
}

func grantCommand() *cobra.Command {
	var s shared
	cmd := &cobra.Command{
		Use: "grant ORG|OWNER/NAME USER ROLE", Short: "Give a user a role in an organization or a repository",
		Long: `Give a user a role. In an organization the roles are owner and member, in a
repository read, write and admin. The role none takes it back.`,
		Example: "  larder grant acme alice member\n  larder grant acme/packages bob write",
		Args:    cobra.ExactArgs(3),
		RunE: func(cmd *cobra.Command, args []string) error {
			path, body, err := grantCall(args[0], args[1], args[2])
			if err != nil {
				return err
			}
			c, err := s.open()
			if err != nil {
				return err
			}
			method := http.MethodPut
			if body == nil {
				method = http.MethodDelete
			}
			if err := c.call(cmd.Context(), method, path, nil, body, nil); err != nil {
				return err
			}
			s.say(cmd, "%s: %s %s", args[0], args[1], args[2])
			return nil
		},
	}
	return s.flags(cmd)
}

// grantCall is what to send; no body takes the role back.
func grantCall(where, user, role string) (path string, body any, err error) {
	if !strings.Contains(where, "/") {
		path = "/api/v1/orgs/" + url.PathEscape(where) + "/members/" + url.PathEscape(user)
		switch m := directory.Membership(role); m {
		case directory.Owner, directory.Member:
			return path, admin.Member{Role: m}, nil
		case "none":
			return path, nil, nil
		}
		return "", nil, usagef("the role in an organization is owner, member or none, not %q; a repository is written OWNER/NAME", role)
	}
	base, err := repoPath(where)
	if err != nil {
		return "", nil, err
	}
	r, err := policy.ParseRole(role)
	if err != nil {
		return "", nil, usageError{err}
	}
	path = base + "/grants/" + url.PathEscape(user)
	if r == policy.RoleNone {
		return path, nil, nil
	}
	return path, admin.Grant{Role: r}, nil
}
