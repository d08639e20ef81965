package image_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"larder/cache"
	"larder/cmd/larder/image"
	"larder/upstream/upstreamtest/ocitest"
)

const (
	typeIndex = "application/vnd.oci.image.index.v1+json"
	typeImage = "application/vnd.oci.image.manifest.v1+json"
)

type object = map[string]any

// files is a layout by the names of its files.
type files map[string][]byte

// add keeps a blob and describes it.
func (f files) add(mediaType string, content []byte) object {
	digest := ocitest.Digest(content)
	f["blobs/"+strings.ReplaceAll(digest, ":", "/")] = content
	return object{"mediaType": mediaType, "digest": digest, "size": len(content)}
}

func (f files) addJSON(mediaType string, v any) object {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err) // maps of strings can be encoded
	}
	return f.add(mediaType, text)
}

// name makes a manifest the image acme/app:v1 of the layout.
func (f files) name(d object) files {
	return f.list(noted(d, "larder.image.name", "far.example/acme/app:v1"))
}

// list makes manifests the images of the layout.
func (f files) list(entries ...any) files {
	f["index.json"], _ = json.Marshal(object{"schemaVersion": 2, "manifests": entries}) // strings always encode
	f["oci-layout"] = []byte(`{"imageLayoutVersion":"1.0.0"}`)
	return f
}

func noted(d object, key, value string) object {
	d["annotations"] = map[string]string{key: value}
	return d
}

// image is a good one.
func (f files) image() object {
	return f.addJSON(typeImage, object{
		"schemaVersion": 2, "config": f.add("application/x", []byte("{}")), "layers": []any{f.add("application/x", []byte("layer"))},
	})
}

