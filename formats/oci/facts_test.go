package oci

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"
)

func checked(t *testing.T, kind, body string) *manifest {
	t.Helper()
	m, err := checkManifest([]string{kind}, "", []byte(body))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestFactsOfAnImage(t *testing.T) {
	body := imageOf([]string{desc(layerType, "12345"), desc(layerType, "12345"), desc(layerType, "1")}, `"annotations":{"a":"b"}`)
	m := checked(t, typeImage, body)
	config := `{"os":"linux","architecture":"arm64","variant":"v8","created":"2026-08-04T09:12:00Z","rootfs":{"type":"layers"},
		"config":{"Labels":{"org.opencontainers.image.source":"https://git.example/acme/app.git"},"Env":["A=1"]}}`
	got := m.facts([]byte(config))
	want := facts{
		MediaType: typeImage, Size: int64(len(body)), ArtifactType: configType, Annotations: map[string]string{"a": "b"},
		Config: digest("sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"), Layers: 3, Bytes: 8,
		Platforms: []string{"linux/arm64/v8"}, Created: time.Date(2026, 8, 4, 9, 12, 0, 0, time.UTC),
		Labels: map[string]string{"org.opencontainers.image.source": "https://git.example/acme/app.git"},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	meta, err := got.encode()
	if err != nil {
		t.Fatal(err)
	}
	if again, err := decodeFacts(meta); err != nil || !reflect.DeepEqual(again, want) {
		t.Errorf("%s came back as %+v, %v", meta, again, err)
	}
	if _, err := decodeFacts([]byte("{")); err == nil {
		t.Error("broken facts were read")
	}
	if got.repository() != "acme/app" {
		t.Errorf("built from %q", got.repository())
	}
}

func TestFactsOfAnIndex(t *testing.T) {
	on := func(os, architecture string) string {
		return desc(typeImage, os+architecture, fmt.Sprintf(`"platform":{"os":%q,"architecture":%q}`, os, architecture))
	}
	children := []string{on("linux", "amd64"), on("linux", "arm64"), on("linux", "amd64"), on("unknown", "unknown"), desc(typeImage, "plain")}
	got := checked(t, typeIndex, indexOf(children)).facts(nil)
	if !reflect.DeepEqual(got.Platforms, []string{"linux/amd64", "linux/arm64"}) || got.Bytes != 0 || got.ArtifactType != "" {
		t.Errorf("%+v", got)
	}
	children = nil
	for i := range 200 {
		children = append(children, on("linux", fmt.Sprint("cpu", i)))
	}
	if got := checked(t, typeIndex, indexOf(children)).facts(nil); len(got.Platforms) != maxPlatforms {
		t.Errorf("%d platforms", len(got.Platforms))
	}
}

// TestWhatReferrersAreCalled: the manifest's own type, else its config's, and
// none for an index without one.
func TestWhatReferrersAreCalled(t *testing.T) {
	subject := `"subject":` + desc(typeImage, "s")
	for body, want := range map[string]string{
		imageOf(nil, subject): typeImage + " " + configType,
		imageOf(nil, subject, `"artifactType":"a/signature"`): typeImage + " a/signature",
		indexOf(nil, subject): typeIndex + " ",
		indexOf(nil, subject, `"artifactType":"a/attestation"`): typeIndex + " a/attestation",
	} {
		kind, _, _ := strings.Cut(want, " ")
		m := checked(t, kind, body)
		f := m.facts(nil)
		r := f.referrer(m.digest)
		if got := r.MediaType + " " + r.ArtifactType; got != want || r.Digest != m.digest || r.Size != int64(len(body)) {
			t.Errorf("%s: %+v", body, r)
		}
		if f.Subject != digest("sha256:043a718774c572bd8a25adbeb1bfcd5c0256ae11cecf9f9c3f925d0e52beaf89") {
			t.Errorf("subject %s", f.Subject)
		}
	}
}

// TestConfigsThatAreNone: a config may be anything.
func TestConfigsThatAreNone(t *testing.T) {
	for _, config := range []string{"", "{}", "[]", "\x1f\x8b", `{"os":1}`, `{"config":null}`, `{"created":"yesterday"}`, strings.Repeat(" ", maxConfig) + `{"os":"linux"}`} {
		f := checked(t, typeImage, imageOf(nil)).facts([]byte(config))
		if f.Platforms != nil || f.Labels != nil || !f.Created.IsZero() {
			t.Errorf("%.20q says %+v", config, f)
		}
	}
}

func TestSourceOfAnImage(t *testing.T) {
	for source, want := range map[string]string{
		"https://git.example/acme/app": "acme/app", "https://git.example/acme/app.git": "acme/app", "https://git.example:8443/acme/app/": "acme/app",
		"": "", "acme/app": "", "https://git.example/app": "", "https://git.example/a/b/c": "", "git@git.example:acme/app.git": "",
		"https://git.example//app": "", "https://git.example/acme/": "", "://": "", "https:///acme/app": "",
	} {
		f := facts{Labels: map[string]string{sourceLabel: source}}
		if got := f.repository(); got != want {
			t.Errorf("%q is %q", source, got)
		}
		if got := (facts{Annotations: map[string]string{sourceLabel: source}}).repository(); got != want {
			t.Errorf("annotation %q is %q", source, got)
		}
	}
	both := facts{Labels: map[string]string{sourceLabel: "https://h/a/label"}, Annotations: map[string]string{sourceLabel: "https://h/a/note"}}
	if both.repository() != "a/label" {
		t.Errorf("of both: %q", both.repository())
	}
}
