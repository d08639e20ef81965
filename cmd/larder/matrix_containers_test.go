package main

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http/httptest"
	"testing"
	"time"

	"larder/cmd/larder/config"
	"larder/formats"
)

// containerMatrix is the row of containers. A version is a tag; its manifest is an
// index of nothing, which needs nothing else of its image.
func containerMatrix() matrixFormat {
	const absent = "sha256:00000000000000000000000000000000000000000000000000000000000000ff"
	blob := containerDigest("{}")
	return matrixFormat{
		name:    "oci",
		created: 201,
		pkg:     func(home, word string) string { return home + "/" + word },
		claim:   func(home string) string { return home + "/**" },
		at:      func(string) []string { return []string{"/v2/"} },
		stored:  func(version string) string { return containerDigest(containerIndex(version)) },
		reads: func(at, pkg, version string) []ask {
			return []ask{
				{method: "GET", path: at + pkg + "/manifests/" + version},
				{method: "GET", path: at + pkg + "/tags/list"},
				{method: "GET", path: at + pkg + "/referrers/" + blob},
				{method: "GET", path: at + pkg + "/blobs/" + blob},
				{method: "GET", path: at + pkg + "/manifests/" + containerDigest(containerIndex(version))},
			}
		},
		publish: func(_ *testing.T, at, pkg, version string) ask {
			return ask{
				method: "PUT", path: at + pkg + "/manifests/" + version, body: containerIndex(version),
				header: []string{"Content-Type: application/vnd.oci.image.index.v1+json"},
			}
		},
		deletes: func(_ *matrix, at, pkg, version string) []ask {
			return []ask{{method: "DELETE", path: at + pkg + "/manifests/" + containerDigest(containerIndex(version))}}
		},
		settings: func(string, string) []ask { return nil },
		writes: func(at, pkg string) []ask {
			uploads := at + pkg + "/blobs/uploads/"
			return []ask{
				{method: "POST", path: uploads + "?digest=" + blob, body: "{}"},
				{method: "POST", path: uploads},
				{method: "POST", path: uploads + "?mount=" + blob + "&from=public/here"},
				{method: "POST", path: uploads + "?mount=" + absent},
				{method: "GET", path: uploads + "nosuchsession"},
				{method: "PATCH", path: uploads + "nosuchsession", body: "{}"},
				{method: "PUT", path: uploads + "nosuchsession?digest=" + blob, body: "{}"},
				{method: "DELETE", path: uploads + "nosuchsession"},
			}
		},
		removes: func(at, pkg string) []ask {
			return []ask{
				{method: "DELETE", path: at + pkg + "/manifests/nosuchtag"},
				{method: "DELETE", path: at + pkg + "/manifests/" + absent},
				{method: "DELETE", path: at + pkg + "/blobs/" + absent},
			}
		},
	}
}

func containerIndex(version string) string {
	return fmt.Sprintf(`{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[],"annotations":{"version":%q}}`, version)
}

func containerDigest(body string) string {
	sum := sha256.Sum256([]byte(body))
	return "sha256:" + hex.EncodeToString(sum[:])
}

// further tries what a format has beside publishing and deleting versions. Whoever
// may is not refused; what comes of it then is the format's business.
func (m *matrix) further(c matrixCaller, asks []ask, want string) {
	m.t.Helper()
	for i, a := range asks {
		got := m.sent(c, m.serial+i, a)
		switch {
		case want != "ok":
			m.checkWrite(c, a, got, want)
		case got.status == 401 || got.status == 403 || got.status >= 500:
			m.t.Errorf("%s: %s: %d %.300s", c.name, a, got.status, got.body)
		}
	}
}

// TestEveryContainerOperationIsInTheMatrix: the row asks for all that the routes
// of the format have, but for what reveals nothing.
func TestEveryContainerOperationIsInTheMatrix(t *testing.T) {
	f, seen := containerMatrix(), map[string]bool{}
	cfg, err := config.Load(config.Source{Formats: formatNames()})
	if err != nil {
		t.Fatal(err)
	}
	list, err := formatList(cfg, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	format, err := list.Find(f.name)
	if err != nil {
		t.Fatal(err)
	}
	asks := append(f.reads("/v2/", "a/b", "1"), f.publish(t, "/v2/", "a/b", "1"))
	asks = append(append(asks, f.writes("/v2/", "a/b")...), f.removes("/v2/", "a/b")...)
	for _, a := range asks {
		r := httptest.NewRequest(a.method, a.path, nil)
		segments, _, err := formats.SplitPath(r.URL)
		if err != nil {
			t.Fatal(err)
		}
		req, err := format.Parse(r, segments[1:])
		if err != nil {
			t.Errorf("%s: %v", a, err)
		}
		seen[req.Op] = true
	}
	for _, op := range []string{
		"manifest", "blob", "tags", "referrers", "upload", "mount", "session", "chunk", "commit", "cancel", "manifest-put", "manifest-delete", "blob-delete",
	} {
		if !seen[op] {
			t.Errorf("nobody tries %s", op)
		}
	}
}
