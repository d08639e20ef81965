package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/spf13/cobra"

	"larder/cache"
	"larder/policy/audit"
)

// Exit codes, as scripts see them.
const (
	exitFailed    = 1
	exitUsage     = 2
	exitPolicy    = 3
	exitDenied    = 4
	exitNotFound  = 5
	exitIntegrity = 6
	exitUpstream  = 7
	exitPartly    = 8
	exitInterrupt = 130
)

// exitCodes describes each code; help and documents are made of it.
func exitCodes() []struct {
	code int
	text string
} {
	return []struct {
		code int
		text string
	}{
		{0, "done"},
		{exitFailed, "failed"},
		{exitUsage, "usage: a command, flag, argument or configuration is wrong"},
		{exitPolicy, "refused by a rule of the policy"},
		{exitDenied, "not authenticated, or not permitted"},
		{exitNotFound, "not found"},
		{exitIntegrity, "integrity failure: bytes are not what they must be"},
		{exitUpstream, "the upstream cannot be reached"},
		{exitPartly, "partly done; what was not is listed on stderr"},
		{exitInterrupt, "interrupted"},
	}
}

// usageError is a mistake in what was typed or configured.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

func usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// errDamaged says that hosted bytes are not what they must be.
var errDamaged = errors.New("hosted packages are damaged")

// errPartly says that some of the work could not be done.
var errPartly = errors.New("partly done")

// exitCode is the one table from errors to exit codes.
func exitCode(err error) int {
	var problem *apiError
	switch {
	case err == nil:
		return 0
	case errors.As(err, new(usageError)):
		return exitUsage
	case errors.Is(err, context.Canceled):
		return exitInterrupt
	case errors.Is(err, errDamaged), errors.Is(err, cache.ErrCorrupt), errors.As(err, new(*audit.Fault)):
		return exitIntegrity
	case errors.Is(err, errPartly):
		return exitPartly
	case errors.As(err, &problem):
		return problem.exitCode()
	}
	return exitFailed
}

func (e *apiError) exitCode() int {
	switch {
	case e.rule != "":
		return exitPolicy
	case e.Status == http.StatusUnauthorized, e.Status == http.StatusForbidden:
		return exitDenied
	case e.Status == http.StatusNotFound:
		return exitNotFound
	case e.Status == http.StatusBadRequest:
		return exitUsage
	case e.Status == http.StatusBadGateway, e.Status == http.StatusGatewayTimeout:
		return exitUpstream
	}
	return exitFailed
}

// exitCodesTopic is what `larder help exit-codes` shows.
func exitCodesTopic() *cobra.Command {
	var b strings.Builder
	b.WriteString("Exit codes of larder:\n\n")
	for _, c := range exitCodes() {
		fmt.Fprintf(&b, "  %3d  %s\n", c.code, c.text)
	}
	return &cobra.Command{Use: "exit-codes", Short: "What the exit codes mean", Long: strings.TrimRight(b.String(), "\n")}
}
