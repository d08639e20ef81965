package oci_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"larder/policy/rules"
	"larder/proxy/registry"
	"larder/upstream/upstreamtest/ocitest"
)

// watcher hears of what was fetched ahead.
type watcher chan registry.Foreseen

func (watcher) Integrity(string, string, string, error) {}
func (watcher) Claimed(string, string, string)          {}
func (watcher) Shared(string)                           {}
func (watcher) Warned(string, string, rules.Finding)    {}

func (w watcher) Foreseen(_, _, _ string, got registry.Foreseen) { w <- got }

// prefetching is a world whose mirror fetches images for platforms ahead, and an
// index there of one image for each of several.
func prefetching(t *testing.T, opt ocitest.Options, platforms ...string) (*world, watcher, map[string]ocitest.Descriptor) {
	t.Helper()
	heard := make(watcher, 100)
	w := newWorld(t, mirrored(opt), func(w *world) { w.watch, w.ahead = heard, platforms })
	images, list := map[string]ocitest.Descriptor{}, []ocitest.Descriptor{}
	for _, p := range []ocitest.Platform{
		{OS: "linux", Architecture: "amd64"}, {OS: "linux", Architecture: "arm64", Variant: "v8"}, {OS: "linux", Architecture: "s390x"},
	} {
		d, err := w.far.Push("team/app", "", ocitest.Image{Platform: p, Layers: [][]byte{[]byte("layer for " + p.Architecture)}})
		w.Must(err)
		d.Platform = &p
		images[p.Architecture] = d
		list = append(list, d)
	}
	_, err := w.far.PushIndex("team/app", "v1", list...)
	w.Must(err)
	w.far.Forget()
	return w, heard, images
}

// TestPrefetch: with an index come the images of the platforms that are wanted, all
// of them and no other, and are there when the upstream is not.
func TestPrefetch(t *testing.T) {
	w, heard, images := prefetching(t, ocitest.Options{}, "linux/amd64", "linux/arm64/v8", "windows/amd64")
	const at = "/mirror/far/team/app"
	w.want("200", "GET "+at+"/manifests/v1", "", "")
	got := <-heard
	if got.Err != nil || got.Files != 6 || got.Bytes <= 2*images["amd64"].Size {
		t.Errorf("%+v", got)
	}
	log := w.asked()
	for arch, want := range map[string]bool{"amd64": true, "arm64": true, "s390x": false} {
		for _, path := range []string{"/manifests/" + images[arch].Digest, "/blobs/" + digestOf("layer for "+arch)} {
			if asked := slices.Contains(log, "GET /v2/team/app"+path); asked != want {
				t.Errorf("%s%s was asked for: %v", arch, path, asked)
			}
		}
	}
	w.want("200", "GET "+at+"/manifests/v1", "", "")
	w.far.Down()
	for _, arch := range []string{"amd64", "arm64"} {
		w.want("200", "GET "+at+"/manifests/"+images[arch].Digest, "", "")
		if body := w.want("200", "GET "+at+"/blobs/"+digestOf("layer for "+arch), "", "").body; string(body) != "layer for "+arch {
			t.Errorf("%s: %q", arch, body)
		}
	}
	w.want("502", "GET "+at+"/manifests/"+images["s390x"].Digest, "", "")
	if len(heard) != 0 {
		t.Errorf("an index that is held brings its images again: %+v", <-heard)
	}
}

// TestPrefetchNothing: without platforms an index comes alone, and an image alone
// brings nothing.
func TestPrefetchNothing(t *testing.T) {
	w, heard, images := prefetching(t, ocitest.Options{})
	const at = "/mirror/far/team/app/manifests/"
	w.want("200", "GET "+at+"v1", "", "")
	w.ahead = []string{"linux/s390x"}
	w.want("200", "GET "+at+images["amd64"].Digest, "", "")
	w.Must(w.Engine.Close())
	for _, line := range w.asked() {
		if strings.Contains(line, "/blobs/") || strings.Contains(line, images["s390x"].Digest) {
			t.Errorf("asked %s", line)
		}
	}
	if len(heard) != 0 {
		t.Errorf("told of %+v", <-heard)
	}
}

// TestPrefetchFails: what the upstream has not ends it, is told, and is no matter of
// who asked for the index.
func TestPrefetchFails(t *testing.T) {
	w, heard, images := prefetching(t, ocitest.Options{}, "linux/amd64", "linux/s390x")
	w.far.Remove("team/app", images["amd64"].Digest)
	w.want("200", "GET /mirror/far/team/app/manifests/v1", "", "")
	if got := <-heard; got.Err == nil || got.Files != 0 {
		t.Errorf("%+v", got)
	}
	for _, line := range w.asked() {
		if strings.Contains(line, "/blobs/") {
			t.Errorf("asked %s", line)
		}
	}
	w.want("200", "GET /mirror/far/team/app/manifests/"+images["s390x"].Digest, "", "")
	w.want("404", "GET /mirror/far/team/app/manifests/"+images["amd64"].Digest, "", "")
}

// TestPrefetchHostile: an index that names images in ways of its own brings none, or
// as many as one may.
func TestPrefetchHostile(t *testing.T) {
	w, heard, images := prefetching(t, ocitest.Options{}, "linux/amd64")
	d := images["amd64"]
	entry := fmt.Sprintf(`{"mediaType":%q,"digest":%q,"size":%d,"platform":{"os":"linux","architecture":"amd64"}}`, d.MediaType, d.Digest, d.Size)
	for i, list := range []string{
		`{"mediaType":"` + typeImage + `","digest":"sha256:../x","size":1,"platform":{"os":"linux","architecture":"amd64"}}`,
		`{"mediaType":"` + typeIndex + `","digest":"` + d.Digest + `","size":1,"platform":{"os":"linux","architecture":"amd64"}}`,
		`{"mediaType":"` + typeImage + `","digest":"` + d.Digest + `","size":1}`,
		`null`,
	} {
		tag := fmt.Sprint("bad", i)
		_, err := w.far.PushManifest("team/app", tag, typeIndex, []byte(`{"schemaVersion":2,"mediaType":"`+typeIndex+`","manifests":[`+list+`]}`))
		w.Must(err)
		w.want("200", "GET /mirror/far/team/app/manifests/"+tag, "", "")
	}
	_, err := w.far.PushManifest("team/app", "good", typeIndex, []byte(`{"schemaVersion":2,"mediaType":"`+typeIndex+`","manifests":[`+entry+`]}`))
	w.Must(err)
	w.want("200", "GET /mirror/far/team/app/manifests/good", "", "")
	for got := range heard {
		if got.Err == nil && got.Files == 3 {
			break
		}
		t.Errorf("%+v", got)
	}
}
