package main

import (
	"net/http"
	"net/url"

	"github.com/spf13/cobra"

	"larder/policy"
	"larder/policy/purl"
	"larder/proxy/admin"
)

// ofPackage is the query of a call that is about a package.
func ofPackage(p purl.Purl) url.Values { return url.Values{"purl": {p.String()}} }

func pkgMoveCommand() *cobra.Command {
	var s shared
	return s.flags(&cobra.Command{
		Use: "move PURL OWNER/NAME", Short: "Move a package to another repository of its owner",
		Long: `Move a package to another repository of its owner. It keeps its visibility, and
grants of its own; without those the grants of the new repository count at once.`,
		Example: "  larder pkg move pkg:npm/@acme/widget acme/tools", Args: cobra.ExactArgs(2), ValidArgsFunction: s.completePackages,
		RunE: func(cmd *cobra.Command, args []string) error {
			which, err := purlOf(args[0])
			if err != nil {
				return err
			}
			if _, err := repoPath(args[1]); err != nil {
				return err
			}
			o := order{method: http.MethodPut, path: "/api/v1/package/repository", query: ofPackage(which), body: admin.PackageHome{Repository: args[1]}}
			return s.do(cmd, o, "%s is in %s", which.String(), args[1])
		},
	})
}

func pkgAccessCommand() *cobra.Command {
	var s shared
	return s.flags(&cobra.Command{
		Use: "access PURL own|inherit", Short: "Give a package grants of its own, or those of its repository",
		Long: `Give a package grants of its own, which replace those of its repository, or let
it inherit these again. Either way the grants that it had end. Owners of the
organization keep the role admin.`,
		Example: "  larder pkg access pkg:npm/@acme/widget own\n  larder grant pkg:npm/@acme/widget @core write",
		Args:    cobra.ExactArgs(2), ValidArgsFunction: s.completePackages,
		RunE: func(cmd *cobra.Command, args []string) error {
			which, err := purlOf(args[0])
			if err != nil {
				return err
			}
			inherit := args[1] == "inherit"
			if !inherit && args[1] != "own" {
				return usagef("%q: a package has grants of its own, or those it inherits from its repository: own or inherit", args[1])
			}
			o := order{method: http.MethodPut, path: "/api/v1/package/repository", query: ofPackage(which), body: admin.PackageHome{InheritAccess: &inherit}}
			if inherit {
				return s.do(cmd, o, "the grants of its repository count for %s", which.String())
			}
			return s.do(cmd, o, "%s has grants of its own: see larder pkg grants %s", which.String(), which.String())
		},
	})
}

func pkgSetCommand() *cobra.Command {
	var s shared
	var visibility string
	cmd := &cobra.Command{
		Use: "set PURL", Short: "Change who may read a package without a grant",
		Long:    "Change who may read a package without a grant. What was public cannot be taken\nback.",
		Example: "  larder pkg set pkg:npm/@acme/widget --visibility internal", Args: cobra.ExactArgs(1), ValidArgsFunction: s.completePackages,
		RunE: func(cmd *cobra.Command, args []string) error {
			v, err := policy.ParseVisibility(visibility)
			if err != nil {
				return usagef("--visibility: %w", err)
			}
			which, err := purlOf(args[0])
			if err != nil {
				return err
			}
			o := order{method: http.MethodPut, path: "/api/v1/package/visibility", query: ofPackage(which), body: admin.PackageVisibility{Visibility: v}}
			return s.do(cmd, o, "%s is %s now", which.String(), v)
		},
	}
	cmd.Flags().StringVar(&visibility, "visibility", "", "public, internal or private")
	return s.flags(cmd)
}

func pkgGrantsCommand() *cobra.Command {
	var s shared
	return s.flags(&cobra.Command{
		Use: "grants PURL", Short: "List the grants that count for a package", Example: "  larder pkg grants pkg:npm/@acme/widget",
		Args: cobra.ExactArgs(1), ValidArgsFunction: s.completePackages,
		RunE: func(cmd *cobra.Command, args []string) error {
			which, err := purlOf(args[0])
			if err != nil {
				return err
			}
			return grants(cmd, &s, "/api/v1/package/grants", ofPackage(which))
		},
	})
}
