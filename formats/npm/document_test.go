package npm

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"larder/formats"
)

var seen = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

const base = "https://larder.example/npm/"

func view(name string) View { return View{Name: name, Base: base, FirstSeen: seen} }

// upstreamDoc has what real packuments have: a scope, a foreign tarball shape,
// signatures, attestations, unknown fields, a tag on a missing version.
const upstreamDoc = `{"_id":"@s/n","_rev":"7-x","name":"@s/n",
"dist-tags":{"latest":"1.1.0","beta":"2.0.0-beta.2","gone":"9.9.9"},
"versions":{
 "1.0.0":{"name":"@s/n","version":"1.0.0","unknown":{"a":[1,2]},"dist":{"shasum":"` + sha1Zero + `","tarball":"https://upstream.example/download/@s/n/1.0.0/abc"}},
 "1.1.0":{"name":"@s/n","version":"1.1.0","scripts":{"postinstall":"x"},"dependencies":{"a":"^1"},"devDependencies":{"b":"1"},"description":"d",
   "dist":{"integrity":"` + sha512Zero + `","shasum":"` + sha1Zero + `","tarball":"https://upstream.example/@s/n/-/n-1.1.0.tgz","fileCount":3,
   "signatures":[{"keyid":"k","sig":"s"}],"attestations":{"url":"https://upstream.example/-/npm/v1/attestations/@s%2fn@1.1.0","provenance":{"predicateType":"p"}}}},
 "2.0.0-beta.2":{"name":"@s/n","version":"2.0.0-beta.2","deprecated":"broken","dist":{"tarball":"https://upstream.example/@s/n/-/n-2.0.0-beta.2.tgz"}},
 "2.0.0-beta.1":{"name":"other","version":"3.0.0","dist":{}}
},
"time":{"created":"2020-01-01T00:00:00.000Z","modified":"2026-01-01T00:00:00.071000+00:00","1.0.0":"2020-01-01T00:00:00.000Z","1.1.0":"2021-01-01T01:00:00+01:00","2.0.0-beta.2":"nonsense"},
"readme":"text \ud83d cut","maintainers":[{"name":"alice","email":"a@example.com"}],"custom":{"keep":true}}`

const (
	sha1Zero   = "0000000000000000000000000000000000000000"
	sha512Zero = "sha512-AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=="
)

type renderFunc func(io.Writer, io.Reader, View) error

