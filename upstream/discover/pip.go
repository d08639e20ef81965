package discover

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
)

func pipEnvironment(_ context.Context, m *machine) ([]Found, error) {
	if v := m.env("PIP_INDEX_URL"); v != "" {
		return []Found{{URL: v, Source: "environment variable PIP_INDEX_URL"}}, nil
	}
	return nil, nil
}

// pipFiles reads pip's files in pip's order. Extra indexes are left alone: a
// name must not be looked for in two places.
func pipFiles(_ context.Context, m *machine) ([]Found, error) {
	var errs []error
	for _, path := range m.pipPaths() {
		data, err := m.file(path)
		if err != nil {
			errs = append(errs, fmt.Errorf("pip: %w", err))
			continue
		}
		v, err := pipIndex(data)
		if err != nil {
			errs = append(errs, fmt.Errorf("pip: %s: %w", path, err))
			continue
		}
		if v != "" {
			return []Found{{URL: v, Source: path}}, errors.Join(errs...)
		}
	}
	return nil, errors.Join(errs...)
}

// pipPaths lists the files that exist for pip, the strongest first.
func (m *machine) pipPaths() []string {
	var paths []string
	switch file := m.env("PIP_CONFIG_FILE"); file {
	case "":
	case "/dev/null": // pip's word for: no files
		return nil
	default:
		paths = append(paths, m.systemPath(file))
	}
	if venv := m.env("VIRTUAL_ENV"); venv != "" {
		paths = append(paths, m.systemPath(venv, "pip.conf"))
	}
	paths = append(paths, m.configPath("pip", "pip.conf"), m.userPath(".pip", "pip.conf"),
		m.userPath("Library", "Application Support", "pip", "pip.conf"))
	for _, dir := range filepath.SplitList(firstOf(m.env("XDG_CONFIG_DIRS"), "/etc/xdg")) {
		paths = append(paths, m.systemPath(dir, "pip", "pip.conf"))
	}
	return append(paths, m.systemPath("/etc/pip.conf"))
}

// pipIndex returns the index of one file: that of install goes before that of
// all commands.
func pipIndex(data []byte) (string, error) {
	list, err := parseINI(data, "=:", true)
	if err != nil {
		return "", err
	}
	var found string
	for _, section := range []string{"global", "install"} {
		for _, l := range list {
			key := strings.ReplaceAll(strings.ToLower(l.key), "_", "-")
			if l.section == section && (key == "index-url" || key == "pypi-url") {
				found = unquote(l.value)
			}
		}
	}
	return found, nil
}

// pipDefault asks pip's own module for the constant it holds.
func pipDefault(ctx context.Context, m *machine) ([]Found, error) {
	const program = "from pip._internal.models.index import PyPI; print(PyPI.simple_url)"
	var errs []error
	for _, python := range []string{"python3", "python"} {
		out, err := m.ask(ctx, Command{Name: python, Args: []string{"-c", program}})
		if err != nil {
			errs = append(errs, err)
			continue
		}
		if v := strings.TrimSpace(out); v != "" {
			return []Found{{URL: v, Source: "the default of " + python + "'s pip"}}, nil
		}
	}
	return nil, errors.Join(errs...)
}
