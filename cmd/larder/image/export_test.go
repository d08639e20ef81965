package image_test

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"larder/cache"
	"larder/cmd/larder/image"
	"larder/upstream/upstreamtest/faulty"
	"larder/upstream/upstreamtest/ocitest"
)

// stage is a registry with one image of one large layer, and a place to export to.
type stage struct {
	*ocitest.Registry
	t     *testing.T
	layer []byte
	out   string
}

func newStage(t *testing.T) *stage {
	t.Helper()
	r, err := ocitest.Start(ocitest.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	s := &stage{r, t, bytes.Repeat([]byte("0123456789abcdef"), 1<<14), filepath.Join(t.TempDir(), "out")}
	s.must(r.Push("acme/app", "v1", ocitest.Image{Layers: [][]byte{s.layer}}))
	return s
}

func (s *stage) must(d ocitest.Descriptor, err error) ocitest.Descriptor {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
	return d
}

// export exports, and forgets what was asked before.
func (s *stage) export(refs ...string) (image.Report, error) {
	s.Forget()
	return s.run(&image.Export{Out: s.out}, refs...)
}

func (s *stage) run(e *image.Export, refs ...string) (image.Report, error) {
	s.t.Helper()
	host := strings.TrimPrefix(s.URL, "http://")
	e.Tell = func(string, ...any) {}
	var list []image.Source
	for _, ref := range refs {
		r, err := image.ParseReference(host + "/" + ref)
		if err != nil {
			s.t.Fatal(err)
		}
		list = append(list, image.Source{Reference: r, Registry: &image.Registry{URL: s.URL, HTTP: http.DefaultClient}})
	}
	return e.Run(s.t.Context(), list)
}

// blob is where the layout has bytes.
func blob(out string, content []byte) string {
	return filepath.Join(out, "blobs", "sha256", strings.TrimPrefix(ocitest.Digest(content), "sha256:"))
}

// wantLayer demands that the layer is there, whole, and that nothing is half.
func (s *stage) wantLayer() {
	s.t.Helper()
	got, err := os.ReadFile(blob(s.out, s.layer))
	if err != nil || !bytes.Equal(got, s.layer) {
		s.t.Errorf("the layer has %d bytes, %v", len(got), err)
	}
	if _, err := os.Stat(filepath.Join(s.out, ".parts")); !errors.Is(err, os.ErrNotExist) {
		s.t.Errorf("parts are left: %v", err)
	}
}

func (s *stage) layerRequests() []faulty.Request {
	return s.Log("/v2/acme/app/blobs/" + ocitest.Digest(s.layer))
}

// TestExportGoesOn: what arrived before a connection broke is not asked for again.
func TestExportGoesOn(t *testing.T) {
	s := newStage(t)
	s.Fail(faulty.Fault{Prefix: "/v2/acme/app/blobs/" + ocitest.Digest(s.layer), Cut: true, Times: 1})
	if _, err := s.export("acme/app:v1"); err == nil {
		t.Fatal("a broken connection is no error")
	}
	if _, err := os.Stat(filepath.Join(s.out, "index.json")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("half a layout names images: %v", err)
	}
	if _, err := os.Stat(blob(s.out, s.layer)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("half a layer has its name: %v", err)
	}
	if _, err := s.export("acme/app:v1"); err != nil {
		t.Fatal(err)
	}
	s.wantLayer()
	if asked := s.layerRequests(); len(asked) != 1 || !strings.HasPrefix(asked[0].Header.Get("Range"), "bytes=") {
		t.Errorf("the rest was asked for as %v", asked)
	}
	if _, err := s.export("acme/app:v1"); err != nil {
		t.Fatal(err)
	}
	if asked := s.Log("/v2/acme/app/blobs/"); len(asked) != 0 {
		t.Errorf("what is here was asked for again: %v", asked)
	}
}

// TestExportMends: bytes that are not what they must be are fetched again,
// whether they are in the layout or half of a part.
func TestExportMends(t *testing.T) {
	s := newStage(t)
	if _, err := s.export("acme/app:v1"); err != nil {
		t.Fatal(err)
	}
	wrong := bytes.Clone(s.layer)
	wrong[7] ^= 1
	if err := os.WriteFile(blob(s.out, s.layer), wrong, 0o644); err != nil {
		t.Fatal(err)
	}
	part := filepath.Join(s.out, ".parts", strings.ReplaceAll(ocitest.Digest(s.layer), ":", "-"))
	for _, kept := range [][]byte{wrong[:1000], wrong, append(wrong, 0)} {
		if err := errors.Join(os.MkdirAll(filepath.Dir(part), 0o755), os.WriteFile(part, kept, 0o644), os.RemoveAll(blob(s.out, s.layer))); err != nil {
			t.Fatal(err)
		}
		if _, err := s.export("acme/app:v1"); err != nil {
			t.Fatal(err)
		}
		s.wantLayer()
	}
}

// TestExportProves: a server that sends other bytes than it names gets nothing
// into a layout.
func TestExportProves(t *testing.T) {
	for _, path := range []string{"blobs/", "manifests/"} {
		s := newStage(t)
		s.Fail(faulty.Fault{Prefix: "/v2/acme/app/" + path, Wrong: true})
		if _, err := s.export("acme/app:v1"); !errors.Is(err, cache.ErrCorrupt) {
			t.Errorf("%s: %v", path, err)
		}
		if _, err := os.Stat(filepath.Join(s.out, "index.json")); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s: there is a layout: %v", path, err)
		}
		s.Heal()
		if _, err := s.export("acme/app:v1"); err != nil {
			t.Fatal(err)
		}
		s.wantLayer()
	}
}