func rendered(t *testing.T, f renderFunc, doc string, v View) string {
	t.Helper()
	var b bytes.Buffer
	if err := f(&b, strings.NewReader(doc), v); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func decoded(t *testing.T, doc string) map[string]any {
	t.Helper()
	var m map[string]any
	if err := json.Unmarshal([]byte(doc), &m); err != nil {
		t.Fatalf("%v\n%s", err, doc)
	}
	return m
}

// dig follows a path of names into a decoded document.
func dig(v any, path ...string) any {
	for _, p := range path {
		m, ok := v.(map[string]any)
		if !ok {
			return nil
		}
		v = m[p]
	}
	return v
}

func TestWriteFull(t *testing.T) {
	out := rendered(t, WriteFull, upstreamDoc, view("@s/n"))
	doc := decoded(t, out)
	for _, c := range []struct {
		path string
		want string
	}{
		{"_id", `"@s/n"`},
		{"_rev", `"7-x"`},
		{"custom", `{"keep":true}`},
		{"dist-tags", `{"beta":"2.0.0-beta.2","latest":"1.1.0"}`},
		{"versions 1.0.0 unknown", `{"a":[1,2]}`},
		{"versions 1.0.0 dist tarball", `"https://larder.example/npm/@s/n/-/n-1.0.0.tgz"`},
		{"versions 1.0.0 dist shasum", `"` + sha1Zero + `"`},
		{"versions 1.1.0 dist tarball", `"https://larder.example/npm/@s/n/-/n-1.1.0.tgz"`},
		{"versions 1.1.0 dist signatures", `[{"keyid":"k","sig":"s"}]`},
		{"versions 1.1.0 dist fileCount", `3`},
		{"versions 1.1.0 dist attestations url", `"https://larder.example/npm/-/npm/v1/attestations/@s%2fn@1.1.0"`},
		{"versions 1.1.0 dist attestations provenance", `{"predicateType":"p"}`},
		{"versions 2.0.0-beta.2 deprecated", `"broken"`},
		{"versions 2.0.0-beta.1 name", `"@s/n"`},
		{"versions 2.0.0-beta.1 version", `"2.0.0-beta.1"`},
		{"versions 2.0.0-beta.1 dist tarball", `"https://larder.example/npm/@s/n/-/n-2.0.0-beta.1.tgz"`},
		{"time 1.1.0", `"2021-01-01T00:00:00.000Z"`},
		{"time modified", `"2026-01-01T00:00:00.071Z"`},
		{"time created", `"2020-01-01T00:00:00.000Z"`},
		{"time 2.0.0-beta.1", `"2026-03-01T12:00:00.000Z"`},
		{"time 2.0.0-beta.2", `"2026-03-01T12:00:00.000Z"`},
	} {
		got, err := json.Marshal(dig(doc, strings.Fields(c.path)...))
		if err != nil || string(got) != c.want {
			t.Errorf("%s = %s, %v; want %s", c.path, got, err, c.want)
		}
	}
	if strings.Contains(out, "upstream.example") {
		t.Errorf("the upstream is named in\n%s", out)
	}
	if !strings.Contains(out, `"text \ud83d cut"`) {
		t.Errorf("the readme was changed")
	}
}

func TestWriteAbbreviated(t *testing.T) {
	doc := decoded(t, rendered(t, WriteAbbreviated, upstreamDoc, view("@s/n")))
	keys := map[string]bool{"name": true, "dist-tags": true, "versions": true, "time": true, "modified": true}
	for k := range doc {
		if !keys[k] {
			t.Errorf("unexpected member %s", k)
		}
		delete(keys, k)
	}
	if len(keys) > 0 {
		t.Errorf("missing members %v", keys)
	}
	v := dig(doc, "versions", "1.1.0").(map[string]any)
	for _, k := range []string{"scripts", "description"} {
		if v[k] != nil {
			t.Errorf("%s is kept", k)
		}
	}
	for _, k := range []string{"name", "version", "dependencies", "devDependencies", "dist"} {
		if v[k] == nil {
			t.Errorf("%s is missing", k)
		}
	}
	if v["hasInstallScript"] != true {
		t.Errorf("hasInstallScript = %v", v["hasInstallScript"])
	}
	if doc["modified"] != "2026-01-01T00:00:00.071Z" {
		t.Errorf("modified = %v", doc["modified"])
	}
}

// TestPartOrder: the members of a packument may come in any order.
func TestPartOrder(t *testing.T) {
	parts := []string{
		`"name":"n"`, `"dist-tags":{"latest":"1.0.0"}`, `"versions":{"1.0.0":{"dist":{"tarball":"https://upstream.example/x.tgz"}}}`,
		`"time":{"1.0.0":"2020-01-01T00:00:00Z"}`, `"x":1`,
	}
	for i := range parts {
		turned := append(append([]string{}, parts[i:]...), parts[:i]...)
		doc := decoded(t, rendered(t, WriteFull, "{"+strings.Join(turned, ",")+"}", view("n")))
		if dig(doc, "dist-tags", "latest") != "1.0.0" || dig(doc, "time", "1.0.0") != "2020-01-01T00:00:00.000Z" || doc["x"] != 1.0 ||
			dig(doc, "versions", "1.0.0", "dist", "tarball") != base+"n/-/n-1.0.0.tgz" {
			t.Errorf("order %d: %v", i, doc)
		}
	}
}

func TestTagRepair(t *testing.T) {
	for _, c := range []struct {
		name, tags, versions, hidden, want string
	}{
		{"kept", `{"latest":"1.0.0","b":"1.0.0"}`, "1.0.0", "", "latest=1.0.0 b=1.0.0"},
		{"no tags", `{}`, "1.0.0 2.0.0-rc.1", "", "latest=1.0.0"},
		{"only prereleases", `{}`, "2.0.0-rc.1 2.0.0-rc.2", "", "latest=2.0.0-rc.2"},
		{"nothing", `{"latest":"1.0.0"}`, "", "", ""},
		{"absent latest bounds", `{"latest":"2.0.0"}`, "1.0.0 1.9.0 3.0.0", "", "latest=1.9.0"},
		{"hidden latest", `{"latest":"2.0.0"}`, "1.0.0 1.9.0 2.0.0 2.0.0-rc.1 3.0.0", "2.0.0", "latest=1.9.0"},
		{"hidden latest, stable deprecated", `{"latest":"2.0.0"}`, "1.0.0 1.9.0! 2.0.0", "2.0.0", "latest=1.0.0"},
		{"hidden latest, all deprecated", `{"latest":"2.0.0"}`, "1.9.0! 2.0.0", "2.0.0", "latest=1.9.0"},
		{"hidden latest, prereleases below", `{"latest":"2.0.0"}`, "2.0.0-rc.1 2.0.0", "2.0.0", "latest=2.0.0-rc.1"},
		{"hidden latest, nothing below", `{"latest":"1.0.0"}`, "1.0.0 2.0.0", "1.0.0", "latest=2.0.0"},
		{"hidden beta", `{"latest":"1.0.0","beta":"2.0.0-beta.4"}`, "1.0.0 2.0.0-beta.3 2.0.0-beta.4 2.0.0-alpha.9 2.0.0-beta.5", "2.0.0-beta.4", "latest=1.0.0 beta=2.0.0-beta.3"},
		{"hidden beta, none left", `{"latest":"1.0.0","beta":"2.0.0-beta.4"}`, "1.0.0 2.0.0-beta.4", "2.0.0-beta.4", "latest=1.0.0"},
		{"hidden stable tag", `{"latest":"3.0.0","lts":"2.0.0"}`, "1.0.0 2.0.0 3.0.0", "2.0.0", "latest=3.0.0 lts=1.0.0"},
		{"absent tag", `{"latest":"1.0.0","x":"7.0.0"}`, "1.0.0", "", "latest=1.0.0"},
		{"not a string", `{"latest":1,"x":{}}`, "1.0.0", "", "latest=1.0.0"},
		{"not versions", `{"latest":"b"}`, "a b", "", "latest=b"},
	} {
		var f facts
		for v := range strings.FieldsSeq(c.versions) {
			bare := strings.TrimSuffix(v, "!")
			f.add(bare, fact{deprecated: bare != v, hidden: strings.Contains(" "+c.hidden+" ", " "+bare+" ")})
		}
		var got []string
		for _, t := range f.repair([]byte(c.tags)) {
			got = append(got, t.name+"="+t.version)
		}
		if s := strings.Join(got, " "); s != c.want {
			t.Errorf("%s: %s, want %s", c.name, s, c.want)
		}
	}
}

func TestViews(t *testing.T) {
	v := view("@s/n")
	v.Keep = func(version string) bool { return version != "1.1.0" }
	v.Changed = time.Date(2026, 2, 1, 0, 0, 0, 0, time.UTC)
	doc := decoded(t, rendered(t, WriteFull, upstreamDoc, v))
	if dig(doc, "versions", "1.1.0") != nil || dig(doc, "time", "1.1.0") != nil || dig(doc, "dist-tags", "latest") != "1.0.0" {
		t.Errorf("1.1.0 still shows: %v", doc)
	}
	if got := dig(doc, "time", "modified"); got != "2026-02-01T00:00:00.000Z" {
		t.Errorf("modified = %v", got)
	}
	if got := rendered(t, WriteTags, upstreamDoc, v); got != `{"beta":"2.0.0-beta.2","latest":"1.0.0"}` {
		t.Errorf("tags = %s", got)
	}
	v.Keep = func(string) bool { return false }
	if err := WriteFull(io.Discard, strings.NewReader(upstreamDoc), v); !errors.Is(err, ErrNoneLeft) {
		t.Errorf("all hidden: %v", err)
	}
	v.FirstSeen = time.Time{}
	if err := WriteFull(io.Discard, strings.NewReader(upstreamDoc), v); err == nil {
		t.Errorf("rendered without a time for undated versions")
	}
}

func TestWriteManifest(t *testing.T) {
	var b bytes.Buffer
	if err := WriteManifest(&b, strings.NewReader(upstreamDoc), view("@s/n"), "1.1.0"); err != nil {
		t.Fatal(err)
	}
	doc := decoded(t, b.String())
	if doc["version"] != "1.1.0" || doc["description"] != "d" || dig(doc, "dist", "tarball") != base+"@s/n/-/n-1.1.0.tgz" {
		t.Errorf("%v", doc)
	}
	for _, absent := range []string{"9.9.9", "latest", ""} {
		err := WriteManifest(io.Discard, strings.NewReader(upstreamDoc), view("@s/n"), absent)
		if !errors.Is(err, formats.ErrNotFound) {
			t.Errorf("%q: %v", absent, err)
		}
	}
}

func TestResolveRef(t *testing.T) {
	tags := []byte(`{"latest":"1.1.0","beta":"2.0.0-beta.2"}`)
	for ref, want := range map[string]string{
		"latest": "1.1.0", "beta": "2.0.0-beta.2", "1.0.0": "1.0.0", "1.0.0-x": "1.0.0-x", "^1": "", "1.x": "", "*": "", "": "", "a b": "",
	} {
		got, err := ResolveRef(tags, ref)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("%q = %q, %v", ref, got, err)
		}
	}
}

