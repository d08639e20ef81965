package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"larder/cmd/larder/config"
	"larder/proxy/admin"
	"larder/upstream/discover"
)

// TestPrivateUpstreams: the engine knows which upstreams let us in by a credential.
func TestPrivateUpstreams(t *testing.T) {
	file := filepath.Join(t.TempDir(), "larder.yaml")
	text := `
upstreams:
  open: {format: npm, url: "http://npm.upstream.example/"}
  token: {format: npm, url: "http://npm.upstream.example/", auth: {type: bearer, token: abcdefgh}}
  address: {format: npm, url: "http://u:p@npm.upstream.example/"}
registries:
  npm: {format: npm, hosted: true, upstreams: [open, token, address]}
`
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := config.Load(config.Source{File: file, Formats: []string{"npm"}})
	if err != nil {
		t.Fatal(err)
	}
	u, err := newUpstreams(l, zerolog.Nop(), admin.NewMetrics("test"), time.Now)
	if err != nil {
		t.Fatal(err)
	}
	list, err := u.sources(t.Context(), []string{"open", "token", "address"})
	if err != nil || len(list) != 3 || list[0].Private || !list[1].Private || !list[2].Private {
		t.Errorf("%+v, %v", list, err)
	}
}

// TestSearchesOfFormats: what is known of one format is used while the client of
// another is asked yet, and is remembered beside what that says.
func TestSearchesOfFormats(t *testing.T) {
	auto := config.Hide(config.Auto)
	cfg := &config.Loaded{Config: config.Config{Data: t.TempDir(), Upstreams: map[string]config.Upstream{
		"npm": {Format: "npm", URL: auto}, "images": {Format: "oci", URL: auto}, "more": {Format: "oci", URL: config.Hide("https://more.example")},
	}}}
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	u, err := newUpstreams(cfg, zerolog.Nop(), admin.NewMetrics("test"), func() time.Time { return now })
	if err != nil {
		t.Fatal(err)
	}
	left, cancel := context.WithCancel(t.Context())
	cancel()
	for _, id := range []string{"npm", "images"} {
		if _, err := u.sources(left, []string{id}); !errors.Is(err, context.Canceled) {
			t.Errorf("%s before anything is known: %v", id, err)
		}
	}
	if list, err := u.sources(left, []string{"more"}); err != nil || len(list) != 1 {
		t.Errorf("what is written down waits: %v, %v", list, err)
	}
	file := filepath.Join(cfg.Data, "upstreams.json")
	found := []discover.Found{{Format: "oci", URL: "https://images.example", Host: "b.example"}, {Format: "npm", URL: "https://npm.example"}}
	if err := discover.Save(file, found, now); err != nil {
		t.Fatal(err)
	}
	if late := u.look(t.Context(), "oci", "127.0.0.1:1", 0); late {
		t.Error("the clients of containers are late")
	}
	close(u.searches["oci"])
	if list, err := u.sources(t.Context(), []string{"images"}); err != nil || len(list) != 1 {
		t.Errorf("%v, %v", list, err)
	}
	if id, err := u.mirrored(t.Context(), "b.example"); err != nil || id != "images" {
		t.Errorf("%q, %v", id, err)
	}
	if _, err := u.sources(left, []string{"npm"}); !errors.Is(err, context.Canceled) || !u.searching("npm") || u.searching("oci") {
		t.Errorf("npm is known: %v", err)
	}
	if known, at := u.remembered(file); !complete(known["oci"]) || !complete(known["npm"]) || !at.Equal(now) {
		t.Errorf("remembered %+v at %s", known, at)
	}
	now = now.Add(2 * rememberFor)
	if known, at := u.remembered(file); len(known) != 0 || !at.Equal(now) {
		t.Errorf("remembered for ever: %+v at %s", known, at)
	}
}
