package npm

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"iter"
	"strings"
	"testing"
	"time"

	"larder/cache"
)

func blobOf(t *testing.T, data []byte) cache.Blob {
	t.Helper()
	h, err := cache.NewHasher(cache.SHA1, cache.SHA512)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.Write(data); err != nil {
		t.Fatal(err)
	}
	return h.Blob()
}

func stored(t *testing.T, version, more string) []byte {
	t.Helper()
	sent := `{"name":"@s/n","version":"` + version + `","_resolved":"/home/x","_from":"file:","_integrity":"sha512-x","readme":"# r",` +
		`"_id":"forged","_npmUser":{"name":"forged"},"hasInstallScript":true,"custom":[1, 2],"dist":{"tarball":"http://127.0.0.1/x","shasum":"forged"}` + more + `}`
	m, err := StoreManifest([]byte(sent), ManifestFacts{
		Name: "@s/n", Version: version, Blob: blobOf(t, []byte("hello")),
		Tarball:    TarballInfo{FileCount: 3, UnpackedSize: 99, HasShrinkwrap: version == "2.0.0"},
		Publisher:  Person{Name: "alice", Email: "alice@example.com"},
		Signatures: []Signature{{"SHA256:k", "c2ln"}},
		Predicate:  "https://slsa.dev/provenance/v1",
	})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestStoreManifest(t *testing.T) {
	got := string(stored(t, "1.0.0", ""))
	want := `{"name":"@s/n","version":"1.0.0","custom":[1,2],"_id":"@s/n@1.0.0","_npmUser":{"name":"alice","email":"alice@example.com"},"_hasShrinkwrap":false,` +
		`"dist":{"integrity":"sha512-m3HSJL1i83hdltRq0+o9czGb+8KJDKra4t/3JRlnPKcjI8PZm6XBHXx6zG4UuMXaDEZjR1wuXDre9G9zvN7AQw==",` +
		`"shasum":"aaf4c61ddcc5e8a2dabede0f3b482cd9aea9434d","fileCount":3,"unpackedSize":99,"signatures":[{"keyid":"SHA256:k","sig":"c2ln"}],` +
		`"attestations":{"url":"","provenance":{"predicateType":"https://slsa.dev/provenance/v1"}}}}`
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	h, err := cache.NewHasher()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := StoreManifest([]byte(`{}`), ManifestFacts{Name: "n", Version: "1.0.0", Blob: h.Blob()}); err == nil {
		t.Errorf("stored without checksums")
	}
}

func TestSetDeprecated(t *testing.T) {
	m := SetDeprecated([]byte(`{"a":1,"b":2}`), "use \"x\"")
	if string(m) != `{"a":1,"b":2,"deprecated":"use \"x\""}` {
		t.Errorf("%s", m)
	}
	if m = SetDeprecated(m, "other"); string(m) != `{"a":1,"b":2,"deprecated":"other"}` {
		t.Errorf("%s", m)
	}
	if m = SetDeprecated(m, ""); string(m) != `{"a":1,"b":2}` {
		t.Errorf("%s", m)
	}
}

func hosted(t *testing.T) Hosted {
	t.Helper()
	day := func(d int) time.Time { return time.Date(2026, 1, d, 0, 0, 0, 0, time.UTC) }
	list := []HostedVersion{
		{"1.0.0", day(1), stored(t, "1.0.0", `,"description":"one"`)},
		{"2.0.0", day(2), stored(t, "2.0.0", `,"description":"two","license":"MIT","scripts":{"install":"x"}`)},
	}
	return Hosted{
		Name: "@s/n", Rev: "7", Created: day(1), Modified: day(9), Tags: map[string]string{"latest": "2.0.0", "old": "1.0.0", "gone": "0.1.0"},
		Maintainers: []Person{{"alice", "alice@example.com"}}, Users: map[string]bool{"bob": true, "eve": false}, Readme: "# r",
		Versions: func(yield func(HostedVersion, error) bool) {
			for _, v := range list {
				if !yield(v, nil) {
					return
				}
			}
		},
	}
}

func TestBuild(t *testing.T) {
	var b bytes.Buffer
	if err := BuildFull(&b, hosted(t), base); err != nil {
		t.Fatal(err)
	}
	doc := decoded(t, b.String())
	for path, want := range map[string]string{
		"_id": `"@s/n"`, "_rev": `"7"`, "name": `"@s/n"`, "_attachments": `{}`, "readme": `"# r"`, "users": `{"bob":true}`,
		"maintainers": `[{"email":"alice@example.com","name":"alice"}]`,
		"description": `"two"`, "license": `"MIT"`,
		"dist-tags":                            `{"latest":"2.0.0","old":"1.0.0"}`,
		"time":                                 `{"1.0.0":"2026-01-01T00:00:00.000Z","2.0.0":"2026-01-02T00:00:00.000Z","created":"2026-01-01T00:00:00.000Z","modified":"2026-01-09T00:00:00.000Z"}`,
		"versions 1.0.0 description":           `"one"`,
		"versions 2.0.0 _hasShrinkwrap":        `true`,
		"versions 1.0.0 dist tarball":          `"https://larder.example/npm/@s/n/-/n-1.0.0.tgz"`,
		"versions 1.0.0 dist attestations url": `"https://larder.example/npm/-/npm/v1/attestations/@s%2fn@1.0.0"`,
		"versions 1.0.0 custom":                `[1,2]`,
	} {
		got, err := json.Marshal(dig(doc, strings.Fields(path)...))
		if err != nil || string(got) != want {
			t.Errorf("%s = %s, %v; want %s", path, got, err, want)
		}
	}
	if err := Check(&b, "@s/n"); err != nil {
		t.Error(err)
	}
	b.Reset()
	if err := BuildAbbreviated(&b, hosted(t), base); err != nil {
		t.Fatal(err)
	}
	doc = decoded(t, b.String())
	if len(doc) != 5 || doc["modified"] != "2026-01-09T00:00:00.000Z" || dig(doc, "versions", "2.0.0", "description") != nil ||
		dig(doc, "versions", "2.0.0", "hasInstallScript") != true {
		t.Errorf("%s", b.String())
	}
}

// TestHostedIsLikeUpstream: what is built here can be mirrored by another
// larder and comes out the same.
func TestHostedIsLikeUpstream(t *testing.T) {
	for name, f := range map[string]struct {
		build  func(io.Writer, Hosted, string) error
		render renderFunc
	}{"full": {BuildFull, WriteFull}, "abbreviated": {BuildAbbreviated, WriteAbbreviated}} {
		var first bytes.Buffer
		if err := f.build(&first, hosted(t), base); err != nil {
			t.Fatal(err)
		}
		again := rendered(t, f.render, first.String(), view("@s/n"))
		a, _ := json.Marshal(decoded(t, first.String()))
		b, _ := json.Marshal(decoded(t, again))
		if !bytes.Equal(a, b) {
			t.Errorf("%s: built\n%s\nrendered\n%s", name, a, b)
		}
	}
}

func TestBuildEdges(t *testing.T) {
	h := hosted(t)
	h.Versions = func(func(HostedVersion, error) bool) {}
	var b bytes.Buffer
	if err := BuildFull(&b, h, base); err != nil {
		t.Fatal(err)
	}
	if doc := decoded(t, b.String()); len(dig(doc, "dist-tags").(map[string]any)) != 0 || len(dig(doc, "versions").(map[string]any)) != 0 {
		t.Errorf("%s", b.String())
	}
	broken := errors.New("index is closed")
	h.Versions = iter.Seq2[HostedVersion, error](func(yield func(HostedVersion, error) bool) { yield(HostedVersion{}, broken) })
	if err := BuildFull(io.Discard, h, base); !errors.Is(err, broken) {
		t.Errorf("%v", err)
	}
	b.Reset()
	if err := BuildManifest(&b, "@s/n", "1.0.0", stored(t, "1.0.0", ""), base); err != nil {
		t.Fatal(err)
	}
	if got := dig(decoded(t, b.String()), "dist", "tarball"); got != base+"@s/n/-/n-1.0.0.tgz" {
		t.Errorf("%v", got)
	}
}
