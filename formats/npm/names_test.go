package npm

import (
	"errors"
	"strings"
	"testing"

	"larder/formats"
)

func TestNames(t *testing.T) {
	long := strings.Repeat("a", 215)
	for _, c := range []struct {
		name           string
		readable, born bool
	}{
		{"left-part", true, true},
		{"@acme/widget", true, true},
		{"@acme/widget.js", true, true},
		{"@a~b/c_d", true, true},
		{"7zip", true, true},
		{"-x", true, true},
		{"JSONStream", true, false},
		{"@Acme/widget", true, false},
		{"it's(old)!*", true, false},
		{"", false, false},
		{"-", false, false},
		{"@acme/-", false, false},
		{"@acme", false, false},
		{"@/x", false, false},
		{"@acme/", false, false},
		{"@acme/a/b", false, false},
		{"a/b", false, false},
		{".hidden", false, false},
		{"_private", false, false},
		{"__proto__", false, false},
		{"@.a/b", false, false},
		{"@a/.b", false, false},
		{"..", false, false},
		{"node_modules", false, false},
		{"favicon.ico", false, false},
		{"Node_Modules", false, false},
		{"a b", false, false},
		{"a%2fb", false, false},
		{"a\\b", false, false},
		{"a\x00", false, false},
		{"naïve", false, false},
		{long, false, false},
		{long[1:], true, true},
	} {
		if got := readableName(c.name); got != c.readable {
			t.Errorf("readableName(%q) = %v", c.name, got)
		}
		err := checkNewName(c.name)
		if (err == nil) != c.born {
			t.Errorf("checkNewName(%q) = %v", c.name, err)
		}
		if err != nil && !errors.Is(err, formats.ErrBadRequest) {
			t.Errorf("checkNewName(%q) = %v, not a bad request", c.name, err)
		}
	}
}

func TestFileName(t *testing.T) {
	for _, c := range []struct {
		name, version, want string
		safe                bool
	}{
		{"left-part", "1.0.0", "left-part-1.0.0.tgz", true},
		{"@acme/widget", "1.0.0-beta.1", "widget-1.0.0-beta.1.tgz", true},
		{"a", "1.0.0+build", "a-1.0.0+build.tgz", true},
		{"a", "../../etc", "a-../../etc.tgz", false},
		{"a", "..", "a-...tgz", false},
		{"a", "1\t2", "a-1\t2.tgz", false},
		{"a", "", "a-.tgz", false},
		{"a", "1.0.0%2f", "a-1.0.0%2f.tgz", false},
	} {
		got, safe := FileName(c.name, c.version)
		if got != c.want || safe != c.safe {
			t.Errorf("FileName(%q, %q) = %q, %v", c.name, c.version, got, safe)
		}
	}
}

func TestTags(t *testing.T) {
	for tag, ok := range map[string]bool{
		"latest": true, "beta": true, "cjs": true, "v": true, "next-11": true, "release_1": true, "x-ray": true,
		"1": false, "v1": false, "1.x": false, "1.2": false, "1.0.0": false, "1.0.0-rc.1": false, "^1": false, "~1.2": false,
		"*": false, "x": false, "": false, "||": false, ">=1": false, "=v1.2.3": false, "1||2": false, "1.0.0+b": false,
		"a b": false, "a/b": false, "..": false, "a%20": false, "a\n": false, "a|b": false,
	} {
		if err := checkTag(tag); (err == nil) != ok {
			t.Errorf("checkTag(%q) = %v", tag, err)
		}
	}
}

func TestNewVersions(t *testing.T) {
	for version, ok := range map[string]bool{
		"1.0.0": true, "0.0.0": true, "1.0.0-beta.1": true, "1.0.0-0": true, "1.0.0--": true, "1.0.0-0a": true, "9007199254740991.0.0": true,
		"": false, "1": false, "1.0": false, "v1.0.0": false, "=1.0.0": false, " 1.0.0": false, "1.0.0 ": false, "01.0.0": false,
		"1.0.0-01": false, "1.0.0-": false, "1.0.0-a..b": false, "1.0.0+build": false, "1.0.0-a+b": false, "1.0.0.0": false,
		"9007199254740992.0.0": false, "99999999999999999999.0.0": false, "1.0.0-é": false,
		"1.0.0-" + strings.Repeat("a", 250): true, "1.0.0-" + strings.Repeat("a", 251): false,
	} {
		if err := checkNewVersion(version); (err == nil) != ok {
			t.Errorf("checkNewVersion(%q) = %v", version, err)
		}
	}
}

func TestVersionOrder(t *testing.T) {
	ordered := []string{"", "nonsense", "1.0.0-0", "1.0.0-1", "1.0.0-2", "1.0.0-10", "1.0.0-alpha", "1.0.0-alpha.1", "1.0.0-beta", "1.0.0", "1.0.1", "1.9.0", "1.10.0", "2.0.0-rc.1", "2.0.0"}
	for i, a := range ordered {
		for j, b := range ordered {
			got := compareVersions(a, b)
			if (got < 0) != (i < j) || (got > 0) != (i > j) {
				t.Errorf("compareVersions(%q, %q) = %d", a, b, got)
			}
		}
	}
}

func TestLatest(t *testing.T) {
	for _, c := range []struct {
		versions []string
		want     string
	}{
		{nil, ""},
		{[]string{"1.0.0"}, "1.0.0"},
		{[]string{"1.10.0", "1.9.0", "2.0.0-rc.1"}, "1.10.0"},
		{[]string{"2.0.0-rc.2", "2.0.0-rc.10", "2.0.0-rc.1"}, "2.0.0-rc.10"},
		{[]string{"nonsense", "1.0.0-a"}, "1.0.0-a"},
	} {
		if got := Latest(c.versions); got != c.want {
			t.Errorf("Latest(%q) = %q, want %q", c.versions, got, c.want)
		}
	}
}

func FuzzNames(f *testing.F) {
	for _, s := range []string{"a", "@a/b", "@a/b/c", "-", "1.0.0", "1.x", "a\x00", "\xff", "@", "@/", ".."} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if checkNewName(s) == nil && (!readableName(s) || s != strings.ToLower(s)) {
			t.Errorf("%q may be published and not read", s)
		}
		if readableName(s) && strings.ContainsAny(s, "\\\x00\n%?# ") {
			t.Errorf("%q is readable", s)
		}
		if checkTag(s) == nil && checkNewVersion(s) == nil {
			t.Errorf("%q is both a tag and a version", s)
		}
		if file, ok := FileName("a", s); ok && strings.ContainsAny(file, "/\\\t\n\x00%") {
			t.Errorf("file name %q", file)
		}
		if checkNewVersion(s) == nil && !safeVersion(s) {
			t.Errorf("version %q has no file name", s)
		}
	})
}
