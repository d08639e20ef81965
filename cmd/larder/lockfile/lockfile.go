// Package lockfile reads which versions of npm packages a project is locked to:
// package-lock.json and npm-shrinkwrap.json (versions 1 to 3), yarn.lock (of
// yarn 1 and of later ones) and pnpm-lock.yaml (versions 5 to 9). What does not
// come from a registry (folders, archives, repositories) is left out. It is pure.
package lockfile

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// MaxSize bounds a lockfile, in bytes; MaxDepth how deep version 1 may nest.
const (
	MaxSize  = 64 << 20
	MaxDepth = 200
)

// Package is one version of a package.
type Package struct{ Name, Version string }

// errUnknown is told of what is no lockfile.
var errUnknown = errors.New("this is no lockfile that is known: package-lock.json, npm-shrinkwrap.json, yarn.lock or pnpm-lock.yaml")

// Read returns what a lockfile names, each once, in order of the names. The
// error says what is wrong with the file.
func Read(text []byte) ([]Package, error) {
	if len(text) > MaxSize {
		return nil, fmt.Errorf("the lockfile has %d bytes, at most %d are read", len(text), MaxSize)
	}
	var list []Package
	var err error
	switch {
	case bytes.HasPrefix(bytes.TrimSpace(text), []byte("{")):
		list, err = readNPM(text)
	case bytes.Contains(text[:min(len(text), 1<<10)], []byte("# yarn lockfile v1")):
		list = readYarn1(string(text))
	default:
		list, err = readYAML(text)
	}
	if err != nil {
		return nil, err
	}
	slices.SortFunc(list, func(a, b Package) int { return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Version, b.Version)) })
	return slices.Compact(list), nil
}

// entry is a package of npm's lockfiles.
type entry struct {
	Name         string           `json:"name"` // where it is not that of the folder
	Version      string           `json:"version"`
	Link         bool             `json:"link"`
	Resolved     any              `json:"resolved"` // false in some of version 1
	Dependencies map[string]entry `json:"dependencies"`
}

func readNPM(text []byte) ([]Package, error) {
	var file struct {
		Version      int                        `json:"lockfileVersion"`
		Packages     map[string]json.RawMessage `json:"packages"`
		Dependencies map[string]entry           `json:"dependencies"`
	}
	if err := json.Unmarshal(text, &file); err != nil {
		return nil, fmt.Errorf("the lockfile is no JSON that npm writes: %w", err)
	}
	if file.Version == 0 {
		return nil, errUnknown
	}
	var list []Package
	if file.Packages == nil {
		return nested(file.Dependencies, list, 0)
	}
	for path, raw := range file.Packages {
		// The dependencies of an entry are ranges here, and not entries.
		var e struct {
			Name, Version, Resolved string
			Link                    bool
		}
		if err := json.Unmarshal(raw, &e); err != nil {
			return nil, fmt.Errorf("the lockfile's entry %.80q: %w", path, err)
		}
		at := strings.LastIndex(path, "node_modules/")
		if at >= 0 && !e.Link && fromRegistry(e.Resolved) {
			list = add(list, cmp.Or(e.Name, path[at+len("node_modules/"):]), e.Version)
		}
	}
	return list, nil
}

// nested reads version 1, where dependencies stand below those that need them.
func nested(all map[string]entry, list []Package, depth int) ([]Package, error) {
	if depth > MaxDepth {
		return nil, fmt.Errorf("the lockfile nests deeper than %d", MaxDepth)
	}
	var err error
	for name, e := range all {
		if real, ok := strings.CutPrefix(e.Version, "npm:"); ok {
			name, e.Version = split(real)
		}
		if resolved, ok := e.Resolved.(string); !ok || fromRegistry(resolved) {
			list = add(list, name, e.Version)
		}
		if list, err = nested(e.Dependencies, list, depth+1); err != nil {
			return nil, err
		}
	}
	return list, nil
}

