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
				tags := "none"
				if len(r.ImmutableTags) > 0 {
					tags = strings.Join(r.ImmutableTags, " ")
				}
				row(w, "NAME", "VISIBILITY", "YOUR ROLE", "CREATED", "IMMUTABLE TAGS")
				row(w, append(repoCells(r), tags)...)
			})
		},
	})
}

func repoSetCommand() *cobra.Command {
	var s shared
	var visibility string
	var tags []string
	cmd := &cobra.Command{
		Use: "set OWNER/NAME", Short: "Change the settings of a repository",
		Long: `Change who may read a repository without a grant, and which container tags
are set once. What was public cannot be taken back; packages keep the
visibility they were first published with. A tag that a pattern covers stays
on the image it was first given to, and is not deleted; --immutable-tags ''
takes all patterns back.`,
		Example: "  larder repo set acme/tools --visibility internal\n  larder repo set acme/packages --immutable-tags 'v*,1.*'", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			in, told, err := repoSettings(cmd, visibility, tags)
			if err != nil {
				return err
			}
			path, err := repoPath(args[0])
			if err != nil {
				return err
			}
			return s.do(cmd, order{method: http.MethodPatch, path: path, body: in}, "%s %s", args[0], told)
		},
	}
	cmd.Flags().StringVar(&visibility, "visibility", "", "public, internal or private")
	cmd.Flags().StringSliceVar(&tags, "immutable-tags", nil, "patterns of tags that are set once, such as v*")
	return s.flags(cmd)
}

// repoSettings is what to send, and how to tell it.
func repoSettings(cmd *cobra.Command, visibility string, tags []string) (in admin.RepositorySettings, told string, err error) {
	var parts []string
	if cmd.Flags().Changed("visibility") {
		if in.Visibility, err = policy.ParseVisibility(visibility); err != nil {
			return in, "", usagef("--visibility: %w", err)
		}
		parts = append(parts, "is "+visibility+" now")
	}
	switch {
	case !cmd.Flags().Changed("immutable-tags"):
	case len(tags) == 0:
		in.ImmutableTags = []string{}
		parts = append(parts, "lets all tags move")
	default:
		in.ImmutableTags = tags
		parts = append(parts, "keeps the tags "+strings.Join(tags, ", ")+" where they are")
	}
	if len(parts) == 0 {
		return in, "", usagef("nothing to change: give --visibility, --immutable-tags or both")
	}
	return in, strings.Join(parts, " and "), nil
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
