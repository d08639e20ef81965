package discover

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
)

// gemFiles reads the gemrc files, the user's first.
func gemFiles(_ context.Context, m *machine) ([]Found, error) {
	paths := []string{}
	for _, p := range filepath.SplitList(m.env("GEMRC")) {
		paths = append(paths, m.systemPath(p))
	}
	paths = append(paths, m.userPath(".gemrc"), m.configPath("gem", "gemrc"), m.systemPath("/etc/gemrc"))
	var errs []error
	for _, path := range paths {
		data, err := m.file(path)
		if err != nil {
			errs = append(errs, fmt.Errorf("gem: %w", err))
			continue
		}
		var found []Found
		for _, s := range gemSources(string(data)) {
			found = append(found, Found{URL: s, Source: path})
		}
		if len(found) > 0 {
			return found, errors.Join(errs...)
		}
	}
	return nil, errors.Join(errs...)
}

// gemSources reads the list under "sources" (with or without Ruby's leading
// colon) of a gemrc. It is YAML, of which gem itself writes only this block
// form; the bracket form is what people write.
func gemSources(text string) []string {
	var list []string
	inside := false
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, " \t\r\n")
		trimmed := strings.TrimSpace(line)
		if trimmed == "" || trimmed[0] == '#' {
			continue
		}
		if item, ok := strings.CutPrefix(trimmed, "-"); ok && inside {
			list = appendSource(list, item)
			continue
		}
		inside = false
		key, value, ok := strings.Cut(trimmed, ": ")
		if !ok {
			key, value = strings.TrimSuffix(trimmed, ":"), ""
		}
		if strings.Trim(key, `:"'`) != "sources" || line != trimmed {
			continue
		}
		value = strings.TrimSpace(value)
		if value == "" {
			inside = true
			continue
		}
		for item := range strings.SplitSeq(strings.Trim(value, "[]"), ",") {
			list = appendSource(list, item)
		}
	}
	return list
}

func appendSource(list []string, item string) []string {
	item, _, _ = strings.Cut(strings.TrimSpace(item), " #")
	if item = unquote(strings.TrimSpace(item)); strings.Contains(item, "://") {
		return append(list, item)
	}
	return list
}

func gemAsked(ctx context.Context, m *machine) ([]Found, error) {
	return gemCommand(ctx, m, "sources", "--list")
}

// gemDefault leaves the gemrc files out of it.
func gemDefault(ctx context.Context, m *machine) ([]Found, error) {
	return gemCommand(ctx, m, "sources", "--list", "--norc")
}

func gemCommand(ctx context.Context, m *machine, args ...string) ([]Found, error) {
	out, err := m.ask(ctx, Command{Name: "gem", Args: args})
	var found []Found
	for line := range strings.Lines(out) {
		if line = strings.TrimSpace(line); strings.Contains(line, "://") {
			found = append(found, Found{URL: line, Source: "gem " + strings.Join(args, " ")})
		}
	}
	return found, err
}
