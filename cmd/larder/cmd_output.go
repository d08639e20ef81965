package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
)

// output is the flags of a command that shows something: results go to stdout,
// everything else to stderr.
type output struct {
	format string
	json   bool
	quiet  bool
}

func (o *output) flags(cmd *cobra.Command) {
	cmd.Flags().StringVarP(&o.format, "output", "o", "table", "table or json")
	cmd.Flags().BoolVar(&o.json, "json", false, "the same as -o json")
	cmd.Flags().BoolVar(&o.quiet, "quiet", false, "no messages beside results and errors")
}

// check refuses formats that there are not. It comes before any work.
func (o *output) check() error {
	if o.format != "table" && o.format != "json" {
		return usagef("-o %q: table or json", o.format)
	}
	o.json = o.json || o.format == "json"
	return nil
}

// say tells a person something that is no result.
func (o *output) say(cmd *cobra.Command, format string, args ...any) {
	if !o.quiet {
		fmt.Fprintf(cmd.ErrOrStderr(), format+"\n", args...)
	}
}

// show prints v as JSON, or what table writes with columns apart by tabs.
func (o *output) show(cmd *cobra.Command, v any, table func(w io.Writer)) error {
	if o.json {
		enc := json.NewEncoder(cmd.OutOrStdout())
		enc.SetIndent("", "  ")
		enc.SetEscapeHTML(false)
		return enc.Encode(v)
	}
	w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 8, 2, ' ', 0)
	table(w)
	return w.Flush()
}

// row writes one line of a table. What came from others is cleared of what
// would move a terminal's cursor or a table's columns.
func row(w io.Writer, cells ...string) {
	for i, c := range cells {
		cells[i] = printable(c)
	}
	fmt.Fprintln(w, strings.Join(cells, "\t"))
}

func printable(s string) string {
	return strings.Map(func(c rune) rune {
		if c < ' ' || c == 0x7f || c >= 0x80 && c < 0xa0 || c >= 0x202a && c <= 0x202e || c >= 0x2066 && c <= 0x2069 {
			return '�'
		}
		return c
	}, s)
}

func dateTime(t time.Time, never string) string {
	if t.IsZero() {
		return never
	}
	return t.UTC().Format("2006-01-02 15:04")
}

// shared is the flags of most commands.
type shared struct {
	remote
	output
}

func (s *shared) flags(cmd *cobra.Command) *cobra.Command {
	s.remote.flags(cmd)
	s.output.flags(cmd)
	return cmd
}

// open checks the flags and finds the server.
func (s *shared) open() (*client, error) {
	if err := s.output.check(); err != nil {
		return nil, err
	}
	return s.remote.connect()
}
