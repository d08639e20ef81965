package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"strconv"

	"github.com/spf13/cobra"

	"larder/cache/disk"
	"larder/proxy/admin"
)

func verifyCommand() *cobra.Command {
	var s shared
	var data string
	var repair bool
	cmd := &cobra.Command{
		Use: "verify", Short: "Hash what is stored and compare it with the records",
		Long: `Hash what is stored and compare it with the records. A running server is asked;
a data folder that no server uses is opened. Damaged bytes go out of service and
are kept in quarantine; cached files come again with the next request. Exit code
6 means that hosted packages are damaged.`,
		Example: "  larder verify --data /var/lib/larder --repair", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			found, err := s.verify(cmd, data, repair)
			if err != nil {
				return err
			}
			return verified(cmd, &s, found)
		},
	}
	cmd.Flags().StringVar(&data, "data", "", "data folder to look at")
	cmd.Flags().BoolVar(&repair, "repair", false, "also put the records right")
	return s.flags(cmd)
}

// verify opens the folder where one is named and no server has it, and asks
// the server otherwise; a server that is not there makes it try the folder.
func (s *shared) verify(cmd *cobra.Command, data string, repair bool) (admin.Verification, error) {
	c, err := s.open()
	if err != nil {
		return admin.Verification{}, err
	}
	p := s.progress(cmd, "verifying bytes")
	defer p.end()
	tell := func(done, total int64) { _ = p.at(done, total) } // it only draws
	ctx := cmd.Context()
	if data != "" {
		if err := isDataFolder(data); err != nil {
			return admin.Verification{}, err
		}
		found, err := verifyFolder(ctx, data, repair, tell)
		if !errors.Is(err, disk.ErrLocked) {
			return found, err
		}
		return s.askToVerify(ctx, c, repair, tell)
	}
	found, err := s.askToVerify(ctx, c, repair, tell)
	if !errors.Is(err, errNoServer) || s.server != "" {
		return found, err
	}
	folder, noHome := defaultData()
	if noHome != nil || isDataFolder(folder) != nil {
		return found, err
	}
	return verifyFolder(ctx, folder, repair, tell)
}

// isDataFolder keeps a mistyped path from being made a new data folder.
func isDataFolder(dir string) error {
	if _, err := os.Stat(filepath.Join(dir, "index")); err != nil {
		return usagef("%s is no data folder of larder: %w", dir, err)
	}
	return nil
}

func (s *shared) askToVerify(ctx context.Context, c *client, repair bool, tell func(done, total int64)) (found admin.Verification, err error) {
	err = c.stream(ctx, "/api/v1/verify", url.Values{"repair": {strconv.FormatBool(repair)}}, func(l admin.Line) error {
		if l.Progress != nil {
			tell(l.Progress.Done, l.Progress.Total)
		}
		if l.Verification != nil {
			found = *l.Verification
		}
		return nil
	})
	return found, err
}

func verified(cmd *cobra.Command, s *shared, v admin.Verification) error {
	err := s.show(cmd, v, func(w io.Writer) {
		row(w, fmt.Sprintf("%d blobs, %d bytes: %d hosted and %d cached damaged, %d repaired", v.Blobs, v.Bytes, v.Hosted, v.Cached, v.Repaired))
	})
	for _, f := range v.Findings {
		fmt.Fprintln(cmd.ErrOrStderr(), printable(f))
	}
	if err == nil && v.Hosted > 0 {
		return fmt.Errorf("%w: %d blobs", errDamaged, v.Hosted)
	}
	return err
}
