package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"larder/upstream/discover"
)

func discoverCommand() *cobra.Command {
	var o output
	cmd := &cobra.Command{
		Use: "discover [FORMAT]...", Short: "Ask the package clients of this machine where they go",
		Long: `Ask the package clients of this machine which registries they are configured
with: what larder serve uses as upstreams where its configuration names none.`,
		Example: "  larder discover npm", ValidArgs: discover.Formats(), Args: cobra.OnlyValidArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := o.check(); err != nil {
				return err
			}
			found := discover.Find(cmd.Context(), discover.Options{Formats: args, Self: ownAddresses()})
			return o.show(cmd, found, func(w io.Writer) {
				row(w, "FORMAT", "ADDRESS", "FOUND IN")
				for _, f := range found {
					row(w, f.Format, orDash(f.URL), joinNote(f))
				}
			})
		},
	}
	o.flags(cmd)
	return cmd
}

// ownAddresses are where this larder may listen: what points there is no upstream.
func ownAddresses() []string {
	p, err := loadProfile()
	if err != nil {
		p = profile{}
	}
	own := []string{"127.0.0.1:8080"}
	if s := (&remote{}).address(p); s != defaultServer {
		own = append(own, s)
	}
	return own
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

func joinNote(f discover.Found) string {
	parts := slices.DeleteFunc([]string{f.Source, f.Note}, func(s string) bool { return s == "" })
	if f.Secret {
		parts = append(parts, "with a credential")
	}
	return strings.Join(parts, "; ")
}

func initCommand() *cobra.Command {
	var o output
	cmd := &cobra.Command{
		Use: "init [FILE]", Short: "Write a configuration file with the upstreams that were found",
		Long: `Write a configuration file (larder.yaml by default) with the upstreams that the
package clients of this machine use. A file that is there is not touched.`,
		Example: "  larder init /etc/larder/config.yaml", Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			file := "larder.yaml"
			if len(args) > 0 {
				file = args[0]
			}
			found := discover.Find(cmd.Context(), discover.Options{Formats: formatNames(), Self: ownAddresses()})
			if err := writeNew(file, initialConfig(found)); err != nil {
				return err
			}
			o.say(cmd, "wrote %s; start with: larder serve --config %s", file, file)
			return nil
		},
	}
	cmd.Flags().BoolVar(&o.quiet, "quiet", false, "no messages beside results and errors")
	return cmd
}

// initialConfig is a file that holds what was found, and leaves the rest to the
// defaults.
func initialConfig(found []discover.Found) string {
	var b strings.Builder
	b.WriteString("# Configuration of larder; every key has a default: larder config show.\nupstreams:\n")
	done := map[string]bool{}
	for _, f := range found {
		switch {
		case done[f.Format]:
			continue
		case f.URL == "":
			fmt.Fprintf(&b, "  # %s: %s\n  %s: {format: %s, url: auto}\n", f.Format, printable(f.Note), f.Format, f.Format)
		default:
			fmt.Fprintf(&b, "  # found in %s\n  %s: {format: %s, url: %q}\n", printable(f.Source), f.Format, f.Format, f.URL)
		}
		if f.Secret {
			fmt.Fprintf(&b, "  # %s has a credential there, which is not copied: add auth to the entry above\n", f.Format)
		}
		done[f.Format] = true
	}
	return b.String()
}

// writeNew writes a file that must not be there yet.
func writeNew(file, text string) error {
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return usagef("%s is there already, and was left as it is: name another file", file)
	}
	if err != nil {
		return fmt.Errorf("write the configuration: %w", err)
	}
	_, err = f.WriteString(text)
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("write the configuration: %w", errors.Join(err, os.Remove(file)))
	}
	return nil
}