// folder and tar write a layout.
func (f files) folder(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range f {
		place := filepath.Join(dir, filepath.FromSlash(name))
		if err := errors.Join(os.MkdirAll(filepath.Dir(place), 0o755), os.WriteFile(place, content, 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func (f files) tar(t *testing.T, more ...tar.Header) string {
	t.Helper()
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for name, content := range f {
		more = append(more, tar.Header{Name: name, Size: int64(len(content)), Mode: 0o644})
	}
	for _, h := range more {
		err := w.WriteHeader(&h)
		if content, ok := f[h.Name]; ok && err == nil {
			_, err = w.Write(content)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return written(t, out.Bytes())
}

func written(t *testing.T, content []byte) string {
	t.Helper()
	place := filepath.Join(t.TempDir(), "layout.tar")
	if err := os.WriteFile(place, content, 0o644); err != nil {
		t.Fatal(err)
	}
	return place
}

// refused imports into a server that has nothing, and demands that it got nothing.
func refused(t *testing.T, place string) error {
	t.Helper()
	var writes atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		if q.Method != http.MethodHead {
			writes.Add(1)
		}
		w.WriteHeader(http.StatusNotFound)
	}))
	defer server.Close()
	i := image.Import{From: place, Tell: func(string, ...any) {}}
	_, err := i.Run(t.Context(), &image.Registry{URL: server.URL, HTTP: server.Client()})
	if writes.Load() > 0 {
		t.Errorf("%d requests were to write", writes.Load())
	}
	return err
}

// TestHostileLayouts: nothing of a layout that is not good gets to the server.
func TestHostileLayouts(t *testing.T) {
	good := func() files { f := files{}; return f.name(f.image()) }
	for name, tt := range map[string]struct {
		spoil func(f files)
		want  error
	}{
		"no oci-layout":      {func(f files) { delete(f, "oci-layout") }, image.ErrLayout},
		"another version":    {func(f files) { f["oci-layout"] = []byte(`{"imageLayoutVersion":"2.0.0"}`) }, image.ErrLayout},
		"no index":           {func(f files) { delete(f, "index.json") }, image.ErrLayout},
		"an index of 33 MiB": {func(f files) { f["index.json"] = append(bytes.Repeat([]byte(" "), 33<<20), f["index.json"]...) }, image.ErrLayout},
		"an index cut short": {func(f files) { f["index.json"] = f["index.json"][:20] }, image.ErrLayout},
		"a missing layer":    {func(f files) { delete(f, pathOf([]byte("layer"))) }, image.ErrLayout},
		"other bytes":        {func(f files) { f[pathOf([]byte("layer"))] = []byte("loyer") }, cache.ErrCorrupt},
		"more bytes":         {func(f files) { f[pathOf([]byte("layer"))] = []byte("layer and more") }, cache.ErrCorrupt},
		"fewer bytes":        {func(f files) { f[pathOf([]byte("layer"))] = []byte("la") }, cache.ErrCorrupt},
		"a digest that is a path": {func(f files) {
			f.name(object{"mediaType": typeImage, "digest": "sha256:../../../etc/passwd", "size": 1})
		}, image.ErrLayout},
		"a digest in capitals": {func(f files) {
			f.name(object{"mediaType": typeImage, "digest": "sha256:" + strings.Repeat("A", 64), "size": 1})
		}, image.ErrLayout},
		"a size below zero": {func(f files) {
			d := f.image()
			d["size"] = -1
			f.name(d)
		}, image.ErrLayout},
		"a size that lies": {func(f files) {
			d := f.image()
			d["size"] = 5
			f.name(d)
		}, cache.ErrCorrupt},
		"a manifest of 100 MB": {func(f files) { f.name(f.add(typeImage, make([]byte, 100_000_000))) }, image.ErrLayout},
		"a manifest of noise":  {func(f files) { f.name(f.add(typeImage, []byte("noise"))) }, image.ErrLayout},
		"100 indexes deep": {func(f files) {
			d := f.image()
			for range 100 {
				d = f.addJSON(typeIndex, object{"schemaVersion": 2, "manifests": []any{d}})
			}
			f.name(d)
		}, image.ErrLayout},
		"a child that nobody left out": {func(f files) {
			away := files{}.image()
			f.name(f.addJSON(typeIndex, object{"schemaVersion": 2, "manifests": []any{f.image(), withMore(away)}}))
		}, image.ErrLayout},
		"two images of one name": {func(f files) {
			other := f.addJSON(typeImage, object{"schemaVersion": 2, "config": f.add("application/x", []byte("{}")), "layers": []any{}})
			f.list(noted(f.image(), "larder.image.name", "far.example/acme/app:v1"), noted(other, "larder.image.name", "near.example/acme/app:v1"))
		}, image.ErrLayout},
		"no manifest": {func(f files) { f.name(f.add("application/x", []byte("x"))) }, image.ErrLayout},
	} {
		t.Run(name, func(t *testing.T) {
			f := good()
			tt.spoil(f)
			for _, place := range []string{f.folder(t), f.tar(t)} {
				if err := refused(t, place); !errors.Is(err, tt.want) {
					t.Errorf("%s: %v", filepath.Base(place), err)
				}
			}
		})
	}
}

// withMore is a descriptor of what is nowhere.
func withMore(d object) object {
	d["digest"] = ocitest.Digest([]byte("nowhere"))
	return d
}

func pathOf(content []byte) string {
	return "blobs/" + strings.ReplaceAll(ocitest.Digest(content), ":", "/")
}

// TestHostileTars: a tar is read where it is, and what is no plain file of a
// layout refuses it.
func TestHostileTars(t *testing.T) {
	f := files{}
	f.name(f.image())
	for name, h := range map[string]tar.Header{
		"a path out of it": {Name: "../evil"},
		"a whole path":     {Name: "/etc/evil"},
		"a way back":       {Name: "blobs/../../evil"},
		"a symbolic link":  {Name: "link", Typeflag: tar.TypeSymlink, Linkname: "/etc/passwd"},
		"a hard link":      {Name: "link", Typeflag: tar.TypeLink, Linkname: "index.json"},
		"a device":         {Name: "null", Typeflag: tar.TypeChar},
		"a file twice":     {Name: "oci-layout", Size: int64(len(f["oci-layout"]))},
		"a file twice, ./": {Name: "./oci-layout"},
		"a pipe":           {Name: "pipe", Typeflag: tar.TypeFifo},
	} {
		t.Run(name, func(t *testing.T) {
			if err := refused(t, f.tar(t, h)); !errors.Is(err, image.ErrLayout) {
				t.Error(err)
			}
		})
	}
	whole, err := os.ReadFile(f.tar(t))
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string][]byte{"noise": bytes.Repeat([]byte("noise"), 1000), "cut": whole[:len(whole)/3], "nothing": nil} {
		if err := refused(t, written(t, content)); !errors.Is(err, image.ErrLayout) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestOtherArchives: what people take for a layout says what it is, and what to do.
func TestOtherArchives(t *testing.T) {
	docker := files{"manifest.json": []byte(`[{"Config":"x.json","RepoTags":["app:1"],"Layers":[]}]`)}
	f := files{}
	plain, err := os.ReadFile(f.name(f.image()).tar(t))
	if err != nil {
		t.Fatal(err)
	}
	var zipped bytes.Buffer
	z := gzip.NewWriter(&zipped)
	if _, err := z.Write(plain); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	for place, want := range map[string]string{
		docker.tar(t):                        "--format oci-archive",
		docker.folder(t):                     "--format oci-archive",
		written(t, zipped.Bytes()):           "unpack it",
		written(t, []byte("(\xb5/\xfdxxxx")): "unpack it", // zstd
	} {
		if err := refused(t, place); !errors.Is(err, image.ErrLayout) || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q in it", err, want)
		}
	}
}

// TestMissingTwice: what is neither in the layout nor at the server is looked for
// once in each image.
func TestMissingTwice(t *testing.T) {
	f := files{}
	layer := f.add("application/x", []byte("layer"))
	delete(f, pathOf([]byte("layer")))
	var manifests []any
	for _, text := range []string{"one", "two", "three"} {
		manifests = append(manifests, f.addJSON(typeImage, object{
			"schemaVersion": 2, "config": f.add("application/x", []byte(text)), "layers": []any{layer},
		}))
	}
	f.name(f.addJSON(typeIndex, object{"schemaVersion": 2, "manifests": manifests}))
	var asked atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		asked.Add(1)
		w.WriteHeader(http.StatusNotFound)
	}))
	defer server.Close()
	i := image.Import{From: f.folder(t), Tell: func(string, ...any) {}}
	_, err := i.Run(t.Context(), &image.Registry{URL: server.URL, HTTP: server.Client()})
	if !errors.Is(err, image.ErrLayout) || asked.Load() != 1 {
		t.Errorf("asked %d times, %v", asked.Load(), err)
	}
}

