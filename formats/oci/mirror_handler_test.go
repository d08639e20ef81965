package oci_test

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"larder/policy/rules"
	"larder/upstream/upstreamtest/ocitest"
)

// farImage puts an image of one layer into the upstream and returns its
// manifest's digest.
func (w *world) farImage(name, tag, layer string) string {
	w.T.Helper()
	d, err := w.far.Push(name, tag, ocitest.Image{Layers: [][]byte{[]byte(layer)}})
	w.Must(err)
	return d.Digest
}

// asked are the requests that reached the upstream since the last call, and
// those of any kind but for HEAD and GET.
func (w *world) asked() (list []string) {
	for _, q := range w.far.Log("") {
		list = append(list, q.Method+" "+q.Path)
	}
	w.far.Forget()
	return list
}

func (w *world) heard(what string, want ...string) {
	w.T.Helper()
	if got := w.asked(); !slices.Equal(got, want) {
		w.T.Errorf("%s: the upstream heard %q, want %q", what, got, want)
	}
}

// TestMirror: what clients do to pull, and what the upstream hears of it.
func TestMirror(t *testing.T) {
	w := newWorld(t, mirrored(ocitest.Options{}))
	layer := strings.Repeat("layer", 1000)
	d := w.farImage("team/app", "v1", layer)
	const at = "/mirror/far/team/app"
	got := w.want("200", "HEAD "+at+"/manifests/v1", "", "")
	h := got.Header
	if h.Get("Docker-Content-Digest") != d || h.Get("Etag") != `"`+d+`"` || h.Get("Content-Type") != typeImage ||
		h.Get("Cache-Control") != "no-cache" || got.ContentLength <= 0 {
		t.Errorf("HEAD: %v", h)
	}
	w.heard("the first HEAD", "HEAD /v2/team/app/manifests/v1", "GET /v2/team/app/manifests/"+d)
	byTag := w.want("200", "GET "+at+"/manifests/v1", "", "")
	byDigest := w.want("200", "GET "+at+"/manifests/"+d, "", "")
	if string(byTag.body) != string(byDigest.body) || digestOf(string(byTag.body)) != d || byDigest.Header.Get("Content-Type") != typeImage ||
		!strings.Contains(byDigest.Header.Get("Cache-Control"), "immutable") {
		t.Errorf("manifests %v %s, %v %s", byTag.Header, byTag.body, byDigest.Header, byDigest.body)
	}
	w.heard("manifests that are held")
	blob := at + "/blobs/" + digestOf(layer)
	for _, results := range []string{"miss", "hit join"} { // it may be on its way into the store yet
		got := w.want("200", "GET "+blob, "", "")
		if string(got.body) != layer || !strings.Contains(results, got.Header.Get("X-Cache")) || got.Header.Get("Docker-Content-Digest") != digestOf(layer) {
			t.Errorf("%s: %v", results, got.Header)
		}
	}
	w.heard("a blob", "GET /v2/team/app/blobs/"+digestOf(layer))
	w.Clock.Advance(10 * time.Minute)
	w.want("200", "GET "+at+"/manifests/v1", "", "")
	w.heard("after the window", "HEAD /v2/team/app/manifests/v1")
	next := w.farImage("team/app", "v1", "another")
	w.Clock.Advance(10 * time.Minute)
	if got := w.want("200", "GET "+at+"/manifests/v1", "", ""); got.Header.Get("Docker-Content-Digest") != next {
		t.Errorf("the tag did not move: %v", got.Header)
	}
	w.far.Down()
	w.Clock.Advance(10 * time.Minute)
	got = w.want("200", "GET "+at+"/manifests/v1", "", "")
	if !strings.HasPrefix(got.Header.Get("Warning"), `299 - "upstream unreachable, cached copy from 2026-03-01T`) || got.Header.Get("X-Cache") != "stale" {
		t.Errorf("an outage: %v", got.Header)
	}
	w.want("502 UNKNOWN", "GET "+at+"/manifests/v2", "", "")
	w.want("502 UNKNOWN", "GET "+at+"/blobs/"+digestOf("another"), "", "")
}

// TestMirrorOfLongDigests: what is asked by SHA-512 is checked by it.
func TestMirrorOfLongDigests(t *testing.T) {
	w := newWorld(t, mirrored(ocitest.Options{}))
	w.far.PushBlob("team/app", typeLayer, []byte("layer"))
	got := w.want("200", "GET /mirror/far/team/app/blobs/"+digest512("layer"), "", "")
	if string(got.body) != "layer" || got.Header.Get("Docker-Content-Digest") != digest512("layer") {
		t.Errorf("%v %s", got.Header, got.body)
	}
}

