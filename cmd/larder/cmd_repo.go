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
				sparse := "no"
				if r.SparseIndexes {
					sparse = "yes"
				}
				row(w, "NAME", "VISIBILITY", "YOUR ROLE", "CREATED", "IMMUTABLE TAGS", "SPARSE INDEXES")
				row(w, append(repoCells(r), tags, sparse)...)
			})
		},
	})
}

func repoSetCommand() *cobra.Command {
	var s shared
	var g repoFlags
	cmd := &cobra.Command{
		Use: "set OWNER/NAME", Short: "Change the settings of a repository",
		Long: `Change who may read a repository without a grant, which container tags are set
once, and whether image indexes may be pushed without all they name. What
was public cannot be taken back; packages keep the visibility they were first
published with. A tag that a pattern covers stays on the image it was first
given to, and is not deleted; --immutable-tags '' takes all patterns back.`,
		Example: "  larder repo set acme/tools --visibility internal\n  larder repo set acme/packages --immutable-tags 'v*,1.*'", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			in, told, err := g.settings(cmd)
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
	cmd.Flags().StringVar(&g.visibility, "visibility", "", "public, internal or private")
	cmd.Flags().StringSliceVar(&g.tags, "immutable-tags", nil, "patterns of tags that are set once, such as v*")
	cmd.Flags().BoolVar(&g.sparse, "sparse-indexes", false, "take image indexes without all their images")
	return s.flags(cmd)
}

// repoFlags are the settings as flags.
type repoFlags struct {
	visibility string
	tags       []string
	sparse     bool
}

// settings is what to send, and how to tell it.
func (g *repoFlags) settings(cmd *cobra.Command) (in admin.RepositorySettings, told string, err error) {
	var parts []string
	if cmd.Flags().Changed("visibility") {
		if in.Visibility, err = policy.ParseVisibility(g.visibility); err != nil {
			return in, "", usagef("--visibility: %w", err)
		}
		parts = append(parts, "is "+g.visibility+" now")
	}
	switch {
	case !cmd.Flags().Changed("immutable-tags"):
	case len(g.tags) == 0:
		in.ImmutableTags = []string{}
		parts = append(parts, "lets all tags move")
	default:
		in.ImmutableTags = g.tags
		parts = append(parts, "keeps the tags "+strings.Join(g.tags, ", ")+" where they are")
	}
	if cmd.Flags().Changed("sparse-indexes") {
		in.SparseIndexes = &g.sparse
		parts = append(parts, map[bool]string{
			true: "takes image indexes without some of what they name", false: "takes image indexes with all that they name",
		}[g.sparse])
	}
	if len(parts) == 0 {
		return in, "", usagef("nothing to change: give --visibility, --immutable-tags or --sparse-indexes")
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
