package config

import (
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"
)

const (
	exampleFile = "../../../config.example.yaml"
	manualFile  = "../../../docs/configuration.md"
)

func readText(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestExampleHoldsTheDefaults: the example changes nothing, and sets every key
// that can be set outside of a list.
func TestExampleHoldsTheDefaults(t *testing.T) {
	only := []string{"npm"}
	l, err := Load(Source{File: exampleFile, Formats: only})
	if err != nil {
		t.Fatal(err)
	}
	empty := func(c *Config) { // lists that are written down are empty, not nil
		c.TrustedProxies, c.Policy = nil, Policy{}
		u, r := c.Upstreams["npm"], c.Registries["npm"]
		u.AllowHosts, u.Hosts, u.Namespaces, u.Allow, u.Deny, u.Prefetch, r.Hosts, r.Retention = nil, nil, nil, nil, nil, nil, nil, nil
		c.Upstreams["npm"], c.Registries["npm"] = u, r
	}
	want := Default(only)
	empty(&want)
	for name, n := range map[string]int{"trusted_proxies": len(l.TrustedProxies), "claims": len(l.Policy.Claims), "rules": len(l.Policy.Rules), "waivers": len(l.Policy.Waivers)} {
		if n != 0 {
			t.Errorf("%s has %d entries", name, n)
		}
	}
	if empty(&l.Config); !reflect.DeepEqual(l.Config, want) {
		t.Errorf("the example says\n%+v\nand the defaults are\n%+v", l.Config, want)
	}
	for _, k := range Keys() {
		path := strings.ReplaceAll(k.Path, "<name>", "npm")
		if !strings.Contains(path, "[]") && l.Sources[path] == "" {
			t.Errorf("the example lacks %s", k.Path)
		}
	}
}

// TestExampleEntries: what is commented out there sets every key of the lists,
// and is good once the # is taken away.
func TestExampleEntries(t *testing.T) {
	text := regexp.MustCompile(`: \[\]\n(\s+)#-`).ReplaceAllString(readText(t, exampleFile), ":\n$1#-")
	text = regexp.MustCompile(`(?m)^(\s+)#(-|  \w)`).ReplaceAllString(text, "$1$2")
	l, err := Load(Source{File: write(t, text), Formats: []string{"npm"}})
	if err != nil {
		t.Fatal(err)
	}
	if len(l.Policy.Claims) != 1 || len(l.Policy.Rules) != 3 || len(l.Policy.Waivers) != 1 {
		t.Errorf("%+v", l.Policy)
	}
	for _, k := range Keys() {
		before, after, ok := strings.Cut(strings.ReplaceAll(k.Path, "<name>", "npm"), "[]")
		set := false
		for _, i := range []string{"[0]", "[1]", "[2]"} {
			set = set || l.Sources[before+i+after] != ""
		}
		if ok && !set {
			t.Errorf("the example shows no %s", k.Path)
		}
	}
}

// TestManual: the manual has a line for each key, with its variable and default.
func TestManual(t *testing.T) {
	lines := map[string]string{}
	for line := range strings.Lines(readText(t, manualFile)) {
		if key, _, ok := strings.Cut(strings.TrimPrefix(line, "| `"), "`"); ok && strings.HasPrefix(line, "| `") {
			lines[key] = line
		}
	}
	for _, k := range Keys() {
		line := lines[k.Path]
		delete(lines, k.Path)
		for _, want := range []string{k.Env, "| `" + k.Default + "` |"} {
			if !strings.Contains(line, want) {
				t.Errorf("the line of %s lacks %s: %q", k.Path, want, line)
			}
		}
	}
	for key := range lines {
		t.Errorf("the manual describes %s, which is no key", key)
	}
}
