package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"

	"github.com/spf13/cobra"

	"larder/policy/audit"
	"larder/proxy/admin"
)

func auditCommand() *cobra.Command {
	return group("audit", "Read and verify the log of changes and refusals", auditExportCommand(), auditVerifyCommand())
}

func auditExportCommand() *cobra.Command {
	var r remote
	var since string
	var after, limit uint64
	cmd := &cobra.Command{
		Use: "export", Short: "Write the audit log, one JSON record a line",
		Long: `Write the audit log, one JSON record a line, oldest first. Each record holds the
hash of the one before, so that an export can be verified without larder: the
hash is the SHA-256 of the 32 bytes of prev_hash and the line without its last
two fields.`,
		Example: "  larder audit export --since 2026-01-31T00:00:00Z > audit.ndjson\n  larder audit export --after 1200", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := r.connect()
			if err != nil {
				return err
			}
			query := url.Values{"after": {strconv.FormatUint(after, 10)}, "limit": {strconv.FormatUint(limit, 10)}}
			if since != "" {
				query.Set("since", since)
			}
			reply, err := c.send(cmd.Context(), http.MethodGet, "/api/v1/audit", query, nil)
			if err != nil {
				return err
			}
			defer reply.Body.Close()
			return copyRecords(cmd.OutOrStdout(), reply.Body)
		},
	}
	cmd.Flags().StringVar(&since, "since", "", "only records from this time on (RFC 3339)")
	cmd.Flags().Uint64Var(&after, "after", 0, "only records behind this sequence number")
	cmd.Flags().Uint64Var(&limit, "limit", 0, "at most so many records; 0 is all")
	r.flags(cmd)
	return cmd
}

// copyRecords copies lines up to one that tells of a problem.
func copyRecords(w io.Writer, src io.Reader) error {
	lines := bufio.NewScanner(src)
	lines.Buffer(nil, maxAnswer)
	for lines.Scan() {
		var line admin.Line
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
			return fmt.Errorf("the answer is not what larder sends: %w", err)
		}
		if line.Problem != nil {
			return &apiError{Problem: *line.Problem}
		}
		if _, err := fmt.Fprintf(w, "%s\n", lines.Bytes()); err != nil {
			return fmt.Errorf("write a record: %w", err)
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("the answer broke off: %w", err)
	}
	return nil
}

func auditVerifyCommand() *cobra.Command {
	var s shared
	cmd := &cobra.Command{
		Use: "verify", Short: "Find records of the audit log that were edited or are missing",
		Long: `Read the whole audit log and find the first record that was edited, moved or is
missing. Exit code 6 means that one was. Note the head that is printed, and
keep it elsewhere: it tells whether the whole log was replaced.`,
		Example: "  larder audit verify", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := s.open()
			if err != nil {
				return err
			}
			var report audit.Report
			err = c.stream(cmd.Context(), "/api/v1/audit/verify", nil, func(l admin.Line) error {
				if l.Audit != nil {
					report = *l.Audit
				}
				return nil
			})
			if err != nil {
				return err
			}
			return auditVerified(cmd, &s, report)
		},
	}
	return s.flags(cmd)
}

// auditVerified shows what was found; a fault is an error too.
func auditVerified(cmd *cobra.Command, s *shared, report audit.Report) error {
	err := s.show(cmd, report, func(w io.Writer) {
		row(w, "records:", strconv.FormatUint(report.Records, 10))
		row(w, "head:", report.Head.String())
	})
	if err == nil && report.Fault != nil {
		return fmt.Errorf("the audit log was changed: %w", report.Fault)
	}
	return err
}
