package discover

import (
	"encoding/xml"
	"slices"
	"strings"
	"testing"
)

func TestTOMLErrorsNameTheLine(t *testing.T) {
	for text, want := range map[string]string{
		"a = 1\nb":           "line 2:",
		"a = \"x":            "line 1:",
		"a = [1,\n2":         "line 1:",
		"a = [1 2]":          "line 1:",
		"a = [1] x":          "line 1:",
		"a = 'x' y":          "line 1:",
		"a = {b = 1}":        "line 1:",
		"a = \"x\\u0041\"":   "line 1:",
		"a =":                "line 1:",
		"[x":                 "line 1:",
		"a = [ [1], [2] ]":   "line 1:",
		"\n\na = [\n'x\n]\n": "line 4:",
		"a = [ , ]":          "line 1:",
	} {
		_, err := parseTOML(text)
		if err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
}

func FuzzTOML(f *testing.F) {
	for _, s := range []string{"", "a='b'", "a=[1,\n2]#c", "[[x]]\nb=true", "a=[", "a=\"\\\"", "[", "=", "a=[]]", "a=']'", "\ufeff[a]"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		list, err := parseTOML(text)
		if err == nil && strings.TrimSpace(text) == "" && len(list) > 0 {
			t.Errorf("%q: %v out of nothing", text, list)
		}
		for _, l := range list {
			if l.key != "" && slices.ContainsFunc(l.values, func(v string) bool { return strings.Contains(v, "\n") }) {
				t.Errorf("%q: a value over two lines: %q", text, l)
			}
		}
		var rs registries
		if (rs.add([]byte(text)) == nil) != (err == nil) {
			t.Errorf("%q: the error got lost", text)
		}
		for _, host := range rs.hosts() {
			rs.locations(host)
		}
	})
}

func FuzzINI(f *testing.F) {
	for _, s := range []string{"", "a=b", "[s]\na : b\n c", " a", "=", "a", "#\n;\n[", "a==b", "\xef\xbb\xbfa=b"} {
		f.Add(s)
	}
	m := Options{Home: f.TempDir(), Env: func(string) (string, bool) { return "", false }}
	f.Fuzz(func(t *testing.T, text string) {
		for _, continued := range []bool{true, false} {
			list, _ := parseINI([]byte(text), "=:", continued)
			for _, s := range list {
				if s.key == "" || strings.ContainsAny(s.key, "=:\n") {
					t.Errorf("%q: key %q", text, s.key)
				}
			}
		}
		s := npmSettings{values: map[string]string{}, files: map[string]string{}}
		if s.add(newMachine(m), "npmrc", []byte(text)) == nil {
			s.auth(s.values["registry"])
		}
	})
}

func FuzzGemSources(f *testing.F) {
	for _, s := range []string{"", ":sources:\n- https://a.example/", "sources: [http://a, b://c]", "-", "sources:", ":sources: []"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		for _, s := range gemSources(text) {
			if !strings.Contains(s, "://") || !strings.Contains(text, s) {
				t.Errorf("%q: source %q", text, s)
			}
		}
	})
}

func FuzzXMLFiles(f *testing.F) {
	for _, s := range []string{"", "<settings/>", "<configuration><packageSources><clear/><add key='a' value='b://%x%%'/></packageSources></configuration>",
		"<settings><mirrors><mirror><mirrorOf>*,!central</mirrorOf></mirror></mirrors></settings>"} {
		f.Add(s)
	}
	m := newMachine(Options{Home: f.TempDir(), Env: func(string) (string, bool) { return "", false }})
	f.Fuzz(func(t *testing.T, text string) {
		var settings mavenFile
		if xml.Unmarshal([]byte(text), &settings) == nil && len(settings.central(m, "x")) > 0 &&
			!strings.Contains(text, "mirrorOf") && !strings.Contains(text, "repository") {
			t.Errorf("%q: an address out of nothing", text)
		}
		var nuget nugetFile
		if xml.Unmarshal([]byte(text), &nuget) == nil && len(nuget.found(m, "x")) > 0 && !strings.Contains(text, "add") {
			t.Errorf("%q: a source out of nothing", text)
		}
	})
}
