package main

import (
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/spf13/cobra"

	"larder/policy/rules"
	"larder/proxy/admin"
)

func whyCommand() *cobra.Command {
	var s shared
	var registry string
	cmd := &cobra.Command{
		Use: "why PURL", Short: "Say where a package comes from, and whether you may have it",
		Long: `Say where a package comes from (hosted, claimed or upstream), whose it is,
whether the token in use may read and publish it, and what each rule says of a
version. It tells no more than the token in use may know.`,
		Example: "  larder why pkg:npm/@acme/widget\n  larder why pkg:npm/left-pad@1.3.0", Args: cobra.ExactArgs(1), ValidArgsFunction: s.completePackages,
		RunE: func(cmd *cobra.Command, args []string) error {
			which, err := purlOf(args[0])
			if err != nil {
				return err
			}
			c, err := s.open()
			if err != nil {
				return err
			}
			query := url.Values{"purl": {which.String()}, "registry": {registry}}
			var e admin.Explanation
			if err := c.call(cmd.Context(), http.MethodGet, "/api/v1/policy/explain", query, nil, &e); err != nil {
				return err
			}
			return s.show(cmd, e, func(w io.Writer) { explanationTable(w, e) })
		},
	}
	cmd.Flags().StringVar(&registry, "registry", "", "as this registry answers")
	return s.flags(cmd)
}

func explanationTable(w io.Writer, e admin.Explanation) {
	caller := e.Caller
	if caller == "" {
		caller = "nobody (no token)"
	}
	for _, line := range [][2]string{
		{"package", e.Purl}, {"registry", e.Registry}, {"caller", caller},
		{"comes from", origin(e)}, {"claim", e.Claim}, {"repository", e.Repository}, {"visibility", string(e.Visibility)},
		{"read", verdictText(e.Read)}, {"publish", verdictText(e.Publish)},
	} {
		if line[1] != "" {
			row(w, line[0]+":", line[1])
		}
	}
	switch {
	case e.Version != nil:
		row(w, "version:", verdictText(*e.Version))
	case e.Rules != nil && strings.Contains(e.Purl, "@"):
		row(w, "version:", "not known here yet: the rules are asked about its name, and about the version once a client asks for it")
	}
	for _, f := range e.Rules {
		row(w, "rule "+f.Rule+":", ruleVerdict(f)+", "+f.Reason)
	}
}

// ruleVerdict is what a rule does: in mode warn it refuses nothing.
func ruleVerdict(f rules.Finding) string {
	if f.Verdict == rules.Refuse && f.Mode == "warn" {
		return "would refuse (mode warn)"
	}
	return string(f.Verdict)
}

func origin(e admin.Explanation) string {
	switch e.Source {
	case "hosted":
		return "this server: it was published here"
	case "claimed":
		return "this server, once it is published: the name is claimed and never asked upstream"
	case "deleted":
		return "nowhere: it was published here and deleted, and its name stays reserved"
	case "upstream":
		return "upstream " + strings.Join(e.Upstreams, ", then ")
	case "none":
		return "nowhere: the registry has no upstream, and it was not published here"
	}
	return ""
}

func verdictText(v admin.Verdict) string {
	if v.Allowed && v.Reason != "" {
		return "allowed, " + v.Reason
	}
	if v.Allowed {
		return "allowed"
	}
	return "refused: " + v.Reason
}
