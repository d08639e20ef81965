package main

import (
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/spf13/cobra"

	"larder/policy"
	"larder/proxy/admin"
)

func repoCommand() *cobra.Command {
	return group("repo", "Repositories", repoCreateCommand(), repoListCommand(), repoShowCommand(), repoSetCommand(), repoGrantsCommand())
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
				row(w, repoCells(r)...)
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
			o := order{method: http.MethodPatch, path: path, body: admin.RepositorySettings{Visibility: v}}
			return s.do(cmd, o, "%s is %s now", args[0], v)
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

func repoListCommand() *cobra.Command {
	var s shared
	var owner string
	cmd := &cobra.Command{
		Use: "list", Short: "List the repositories that you may read", Example: "  larder repo list --owner acme", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			query := url.Values{}
			if owner != "" {
				query.Set("owner", owner)
			}
			return listing[admin.RepositoryList, admin.Repository]{
				columns: []string{"NAME", "VISIBILITY", "YOUR ROLE", "CREATED"},
				part:    func(p admin.RepositoryList) ([]admin.Repository, string) { return p.Repositories, p.Next },
				cells:   repoCells,
			}.run(cmd, &s, "/api/v1/repos", query)
		},
	}
	cmd.Flags().StringVar(&owner, "owner", "", "only those of this user or organization")
	return s.flags(cmd)
}

func repoCells(r admin.Repository) []string {
	return []string{r.Name, string(r.Visibility), r.Role.String(), dateTime(r.Created, "-")}
}

func repoGrantsCommand() *cobra.Command {
	var s shared
	return s.flags(&cobra.Command{
		Use: "grants OWNER/NAME", Short: "List the grants in a repository", Example: "  larder repo grants acme/packages", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			path, err := repoPath(args[0])
			if err != nil {
				return err
			}
			return grants(cmd, &s, path+"/grants", url.Values{})
		},
	})
}
