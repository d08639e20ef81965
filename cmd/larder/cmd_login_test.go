package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"larder/cmd/larder/config"
	"larder/upstream/discover"
)

func TestCmdLogin(t *testing.T) {
	f := newAPI(t, map[string]string{"GET /api/v1/whoami": `200 {"user":"bob","scopes":["repo"]}`})
	file, err := profileFile()
	if err != nil {
		t.Fatal(err)
	}
	_, stderr, err := larder(t, "ldrp_kept\n", "login", "--server", f.url+"/")
	if err != nil || !strings.Contains(stderr, "as bob") || strings.Contains(stderr, "ldrp_kept") {
		t.Fatalf("%v %q", err, stderr)
	}
	info, err := os.Stat(file)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", info, err)
	}
	tokenOf := func(name, url, token string, args ...string) string {
		t.Setenv("LARDER_URL", url)
		t.Setenv("LARDER_TOKEN", token)
		f.tokens = nil
		if _, _, err := larder(t, "", append([]string{"whoami"}, args...)...); err != nil || len(f.tokens) != 1 {
			t.Errorf("%s: %v, %q", name, err, f.tokens)
			return ""
		}
		return f.tokens[0]
	}
	if got := tokenOf("the profile", "", ""); got != "ldrp_kept" {
		t.Errorf("the profile: %q", got)
	}
	if got := tokenOf("a variable", "", "ldrp_variable"); got != "ldrp_variable" {
		t.Errorf("a variable: %q", got)
	}
	// The same machine under another name is another server.
	other := strings.Replace(f.url, "127.0.0.1", "localhost", 1)
	if got := tokenOf("another server", other, ""); got != "" {
		t.Errorf("the token went to another server: %q", got)
	}
	if got := tokenOf("another server by flag", "", "", "--server", other); got != "" {
		t.Errorf("the token went to another server: %q", got)
	}
	if _, _, err := larder(t, "", "logout"); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(file); !os.IsNotExist(err) {
		t.Errorf("left after the logout: %v", err)
	}
	if _, _, err := larder(t, "", "logout"); err != nil {
		t.Errorf("a second logout: %v", err)
	}
}

func TestCmdLoginRefuses(t *testing.T) {
	f := newAPI(t, map[string]string{"GET /api/v1/whoami": `401 {"status":401,"detail":"the token is unknown"}`})
	if _, _, err := larder(t, "ldrp_bad", "login"); exitCode(err) != exitDenied {
		t.Errorf("a bad token: %v", err)
	}
	for _, text := range []string{"", "two words", "a\nb"} {
		if _, _, err := larder(t, text, "login"); exitCode(err) != exitUsage {
			t.Errorf("%q: %v", text, err)
		}
	}
	if p, err := loadProfile(); err != nil || p != (profile{}) {
		t.Errorf("kept %+v, %v", p, err)
	}
	f.want("GET /api/v1/whoami")
}

// The token that the first start wrote is used on the same machine only.
func TestCmdAdminToken(t *testing.T) {
	f := newAPI(t, map[string]string{"GET /api/v1/whoami": `200 {"user":"admin"}`})
	t.Setenv("LARDER_TOKEN", "")
	dir := t.TempDir()
	t.Setenv("LARDER_DATA", dir)
	if err := os.WriteFile(filepath.Join(dir, "admin.token"), []byte("ldrp_first\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := larder(t, "", "whoami"); err != nil || f.tokens[0] != "ldrp_first" {
		t.Errorf("%v %q", err, f.tokens)
	}
	c, err := (&remote{server: "https://packages.example"}).connect()
	if err != nil || c.token != "" {
		t.Errorf("%q would go away: %v", c.token, err)
	}
}

func TestCmdBrokenProfile(t *testing.T) {
	newAPI(t, nil)
	file, err := profileFile()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	wantExit(t, 1, "larder login", "whoami")
}

// What init writes is taken by serve, and holds what was found.
func TestCmdInitialConfig(t *testing.T) {
	text := initialConfig([]discover.Found{
		{Format: "npm", URL: "http://npm.upstream.example/", Source: "a\nfile", Secret: true},
		{Format: "npm", URL: "http://second.upstream.example/", Source: "another"},
		{Format: "maven", Note: "nothing is installed"},
	})
	file := filepath.Join(t.TempDir(), "larder.yaml")
	if err := writeNew(file, text); err != nil {
		t.Fatal(err)
	}
	l, err := config.Load(config.Source{File: file, Formats: []string{"npm", "maven"}})
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	if l.Upstreams["npm"].URL.Reveal() != "http://npm.upstream.example/" || l.Upstreams["maven"].URL.Reveal() != config.Auto || !strings.Contains(text, "not copied") {
		t.Errorf("%+v\n%s", l.Upstreams, text)
	}
	if err := writeNew(file, "x"); exitCode(err) != exitUsage {
		t.Errorf("written over: %v", err)
	}
}
