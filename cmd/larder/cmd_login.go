package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"larder/policy"
	"larder/proxy/admin"
)

func loginCommand() *cobra.Command {
	var s shared
	var file string
	cmd := &cobra.Command{
		Use: "login", Short: "Keep a token for the commands to come",
		Long: `Read a token from stdin, or from --token-file, try it, and keep it with the
address of the server in the user's configuration folder, readable by the user
alone. LARDER_URL and LARDER_TOKEN win over what is kept.`,
		Example: "  larder login --server https://packages.example --token-file token.txt", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := s.output.check(); err != nil {
				return err
			}
			token, err := readToken(cmd, file)
			if err != nil {
				return err
			}
			server := s.remote.address(profile{})
			var me admin.Caller
			if err := newClient(server, token, s.limit).call(cmd.Context(), http.MethodGet, "/api/v1/whoami", nil, nil, &me); err != nil {
				return err
			}
			kept, err := saveProfile(profile{Server: server, Token: token})
			if err != nil {
				return err
			}
			s.say(cmd, "signed in to %s as %s; the token is in %s", server, me.User, kept)
			return s.show(cmd, me, func(io.Writer) {})
		},
	}
	cmd.Flags().StringVar(&file, "token-file", "", "file with the token (default: stdin)")
	return s.flags(cmd)
}

// readToken takes a token from a file or stdin, unseen on a terminal.
func readToken(cmd *cobra.Command, file string) (string, error) {
	text, err := []byte(nil), error(nil)
	in, isFile := cmd.InOrStdin().(*os.File)
	switch {
	case file != "":
		text, err = readSmall(file)
	case isFile && term.IsTerminal(int(in.Fd())):
		fmt.Fprint(cmd.ErrOrStderr(), "Token: ")
		text, err = term.ReadPassword(int(in.Fd()))
		fmt.Fprintln(cmd.ErrOrStderr())
	default:
		text, err = io.ReadAll(io.LimitReader(cmd.InOrStdin(), maxProfile))
	}
	if err != nil {
		return "", fmt.Errorf("read the token: %w", err)
	}
	token := strings.TrimSpace(string(text))
	if token == "" || strings.ContainsAny(token, "\n\r\t ") {
		return "", usagef("there is no token in what was read: pipe one in, or name its file with --token-file")
	}
	return token, nil
}

func logoutCommand() *cobra.Command {
	var o output
	cmd := &cobra.Command{
		Use: "logout", Short: "Forget the kept token",
		Long:    "Forget the kept token. It stays valid; larder token revoke ends it.",
		Example: "  larder logout", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			file, err := profileFile()
			if err != nil {
				return err
			}
			if err := os.Remove(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return fmt.Errorf("forget the token: %w", err)
			}
			o.say(cmd, "signed out")
			return nil
		},
	}
	cmd.Flags().BoolVar(&o.quiet, "quiet", false, "no messages beside results and errors")
	return cmd
}

func whoamiCommand() *cobra.Command {
	var s shared
	return s.flags(&cobra.Command{
		Use: "whoami", Short: "Print whose token is in use", Example: "  larder whoami --json", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := s.open()
			if err != nil {
				return err
			}
			var me admin.Caller
			if err := c.call(cmd.Context(), http.MethodGet, "/api/v1/whoami", nil, nil, &me); err != nil {
				return err
			}
			s.say(cmd, "on %s, with the scopes %s", c.server, policy.JoinScopes(me.Scopes))
			return s.show(cmd, me, func(w io.Writer) { row(w, me.User) })
		},
	})
}
