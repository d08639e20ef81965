package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/spf13/cobra"

	"larder/cache"
	"larder/cache/disk"
	"larder/policy/directory"
	"larder/policy/token"
)

// errServing says that a server holds the data folder.
var errServing = errors.New("a server is using this data folder: stop it first, for a running server hands out tokens to administrators alone")

func adminCommand() *cobra.Command {
	var data string
	var stdout bool
	bootstrap := &cobra.Command{
		Use: "bootstrap", Short: "Make an administrator's token for a data folder",
		Long: `Make a token with all rights for the user admin, for whoever may write to
the data folder and has no administrator's token any more. No server may be
using the folder. The token goes to admin.token in the folder, or to stdout.
The user admin is resumed if suspended. Tokens made before stay good: revoke
what is lost with ` + "`larder token revoke`" + `.`,
		Example: "  larder admin bootstrap --data /var/lib/larder", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			if data == "" {
				if data, err = defaultData(); err != nil {
					return err
				}
			}
			if err := isDataFolder(data); err != nil {
				return err
			}
			file := filepath.Join(data, "admin.token")
			deliver, where := directory.ToFile(file), file
			if stdout {
				deliver, where = func(s token.Secret) error {
					_, err := fmt.Fprintln(cmd.OutOrStdout(), s.Reveal())
					return err
				}, "stdout"
			}
			made, err := recoverAdmin(cmd.Context(), data, deliver)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.ErrOrStderr(), "made the token %s of %s; it went to %s\n", made.ID, made.User, where)
			return err
		},
	}
	bootstrap.Flags().StringVar(&data, "data", "", "data folder (default: as larder serve has it)")
	bootstrap.Flags().BoolVar(&stdout, "stdout", false, "print the token instead of writing admin.token")
	return group("admin", "The administrator of a data folder", bootstrap)
}

// recoverAdmin opens a folder that no server holds and makes the token in it.
func recoverAdmin(ctx context.Context, data string, deliver func(token.Secret) error) (made directory.Token, err error) {
	err = inFolder(data, func(n *node) error {
		d, err := directory.Open(ctx, n.index, directory.Options{Clock: n.clock})
		if err != nil {
			return err
		}
		made, err = d.Recover(ctx, deliver)
		return err
	})
	switch {
	case errors.Is(err, disk.ErrLocked):
		return made, errServing
	case errors.Is(err, cache.ErrNotExist):
		return made, usagef("no server ever started on %s: the first start makes the administrator", data)
	}
	return made, err
}
