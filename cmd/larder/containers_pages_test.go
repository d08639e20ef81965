package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestContainerPages does what the pages about containers show, each as one story
// with the real clients: the settings of podman that are on its page, and each
// command from the first to the last.
func TestContainerPages(t *testing.T) {
	settings := fenced(read(t, "containers/podman.md"), "toml")
	if !strings.Contains(settings, "[[registry.mirror]]") {
		t.Fatalf("the page of podman shows no mirror: %q", settings)
	}
	dir := t.TempDir()
	for page, team := range map[string]string{"containers.md": "", "containers/podman.md": team, "containers/tools.md": team} {
		blocks := strings.Split(read(t, page), "```console\n")[1:]
		if len(blocks) < 2 && page != "containers/podman.md" || len(blocks) == 0 {
			t.Errorf("%s has lost its commands", page)
		}
		var b strings.Builder
		for _, block := range blocks {
			commands, _, _ := strings.Cut(block, "```")
			b.WriteString(played(t, commands))
		}
		story := beforePages + team + b.String() + pageFiles + settings
		story = strings.ReplaceAll(story, `127\.0\.0\.1:8080`, `127\.0\.0\.1:[0-9]+`)
		story = strings.ReplaceAll(story, "127.0.0.1:8080", "$LARDER_HOST")
		name := strings.ReplaceAll(strings.TrimSuffix(page, ".md"), "/", "_")
		if err := os.WriteFile(filepath.Join(dir, name+".txtar"), []byte(story), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	testscript.Run(t, params(t, dir))
}

// TestContainerPagesConfigure loads what the pages show of the configuration.
func TestContainerPagesConfigure(t *testing.T) {
	n := 0
	for _, page := range []string{"containers.md", "containers/docker.md"} {
		for _, block := range strings.Split(read(t, page), "```yaml\n")[1:] {
			text, _, _ := strings.Cut(block, "```")
			configOf(t, text)
			n++
		}
	}
	if n < 4 {
		t.Errorf("%d examples: the pages have lost some", n)
	}
}

func read(t *testing.T, page string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("../../docs", filepath.FromSlash(page)))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// What the pages take for granted: a server with a mirror, its first token where
// the server leaves it, a folder with an image to build and a chart.
const (
	beforePages = `oci-upstream up
oci-image up team/app:1
expand larder.yaml
larder-start --config larder.yaml
containers
expand registries.conf
cp registries.conf home/.config/containers/registries.conf
mkdir home/.local/share/larder
exec sh -c 'echo $ADMIN_TOKEN > ~/.local/share/larder/admin.token'
exec helm create app
exec helm package app --version 1.4.0
`
	team = `exec larder user create acme --org
exec larder user create bob
exec larder grant acme/packages bob write
exec sh -c 'larder token create --user bob --scopes read:packages,write:packages > token'
`
	pageFiles = `-- larder.yaml --
upstreams:
  up: {format: oci, url: $UP}
-- Containerfile --
FROM scratch
COPY sbom.json /sbom.json
-- sbom.json --
{}
-- registries.conf --
`
)