func TestCheck(t *testing.T) {
	nested := strings.Repeat("[", 65) + strings.Repeat("]", 65)
	for doc, ok := range map[string]bool{
		upstreamDoc:                                            false, // another name
		`{"name":"n","versions":{}}`:                           true,
		` {"versions":{"1.0.0":{}},"name":"n"} `:               true,
		`{"name":"n","time":{"unpublished":{"name":"alice"}}}`: true,
		`{"name":"n","versions":{"1.0.0":{}},"x":` + nested[1:len(nested)-1] + `}`: true,
		`{"name":"n","versions":{"1.0.0":{}},"x":` + nested + `}`:                  false,
		`{"name":"n","versions":{"1.0.0":{"x":` + nested + `}}}`:                   false,
		`{"name":"n","versions":{"1.0.0":{},"1.0.0":{}}}`:                          false,
		`{"name":"n","versions":{"1.0.0":{}},"versions":{}}`:                       false,
		`{"name":"n","versions":{"1.0.0":{"name":"n","name":"n"}}}`:                false,
		`{"name":"n","versions":{},"dist-tags":{"a":"1","\u0061":"2"}}`:            false,
		`{"name":"n","versions":{},"time":{"a":"1","a":"2"}}`:                      false,
		`{"name":"n","versions":{},"dist-tags":{},"dist-tags":{}}`:                 false,
		`{"name":"n","versions":{"1.0.0":{"x":{"a":1,"a":2}}}}`:                    true, // as it came
		`{"name":"n","versions":{"1.0.0":{"dist":{},"\u0064ist":{}}}}`:             false,
		`{"name":"n","name":"n","versions":{}}`:                                    false,
		`{"name":"n","versions":{}}x`:                                              false,
		`{"name":"n","versions":{}}{}`:                                             false,
		`{"name":"n","versions":{}`:                                                false,
		`{"name":"n","versions":[]}`:                                               false,
		`{"name":"n","versions":null}`:                                             false,
		`{"name":"n","versions":{"1.0.0":null}}`:                                   false,
		`{"name":"n","versions":{},"dist-tags":[]}`:                                false,
		`{"name":"N","versions":{}}`:                                               false,
		`{"name":null,"versions":{}}`:                                              false,
		`{"versions":{}}`:                                                          false,
		`{"name":"n"}`:                                                             false,
		`{"name":"n","time":{}}`:                                                   false,
		`[]`:                                                                       false,
		``:                                                                         false,
		`<html>`:                                                                   false,
		`{"error":"not found"}`:                                                    false,
		`{"name":"n","versions":{"` + strings.Repeat("1", 300) + `":{"dist":{"tarball":"x"}}}}`: false,
	} {
		err := Check(strings.NewReader(doc), "n")
		if (err == nil) != ok {
			t.Errorf("Check(%.80s) = %v", doc, err)
		}
		if err != nil && !errors.Is(err, ErrDocument) {
			t.Errorf("Check(%.80s) = %v, not ErrDocument", doc, err)
		}
		again := Check(iotest.OneByteReader(strings.NewReader(doc)), "n")
		if (again == nil) != (err == nil) {
			t.Errorf("Check(%.80s) byte by byte = %v", doc, again)
		}
	}
}

