package main

import (
	"cmp"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/spf13/cobra"

	"larder/proxy/admin"
)

func claimCommand() *cobra.Command {
	return group("claim", "Names that are ours, and are never asked upstream", claimAddCommand(), claimListCommand(), claimRemoveCommand())
}

func claimAddCommand() *cobra.Command {
	var s shared
	var id string
	cmd := &cobra.Command{
		Use: "add FORMAT PATTERN OWNER/NAME", Short: "Claim names for a repository",
		Long: `Claim the names that a pattern covers: they belong to the repository, and no
upstream is ever asked for them. In a pattern * stands for any text without a
slash; a final /** or .** for everything below.`,
		Example: "  larder claim add npm '@acme/**' acme/packages", Args: cobra.ExactArgs(3),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := s.open()
			if err != nil {
				return err
			}
			in := admin.NewClaim{ID: id, Formats: strings.Split(args[0], ","), Match: []string{args[1]}, Repository: args[2]}
			var made admin.Claim
			if err := c.call(cmd.Context(), http.MethodPost, "/api/v1/claims", nil, in, &made); err != nil {
				return err
			}
			s.say(cmd, "claim %s: %s belongs to %s, and is not asked upstream", made.ID, args[1], made.Repository)
			return s.show(cmd, made, func(io.Writer) {})
		},
	}
	cmd.Flags().StringVar(&id, "id", "", "name of the claim (default: made from the pattern)")
	return s.flags(cmd)
}

func claimListCommand() *cobra.Command {
	var s shared
	return s.flags(&cobra.Command{
		Use: "list", Short: "List the claims", Example: "  larder claim list --json", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return listing[admin.ClaimList, admin.Claim]{
				columns: []string{"ID", "FORMATS", "MATCH", "REPOSITORY"},
				part:    func(p admin.ClaimList) ([]admin.Claim, string) { return p.Claims, p.Next },
				cells: func(claim admin.Claim) []string {
					return []string{claim.ID, cmp.Or(strings.Join(claim.Formats, ","), "all"), strings.Join(claim.Match, " "), claim.Repository}
				},
			}.run(cmd, &s, "/api/v1/claims", url.Values{})
		},
	})
}

func claimRemoveCommand() *cobra.Command {
	var s shared
	return s.flags(&cobra.Command{
		Use: "remove ID", Short: "Give the names of a claim up", Example: "  larder claim remove acme", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			o := order{method: http.MethodDelete, path: "/api/v1/claims/" + url.PathEscape(args[0])}
			return s.do(cmd, o, "removed the claim %s", args[0])
		},
	})
}
