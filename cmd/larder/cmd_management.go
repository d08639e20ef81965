package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

// addManagement adds everything but serve and version to the root command, and
// makes mistakes in what is typed usage errors everywhere below it.
func addManagement(root *cobra.Command) {
	root.AddCommand(
		userCommand(), orgCommand(), teamCommand(), repoCommand(), grantCommand(), claimCommand(), tokenCommand(),
		pkgCommand(), imageCommand(), whyCommand(), policyCommand(), loginCommand(), logoutCommand(), whoamiCommand(),
		cacheCommand(), verifyCommand(), auditCommand(), upstreamsCommand(), discoverCommand(), initCommand(), configCommand(), adminCommand(),
		healthcheckCommand(), exitCodesTopic(),
	)
	root.Args = noSuchCommand
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usagef("%w; see %s --help", err, cmd.CommandPath())
	})
	strictArguments(root)
}

// strictArguments turns every refusal of arguments into a usage error.
func strictArguments(cmd *cobra.Command) {
	if check := cmd.Args; check != nil {
		cmd.Args = func(cmd *cobra.Command, args []string) error {
			if err := check(cmd, args); err != nil {
				return usagef("%w; see %s --help", err, cmd.CommandPath())
			}
			return nil
		}
	}
	for _, c := range cmd.Commands() {
		strictArguments(c)
	}
}

// noSuchCommand refuses words that are no command, and names the nearest ones.
func noSuchCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	cmd.SuggestionsMinimumDistance = 2
	near := cmd.SuggestionsFor(args[0])
	if len(near) == 0 {
		return fmt.Errorf("there is no command %q of %s", args[0], cmd.CommandPath())
	}
	return fmt.Errorf("there is no command %q of %s: did you mean %s?", args[0], cmd.CommandPath(), strings.Join(near, " or "))
}

// group makes a command that only holds others.
func group(use, short string, commands ...*cobra.Command) *cobra.Command {
	cmd := &cobra.Command{
		Use: use, Short: short, Args: noSuchCommand, Example: commands[0].Example,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(commands...)
	return cmd
}