// TestSourceFaults: a cut connection is not the document's fault, a document
// over the limit is.
func TestSourceFaults(t *testing.T) {
	cut := errors.New("connection reset")
	err := Check(io.MultiReader(strings.NewReader(`{"name":"n","versions":{`), iotest.ErrReader(cut)), "n")
	if !errors.Is(err, cut) || errors.Is(err, ErrDocument) {
		t.Errorf("cut: %v", err)
	}
	long := `{"name":"n","versions":{},"readme":"` + strings.Repeat("x", 1<<20) + `"}`
	for _, c := range []struct {
		total, value int64
		ok           bool
	}{
		{int64(len(long)), 2 << 20, true},
		{int64(len(long)) - 1, 2 << 20, false},
		{2 << 20, 1 << 19, false},
		{2 << 20, 2 << 20, true},
	} {
		s := newSource(strings.NewReader(long), c.total, c.value)
		w := walker{source: s, name: "n", visit: &checker{names: map[string]bool{}}, seen: map[string]bool{}}
		err := w.document()
		if (err == nil) != c.ok || (err != nil && (!errors.Is(err, formats.ErrTooLarge) || s.broken())) {
			t.Errorf("total %d, value %d: %v", c.total, c.value, err)
		}
	}
	full := errors.New("disk full")
	if err := WriteFull(failing{full}, strings.NewReader(generated(200)), view("pkg")); !errors.Is(err, full) || errors.Is(err, ErrDocument) {
		t.Errorf("failing writer: %v", err)
	}
}

