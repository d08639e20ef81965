package main

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"larder/cmd/larder/config"
	"larder/proxy/admin"
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
	close(u.searched)
	list, err := u.sources(t.Context(), []string{"open", "token", "address"})
	if err != nil || len(list) != 3 || list[0].Private || !list[1].Private || !list[2].Private {
		t.Errorf("%+v, %v", list, err)
	}
}
