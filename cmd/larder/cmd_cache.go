package main

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"time"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"
	"golang.org/x/term"

	"larder/cache/evict"
	"larder/proxy/admin"
)

func cacheCommand() *cobra.Command {
	var s shared
	var dry bool
	gc := &cobra.Command{
		Use: "gc", Short: "Delete what nobody needs any more",
		Long:    "Delete bytes that no package and no cached answer refers to, and images without\na tag that the rules of retention let go, or that refer to a deleted one. It\nruns while the server serves.",
		Example: "  larder cache gc --dry-run", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := s.open()
			if err != nil {
				return err
			}
			var report evict.Report
			var kept admin.Retention
			p := s.progress(cmd, "looking at files")
			err = c.stream(cmd.Context(), "/api/v1/gc", url.Values{"dry_run": {strconv.FormatBool(dry)}}, func(l admin.Line) error {
				if l.Progress != nil {
					return p.at(l.Progress.Done, l.Progress.Total)
				}
				if l.Collection != nil {
					report = *l.Collection
				}
				if l.Retention != nil {
					kept = *l.Retention
				}
				return nil
			})
			p.end()
			if err != nil {
				return err
			}
			return collected(cmd, &s, collection{report, kept}, dry)
		},
	}
	gc.Flags().BoolVar(&dry, "dry-run", false, "only say what would be deleted")
	return group("cache", "The store of cached and hosted bytes", s.flags(gc))
}

// collection is the answer to gc, as --json prints it.
type collection struct {
	evict.Report
	Retention admin.Retention `json:"retention"`
}

func collected(cmd *cobra.Command, s *shared, r collection, dry bool) error {
	verb := "deleted"
	if dry {
		verb = "would delete"
	}
	err := s.show(cmd, r, func(w io.Writer) {
		for _, v := range r.Retention.Named {
			row(w, fmt.Sprintf("%s %s: no tag keeps it", verb, v))
		}
		if more := r.Retention.Versions - len(r.Retention.Named); more > 0 {
			row(w, fmt.Sprintf("%s %d more that have no tag", verb, more))
		}
		row(w, fmt.Sprintf("%s %d blobs, %d bytes (%d of them without a record); %d leases ended", verb, r.Blobs, r.Bytes, r.Orphans, r.Expired))
	})
	for _, e := range r.Errors {
		fmt.Fprintln(cmd.ErrOrStderr(), printable(e))
	}
	if err == nil && r.Failures > 0 {
		return fmt.Errorf("%w: %d files could not be dealt with", errPartly, r.Failures)
	}
	return err
}

// telling is how often a line of progress appears where there is no terminal.
const telling = 10 * time.Second

// progress shows how far a work is: a bar on a terminal, a line now and then
// elsewhere, nothing with --quiet.
type progress struct {
	out  io.Writer
	what string
	bar  *progressbar.ProgressBar // nil: lines
	last time.Time
}

func (s *shared) progress(cmd *cobra.Command, what string) *progress {
	p := &progress{out: cmd.ErrOrStderr(), what: what, last: time.Now()}
	if s.quiet {
		p.out = io.Discard
		return p
	}
	if f, ok := p.out.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		p.bar = progressbar.NewOptions64(-1, progressbar.OptionSetWriter(f), progressbar.OptionSetDescription(what),
			progressbar.OptionShowCount(), progressbar.OptionClearOnFinish(), progressbar.OptionThrottle(100*time.Millisecond))
	}
	return p
}

// at notes how much is done; total is 0 while it is not known.
func (p *progress) at(done, total int64) error {
	if p.bar != nil {
		if total > 0 {
			p.bar.ChangeMax64(total)
		}
		return p.bar.Set64(done)
	}
	if now := time.Now(); now.Sub(p.last) >= telling {
		p.last = now
		if total > 0 {
			fmt.Fprintf(p.out, "%s: %d of %d\n", p.what, done, total)
		} else {
			fmt.Fprintf(p.out, "%s: %d\n", p.what, done)
		}
	}
	return nil
}

// end takes the bar away.
func (p *progress) end() {
	if p.bar != nil {
		_ = p.bar.Finish() // it only draws
	}
}

func upstreamsCommand() *cobra.Command {
	var s shared
	return group("upstream", "The registries that are fetched from", s.flags(&cobra.Command{
		Use: "list", Short: "List the upstreams and how they do", Example: "  larder upstream list", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := s.open()
			if err != nil {
				return err
			}
			var list admin.UpstreamList
			if err := c.call(cmd.Context(), http.MethodGet, "/api/v1/upstreams", nil, nil, &list); err != nil {
				return err
			}
			return s.show(cmd, list.Upstreams, func(w io.Writer) {
				row(w, "ID", "FORMAT", "STATE", "ADDRESS", "FROM", "LAST SUCCESS")
				for _, u := range list.Upstreams {
					row(w, u.ID, u.Format, u.State, u.URL, u.Source, dateTime(u.LastSuccess, "-"))
				}
			})
		},
	}))
}
