package discover

import (
	"context"
	"errors"
	"io/fs"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"larder/upstream"
)

const self = "! this is the address of this larder itself"

func TestAnEmptyMachineNamesNothing(t *testing.T) {
	f := newFake(t)
	found := Find(t.Context(), f.options())
	if len(found) != len(Formats()) {
		t.Fatalf("%d results for %d formats", len(found), len(Formats()))
	}
	for i, r := range found {
		// Of containers a library knows where they come from.
		if r.Format != Formats()[i] || (r.URL == "") != (r.Format != "oci") || r.Note == "" && r.URL == "" {
			t.Errorf("%+v", r)
		}
	}
	if len(f.asked) != 0 {
		t.Errorf("asked clients that are not there: %q", f.asked)
	}
	f.check("unknown", nothing)
}

func TestAddressesThatAreOfNoUse(t *testing.T) {
	for address, want := range map[string]string{
		"ftp://upstream.example/":             `! an address of kind "ftp"`,
		"/srv/packages":                       `! an address of kind ""`,
		"https://upstream.example/?a=b":       "! the address lacks a host, or has a query",
		"https:///x":                          "! the address lacks a host, or has a query",
		"https://u:hunter2@[::1":              "! the address cannot be read",
		"https://upstream.example/a":          "https://upstream.example/a",
		" https://u:p%40w@upstream.example/a": "https://upstream.example/a u:p@w",
	} {
		f := newFake(t)
		f.env["PIP_INDEX_URL"] = address
		got := f.find("pypi")
		if !strings.HasPrefix(got[0], want) || strings.Contains(got[0], "hunter2") {
			t.Errorf("%q: %q, want %q", address, got, want)
		}
	}
}

func TestThisLarderIsPassedOver(t *testing.T) {
	for address, want := range map[string]bool{
		"http://127.0.0.1:8080/npm/":        true,
		"http://localhost:8080/npm":         true,
		"http://LOCALHOST.:8080/npm":        true,
		"http://[::1]:8080/npm/":            true,
		"http://127.8.8.8:8080/":            true,
		"http://registry.localhost:8080/":   true,
		"http://thishost:8080/":             true,
		"http://192.0.2.7:8080/":            true,
		"https://packages.example/npm/":     true,
		"https://packages.example:443/npm/": true,
		"http://packages.example/npm/":      false,
		"http://127.0.0.1:8081/":            false,
		"http://localhost/":                 false,
		"http://otherhost:8080/":            false,
		"https://upstream.example/":         false,
	} {
		for _, listen := range []string{"127.0.0.1:8080", ":8080", "[::]:8080", "0.0.0.0:8080"} {
			f := newFake(t)
			f.self = []string{listen, "https://packages.example", "not an address"}
			f.env["npm_config_registry"] = address
			got := f.find("npm")[0]
			if strings.HasPrefix(got, self) != want {
				t.Errorf("%s with listener %s: %q, want self %v", address, listen, got, want)
			}
		}
	}
}

func TestPassingOverFindsWhatIsBehind(t *testing.T) {
	f := newFake(t)
	f.self = []string{"127.0.0.1:8080"}
	const here = "http://127.0.0.1:8080/x/"
	f.file("~/.npmrc", "registry="+here)
	f.command("npm config get registry", here)
	f.command("npm config get registry --userconfig=/dev/null --globalconfig=/dev/null", "https://upstream.example/npm/")
	f.check("npm", self, self, "https://upstream.example/npm/")

	f.env["GOPROXY"] = here + ",direct"
	f.command("go env GOPROXY", here)
	f.command("go env GOPROXY GOENV=off", "https://upstream.example/go,direct\n")
	f.check("go", self, self, "https://upstream.example/go")

	f.file("~/.gemrc", ":sources:\n- "+here+"\n")
	f.command("gem sources --list", "*** CURRENT SOURCES ***\n\n"+here+"\n")
	f.command("gem sources --list --norc", "*** CURRENT SOURCES ***\n\nhttps://upstream.example/gem/\n")
	f.check("rubygems", self, self, "https://upstream.example/gem/")
}

func TestFilesGoBeforeCommands(t *testing.T) {
	f := newFake(t)
	f.file("~/.npmrc", "registry=https://upstream.example/npm/")
	f.command("npm config get registry", "https://other.example/")
	f.env["GOPROXY"] = "https://upstream.example/go"
	f.command("go env GOPROXY", "https://other.example/")
	f.check("npm", "https://upstream.example/npm/")
	f.check("go", "https://upstream.example/go")
	if len(f.asked) != 0 {
		t.Errorf("asked %q", f.asked)
	}
}

