package main

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// layer says what the packages at or below a path may import.
type layer struct {
	path     string
	own      []string // packages of this module, each with all below it
	external []string // modules of others, by prefix
}

// layers is the order of the house: the first entry that fits decides.
func layers() []layer {
	const (
		sync   = "golang.org/x/sync"
		system = "golang.org/x/sys"
	)
	return []layer{
		{path: "cmd/bench/seed", own: []string{"cache", "policy"}, external: []string{sync}},
		{path: "cmd/bench/decide", own: []string{"cache", "policy", "proxy/accounts", "cmd/bench/seed"}, external: []string{sync}},
		{path: "cmd/bench", own: []string{"upstream/upstreamtest"}, external: []string{sync}},
		{path: "cmd/larder/config", own: []string{"upstream", "policy", "cache", "formats"}, external: []string{"go.yaml.in/yaml"}},
		{path: "cmd", own: []string{""}, external: []string{""}},
		{path: "proxy/admin", own: []string{"proxy", "policy", "cache", "upstream", "formats"}, external: []string{"github.com/prometheus/", "github.com/go-json-experiment/json", sync}},
		{path: "proxy/accounts", own: []string{"policy", "cache", "formats"}, external: []string{sync}},
		{path: "proxy/registry", own: []string{"cache", "policy", "upstream", "formats"}, external: []string{sync, "github.com/hashicorp/golang-lru", "github.com/klauspost/compress"}},
		{path: "proxy", own: []string{"proxy/registry", "formats", "policy", "cache", "upstream"}, external: []string{"github.com/rs/zerolog", sync, system}},
		{path: "formats/all", own: []string{"formats"}},
		{path: "formats/formattest", own: []string{"formats", "policy", "cache"}},
		{path: "formats/npm", own: []string{"formats", "policy", "cache"}, external: []string{"github.com/go-json-experiment/json", "github.com/Masterminds/semver", "github.com/klauspost/compress"}},
		{path: "formats/oci", own: []string{"formats", "policy", "cache"}, external: []string{"github.com/go-json-experiment/json", sync}},
		{path: "formats", own: []string{"policy", "cache"}, external: []string{"github.com/klauspost/compress"}},
		{path: "cache/badger", own: []string{"cache"}, external: []string{"github.com/dgraph-io/badger", sync}},
		{path: "cache/tier", own: []string{"cache"}, external: []string{"github.com/hashicorp/golang-lru"}},
		{path: "cache", own: []string{"cache"}, external: []string{sync, system}},
		{path: "policy/directory", own: []string{"policy", "cache"}, external: []string{sync, "github.com/hashicorp/golang-lru", "github.com/go-json-experiment/json"}},
		{path: "policy/token", own: []string{"policy", "cache"}},
		{path: "policy/audit", own: []string{"policy", "cache"}},
		{path: "policy/rulebook", own: []string{"policy", "cache"}},
		{path: "policy", own: []string{"policy"}},
		{path: "upstream/discover", own: []string{"upstream"}, external: []string{"github.com/regclient/regclient/config"}},
		{path: "upstream", own: []string{"upstream"}, external: []string{sync}},
	}
}

// TestImports holds the layers: imports go down only, and each library stays
// where it belongs. It asks the go command, so no package is left out.
func TestImports(t *testing.T) {
	packages := listed(t)
	if len(packages) < 5 {
		t.Fatalf("go list found only %d packages", len(packages))
	}
	for _, p := range packages {
		path := strings.TrimPrefix(p.ImportPath, "larder/")
		at := slices.IndexFunc(layers(), func(l layer) bool { return below(path, l.path) })
		if at < 0 {
			t.Errorf("package %s has no layer: say in this test what it may import", path)
			continue
		}
		l := layers()[at]
		for _, imported := range p.Imports {
			if !l.allows(path, imported) {
				t.Errorf("%s imports %s, which its layer %s may not", path, imported, l.path)
			}
		}
	}
}

func (l layer) allows(importer, imported string) bool {
	if own, ok := strings.CutPrefix(imported, "larder/"); ok {
		return below(own, l.path) && !format(importer, own) || slices.ContainsFunc(l.own, func(p string) bool {
			return below(own, p) && !format(importer, own)
		})
	}
	first, _, _ := strings.Cut(imported, "/")
	if !strings.Contains(first, ".") {
		return true // the standard library
	}
	return slices.ContainsFunc(l.external, func(p string) bool { return strings.HasPrefix(imported, p) })
}

// format reports an import of one format by another, or by anything but the list
// of formats and the program.
func format(importer, imported string) bool {
	rest, ok := strings.CutPrefix(imported, "formats/")
	if !ok || below(importer, imported) || below(importer, "cmd/larder") || below(importer, "formats/all") {
		return false
	}
	return !below(rest, "formattest")
}

func below(path, parent string) bool {
	return parent == "" || path == parent || strings.HasPrefix(path, parent+"/")
}

type listedPackage struct {
	ImportPath string
	Imports    []string
}

func listed(t *testing.T) []listedPackage {
	t.Helper()
	out, err := exec.Command("go", "list", "-json=ImportPath,Imports", "larder/...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var all []listedPackage
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p listedPackage
		switch err := dec.Decode(&p); {
		case errors.Is(err, io.EOF):
			return all
		case err != nil:
			t.Fatal(err)
		}
		all = append(all, p)
	}
}

// TestLayersRefuse shows that the rules can fail.
func TestLayersRefuse(t *testing.T) {
	for _, c := range []struct {
		importer, imported string
		want               bool
	}{
		{"cache/disk", "larder/cache", true},
		{"cache/disk", "larder/proxy", false},
		{"cache/disk", "github.com/rs/zerolog", false},
		{"formats/npm", "larder/formats", true},
		{"formats/npm", "larder/formats/maven", false},
		{"formats/npm", "larder/upstream", false},
		{"proxy", "larder/formats/npm", false},
		{"proxy", "github.com/rs/zerolog", true},
		{"policy/directory", "larder/cache", true},
		{"policy", "net/http", true},
		{"cmd/larder", "larder/formats/npm", true},
	} {
		at := slices.IndexFunc(layers(), func(l layer) bool { return below(c.importer, l.path) })
		if got := layers()[at].allows(c.importer, c.imported); got != c.want {
			t.Errorf("may %s import %s: %v, want %v", c.importer, c.imported, got, c.want)
		}
	}
}