// TestExportPlatform takes one child of an index, and leaves the index as it is.
func TestExportPlatform(t *testing.T) {
	s := newStage(t)
	var children []ocitest.Descriptor
	for _, machine := range []string{"amd64", "arm64"} {
		im := ocitest.Image{Layers: [][]byte{[]byte(machine)}, Platform: ocitest.Platform{OS: "linux", Architecture: machine}}
		children = append(children, s.must(s.Push("acme/many", "", im)))
	}
	index := s.must(s.PushIndex("acme/many", "v1", children...))
	if _, err := s.run(&image.Export{Out: s.out, Platforms: []string{"linux/arm64"}}, "acme/many:v1"); err != nil {
		t.Fatal(err)
	}
	for digest, want := range map[string]bool{
		index.Digest: true, children[1].Digest: true, ocitest.Digest([]byte("arm64")): true,
		children[0].Digest: false, ocitest.Digest([]byte("amd64")): false,
	} {
		_, err := os.Stat(filepath.Join(s.out, "blobs", strings.ReplaceAll(digest, ":", "/")))
		if (err == nil) != want {
			t.Errorf("%s: %v, want it there: %t", digest, err, want)
		}
	}
	_, err := s.run(&image.Export{Out: s.out, Platforms: []string{"plan9/mips"}}, "acme/many:v1")
	if err == nil || !strings.Contains(err.Error(), "nothing for plan9/mips") {
		t.Errorf("a platform that there is not: %v", err)
	}
}

// TestExportAbout: signatures go along, listed or under their tag.
func TestExportAbout(t *testing.T) {
	for _, opt := range []ocitest.Options{{}, {NoReferrers: true}} {
		s := newStage(t)
		r, err := ocitest.Start(opt)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(r.Close)
		s.Registry = r
		d := s.must(r.Push("acme/app", "v1", ocitest.Image{Layers: [][]byte{s.layer}}))
		about := s.must(r.Push("acme/app", "", ocitest.Image{Layers: [][]byte{[]byte("signed")}, Subject: &d, ArtifactType: "application/x"}))
		old := s.must(r.Push("acme/app", strings.ReplaceAll(d.Digest, ":", "-")+".sig", ocitest.Image{Layers: [][]byte{[]byte("older")}}))
		if _, err := s.export("acme/app:v1"); err != nil {
			t.Fatal(err)
		}
		index, err := os.ReadFile(filepath.Join(s.out, "referrers.json"))
		if err != nil {
			t.Fatal(err)
		}
		for _, digest := range []string{about.Digest, old.Digest} {
			if _, err := os.Stat(filepath.Join(s.out, "blobs", strings.ReplaceAll(digest, ":", "/"))); err != nil {
				t.Error(err)
			}
		}
		if !strings.Contains(string(index), strings.ReplaceAll(d.Digest, ":", "-")+".sig") {
			t.Errorf("the tag of a signature is not in %s", index)
		}
	}
}