// TestMirrorWithoutDigests: an upstream that does not tell them is asked for the
// manifest itself.
func TestMirrorWithoutDigests(t *testing.T) {
	w := newWorld(t, mirrored(ocitest.Options{NoDigest: true}))
	d := w.farImage("team/app", "v1", "layer")
	if got := w.want("200", "HEAD /mirror/far/team/app/manifests/v1", "", ""); got.Header.Get("Docker-Content-Digest") != d {
		t.Errorf("%v", got.Header)
	}
}

// TestMirrorIsMissing: what the upstream has not is missing, as is what nobody
// may know of.
func TestMirrorIsMissing(t *testing.T) {
	w := newWorld(t, mirrored(ocitest.Options{}))
	w.farImage("team/app", "v1", "layer")
	w.farImage("acme/open/app", "v1", "layer")
	for _, tail := range []string{"/manifests/v2", "/manifests/" + digestOf("x"), "/blobs/" + digestOf("x")} {
		for _, name := range []string{"team/app", "nix", "acme/open/app"} {
			for _, method := range []string{"HEAD", "GET"} {
				w.want("404 NAME_UNKNOWN", method+" /mirror/far/"+name+tail, "rita", "")
			}
		}
	}
	for _, line := range w.asked() {
		if strings.Contains(line, "acme") {
			t.Errorf("the upstream heard of a claimed name: %s", line)
		}
	}
	w.want("404 NAME_UNKNOWN", "GET /mirror/nix/team/app/manifests/v1", "rita", "")
}

// TestMirrorTakesNothing: every write is refused before anything else is asked.
func TestMirrorTakesNothing(t *testing.T) {
	w := newWorld(t, mirrored(ocitest.Options{}))
	for _, line := range []string{
		"POST /mirror/far/team/app/blobs/uploads/", "PUT /mirror/far/team/app/manifests/v1",
		"PATCH /mirror/far/team/app/blobs/uploads/x", "POST /mirror/far/team/app/blobs/uploads/?mount=" + digestOf("x"),
	} {
		for _, who := range []string{"", "wim", "admin"} {
			w.unchanged(line, func() { w.want("405 UNSUPPORTED read-only mirror", line, who, "x") })
		}
	}
	w.heard("writes")
}

// TestLibrary: names of one word have two spellings and one entry in the cache.
func TestLibrary(t *testing.T) {
	w := newWorld(t, mirrored(ocitest.Options{}))
	d := w.farImage("library/app", "v1", "layer")
	for _, name := range []string{"app", "library/app"} {
		if got := w.want("200", "GET /mirror/lib/"+name+"/manifests/v1", "", ""); got.Header.Get("Docker-Content-Digest") != d {
			t.Errorf("%s: %v", name, got.Header)
		}
		w.want("200", "GET /mirror/lib/"+name+"/blobs/"+digestOf("layer"), "", "")
	}
	w.heard("two spellings", "HEAD /v2/library/app/manifests/v1", "GET /v2/library/app/manifests/"+d,
		"GET /v2/library/app/blobs/"+digestOf("layer"))
	w.want("404", "GET /mirror/far/app/manifests/v1", "", "")
}

// TestMountFromALibrary: a layer of a mirror is mounted by both spellings of its
// image, and by none of another one's.
func TestMountFromALibrary(t *testing.T) {
	w := newWorld(t, mirrored(ocitest.Options{}))
	w.farImage("library/app", "v1", "layer")
	for w.want("200", "GET /mirror/lib/app/blobs/"+digestOf("layer"), "", "").Header.Get("X-Cache") != "hit" {
		runtime.Gosched() // it is on its way into the store yet
	}
	for i, tt := range []struct{ from, result string }{
		{"mirror/lib/app", "201"}, {"mirror/lib/library/app", "201"}, {"mirror/lib/other", "202"}, {"mirror/far/app", "202"}, {"app", "202"}, {"mirror/lib", "202"},
	} {
		w.want(tt.result, fmt.Sprintf("POST /acme/app%d/blobs/uploads/?mount=%s&from=%s", i, digestOf("layer"), tt.from), "wim", "")
	}
}

// TestOldManifests: the first schema is refused with a sentence, by tag and by
// digest.
func TestOldManifests(t *testing.T) {
	w := newWorld(t, mirrored(ocitest.Options{}))
	const old = "application/vnd.docker.distribution.manifest.v1+prettyjws"
	d, err := w.far.PushManifest("team/app", "v1", old, []byte(`{"schemaVersion":1,"name":"team/app","fsLayers":[]}`))
	w.Must(err)
	for _, ref := range []string{"v1", d.Digest} {
		w.want("404 MANIFEST_UNKNOWN schema 1", "GET /mirror/far/team/app/manifests/"+ref, "", "")
	}
}