func TestWhatGoesWrongIsTold(t *testing.T) {
	f := newFake(t)
	f.installed["npm"] = "/bin/npm"
	f.check("npm", "! ask npm: exit status 1; ask npm: exit status 1")
	f.file("~/.m2/settings.xml", "<settings><mirrors>")
	if got := f.find("maven"); len(got) != 1 || !strings.Contains(got[0], "settings.xml: XML syntax error") {
		t.Errorf("maven: %q", got)
	}
	f.file("~/.config/pip/pip.conf", "[global]\n= x\n")
	f.command("python3 -c from pip._internal.models.index import PyPI; print(PyPI.simple_url)", "https://upstream.example/simple\n")
	f.check("pypi", "https://upstream.example/simple")
	f.file("~/.gemrc", strings.Repeat("#", maxFile+1))
	if got := f.find("rubygems"); !strings.Contains(got[0], "more than") {
		t.Errorf("rubygems: %q", got)
	}
	if err := os.Mkdir(filepath.Join(f.home, ".config", "containers"), 0o755); err != nil {
		t.Fatal(err)
	}
	f.file("/etc/docker/daemon.json", "{")
	if got := f.find("oci"); !strings.Contains(got[0], "daemon.json") {
		t.Errorf("oci: %q", got)
	}
}

func TestASilentClientIsGivenUp(t *testing.T) {
	f := newFake(t)
	f.installed["npm"] = "/bin/npm"
	o := f.options("npm")
	o.Timeout = time.Millisecond
	o.Run = func(ctx context.Context, _ Command) (string, error) {
		<-ctx.Done()
		return "", context.Cause(ctx)
	}
	found := Find(t.Context(), o)
	if len(found) != 1 || !found[0].Unanswered || !strings.Contains(found[0].Note, context.DeadlineExceeded.Error()) {
		t.Errorf("%+v", found)
	}
}

func TestRunAsksRealCommands(t *testing.T) {
	m := newMachine(Options{Home: t.TempDir()})
	t.Setenv("P_GONE", "1")
	out, err := m.ask(t.Context(), Command{Name: "sh", Args: []string{"-c", `pwd; echo "$HOME $P_SET${P_GONE-}"`},
		Env: []string{"P_SET=yes"}, Unset: []string{"P_GONE"}})
	dir, errLink := filepath.EvalSymlinks(m.home)
	if err != nil || errLink != nil || out != dir+"\n"+m.home+" yes\n" && out != m.home+"\n"+m.home+" yes\n" {
		t.Errorf("%q, %v", out, err)
	}
	if _, err := m.ask(t.Context(), Command{Name: "sh", Args: []string{"-c", "exit 3"}}); err == nil {
		t.Error("a failing client was believed")
	}
	out, err = m.ask(t.Context(), Command{Name: "sh", Args: []string{"-c", "head -c 3000000 /dev/zero"}})
	if err != nil || len(out) != maxOutput {
		t.Errorf("%d bytes, %v", len(out), err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := m.ask(ctx, Command{Name: "sh", Args: []string{"-c", "sleep 60"}}); !errors.Is(err, context.Canceled) {
		t.Errorf("%v, want context.Canceled", err)
	}
}

// TestRealNPM asks the npm on PATH, of which nothing is assumed but that it
// has a default. Without one, nothing may be found.
func TestRealNPM(t *testing.T) {
	found := Find(t.Context(), Options{Formats: []string{"npm"}, Home: t.TempDir(), Timeout: time.Minute})
	_, missing := exec.LookPath("npm")
	for _, r := range found {
		u, err := url.Parse(r.URL)
		usable := err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != ""
		if usable && r.Source != "" {
			return
		}
	}
	if missing == nil {
		t.Errorf("npm is here, and nothing usable was found: %+v", found)
	}
}

func TestSaveAndLoad(t *testing.T) {
	path := filepath.Join(t.TempDir(), "found.json")
	if _, _, err := Load(path); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("nothing saved: %v", err)
	}
	at := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	found := []Found{
		{Format: "npm", URL: "https://upstream.example/", Source: "~/.npmrc", Secret: true, Auth: upstream.Auth{Type: "bearer", Token: upstream.Hide("hunter2")}},
		{Format: "go", Source: "none", Note: "silent"},
	}
	for range 2 { // the second replaces the first
		if err := Save(path, found, at); err != nil {
			t.Fatal(err)
		}
	}
	got, when, err := Load(path)
	if err != nil || !when.Equal(at) || len(got) != 2 || got[0].URL != found[0].URL || !got[0].Secret || got[1] != found[1] {
		t.Errorf("%+v, %v, %v", got, when, err)
	}
	data, err := os.ReadFile(path)
	if err != nil || strings.Contains(string(data), "hunter2") {
		t.Errorf("the secret was written (%v)", err)
	}
	if entries, err := os.ReadDir(filepath.Dir(path)); err != nil || len(entries) != 1 {
		t.Errorf("left behind: %v, %v", entries, err)
	}
	for name, text := range map[string]string{"broken": "{", "later": `{"version":2}`} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, _, err := Load(path); err == nil {
			t.Errorf("%s: believed", name)
		}
	}
	if err := Save(filepath.Join(path, "x"), found, at); err == nil {
		t.Error("saved below a file")
	}
}