// TestMuchMissing: a sentence names what is missing, and not without end.
func TestMuchMissing(t *testing.T) {
	f := files{}
	var layers []any
	for n := range 30 {
		content := []byte(fmt.Sprint("layer ", n))
		layers = append(layers, f.add("application/x", content))
		delete(f, pathOf(content))
	}
	f.name(f.addJSON(typeImage, object{"schemaVersion": 2, "config": f.add("application/x", []byte("{}")), "layers": layers}))
	err := refused(t, f.folder(t))
	if !errors.Is(err, image.ErrLayout) || strings.Count(err.Error(), "sha256:") != 20 || !strings.Contains(err.Error(), " and 10 more") {
		t.Error(err)
	}
}

// TestTarWithHoles: a file with holes has not its bytes where they are looked for.
func TestTarWithHoles(t *testing.T) {
	f := files{}
	f.name(f.image())
	whole, err := os.ReadFile(f.tar(t))
	if err != nil {
		t.Fatal(err)
	}
	var more bytes.Buffer
	w := tar.NewWriter(&more)
	content := append([]byte("1\n0\n0\n"), make([]byte, 506)...)
	err = w.WriteHeader(&tar.Header{Name: "more", Size: int64(len(content)), PAXRecords: map[string]string{
		"XXX.sparse.major": "1", "XXX.sparse.minor": "0", "XXX.sparse.name": "more", "XXX.sparse.realsize": "100",
	}})
	if _, written := w.Write(content); err != nil || written != nil {
		t.Fatal(err, written)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	whole = append(more.Bytes()[:more.Len()-1024], whole...)
	whole = bytes.ReplaceAll(whole, []byte("XXX.sparse"), []byte("GNU.sparse")) // which no writer writes when it is asked
	if err := refused(t, written(t, whole)); !errors.Is(err, image.ErrLayout) {
		t.Error(err)
	}
}

// TestHostileFolders: no link is followed.
func TestHostileFolders(t *testing.T) {
	f := files{}
	f.name(f.image())
	layer := pathOf([]byte("layer"))
	outside := filepath.Join(t.TempDir(), "outside")
	if err := os.WriteFile(outside, []byte("layer"), 0o644); err != nil {
		t.Fatal(err)
	}
	dir := f.folder(t)
	if err := errors.Join(os.Remove(filepath.Join(dir, layer)), os.Symlink(outside, filepath.Join(dir, layer))); err != nil {
		t.Fatal(err)
	}
	if err := refused(t, dir); !errors.Is(err, image.ErrLayout) {
		t.Errorf("a linked layer: %v", err)
	}
	dir = f.folder(t)
	away := f.folder(t)
	if err := errors.Join(os.RemoveAll(filepath.Join(dir, "blobs")), os.Symlink(filepath.Join(away, "blobs"), filepath.Join(dir, "blobs"))); err != nil {
		t.Fatal(err)
	}
	if err := refused(t, dir); err == nil {
		t.Error("a linked folder is followed out of the layout")
	}
}

// TestEndlessReferrers: a list that never ends is not read for ever.
func TestEndlessReferrers(t *testing.T) {
	far, err := ocitest.Start(ocitest.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(far.Close)
	if _, err := far.Push("acme/app", "v1", ocitest.Image{}); err != nil {
		t.Fatal(err)
	}
	var pages atomic.Int64
	to, err := url.Parse(far.URL)
	if err != nil {
		t.Fatal(err)
	}
	behind := httputil.NewSingleHostReverseProxy(to)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		if !strings.Contains(q.URL.Path, "/referrers/") {
			behind.ServeHTTP(w, q)
			return
		}
		w.Header().Set("Link", fmt.Sprintf("<%s?last=%d>; rel=\"next\"", q.URL.Path, pages.Add(1)))
		if pages.Load() > 5000 {
			t.Error("the list is read for ever")
			w.Header().Del("Link")
		}
		_, _ = io.WriteString(w, `{"schemaVersion":2,"manifests":[]}`) // who went away is seen by the count
	}))
	defer server.Close()
	r, err := image.ParseReference("here/acme/app:v1")
	if err != nil {
		t.Fatal(err)
	}
	e := image.Export{Out: filepath.Join(t.TempDir(), "out"), Tell: func(string, ...any) {}}
	_, err = e.Run(t.Context(), []image.Source{{Reference: r, Registry: &image.Registry{URL: server.URL, HTTP: server.Client()}}})
	if err == nil || !strings.Contains(err.Error(), "pages") {
		t.Error(err)
	}
}

// TestElsewhere: the token is for the server alone, wherever an answer points.
func TestElsewhere(t *testing.T) {
	var asked atomic.Int64
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked.Add(1) }))
	defer other.Close()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		if q.Method == http.MethodHead {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		_, _ = io.Copy(io.Discard, q.Body)
		w.Header().Set("Location", other.URL+"/v2/acme/app/blobs/uploads/1")
		w.WriteHeader(http.StatusAccepted)
	}))
	defer server.Close()
	f := files{}
	i := image.Import{From: f.name(f.image()).folder(t), Tell: func(string, ...any) {}}
	_, err := i.Run(t.Context(), &image.Registry{URL: server.URL, Token: "secret", HTTP: server.Client()})
	if err == nil || !strings.Contains(err.Error(), "sends elsewhere") || asked.Load() > 0 {
		t.Errorf("%v, and the other server was asked %d times", err, asked.Load())
	}
}