type failing struct{ err error }

func (f failing) Write([]byte) (int, error) { return 0, f.err }

func TestUnpublished(t *testing.T) {
	doc := `{"name":"n","time":{"created":"2020-01-01T00:00:00.000Z","unpublished":{"name":"a","versions":["1.0.0"]}}}`
	for name, f := range map[string]renderFunc{"full": WriteFull, "short": WriteAbbreviated, "files": WriteFiles, "tags": WriteTags} {
		if err := f(io.Discard, strings.NewReader(doc), view("n")); !errors.Is(err, formats.ErrNotFound) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// generated makes a packument with n versions of about 4 KB each.
func generated(n int) string {
	var b strings.Builder
	b.WriteString(`{"_id":"pkg","name":"pkg","dist-tags":{"latest":"1.0.0"},"versions":{`)
	for i := range n {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `"1.0.%d":{"name":"pkg","version":"1.0.%d","description":"a \"generated\" package","scripts":{"test":"x"},"dependencies":{`, i, i)
		for d := range 60 {
			if d > 0 {
				b.WriteByte(',')
			}
			fmt.Fprintf(&b, `"@scope/dependency-number-%d":"^%d.2.3"`, d, d)
		}
		fmt.Fprintf(&b, `},"readme":"%s","dist":{"integrity":"%s","shasum":"%s","tarball":"https://upstream.example/pkg/-/pkg-1.0.%d.tgz","signatures":[{"keyid":"k","sig":"s"}]}}`,
			strings.Repeat("lorem ipsum ", 120), sha512Zero, sha1Zero, i)
	}
	b.WriteString(`},"time":{"created":"2020-01-01T00:00:00.000Z","modified":"2026-01-01T00:00:00.000Z"`)
	for i := range n {
		fmt.Fprintf(&b, `,"1.0.%d":"2020-01-01T00:00:00.000Z"`, i)
	}
	b.WriteString(`}}`)
	return b.String()
}

func BenchmarkRender(b *testing.B) {
	doc := generated(5000)
	for name, f := range map[string]renderFunc{
		"full": WriteFull, "abbreviated": WriteAbbreviated, "files": WriteFiles,
		"check": func(_ io.Writer, r io.Reader, v View) error { return Check(r, v.Name) },
	} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(doc)))
			b.ReportAllocs()
			for b.Loop() {
				if err := f(io.Discard, strings.NewReader(doc), view("pkg")); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func FuzzRender(f *testing.F) {
	f.Add(upstreamDoc)
	f.Add(generated(1)[:700])
	f.Add(`{"name":"@s/n","versions":{"../x":{"dist":{"tarball":"http://a\tb"}},"1.0.0\n":{}}}`)
	f.Add(`{"name":"@s/n","time":{"unpublished":{}}}`)
	f.Add(`{"n\u0061me":"@s/n","versions":{"1.0.0":{"d\u0069st":{"t\u0061rball":"http://x/"}}},"dist-tags":{"\u006catest":"1.0.0"}}`)
	f.Fuzz(func(t *testing.T, doc string) {
		v := view("@s/n")
		checked := Check(strings.NewReader(doc), v.Name)
		for _, render := range []renderFunc{WriteFull, WriteAbbreviated} {
			var b bytes.Buffer
			err := render(&b, strings.NewReader(doc), v)
			if err != nil {
				if checked == nil && !errors.Is(err, formats.ErrNotFound) {
					t.Fatalf("checked, and then %v", err)
				}
				continue
			}
			if err := Check(&b, v.Name); err != nil && checked == nil {
				t.Fatalf("%v in what was rendered from %q", err, doc)
			}
		}
		var index bytes.Buffer
		if err := WriteFiles(&index, strings.NewReader(doc), v); err != nil {
			return
		}
		n := 0
		for facts := range Files(index.Bytes()) {
			n++
			if got, ok := FindFile(index.Bytes(), facts.File); !ok || got != facts {
				t.Fatalf("%+v is found as %+v", facts, got)
			}
		}
		if lines := bytes.Count(index.Bytes(), []byte{'\n'}); lines != n {
			t.Fatalf("%d lines, %d files", lines, n)
		}
	})
}
