package discover

import (
	"archive/zip"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

// fake is a machine of which the test decides everything.
type fake struct {
	t          *testing.T
	home, root string
	env        map[string]string
	installed  map[string]string // command to the path of its file
	answers    map[string]string // command line to output; no entry: it fails
	self       []string

	mu    sync.Mutex
	asked []string
}

func newFake(t *testing.T) *fake {
	dir := t.TempDir()
	return &fake{t: t, home: filepath.Join(dir, "home"), root: filepath.Join(dir, "root"),
		env: map[string]string{}, installed: map[string]string{}, answers: map[string]string{}}
}

// file writes below home ("~/…") or below root ("/…") and returns the real path.
func (f *fake) file(name, text string) string {
	f.t.Helper()
	path := filepath.Join(f.root, name)
	if rest, ok := strings.CutPrefix(name, "~/"); ok {
		path = filepath.Join(f.home, rest)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		f.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		f.t.Fatal(err)
	}
	return path
}

// command installs a client that answers as told.
func (f *fake) command(line, output string) {
	name, _, _ := strings.Cut(line, " ")
	f.installed[name] = filepath.Join(f.root, "bin", name)
	f.answers[line] = output
}

// jar writes a library that holds one file.
func (f *fake) jar(name, entry, text string) {
	f.t.Helper()
	path := f.file(name, "")
	out, err := os.Create(path)
	if err != nil {
		f.t.Fatal(err)
	}
	z := zip.NewWriter(out)
	w, err := z.Create(entry)
	if err == nil {
		_, err = w.Write([]byte(text))
	}
	if err := errors.Join(err, z.Close(), out.Close()); err != nil {
		f.t.Fatal(err)
	}
}

func (f *fake) options(formats ...string) Options {
	return Options{
		Formats: formats, Home: f.home, Root: f.root, Self: f.self, Names: []string{"thishost", "192.0.2.7"},
		Env: func(name string) (string, bool) { v, ok := f.env[name]; return v, ok },
		LookPath: func(name string) (string, error) {
			if p, ok := f.installed[name]; ok {
				return p, nil
			}
			return "", exec.ErrNotFound
		},
		Run: func(_ context.Context, c Command) (string, error) {
			line := strings.Join(append([]string{c.Name}, c.Args...), " ")
			if slices.Contains(c.Env, "GOENV=off") {
				line += " GOENV=off"
			}
			f.mu.Lock()
			f.asked = append(f.asked, line)
			f.mu.Unlock()
			if out, ok := f.answers[line]; ok {
				return out, nil
			}
			return "", errors.New("exit status 1")
		},
	}
}

// find searches for one format and writes results as "URL auth" or "! note".
func (f *fake) find(format string) []string {
	f.t.Helper()
	var list []string
	for _, r := range Find(f.t.Context(), f.options(format)) {
		switch {
		case r.Format != format || r.Source == "":
			f.t.Errorf("incomplete: %+v", r)
		case r.URL == "":
			list = append(list, "! "+r.Note)
		case r.Auth.Type == "bearer":
			list = append(list, r.URL+" "+r.Auth.Token.Reveal())
		case r.Auth.Type == "basic":
			list = append(list, r.URL+" "+r.Auth.Username+":"+r.Auth.Password.Reveal())
		default:
			list = append(list, r.URL)
		}
		if r.Secret != (r.Auth.Type != "") {
			f.t.Errorf("Secret is wrong: %+v", r)
		}
	}
	return list
}

const nothing = "! no client of this format names an upstream"

// check compares; a wanted note may be given by its beginning.
func (f *fake) check(format string, want ...string) {
	f.t.Helper()
	got := f.find(format)
	ok := len(got) == len(want)
	for i := 0; ok && i < len(want); i++ {
		ok = got[i] == want[i] || (want[i][0] == '!' && strings.HasPrefix(got[i], want[i]))
	}
	if !ok {
		f.t.Errorf("%s: found %q, want %q", format, got, want)
	}
}
