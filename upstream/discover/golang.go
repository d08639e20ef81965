package discover

import (
	"context"
	"strings"
)

func goEnvironment(_ context.Context, m *machine) ([]Found, error) {
	return goProxies(m.env("GOPROXY"), "environment variable GOPROXY"), nil
}

// goAsked asks the Go tool, whose own file of settings may say more. It must
// not take the question as a reason to download another Go.
func goAsked(ctx context.Context, m *machine) ([]Found, error) {
	out, err := m.ask(ctx, Command{Name: "go", Args: []string{"env", "GOPROXY"}, Env: []string{"GOTOOLCHAIN=local", "GOWORK=off"}})
	return goProxies(out, "go env GOPROXY"), err
}

func goDefault(ctx context.Context, m *machine) ([]Found, error) {
	out, err := m.ask(ctx, Command{
		Name: "go", Args: []string{"env", "GOPROXY"},
		Env: []string{"GOTOOLCHAIN=local", "GOWORK=off", "GOENV=off"}, Unset: []string{"GOPROXY"},
	})
	return goProxies(out, "the Go tool's default"), err
}

// goProxies reads GOPROXY's list: addresses between commas and bars; the words
// direct and off end what a proxy can do.
func goProxies(list, source string) []Found {
	var found []Found
	for entry := range strings.FieldsFuncSeq(list, func(r rune) bool { return r == ',' || r == '|' }) {
		entry = strings.TrimSpace(entry)
		if entry == "direct" || entry == "off" {
			break
		}
		if entry != "" {
			found = append(found, Found{URL: entry, Source: source})
		}
	}
	return found
}
