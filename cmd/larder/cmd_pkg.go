package main

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"larder/policy/purl"
	"larder/proxy/admin"
)

func pkgCommand() *cobra.Command {
	return group("pkg", "Hosted packages", pkgListCommand(), pkgShowCommand(), pkgDeleteCommand(), pkgRestoreCommand(),
		pkgSetCommand(), pkgMoveCommand(), pkgAccessCommand(), pkgGrantsCommand())
}

// purlOf takes a package URL with or without its pkg: in front.
func purlOf(text string) (purl.Purl, error) {
	full := text
	if !strings.HasPrefix(full, "pkg:") {
		full = "pkg:" + full
	}
	p, err := purl.Parse(full)
	if err != nil && !strings.Contains(text, "/") {
		return p, usagef("%q is no package URL: write it as pkg:npm/%s", text, text)
	}
	if err != nil {
		return p, usageError{err}
	}
	return p, nil
}

func pkgListCommand() *cobra.Command {
	var s shared
	var format, prefix string
	cmd := &cobra.Command{
		Use: "list", Short: "List the hosted packages that you may read", Example: "  larder pkg list --format npm --prefix @acme/",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return listing[admin.PackageList, admin.Package]{
				columns: []string{"PACKAGE", "REPOSITORY", "VISIBILITY", "UPDATED"},
				part:    func(p admin.PackageList) ([]admin.Package, string) { return p.Packages, p.Next },
				cells: func(p admin.Package) []string {
					return []string{p.Purl, p.Repository, string(p.Visibility), dateTime(p.Modified, "-")}
				},
			}.run(cmd, &s, "/api/v1/packages", url.Values{"format": {format}, "prefix": {prefix}})
		},
	}
	cmd.Flags().StringVar(&format, "format", "", "only this format")
	cmd.Flags().StringVar(&prefix, "prefix", "", "only names that begin so")
	return s.flags(cmd)
}

func pkgShowCommand() *cobra.Command {
	var s shared
	return s.flags(&cobra.Command{
		Use: "show PURL", Short: "Show a hosted package and its versions", Example: "  larder pkg show pkg:npm/@acme/widget",
		Args: cobra.ExactArgs(1), ValidArgsFunction: s.completePackages,
		RunE: func(cmd *cobra.Command, args []string) error {
			which, err := purlOf(args[0])
			if err != nil {
				return err
			}
			c, err := s.open()
			if err != nil {
				return err
			}
			var p admin.Package
			if err := c.call(cmd.Context(), http.MethodGet, "/api/v1/package", url.Values{"purl": {which.String()}}, nil, &p); err != nil {
				return err
			}
			return s.show(cmd, p, func(w io.Writer) { packageTable(w, p) })
		},
	})
}

func packageTable(w io.Writer, p admin.Package) {
	tags := map[string][]string{}
	for tag, v := range p.Tags {
		tags[v] = append(tags[v], tag)
	}
	first := []string{p.Purl, p.Repository, string(p.Visibility)}
	if !p.Inherit {
		first = append(first, "grants of its own")
	}
	row(w, first...)
	fmt.Fprintln(w)
	row(w, "VERSION", "PUBLISHED", "BY", "BYTES", "TAGS")
	for _, v := range p.Versions {
		var size int64
		for _, f := range v.Files {
			size += f.Size
		}
		row(w, v.Version, dateTime(v.Published, "-"), v.Publisher, strconv.FormatInt(size, 10), strings.Join(tags[v.Version], ","))
	}
}

func pkgDeleteCommand() *cobra.Command {
	var s shared
	var yes bool
	cmd := &cobra.Command{
		Use: "delete PURL", Short: "Delete a version, or a whole package",
		Long: `Delete a version, or a whole package. Names and version numbers stay reserved;
what was deleted can be restored for 30 days. Without --yes this shows what
would go, and on a terminal asks for the name.`,
		Example: "  larder pkg delete pkg:npm/@acme/widget@1.0.0 --yes", Args: cobra.ExactArgs(1), ValidArgsFunction: s.completePackages,
		RunE: func(cmd *cobra.Command, args []string) error {
			which, err := purlOf(args[0])
			if err != nil {
				return err
			}
			if !yes {
				if err := s.change(cmd, http.MethodDelete, "/api/v1/package", which, true); err != nil {
					return err
				}
				if yes, err = s.confirmed(cmd, which.Name, "delete it"); !yes {
					return err
				}
			}
			return s.change(cmd, http.MethodDelete, "/api/v1/package", which, false)
		},
	}
	cmd.Flags().BoolVar(&yes, "yes", false, "delete, do not only show what would go")
	return s.flags(cmd)
}

// confirmed asks a person on a terminal to type the name, which is to do
// something; elsewhere it says what to add to the command.
func (s *shared) confirmed(cmd *cobra.Command, name, do string) (bool, error) {
	in, ok := cmd.InOrStdin().(*os.File)
	if !ok || !term.IsTerminal(int(in.Fd())) {
		s.say(cmd, "nothing was changed: add --yes to do it")
		return false, nil
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "Type %s to %s: ", printable(name), do)
	line, err := bufio.NewReader(in).ReadString('\n')
	if err != nil {
		return false, err
	}
	if strings.TrimSpace(line) != name {
		return false, usagef("nothing was changed: the name is another one")
	}
	return true, nil
}

func pkgRestoreCommand() *cobra.Command {
	var s shared
	return s.flags(&cobra.Command{
		Use: "restore PURL", Short: "Bring a deleted version or package back",
		Example: "  larder pkg restore pkg:npm/@acme/widget@1.0.0", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			which, err := purlOf(args[0])
			if err != nil {
				return err
			}
			return s.change(cmd, http.MethodPost, "/api/v1/package/restore", which, false)
		},
	})
}

// change deletes or restores, and prints the versions concerned.
func (s *shared) change(cmd *cobra.Command, method, path string, which purl.Purl, dry bool) error {
	c, err := s.open()
	if err != nil {
		return err
	}
	var done admin.Changed
	query := url.Values{"purl": {which.String()}, "dry_run": {strconv.FormatBool(dry)}}
	if err := c.call(cmd.Context(), method, path, query, nil, &done); err != nil {
		return err
	}
	return s.show(cmd, done, func(w io.Writer) {
		for _, v := range done.Versions {
			one := which
			one.Version = v
			row(w, one.String())
		}
		if done.Package {
			one := which
			one.Version = ""
			row(w, one.String())
		}
	})
}

// completePackages completes the name of a hosted package.
func (s *shared) completePackages(cmd *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
	c, err := s.remote.connect()
	if err != nil || len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	query := url.Values{"limit": {"200"}}
	if p, err := purlOf(typed); err == nil {
		query.Set("format", p.Format)
		query.Set("prefix", p.Name)
	}
	var page admin.PackageList
	if c.call(cmd.Context(), http.MethodGet, "/api/v1/packages", query, nil, &page) != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var names []string
	for _, p := range page.Packages {
		if name, ok := spelled(p.Purl, typed); ok {
			names = append(names, name)
		}
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}

// spelled writes a package URL as the one who typed its beginning would: shells
// drop what does not begin so.
func spelled(full, typed string) (string, bool) {
	short := strings.TrimPrefix(full, "pkg:")
	for _, name := range []string{full, strings.ReplaceAll(full, "%40", "@"), short, strings.ReplaceAll(short, "%40", "@")} {
		if strings.HasPrefix(name, typed) {
			return name, true
		}
	}
	return "", false
}
