package main

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/spf13/cobra"

	"larder/cmd/larder/config"
	"larder/policy"
	"larder/proxy/admin"
)

func tokenCommand() *cobra.Command {
	return group("token", "Tokens", tokenCreateCommand(), tokenListCommand(), tokenRevokeCommand())
}

// madeToken is what --json prints; programs depend on these fields.
type madeToken struct {
	ID      string         `json:"id"`
	Token   string         `json:"token"`
	User    string         `json:"user"`
	Scopes  []policy.Scope `json:"scopes"`
	Expires *time.Time     `json:"expires_at"` // null: never
}

func tokenCreateCommand() *cobra.Command {
	var s shared
	var in admin.NewToken
	var scopes []string
	var expires string
	cmd := &cobra.Command{
		Use: "create", Short: "Make a token and print it, this once",
		Long: `Make a token and print it on stdout; it is shown this once and kept as a hash.
It has at most the rights of the token in use. Only administrators make tokens
for other users.`,
		Example: "  larder token create --user alice --scopes read:packages,write:packages",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var err error
			if in.Scopes, err = policy.ParseScopes(scopes...); err != nil {
				return usagef("--scopes: %w", err)
			}
			if in.ExpiresIn, err = lifetime(expires, in.Forever); err != nil {
				return err
			}
			c, err := s.open()
			if err != nil {
				return err
			}
			return makeToken(cmd, &s, c, in)
		},
	}
	f := cmd.Flags()
	f.StringVar(&in.User, "user", "", "whose token it is (default: your own)")
	f.StringVar(&in.Name, "name", "", "what it is for, shown in lists")
	f.StringSliceVar(&scopes, "scopes", nil, "read:packages, write:packages, ... (needed)")
	f.StringVar(&expires, "expires", "", "life, such as 24h or 30d (default 90d)")
	f.BoolVar(&in.Forever, "never-expires", false, "for administrators")
	f.StringSliceVar(&in.Limits.Owners, "owners", nil, "only packages of these owners")
	f.StringSliceVar(&in.Limits.Repositories, "repositories", nil, "only these repositories, OWNER/NAME")
	f.StringSliceVar(&in.Limits.Packages, "packages", nil, "only packages that fit these patterns")
	f.StringSliceVar(&in.Limits.Formats, "formats", nil, "only these formats")
	f.StringSliceVar(&in.Limits.CIDRs, "cidrs", nil, "only from these networks")
	return s.flags(cmd)
}

// lifetime reads --expires, in whole seconds; 0 is the server's default.
func lifetime(text string, forever bool) (int64, error) {
	if text == "" {
		return 0, nil
	}
	d, err := config.ParseDuration(text)
	switch {
	case err != nil:
		return 0, usagef("--expires: %w", err)
	case forever:
		return 0, usagef("--expires and --never-expires exclude each other")
	case d.Std() < time.Second:
		return 0, usagef("--expires %s: a token lives a second at least", text)
	}
	return int64(d.Std() / time.Second), nil
}

func makeToken(cmd *cobra.Command, s *shared, c *client, in admin.NewToken) error {
	var made admin.MadeToken
	if err := c.call(cmd.Context(), http.MethodPost, "/api/v1/tokens", nil, in, &made); err != nil {
		return err
	}
	if made.Expires.IsZero() {
		s.say(cmd, "token %s of %s never expires", made.ID, made.User)
	} else {
		s.say(cmd, "token %s of %s expires %s UTC", made.ID, made.User, dateTime(made.Expires, ""))
	}
	shown := madeToken{ID: made.ID, Token: made.Secret, User: made.User, Scopes: made.Scopes}
	if !made.Expires.IsZero() {
		shown.Expires = &made.Expires
	}
	return s.show(cmd, shown, func(w io.Writer) { fmt.Fprintln(w, made.Secret) })
}

func tokenListCommand() *cobra.Command {
	var s shared
	var user string
	cmd := &cobra.Command{
		Use: "list", Short: "List tokens that are not revoked", Example: "  larder token list --user alice", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			query := url.Values{}
			if user != "" {
				query.Set("user", user)
			}
			return listing[admin.TokenList, admin.Token]{
				columns: []string{"ID", "NAME", "TOKEN", "SCOPES", "EXPIRES", "LAST USED"},
				part:    func(p admin.TokenList) ([]admin.Token, string) { return p.Tokens, p.Next },
				cells: func(t admin.Token) []string {
					return []string{t.ID, t.Name, t.Prefix + "..." + t.Last4, policy.JoinScopes(t.Scopes), dateTime(t.Expires, "never"), dateTime(t.LastUsed, "-")}
				},
			}.run(cmd, &s, "/api/v1/tokens", query)
		},
	}
	cmd.Flags().StringVar(&user, "user", "", "of this user (default: your own)")
	return s.flags(cmd)
}

func tokenRevokeCommand() *cobra.Command {
	var s shared
	return s.flags(&cobra.Command{
		Use: "revoke ID", Short: "End a token, and all that were made in exchange for it",
		Example: "  larder token revoke 01k2m7", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			o := order{method: http.MethodDelete, path: "/api/v1/tokens/" + url.PathEscape(args[0])}
			return s.do(cmd, o, "revoked the token %s", args[0])
		},
	})
}