// fromRegistry reports whether an address may be that of a registry's file.
func fromRegistry(resolved string) bool {
	return resolved == "" || strings.HasPrefix(resolved, "http://") || strings.HasPrefix(resolved, "https://")
}

// readYarn1 reads blocks: a line of ranges that ends in a colon, and below it
// lines that are indented.
func readYarn1(text string) (list []Package) {
	name := ""
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\r\n")
		if line != "" && line[0] != ' ' && line[0] != '#' {
			name = wanted(line)
			continue
		}
		if version, ok := strings.CutPrefix(line, "  version "); ok {
			list = add(list, name, strings.Trim(version, `"`))
		}
	}
	return list
}

// wanted is the name in the first range of a block, "" for none of a registry.
func wanted(line string) string {
	first, _, _ := strings.Cut(strings.TrimSuffix(line, ":"), ",")
	name, wish := split(strings.Trim(first, `"`))
	if at := strings.Index(first, "@npm:"); at > 0 {
		name, _ = split(strings.Trim(first[at+len("@npm:"):], `"`))
		return name
	}
	if strings.Contains(wish, ":") || strings.Contains(wish, "/") {
		return ""
	}
	return name
}

// split takes name@version apart; without a version it is all name.
func split(text string) (name, version string) {
	at := strings.LastIndex(text, "@")
	if at <= 0 {
		return text, ""
	}
	return text[:at], text[at+1:]
}

// readYAML reads the lockfiles of pnpm and of yarn 2 and later.
func readYAML(text []byte) ([]Package, error) {
	var list []Package
	known := false
	for documents := yaml.NewDecoder(bytes.NewReader(text)); ; {
		var file map[string]yaml.Node
		err := documents.Decode(&file)
		switch {
		case errors.Is(err, io.EOF) && known:
			return list, nil
		case errors.Is(err, io.EOF):
			return nil, errUnknown
		case err != nil:
			return nil, fmt.Errorf("%w (%s)", errUnknown, strings.TrimPrefix(err.Error(), "yaml: "))
		}
		if version, ok := file["lockfileVersion"]; ok {
			known = true
			packages := file["packages"]
			list = append(list, ofPnpm(&packages, strings.HasPrefix(version.Value, "5"))...)
		} else if _, ok := file["__metadata"]; ok {
			known = true
			list = append(list, ofYarn(file)...)
		}
	}
}

// ofPnpm reads keys: /name/1.0.0_peers in version 5, /name@1.0.0(peers) in 6,
// name@1.0.0 in 9.
func ofPnpm(packages *yaml.Node, five bool) (list []Package) {
	for i := 0; i+1 < len(packages.Content); i += 2 {
		key, _, _ := strings.Cut(strings.TrimPrefix(packages.Content[i].Value, "/"), "(")
		name, version := split(key)
		if five {
			at := strings.LastIndex(key, "/")
			if at < 0 {
				continue
			}
			name = key[:at]
			version, _, _ = strings.Cut(key[at+1:], "_")
		}
		list = add(list, name, version)
	}
	return list
}

// ofYarn reads resolutions such as name@npm:1.0.0.
func ofYarn(file map[string]yaml.Node) (list []Package) {
	for _, node := range file {
		var e struct {
			Resolution string `yaml:"resolution"`
		}
		if node.Decode(&e) != nil {
			continue // a block of another kind
		}
		if at := strings.LastIndex(e.Resolution, "@npm:"); at > 0 {
			version, _, _ := strings.Cut(e.Resolution[at+len("@npm:"):], "::")
			list = add(list, e.Resolution[:at], version)
		}
	}
	return list
}

// add adds a package, unless it is none of a registry.
func add(list []Package, name, version string) []Package {
	plain := func(s string) bool { return s != "" && !strings.ContainsAny(s, ":\\ \t\"'<>|?*#%") }
	if !plain(name) || !plain(version) || strings.Contains(version, "/") || strings.HasPrefix(name, ".") {
		return list
	}
	return append(list, Package{name, version})
}
