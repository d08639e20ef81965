package purl

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// dotted orders versions by their numbers; what is none counts as -1.
func dotted(a, b string) int {
	numbers := func(s string) []int {
		var list []int
		for part := range strings.SplitSeq(s, ".") {
			n, err := strconv.Atoi(part)
			if err != nil {
				n = -1
			}
			list = append(list, n)
		}
		for len(list) > 0 && list[len(list)-1] == 0 {
			list = list[:len(list)-1]
		}
		return list
	}
	return slices.Compare(numbers(a), numbers(b))
}

func parsed(t testing.TB, text string) *Pattern {
	t.Helper()
	p, err := ParsePattern(text)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestNames(t *testing.T) {
	for text, names := range map[string][2][]string{ // covered, not covered
		"pkg:npm/left-pad":          {{"left-pad"}, {"left-pad2", "Left-pad", "@x/left-pad", ""}},
		"pkg:npm/@types/*":          {{"@types/node"}, {"@types", "@typesx/node", "types/node", "@types/a/b"}},
		"pkg:npm/%40types/node":     {{"@types/node"}, {"@types/nodes"}},
		"pkg:npm/@types%2Fnode":     {{"@types/node"}, {"@types"}},
		"pkg:npm/evil-*":            {{"evil-", "evil-a"}, {"evil", "@x/evil-a", "evil-a/b"}},
		"pkg:npm/*":                 {{"a"}, {"@a/b"}},
		"pkg:npm/**":                {{"a", "@a/b"}, {""}},
		"pkg:npm/@*/evil":           {{"@a/evil"}, {"evil", "@a/b/evil"}},
		"pkg:gem/rails":             {{"rails"}, {"Rails"}},
		"pkg:NPM/a":                 {{"a"}, {"b"}},
		"pkg://npm/a":               {{"a"}, {"b"}},
		"pkg:maven/com.acme/widget": {{"com.acme:widget"}, {"com.acme:widgets", "com.acme"}},
		"pkg:maven/com.acme/*":      {{"com.acme:widget"}, {"com.acme.sub:widget"}},
		"pkg:maven/com.acme.**":     {{"com.acme:widget", "com.acme.sub:widget"}, {"com.acmex:widget"}},
		"pkg:maven/*/log4j-core":    {{"org.x:log4j-core"}, {"org.x:log4j-api"}},
		"pkg:nuget/Newton.*":        {{"newton.json", "Newton.Json", "NEWTON.JSON"}, {"newton"}},
		"pkg:oci/acme/**":           {{"acme/app", "acme/a/b"}, {"acme", "acmex/app"}},
		"pkg:golang/a.example/b/c":  {{"a.example/b/c"}, {"a.example/b"}},
	} {
		p := parsed(t, text)
		for _, name := range names[0] {
			if !p.MatchName(name) {
				t.Errorf("%s does not cover %q", text, name)
			}
		}
		for _, name := range names[1] {
			if p.MatchName(name) {
				t.Errorf("%s covers %q", text, name)
			}
		}
		if !p.EveryVersion() || !p.MatchVersion("1", nil) || p.Digest() != "" {
			t.Errorf("%s does not cover every version", text)
		}
	}
}

func TestVersions(t *testing.T) {
	for text, versions := range map[string][2]string{ // covered, not covered
		"pkg:npm/a@*":                      {"1.0.0 x", ""},
		"pkg:npm/a@1.0.0":                  {"1.0.0", "1.0 1.0.0-a 1.0.0.0"},
		"pkg:npm/a@1.*":                    {"1.0.0 1.0-b", "10.0 2.1.0"},
		"pkg:npm/a@*-rc*":                  {"1.0.0-rc.1", "1.0.0"},
		"pkg:npm/a@>=1.2.0,<2.0.0":         {"1.2 1.2.0 1.10.0", "1.1.9 2 10"},
		"pkg:npm/a@%3E1.2.0":               {"1.2.1", "1.2.0"},
		"pkg:npm/a@<=1.2.0":                {"1.2.0 0.1 x", "1.2.1"},
		"pkg:npm/a@=1.2.0":                 {"1.2 1.2.0", "1.2.1"},
		"pkg:npm/a@1.0.0-rc.1+b":           {"1.0.0-rc.1+b", "1.0.0-rc.1"},
		"pkg:nuget/a@1.0":                  {"1.0 1 1.0.0", "1.1"},
		"pkg:nuget/A@1.0-Beta":             {"1.0-beta 1.0-BETA", "2"},
		"pkg:nuget/a@*-Beta":               {"1.0-beta", "1.0"},
		"pkg:maven/g/a@1.x":                {"1.x", "1.1"},
		"pkg:maven/g/a@1.0":                {"1 1.0.0", "1.1"},
		"pkg:gem/a@1.0":                    {"1 1.0.0", "1.1"},
		"pkg:deb/a/b@1.0":                  {"1", "1.1"},
		"pkg:cargo/a@1.0.0":                {"1.0.0", "1"},
		"pkg:pypi/a@1!2.0":                 {"1!2.0", "2.0"},
		"pkg:deb/debian/curl@1:7.88.1-10~": {"1:7.88.1-10~", "7.88.1-10"},
	} {
		p := parsed(t, text)
		for _, v := range strings.Fields(versions[0]) {
			if !p.MatchVersion(v, dotted) {
				t.Errorf("%s does not cover %s", text, v)
			}
		}
		for _, v := range strings.Fields(versions[1]) {
			if p.MatchVersion(v, dotted) {
				t.Errorf("%s covers %s", text, v)
			}
		}
		if p.EveryVersion() != (text == "pkg:npm/a@*") {
			t.Errorf("%s is said to cover every version, or not to", text)
		}
	}
	if parsed(t, "pkg:npm/a@>1.0.0").MatchVersion("2.0.0", nil) {
		t.Error("a range holds without an order")
	}
}

func TestDigests(t *testing.T) {
	const hash = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
	for _, text := range []string{
		"pkg:npm/a?checksum=sha256:" + hash, "pkg:npm/a?checksum=sha256%3A" + strings.ToUpper(hash),
		"pkg:oci/acme/app@sha256:" + hash, "pkg:oci/acme/app@sha256%3A" + hash, "pkg:npm/@a/b@1.*?checksum=sha256:" + hash,
	} {
		p := parsed(t, text)
		if p.Digest() != hash || p.EveryVersion() || !p.MatchVersion("1.0.0", nil) {
			t.Errorf("%s: digest %s", text, p.Digest())
		}
		if again := parsed(t, p.String()); again.Digest() != hash {
			t.Errorf("%s is written %s", text, p)
		}
	}
}

// TestPatternMistakes: what could only cover nothing is refused, with what to
// write instead.
func TestPatternMistakes(t *testing.T) {
	for text, want := range map[string]string{
		"":          "write it as pkg:npm/name",
		"x":         "write it as pkg:npm/name",
		"npm/x":     "write it as pkg:npm/name",
		"pkg:npm":   "write it as pkg:npm/name",
		"pkg:npm/":  "write it as pkg:npm/name",
		"pkg:nmp/x": `"nmp" is no type of package URLs: use npm, gem`,
		"pkg:npm/" + strings.Repeat("a", maxText): "is no package URL",
		"pkg:npm/" + strings.Repeat("a", 300):     "longer than",
		"pkg:npm/@acme":                           "write pkg:npm/@acme/* for all in it",
		"pkg:npm/@acme**":                         "write pkg:npm/@acme/* for all in it",
		"pkg:npm/acme/x":                          "write pkg:npm/@acme/x",
		"pkg:npm/@acme/x/y":                       "too many",
		"pkg:npm//x@1.0.0/":                       "is empty",
		"pkg:npm/@acme/":                          "is empty",
		"pkg:npm/a%40b":                           "no name has",
		"pkg:npm/a%25b":                           "no name has",
		"pkg:npm/a%00b":                           "cannot be read",
		"pkg:npm/%zz":                             "cannot be read",
		"pkg:npm/a#b":                             "no name has",
		"pkg:npm/a b":                             "blank",
		"pkg:npm/a**":                             "single *",
		"pkg:npm/*-*-*-*-*":                       "wildcards",
		"pkg:gem/a/b":                             "no rubygems name holds a slash",
		"pkg:gem/@a":                              "no rubygems name begins with @",
		"pkg:oci/@a/b":                            "no oci name begins with @",
		"pkg:maven/com.acme":                      "write pkg:maven/com.acme/* for the group",
		"pkg:maven/com/acme/x":                    "too many slashes",
		"pkg:maven/com.acme.**/x":                 "only at the end",
		"pkg:npm/a@":                              "the version behind @ is missing",
		"pkg:npm/a@1.2":                           "or the glob 1.2.*",
		"pkg:npm/a@1.2.x":                         "or the glob 1.2.*",
		"pkg:npm/a@1":                             "or the glob 1.*",
		"pkg:npm/a@v1.2.3":                        "write it as 1.2.3",
		"pkg:npm/a@latest":                        "tags are not versions",
		"pkg:npm/a@1.2.3.4":                       "is no npm version",
		"pkg:npm/a@^1.2.3":                        "begins with ^, which is not taken here: write comparators",
		"pkg:npm/a@~1.2.3":                        "begins with ~",
		"pkg:npm/a@1.0.0||2.0.0":                  "write one pattern for each",
		"pkg:npm/a@>=1.0.0 <2.0.0":                "holds a blank",
		"pkg:maven/g/a@[1.0,2.0)":                 "holds brackets",
		"pkg:npm/a@1.**":                          "too many *",
		"pkg:npm/a@>1.*":                          "one version must stand",
		"pkg:npm/a@>=":                            "one version must stand",
		"pkg:npm/a@>=1.0.0,":                      `"" is no comparator`,
		"pkg:npm/a@1.0.0,2.0.0":                   `"1.0.0" is no comparator`,
		"pkg:npm/a@=>1.0.0":                       "is no comparator",
		"pkg:npm/a@>=1.0":                         "is no whole npm version",
		"pkg:npm/a@%ff":                           "the version cannot be read",
		"pkg:npm/a@" + strings.Repeat(">1.0.0,", 8) + ">1.0.0": "at most 8",
		"pkg:npm/a?x=y":                                        "only checksum=sha256:",
		"pkg:npm/a?checksum=sha1:00":                           "only checksum=sha256:",
		"pkg:npm/a?checksum=sha256:00":                         "write 64 hex digits",
		"pkg:npm/a?checksum=sha256:" + strings.Repeat("g", 64): "write 64 hex digits",
		"pkg:oci/a@sha256:0011":                                "write 64 hex digits",
		"pkg:oci/a@sha256:" + strings.Repeat("0", 64) + "?checksum=sha256:" + strings.Repeat("0", 64): "twice",
	} {
		if p, err := ParsePattern(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.60s: %v, %v; want %s", text, p, err, want)
		}
	}
}

func TestOrder(t *testing.T) {
	for text, want := range map[string]string{
		"pkg:npm/a@>=1.0.0,<2.0.0":  "",
		"pkg:npm/a@>=1.0.0,<=1.0.0": "",
		"pkg:npm/a@=1.0.0,<=1.0.0":  "",
		"pkg:npm/a@>1.0.0,>3.0.0":   "",
		"pkg:npm/a@>=2.0.0,<1.0.0":  "no version is both >=2.0.0 and <1.0.0",
		"pkg:npm/a@>1.0.0,<=1.0.0":  "no version is both",
		"pkg:npm/a@>=1.0.0,<1.0.0":  "no version is both",
		"pkg:npm/a@=1.0.0,=2.0.0":   "no version is both",
		"pkg:npm/a@9.0.0":           "",
	} {
		p := parsed(t, text)
		err := p.CheckOrder(dotted)
		if (want == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
		if err := p.CheckOrder(nil); (err == nil) != (text == "pkg:npm/a@9.0.0") {
			t.Errorf("%s without an order: %v", text, err)
		}
	}
}

// Equal patterns have one text, whatever way they were written.
func TestOneSpelling(t *testing.T) {
	for text, want := range map[string]string{
		"pkg://NPM/%40acme%2fx@%31.0.0": "pkg:npm/@acme/x@1.0.0",
		"pkg:npm/a@*":                   "pkg:npm/a",
		"pkg:npm/a@<2.0.0,>=1.0.0":      parsed(t, "pkg:npm/a@>=1.0.0,<2.0.0,<2.0.0").String(),
		"pkg:nuget/A@1.0-B":             "pkg:nuget/a@1.0-b",
		"pkg:maven/com.acme/x":          "pkg:maven/com.acme/x",
		"pkg:maven/com.acme.**":         "pkg:maven/com.acme.**",
	} {
		if got := parsed(t, text).String(); got != want {
			t.Errorf("%s is written %s, want %s", text, got, want)
		}
	}
}

func TestMatchingAllocatesNothing(t *testing.T) {
	compare := func(a, b string) int { return cmp.Compare(len(a), len(b)) }
	for _, text := range []string{"pkg:npm/@types/*@1.*", "pkg:nuget/a.**@>=1.0,<2.0", "pkg:maven/com.acme.**@1.0", "pkg:npm/@types/node@1.0.0"} {
		p := parsed(t, text)
		if n := testing.AllocsPerRun(100, func() {
			p.MatchName("@types/node")
			p.MatchVersion("1.0.5-beta", compare)
		}); n != 0 {
			t.Errorf("%s: %v allocations", text, n)
		}
	}
}

func FuzzParsePattern(f *testing.F) {
	for _, s := range [][3]string{
		{"pkg:npm/@types/*@1.*", "@types/node", "1.0.0"}, {"pkg:maven/com.acme.**@[1", "com.acme:x", "1"},
		{"pkg:nuget/A*@>=1.0,<2.0", "ab", "1.5"}, {"pkg:oci/a/**@sha256:00", "a/b", "x"}, {"pkg:npm/%40a%2fb@%3e1.0.0?checksum=sha256%3a", "@a/b", "2"},
		{"pkg:npm/a@*?checksum=sha256:" + strings.Repeat("0", 64), "a", ""}, {"pkg:deb/a/b@1:2~", "a/b", "1:2~"},
	} {
		f.Add(s[0], s[1], s[2])
	}
	f.Fuzz(func(t *testing.T, text, name, version string) {
		p, err := ParsePattern(text)
		if err != nil {
			if p != nil {
				t.Errorf("%q is refused and returned", text)
			}
			return
		}
		again, err := ParsePattern(p.String())
		if err != nil || again.String() != p.String() {
			t.Fatalf("%q is written %q, and that is %v, %v", text, p, again, err)
		}
		if p.MatchName(name) != again.MatchName(name) || p.MatchVersion(version, dotted) != again.MatchVersion(version, dotted) ||
			p.Digest() != again.Digest() || p.EveryVersion() != again.EveryVersion() {
			t.Errorf("%q and %q differ about %q %q", text, p, name, version)
		}
		if p.EveryVersion() && !p.MatchVersion(version, dotted) {
			t.Errorf("%q covers every version and not %q", text, version)
		}
	})
}