// TestLies: bytes that are not what their name says are never sent whole, and
// never kept.
func TestLies(t *testing.T) {
	w := newWorld(t, mirrored(ocitest.Options{}))
	layer := strings.Repeat("layer", 100_000)
	d := w.farImage("team/app", "v1", layer)
	w.far.Fail(ocitest.Fault{Prefix: "/v2/team/app/", Wrong: true})
	for _, what := range []string{"manifests/v1", "manifests/" + d, "blobs/" + digestOf(layer)} {
		got := w.do("GET /mirror/far/team/app/"+what, "", "")
		if got.StatusCode == 200 && !got.cut {
			t.Errorf("%s: %d, whole: %v", what, got.StatusCode, got.Header)
		}
	}
	w.far.Heal()
	w.Clock.Advance(time.Hour)
	for _, what := range []string{"manifests/v1", "manifests/" + d, "blobs/" + digestOf(layer)} {
		got := w.want("200", "GET /mirror/far/team/app/"+what, "", "")
		if fmt.Sprint(got.ContentLength) != fmt.Sprint(len(got.body)) {
			t.Errorf("%s: %d of %d bytes", what, len(got.body), got.ContentLength)
		}
	}
}

// TestMirrorForgets: whoever runs the server can drop what is cached, and nobody
// else; what is not there is dropped as well.
func TestMirrorForgets(t *testing.T) {
	w := newWorld(t, mirrored(ocitest.Options{}))
	d := w.farImage("team/app", "v1", "layer")
	const at = "/mirror/far/team/app"
	things := []string{at + "/manifests/v1", at + "/manifests/" + d, at + "/blobs/" + digestOf("layer")}
	for _, thing := range things {
		w.want("200", "GET "+thing, "", "")
	}
	w.asked()
	for _, thing := range things {
		w.want("403 DENIED", "DELETE "+thing, "wim", "")
		w.want("401 UNAUTHORIZED", "DELETE "+thing, "", "")
		w.want("200", "GET "+thing, "", "")
	}
	w.heard("after refusals")
	for _, thing := range things {
		w.want("202", "DELETE "+thing, "admin", "")
		w.want("202", "DELETE "+thing, "admin", "")
	}
	w.heard("deletions")
	for _, thing := range things {
		w.want("200", "GET "+thing, "", "")
	}
	w.heard("after deletions", "HEAD /v2/team/app/manifests/v1", "GET /v2/team/app/manifests/"+d, "GET /v2/team/app/blobs/"+digestOf("layer"))
}

// TestMirrorCatalog: what an upstream has is not for us to list.
func TestMirrorCatalog(t *testing.T) {
	w := newWorld(t, mirrored(ocitest.Options{}))
	w.push("wim", "acme/open/tool", "v1", "layer")
	if got := w.want("200", "GET /mirror/far/_catalog", "bob", ""); string(got.body) != `{"repositories":[]}` {
		t.Errorf("%s", got.body)
	}
}

// TestRules: a rule refuses manifests by tag and digest, and their blobs with
// them, in words that clients print.
func TestRules(t *testing.T) {
	w := newWorld(t, mirrored(ocitest.Options{}))
	bad, good := w.farImage("team/app", "bad", "bad layer"), w.farImage("team/app", "good", "good layer")
	const at = "/mirror/far/team/app"
	w.want("200", "GET "+at+"/manifests/bad", "", "")
	w.want("200", "GET "+at+"/blobs/"+digestOf("bad layer"), "", "")
	deny := rules.Rule{ID: "known-bad", Kind: rules.Deny, Match: []string{"pkg:oci/team/app@" + bad}, Reason: "it was taken over"}
	set, err := rules.New([]rules.Rule{deny}, nil, nil)
	w.Must(err)
	w.rules.Store(set)
	for _, thing := range []string{"/manifests/bad", "/manifests/" + bad, "/blobs/" + digestOf("bad layer")} {
		got := w.want("403 DENIED it was taken over", "GET "+at+thing, "", "")
		detail, _ := w.failure(got).Detail.(map[string]any)
		if detail["rule"] != "known-bad" || detail["decision"] == "" || got.Header.Get("X-Larder-Policy") != "known-bad" {
			t.Errorf("%s: %v %v", thing, detail, got.Header)
		}
		w.want("403", "HEAD "+at+thing, "", "")
	}
	for _, thing := range []string{"/manifests/good", "/manifests/" + good, "/blobs/" + digestOf("good layer")} {
		w.want("200", "GET "+at+thing, "", "")
	}
}
