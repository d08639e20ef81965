package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"larder/upstream/upstreamtest/npmtest"
)

// matrixFormat is what the matrix of access has to know of a format. A new
// format joins by one row in matrixFormats; TestEveryFormatIsInTheMatrix fails
// until it has one.
type matrixFormat struct {
	name string // of the format, and of its registry
	// pkg makes a package's name out of a word for its repository and one for
	// itself; claim matches all names of the same first word.
	pkg   func(home, word string) string
	claim func(home string) string
	// reads are the ways to read a version: documents first, then its files.
	// at is the registry's path with slashes at both ends.
	reads func(at, pkg, version string) []ask
	// publish is a publish of one version, settled whether or not the package is
	// there.
	publish func(t *testing.T, at, pkg, version string) ask
	// deletes remove a version; settings change nothing that is set already.
	// Those of the API are tried for all formats.
	deletes  func(m *matrix, at, pkg, version string) []ask
	settings func(at, pkg string) []ask
	// at lists the paths by which packages of a home are reached; nil: the registry's
	// own and that of the repository.
	at func(home string) []string
	// stored is the version as the API knows it; nil: the same.
	stored func(version string) string
	// writes and removes are what else takes the right to publish and to delete; nil: nothing.
	writes, removes func(at, pkg string) []ask
	// created is the status of a publish.
	created int
	// repositoryScoped formats ask for the scope repo beside.
	repositoryScoped bool
}

func matrixFormats() []matrixFormat {
	return []matrixFormat{{
		name:    "npm",
		created: 201,
		pkg:     func(home, word string) string { return home + "-" + word },
		claim:   func(home string) string { return home + "-*" },
		reads: func(at, pkg, version string) []ask {
			return []ask{
				{method: "GET", path: at + pkg},
				{method: "GET", path: at + pkg, header: []string{"Accept: application/vnd.npm.install-v1+json"}},
				{method: "GET", path: at + pkg + "/" + version},
				{method: "GET", path: at + "-/package/" + pkg + "/dist-tags"},
				{method: "GET", path: at + pkg + "/-/" + pkg + "-" + version + ".tgz"},
			}
		},
		publish: func(t *testing.T, at, pkg, version string) ask {
			return ask{method: "PUT", path: at + pkg, body: npmPublication(t, pkg, version)}
		},
		deletes: func(m *matrix, at, pkg, version string) []ask {
			return []ask{{method: "DELETE", path: at + pkg + "/-/" + pkg + "-" + version + ".tgz/-rev/" + npmRevision(m, pkg)}}
		},
		settings: func(at, pkg string) []ask {
			return []ask{{method: "POST", path: at + "-/package/" + pkg + "/access", body: `{"access":"restricted"}`}}
		},
	}, containerMatrix()}
}

// npmRevision is what a client must know of a package before it deletes of it.
func npmRevision(m *matrix, pkg string) string {
	m.t.Helper()
	var doc struct {
		Rev string `json:"_rev"`
	}
	m.must(json.Unmarshal([]byte(m.want(200, m.admin, ask{method: "GET", path: "/npm/" + pkg + "?write=true"}).body), &doc))
	return doc.Rev
}

func npmPublication(t *testing.T, pkg, version string) string {
	t.Helper()
	return npmPublicationOf(t, pkg, version, nil)
}

// npmPublicationOf puts more files beside the manifest.
func npmPublicationOf(t *testing.T, pkg, version string, files map[string][]byte) string {
	t.Helper()
	all := map[string][]byte{"package.json": fmt.Appendf(nil, `{"name":%q,"version":%q}`, pkg, version)}
	maps.Copy(all, files)
	tarball, err := npmtest.Pack(all)
	if err != nil {
		t.Fatal(err)
	}
	body, err := npmtest.PublishBody(map[string]any{"name": pkg, "version": version}, tarball, "latest")
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

// isFile says that a read is of a file, which has ranges.
func (f matrixFormat) isFile(reads []ask, i int) bool { return i == len(reads)-1 }

func TestEveryFormatIsInTheMatrix(t *testing.T) {
	var have []string
	for _, f := range matrixFormats() {
		have = append(have, f.name)
	}
	slices.Sort(have)
	want := slices.Sorted(slices.Values(formatNames()))
	if !slices.Equal(have, want) {
		t.Errorf("the matrix tries the formats %s, and this program speaks %s: give each a row in matrixFormats",
			strings.Join(have, ", "), strings.Join(want, ", "))
	}
}
