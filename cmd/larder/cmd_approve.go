package main

import (
	"io"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"larder/cmd/larder/config"
	"larder/cmd/larder/lockfile"
	"larder/policy/purl"
	"larder/proxy/admin"
)

// maxApproved is how many versions go into one call.
const maxApproved = 500

func policyApproveCommand() *cobra.Command {
	var s shared
	var files []string
	var since, registry string
	cmd := &cobra.Command{
		Use: "approve --from-lockfile FILE", Short: "Say that versions were in use before larder saw them",
		Long: `Say that the versions in lockfiles of npm, yarn or pnpm were in use before
larder saw them, so that an old tree does not wait. That counts for versions
which their upstream does not date, and which a rule about age counts from the
moment they were first seen here. Those that it dates wait as before: see
policy waive. For administrators.`,
		Example: "  larder policy approve --from-lockfile package-lock.json", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			at, err := beginning(since)
			if err != nil {
				return err
			}
			list, err := locked(files)
			if err != nil {
				return err
			}
			c, err := s.open()
			if err != nil {
				return err
			}
			var total admin.Approved
			for part := range slices.Chunk(list, maxApproved) {
				var done admin.Approved
				in := admin.SeenVersions{Purls: part, Since: at}
				if err := c.call(cmd.Context(), http.MethodPost, "/api/v1/policy/approve", url.Values{"registry": {registry}}, in, &done); err != nil {
					return err
				}
				total.Approved += done.Approved
			}
			s.say(cmd, "%d versions in all; what is not approved now was seen early enough already", len(list))
			return s.show(cmd, total, func(w io.Writer) { row(w, "approved:", strconv.Itoa(total.Approved)) })
		},
	}
	cmd.Flags().StringArrayVar(&files, "from-lockfile", nil, "lock`FILE` of npm, yarn or pnpm; repeatable")
	cmd.Flags().StringVar(&since, "since", "", "`DAY` of first use (default: old enough for any rule)")
	cmd.Flags().StringVar(&registry, "registry", "", "of this registry (default: the first of npm)")
	return s.flags(cmd)
}

// beginning reads a day as its first moment, or a time; "" is none.
func beginning(text string) (time.Time, error) {
	if day, err := time.Parse(time.DateOnly, text); err == nil || text == "" {
		return day, nil
	}
	at, err := config.ParseDate(text)
	if err != nil {
		return time.Time{}, usagef("--since: %w", err)
	}
	return at.Time, nil
}

// locked returns the package URLs of the versions in lockfiles.
func locked(files []string) ([]string, error) {
	if len(files) == 0 {
		return nil, usagef("--from-lockfile is missing: name a package-lock.json, yarn.lock or pnpm-lock.yaml")
	}
	var list []string
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, usageError{err}
		}
		packages, err := lockfile.Read(text)
		if err != nil {
			return nil, usagef("%s: %w", file, err)
		}
		for _, p := range packages {
			list = append(list, purl.Purl{Format: "npm", Name: p.Name, Version: p.Version}.String())
		}
	}
	slices.Sort(list)
	return slices.Compact(list), nil
}
