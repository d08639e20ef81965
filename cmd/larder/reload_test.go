package main

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/rs/zerolog"

	"larder/cache/disk"
	"larder/cmd/larder/config"
)

func configOf(t *testing.T, text string) *config.Loaded {
	t.Helper()
	file := filepath.Join(t.TempDir(), "larder.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := config.Load(config.Source{File: file, Formats: formatNames()})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// A reload says which changes it cannot take in: silence would look like success.
func TestReloadTellsWhatItDoesNotTakeIn(t *testing.T) {
	old := configOf(t, "cache: {fresh: 1m}\npolicy: {claims: [{id: a, match: ['@a/**'], repository: a/packages}]}\n")
	changed := configOf(t, "cache: {fresh: 2m, negative: 60s}\nlisten: 127.0.0.1:1\nupstreams: {npm: {url: 'http://npm.upstream.example/'}}\nregistries: {npm: {hosted: false, upstreams: [npm]}, two: {format: npm}}\n")
	want := []string{"cache.fresh", "listen", "registries.npm.hosted", "registries.two.default_upstream", "registries.two.format", "registries.two.hosted", "registries.two.hosts", "registries.two.referrers_follow_subject", "registries.two.upstreams"}
	if got := fixed(old, changed); !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	if got := fixed(old, old); got != nil {
		t.Errorf("nothing changed, and it says %q", got)
	}
}

// What is wrong outside the data folder is found before that is made.
func TestADoorThatDoesNotOpen(t *testing.T) {
	open := configOf(t, "listen: 127.0.0.1:0\n")
	d, err := openDoor(open)
	if err != nil {
		t.Fatal(err)
	}
	defer d.listener.Close()
	data := filepath.Join(t.TempDir(), "data")
	for name, tt := range map[string]struct {
		text, want string
		code       int
	}{
		"taken":     {"listen: " + d.listener.Addr().String() + "\n", "address already in use; end the program that listens there", 1},
		"not ours":  {"listen: 192.0.2.1:80\n", "choose another address with --listen", 1},
		"no pair":   {"tls: {cert: none.crt, key: none.key}\n", "none.crt", 2},
		"bad rules": {"listen: 127.0.0.1:0\ncache: {fersh: 1m}\n", "did you mean", 2},
	} {
		file := filepath.Join(t.TempDir(), "larder.yaml")
		if err := os.WriteFile(file, []byte(tt.text), 0o600); err != nil {
			t.Fatal(err)
		}
		err := (&serveFlags{file: file, data: data}).serve(t.Context())
		if err == nil || !strings.Contains(err.Error(), tt.want) || exitCode(err) != tt.code {
			t.Errorf("%s: exit %d, %v", name, exitCode(err), err)
		}
		if _, err := os.Stat(data); err == nil {
			t.Fatalf("%s: the data folder was made", name)
		}
	}
}

// TestRoomIsToldInWords: an operator reads what it means and what to do.
func TestRoomIsToldInWords(t *testing.T) {
	for s, want := range map[disk.State]string{
		disk.Normal: `"level":"info"`, disk.Tight: "are evicted", disk.Full: "publishes are refused; make room", disk.Critical: `"level":"error"`,
	} {
		var out bytes.Buffer
		n := &node{log: zerolog.New(&out), cfg: &config.Loaded{}}
		n.tellRoom(s)
		if !strings.Contains(out.String(), want) || !strings.Contains(out.String(), s.String()) {
			t.Errorf("%s: %s", s, &out)
		}
	}
}

// Mirrors are made at the start, and so are their host names; where their upstreams
// are, and what they may be asked for, is not.
func TestReloadTellsOfMirrors(t *testing.T) {
	old := configOf(t, "upstreams: {hub: {format: oci, url: 'https://a.upstream.example'}}\n")
	changed := configOf(t, "upstreams: {hub: {format: oci, url: 'https://b.upstream.example', allow: [a/**], hosts: [a.example]}, more: {format: oci}, oci: null, other: {format: npm}}\n")
	want := []string{"upstreams.hub.hosts", "upstreams.more.format", "upstreams.oci.format"}
	if got := fixed(old, changed); !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}
