package main

import (
	"io"
	"net/http"
	"net/url"

	"github.com/spf13/cobra"

	"larder/proxy/admin"
)

func userCommand() *cobra.Command {
	return group("user", "Users and organizations", userCreateCommand(), userListCommand(), userStateCommand("suspend",
		"Take all rights from a user at once"), userStateCommand("resume", "Give a suspended user all rights back"))
}

func userCreateCommand() *cobra.Command {
	var s shared
	var in admin.NewAccount
	cmd := &cobra.Command{
		Use: "create NAME", Short: "Create a user, or an organization with --org",
		Long:    "Create a user, or an organization with --org, and its private repository\nNAME/packages. Users and organizations share their names.",
		Example: "  larder user create alice --email alice@mail.example\n  larder user create acme --org",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := s.open()
			if err != nil {
				return err
			}
			in.Name = args[0]
			var made admin.Account
			if err := c.call(cmd.Context(), http.MethodPost, "/api/v1/users", nil, in, &made); err != nil {
				return err
			}
			s.say(cmd, "created the %s %s and its private repository %s/packages", made.Kind, made.Name, made.Name)
			return s.show(cmd, made, func(io.Writer) {})
		},
	}
	cmd.Flags().BoolVar(&in.Org, "org", false, "an organization instead of a user")
	cmd.Flags().StringVar(&in.Email, "email", "", "email address, shown to package clients")
	cmd.Flags().BoolVar(&in.Admin, "admin", false, "may administer the server")
	return s.flags(cmd)
}

func userStateCommand(verb, short string) *cobra.Command {
	var s shared
	return s.flags(&cobra.Command{
		Use: verb + " NAME", Short: short, Example: "  larder user " + verb + " alice", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			o := order{method: http.MethodPost, path: "/api/v1/users/" + url.PathEscape(args[0]) + "/" + verb}
			return s.do(cmd, o, "done: %s %s", verb, args[0])
		},
	})
}

func userListCommand() *cobra.Command {
	var s shared
	return s.flags(&cobra.Command{
		Use: "list", Short: "List users and organizations, for administrators", Example: "  larder user list --json", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return listing[admin.UserList, admin.Account]{
				columns: []string{"NAME", "KIND", "EMAIL", "STATE", "CREATED"},
				part:    func(p admin.UserList) ([]admin.Account, string) { return p.Users, p.Next },
				cells: func(a admin.Account) []string {
					state := "-"
					switch {
					case a.Suspended:
						state = "suspended"
					case a.Admin:
						state = "admin"
					}
					return []string{a.Name, a.Kind, a.Email, state, dateTime(a.Created, "-")}
				},
			}.run(cmd, &s, "/api/v1/users", url.Values{})
		},
	})
}