// TestExportTags: images with the same tag are told apart, in any order.
func TestExportTags(t *testing.T) {
	s := newStage(t)
	s.must(s.Push("acme/tool", "v1", ocitest.Image{Layers: [][]byte{[]byte("tool")}}))
	if _, err := s.export("acme/app:v1"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.export("acme/tool:v1"); err != nil {
		t.Fatal(err)
	}
	index, err := os.ReadFile(filepath.Join(s.out, "index.json"))
	for _, name := range []string{`ref.name": "acme/app:v1"`, `ref.name": "acme/tool:v1"`} {
		if err != nil || !strings.Contains(string(index), name) {
			t.Errorf("%v: %s is not in %s", err, name, index)
		}
	}
}

// named are the names of the images in a layout.
func named(t *testing.T, text []byte) []string {
	t.Helper()
	var index struct {
		Manifests []struct{ Annotations map[string]string }
	}
	if err := json.Unmarshal(text, &index); err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, m := range index.Manifests {
		_, name, _ := strings.Cut(m.Annotations["larder.image.name"], "/")
		names = append(names, name)
	}
	return names
}

// TestExportTwice: an image that is named twice is there once.
func TestExportTwice(t *testing.T) {
	s := newStage(t)
	if _, err := s.export("acme/app:v1", "acme/app:v1"); err != nil {
		t.Fatal(err)
	}
	index, err := os.ReadFile(filepath.Join(s.out, "index.json"))
	if err != nil {
		t.Fatal(err)
	}
	if names := named(t, index); !slices.Equal(names, []string{"acme/app:v1"}) {
		t.Errorf("the layout has %q", names)
	}
}

// TestExportTar: a tar has what was asked for, and nothing that another export to
// the same place left behind when it was stopped, before its end or at it.
func TestExportTar(t *testing.T) {
	s := newStage(t)
	other := s.must(s.Push("acme/secret", "v1", ocitest.Image{Layers: [][]byte{[]byte("secret")}}))
	s.out += ".tar"
	s.Fail(faulty.Fault{Prefix: "/v2/acme/secret/blobs/" + ocitest.Digest([]byte("secret")), Status: 500})
	if _, err := s.export("acme/secret:v1"); err == nil {
		t.Fatal("no layer, and no error")
	}
	s.Heal()
	for range 2 {
		if _, err := s.export("acme/app:v1"); err != nil {
			t.Fatal(err)
		}
		parts := tarParts(t, s.out)
		if names := named(t, parts["index.json"]); !slices.Equal(names, []string{"acme/app:v1"}) {
			t.Errorf("the tar names %q", names)
		}
		if _, there := parts["blobs/"+strings.ReplaceAll(other.Digest, ":", "/")]; there || len(parts) != 5 {
			t.Errorf("the tar has %q", slices.Sorted(maps.Keys(parts)))
		}
		if !bytes.Equal(parts["blobs/"+strings.ReplaceAll(ocitest.Digest(s.layer), ":", "/")], s.layer) {
			t.Error("the tar has not the layer")
		}
		beside, err := os.ReadDir(filepath.Dir(s.out))
		if err != nil || len(beside) != 1 {
			t.Errorf("beside the tar: %v, %v", beside, err)
		}
		// The other export ends, but for its last step.
		s.out = strings.TrimSuffix(s.out, ".tar") + ".tar.d"
		if _, err := s.export("acme/secret:v1"); err != nil {
			t.Fatal(err)
		}
		s.out = strings.TrimSuffix(s.out, ".d")
	}
}

// TestExportTarStopped: what is half of a tar is in the folder that goes with it,
// where the next run writes it anew, and not beside it for ever.
func TestExportTarStopped(t *testing.T) {
	s := newStage(t)
	s.out += ".tar"
	if err := os.MkdirAll(filepath.Join(s.out, "in the way"), 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := s.export("acme/app:v1"); err == nil {
		t.Fatal("a folder is in the way, and no error")
	}
	half, err := filepath.Glob(filepath.Join(s.out+".d", ".parts", "*"))
	if err != nil || len(half) != 1 {
		t.Errorf("half a tar: %q, %v", half, err)
	}
	if err := os.RemoveAll(s.out); err != nil {
		t.Fatal(err)
	}
	if _, err := s.export("acme/app:v1"); err != nil {
		t.Fatal(err)
	}
	if beside, err := os.ReadDir(filepath.Dir(s.out)); err != nil || len(beside) != 1 {
		t.Errorf("beside the tar: %v, %v", beside, err)
	}
}

func tarParts(t *testing.T, place string) map[string][]byte {
	t.Helper()
	file, err := os.Open(place)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	parts := map[string][]byte{}
	for r := tar.NewReader(file); ; {
		h, err := r.Next()
		if err == io.EOF {
			return parts
		}
		if err != nil {
			t.Fatal(err)
		}
		if parts[h.Name], err = io.ReadAll(r); err != nil {
			t.Fatal(err)
		}
	}
}

// TestExportBase leaves out what the reader has in an image of the same name: in
// another one it would not be found.
func TestExportBase(t *testing.T) {
	s := newStage(t)
	if _, err := s.export("acme/app:v1"); err != nil {
		t.Fatal(err)
	}
	bases := []string{s.out, s.out + ".tar"}
	s.out = bases[1]
	if _, err := s.export("acme/app:v1"); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"acme/app", "acme/other"} {
		s.must(s.Push(name, "v2", ocitest.Image{Layers: [][]byte{s.layer, []byte("more")}}))
	}
	for _, base := range bases {
		for names, want := range map[string]bool{"acme/app:v2": false, "acme/other:v2": true, "acme/other:v2 acme/app:v2": true} {
			out := filepath.Join(t.TempDir(), "next")
			if _, err := s.run(&image.Export{Out: out, Base: base}, strings.Fields(names)...); err != nil {
				t.Fatal(err)
			}
			if _, err := os.Stat(blob(out, []byte("more"))); err != nil {
				t.Error(err)
			}
			if _, err := os.Stat(blob(out, s.layer)); (err == nil) != want {
				t.Errorf("the layer of %s: %v, want it there: %t", names, err, want)
			}
		}
	}
}

// TestExportBeside refuses a folder of something else.
func TestExportBeside(t *testing.T) {
	s := newStage(t)
	s.out = t.TempDir()
	if err := os.WriteFile(filepath.Join(s.out, "letter"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := s.export("acme/app:v1"); err == nil || len(s.Log("/")) != 0 {
		t.Errorf("export into a folder with a letter: %v", err)
	}
}

// TestExportUsed: of what was pulled lately, what is gone is left out, and what goes
// along already is not named again.
func TestExportUsed(t *testing.T) {
	s := newStage(t)
	d := s.must(s.Push("acme/app", "v2", ocitest.Image{Layers: [][]byte{[]byte("two")}}))
	other := s.must(s.Push("acme/app", "v3", ocitest.Image{Layers: [][]byte{[]byte("three")}}))
	host := strings.TrimPrefix(s.URL, "http://")
	from := &image.Registry{URL: s.URL, HTTP: http.DefaultClient}
	var told []string
	e := image.Export{Out: s.out, Tell: func(format string, args ...any) { told = append(told, fmt.Sprintf(format, args...)) }}
	var list []image.Source
	for _, r := range []image.Reference{
		{Tag: "v2"}, {Tag: "gone"}, {Tag: "sha256-" + strings.Repeat("0", 64) + ".sig"}, {Digest: d.Digest}, {Digest: other.Digest},
		{Digest: "sha256:" + strings.Repeat("0", 64)},
	} {
		r.Host, r.Name = host, "acme/app"
		list = append(list, image.Source{Reference: r, Registry: from, Used: true})
	}
	report, err := e.Run(t.Context(), list)
	if err != nil || report.Images != 2 || report.Manifests != 2 || len(told) != 6 {
		t.Errorf("%+v, %v, told %q", report, err, told)
	}
	if _, err := s.run(&image.Export{Out: s.out}, "acme/app:gone"); err == nil {
		t.Error("an image that was named is gone, and nobody is told")
	}
}
