package oci_test

import (
	"strings"
	"testing"

	"larder/formats"
	"larder/policy"
	"larder/upstream/upstreamtest/ocitest"
)

// TestPushAndPull is what every client does.
func TestPushAndPull(t *testing.T) {
	w := newWorld(t)
	layer := strings.Repeat("layer ", 1000)
	at := w.begin("wim", "acme/app")
	got := w.want("202", "PATCH "+at, "wim", layer)
	if got.Header.Get("Range") != "0-5999" || got.Header.Get("Location") != "/v2"+at {
		t.Errorf("chunk %v", got.Header)
	}
	got = w.want("201", "PUT "+at+"?digest="+digestOf(layer), "wim", "")
	if got.Header.Get("Location") != "/v2/acme/app/blobs/"+digestOf(layer) || got.Header.Get("Docker-Content-Digest") != digestOf(layer) {
		t.Errorf("blob %v", got.Header)
	}
	w.blob("wim", "acme/app", "{}")
	m := written("{}", []string{layer})
	d := digestOf(m)
	got = w.want("201", "PUT /acme/app/manifests/latest", "wim", m, "Content-Type: "+typeImage)
	if got.Header.Get("Location") != "/v2/acme/app/manifests/"+d || got.Header.Get("Docker-Content-Digest") != d || len(got.body) > 0 {
		t.Errorf("manifest %v", got.Header)
	}
	for _, ref := range []string{"latest", d} {
		for _, method := range []string{"HEAD", "GET"} {
			got := w.want("200", method+" /acme/app/manifests/"+ref, "rita", "")
			h := got.Header
			if h.Get("Content-Type") != typeImage || h.Get("Docker-Content-Digest") != d || h.Get("Etag") != `"`+d+`"` ||
				got.ContentLength != int64(len(m)) || method == "GET" && string(got.body) != m {
				t.Errorf("%s %s: %v %q", method, ref, h, got.body)
			}
			if fixed := strings.Contains(h.Get("Cache-Control"), "immutable"); fixed != (ref == d) || !strings.Contains(h.Get("Cache-Control"), "private") {
				t.Errorf("%s %s: %v", method, ref, h)
			}
			if got := w.do(method+" /acme/app/manifests/"+ref, "rita", "", `If-None-Match: "`+d+`"`); got.StatusCode != 304 {
				t.Errorf("%s %s again: %d", method, ref, got.StatusCode)
			}
		}
	}
	for _, method := range []string{"HEAD", "GET"} {
		got := w.want("200", method+" /acme/app/blobs/"+digestOf(layer), "rita", "")
		h := got.Header
		if h.Get("Content-Type") != "application/octet-stream" || h.Get("Docker-Content-Digest") != digestOf(layer) ||
			h.Get("Etag") != `"`+digestOf(layer)+`"` || got.ContentLength != 6000 || method == "GET" && string(got.body) != layer ||
			h.Get("Accept-Ranges") != "bytes" || h.Get("Cache-Control") != "private, max-age=31536000, immutable" {
			t.Errorf("%s: %v", method, h)
		}
	}
	if got := w.want("200", "GET /acme/app/tags/list", "rita", ""); string(got.body) != `{"name":"acme/app","tags":["latest"]}` {
		t.Errorf("tags %s", got.body)
	}
}

// TestPushTwice: the same manifest again is no error, and a tag can move.
func TestPushTwice(t *testing.T) {
	w := newWorld(t)
	one := w.push("wim", "acme/app", "v1", "one")
	w.push("wim", "acme/app", "v1", "one")
	two := w.push("wim", "acme/app", "v1", "two")
	if got := w.want("200", "GET /acme/app/manifests/v1", "rita", ""); string(got.body) != two {
		t.Errorf("the tag did not move: %s", got.body)
	}
	if got := w.want("200", "GET /acme/app/manifests/"+digestOf(one), "rita", ""); string(got.body) != one {
		t.Errorf("the old manifest: %s", got.body)
	}
}

// TestLongDigests: what is pushed by SHA-512 is found by it.
func TestLongDigests(t *testing.T) {
	w := newWorld(t)
	at := w.begin("wim", "acme/app")
	w.want("202", "PATCH "+at, "wim", "lay")
	w.want("201", "PUT "+at+"?digest="+digest512("layer"), "wim", "er")
	w.want("201", "POST /acme/app/blobs/uploads/?digest="+digest512("two"), "wim", "two")
	got := w.want("202", "POST /acme/app/blobs/uploads/?digest-algorithm=sha512", "wim", "")
	w.want("201", "PUT "+strings.TrimPrefix(got.Header.Get("Location"), "/v2")+"?digest="+digest512("three"), "wim", "three")
	for _, body := range []string{"layer", "two", "three"} {
		got := w.want("200", "GET /acme/app/blobs/"+digest512(body), "rita", "")
		if string(got.body) != body || got.Header.Get("Docker-Content-Digest") != digest512(body) {
			t.Errorf("%q: %s %v", body, got.body, got.Header)
		}
		w.want("404 BLOB_UNKNOWN", "GET /acme/app/blobs/"+digestOf(body), "rita", "")
	}
	w.blob("wim", "acme/app", "{}")
	m := written("{}", nil, func(doc map[string]any) {
		doc["layers"] = []any{map[string]any{"mediaType": typeLayer, "digest": digest512("layer"), "size": 5}}
	})
	got = w.want("201", "PUT /acme/app/manifests/"+digest512(m)+"?tag=a&tag=b", "wim", m, "Content-Type: "+typeImage)
	if got.Header.Get("OCI-Tag") != "a, b" || got.Header.Get("Docker-Content-Digest") != digest512(m) {
		t.Errorf("answer %v", got.Header)
	}
	for _, ref := range []string{"a", "b", digest512(m)} {
		got := w.want("200", "GET /acme/app/manifests/"+ref, "rita", "")
		if string(got.body) != m || got.Header.Get("Docker-Content-Digest") != digest512(m) {
			t.Errorf("%s: %v", ref, got.Header)
		}
	}
}

// TestNeeds: a push names everything that is missing, and changes nothing.
func TestNeeds(t *testing.T) {
	w := newWorld(t)
	w.blob("wim", "acme/app", "{}")
	w.blob("wim", "acme/app", "here")
	m := written("{}", []string{"here", "gone", "lost"})
	got := w.want("400 MANIFEST_BLOB_UNKNOWN "+digestOf("gone"), "PUT /acme/app/manifests/v1", "wim", m, "Content-Type: "+typeImage)
	if list, ok := w.failure(got).Detail.([]any); !ok || len(list) != 2 || list[0] != digestOf("gone") || list[1] != digestOf("lost") {
		t.Errorf("detail %v", w.failure(got).Detail)
	}
	w.want("404 MANIFEST_UNKNOWN acme/app has no tag v1", "GET /acme/app/manifests/v1", "rita", "")
	w.want("404 MANIFEST_UNKNOWN", "GET /acme/app/manifests/"+digestOf(m), "rita", "")
	if got := w.want("200", "GET /acme/app/tags/list", "rita", ""); string(got.body) != `{"name":"acme/app","tags":[]}` {
		t.Errorf("tags %s", got.body)
	}
	w.want("400 MANIFEST_BLOB_UNKNOWN", "PUT /acme/app/manifests/v1", "wim", index(m), "Content-Type: "+typeIndex)
	w.blob("wim", "acme/other", "gone")
	w.want("400 MANIFEST_BLOB_UNKNOWN", "PUT /acme/app/manifests/v1", "wim", m, "Content-Type: "+typeImage)
	short := written("{}", []string{"here"}, func(doc map[string]any) { doc["layers"].([]any)[0].(map[string]any)["size"] = 3 })
	w.want("400 MANIFEST_INVALID has 3 bytes, and it has 4", "PUT /acme/app/manifests/v1", "wim", short, "Content-Type: "+typeImage)
	foreign := written("{}", []string{"here", "far"}, func(doc map[string]any) {
		far := doc["layers"].([]any)[1].(map[string]any)
		far["mediaType"] = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"
		far["urls"] = []string{"https://layers.example/far"}
	})
	w.want("201", "PUT /acme/app/manifests/v1", "wim", foreign, "Content-Type: "+typeImage)
}

// TestIndex: an index needs its children, and they stay as long as it does.
func TestIndex(t *testing.T) {
	w := newWorld(t)
	child := w.push("olga", "acme/app", "child", "layer")
	list := index(child)
	w.want("201", "PUT /acme/app/manifests/all", "olga", list, "Content-Type: "+typeIndex)
	if got := w.want("200", "GET /acme/app/manifests/all", "rita", ""); string(got.body) != list || got.Header.Get("Content-Type") != typeIndex {
		t.Errorf("index %v %s", got.Header, got.body)
	}
	w.want("405 UNSUPPORTED "+digestOf(list), "DELETE /acme/app/manifests/"+digestOf(child), "olga", "")
	w.want("405 UNSUPPORTED "+digestOf(child), "DELETE /acme/app/blobs/"+digestOf("layer"), "olga", "")
	w.want("202", "DELETE /acme/app/manifests/"+digestOf(list), "olga", "")
	w.want("202", "DELETE /acme/app/manifests/"+digestOf(child), "olga", "")
	w.want("202", "DELETE /acme/app/blobs/"+digestOf("layer"), "olga", "")
	w.want("404 BLOB_UNKNOWN", "DELETE /acme/app/blobs/"+digestOf("layer"), "olga", "")
}

// TestSameBytesOfAnotherType are refused: an index for one reader would be an
// image for another.
func TestSameBytesOfAnotherType(t *testing.T) {
	w := newWorld(t)
	w.blob("wim", "acme/app", "{}")
	m := written("{}", nil, func(doc map[string]any) { delete(doc, "mediaType") })
	w.want("201", "PUT /acme/app/manifests/a", "wim", m, "Content-Type: "+typeImage)
	w.want("400 MANIFEST_INVALID here already", "PUT /acme/app/manifests/b", "wim", m,
		"Content-Type: application/vnd.docker.distribution.manifest.v2+json")
	w.want("404", "GET /acme/app/manifests/b", "wim", "")
}

// sourced pushes an image whose config names the repository that it comes from.
func (w *world) sourced(who, name, source string) {
	w.T.Helper()
	config := text(map[string]any{
		"os": "linux", "architecture": "arm64", "config": map[string]any{"Labels": map[string]string{"org.opencontainers.image.source": source}},
	})
	w.blob(who, name, config)
	w.want("201", "PUT /"+name+"/manifests/v1", who, written(config, nil), "Content-Type: "+typeImage)
}

// TestSource: the first push puts an image into the repository that its label
// names, for those who may publish there; it does not become public by that.
func TestSource(t *testing.T) {
	w := newWorld(t)
	repository := func(name string) string {
		p, err := w.hosted.For(w.Subject("admin"), "", "").Package(t.Context(), name)
		w.Must(err)
		return p.Repository
	}
	w.sourced("wim", "acme/app", "https://git.example/acme/open.git")
	if got := repository("acme/app"); got != "acme/open" {
		t.Errorf("it went to %s", got)
	}
	w.want("404", "GET /acme/app/manifests/v1", "bob", "")
	w.sourced("wim", "acme/second", "https://git.example/acme/packages")
	w.sourced("wim", "acme/second", "https://git.example/acme/open")
	w.sourced("wim", "acme/third", "https://git.example/acme/nix")
	w.sourced("wim", "acme/fourth", "https://git.example/admin/packages")
	w.sourced("wim", "acme/fifth", "nonsense")
	for _, name := range []string{"second", "third", "fourth", "fifth"} {
		if got := repository("acme/" + name); got != "acme/packages" {
			t.Errorf("%s went to %s", name, got)
		}
	}
	for r, err := range w.hosted.For(w.Subject("admin"), "", "").Releases(t.Context(), "acme/third") {
		w.Must(err)
		for _, part := range []string{`"linux/arm64"`, "https://git.example/acme/nix", `"config":"sha256:`} {
			if !strings.Contains(string(r.Meta), part) {
				t.Errorf("what is kept of it lacks %s: %s", part, r.Meta)
			}
		}
	}
}

// TestPushToDeleted: an image whose name is reserved is there again with what is
// pushed next, be it a manifest that needs no blob.
func TestPushToDeleted(t *testing.T) {
	w := newWorld(t)
	m := w.push("olga", "acme/app", "v1", "layer")
	err := w.hosted.For(w.Admin, "", "").Change(t.Context(), formats.Change{Package: "acme/app", Action: policy.Delete}, func(tx formats.Tx) error {
		p, err := tx.Package()
		if err == nil {
			err = tx.Retract(digestOf(m))
		}
		if err != nil {
			return err
		}
		p.Deleted = w.Clock.Now()
		return tx.Save(p)
	})
	w.Must(err)
	w.want("404 NAME_UNKNOWN", "GET /acme/app/tags/list", "rita", "")
	w.want("201", "PUT /acme/app/manifests/none", "wim", index(), "Content-Type: "+typeIndex)
	w.want("200", "GET /acme/app/manifests/none", "rita", "")
}

// TestMount: a blob of an image that the caller may read is linked, and of every
// other nothing is told.
func TestMount(t *testing.T) {
	w := newWorld(t, mirrored(ocitest.Options{}))
	w.farImage("team/base", "v1", "cached layer")
	w.want("200", "GET /mirror/far/team/base/blobs/"+digestOf("cached layer"), "", "")
	w.blob("wim", "acme/app", "layer")
	w.blob("wim", "acme/open/tool", "tool layer")
	w.blob("admin", "single", "own layer")
	for _, c := range []struct{ who, to, from, body, want string }{
		{"wim", "acme/other", "acme/app", "layer", "201"},
		{"wim", "acme/other", "acme/open/tool", "tool layer", "201"},
		{"wim", "acme/third", "mirror/far/team/base", "cached layer", "201"},
		{"wim", "acme/other", "acme/app", "nothing", "202"},
		{"wim", "acme/other", "acme/nix", "own layer", "202"},
		{"wim", "acme/other", "mirror/nix/team/base", "own layer", "202"},
		{"wim", "acme/other", "mirror/far/team/base", "own layer", "202"},
		{"wim", "acme/other", "", "own layer", "202"},
		{"admin", "single", "acme/app", "layer", "201"},
		{"rita", "acme/other", "acme/app", "layer", "403 DENIED"},
		{"bob", "acme/other", "acme/app", "layer", "403 DENIED"},
		{"", "acme/other", "acme/app", "layer", "401 UNAUTHORIZED"},
	} {
		line := "POST /" + c.to + "/blobs/uploads/?mount=" + digestOf(c.body) + "&origin=example.com&from=" + c.from
		if c.from == "" {
			line = strings.TrimSuffix(line, "&from=")
		}
		got := w.want(c.want, line, c.who, "")
		at := got.Header.Get("Location")
		switch c.want {
		case "201":
			if at != "/v2/"+c.to+"/blobs/"+digestOf(c.body) || got.Header.Get("Docker-Content-Digest") != digestOf(c.body) {
				t.Errorf("%+v: %v", c, got.Header)
			}
			if got := w.want("200", "GET /"+c.to+"/blobs/"+digestOf(c.body), c.who, ""); string(got.body) != c.body {
				t.Errorf("%+v: %s", c, got.body)
			}
		case "202":
			w.want("404 BLOB_UNKNOWN", "HEAD /"+c.to+"/blobs/"+digestOf(c.body), c.who, "")
			w.want("201", "PUT "+strings.TrimPrefix(at, "/v2")+"?digest="+digestOf("sent"), c.who, "sent")
		}
	}
	got := w.want("401", "POST /acme/other/blobs/uploads/?mount="+digestOf("layer")+"&from=acme/app", "", "")
	if c := got.Header.Get("Www-Authenticate"); !strings.Contains(c, `scope="repository:acme/other:pull,push repository:acme/app:pull"`) {
		t.Errorf("challenge %s", c)
	}
}

// TestMountOfTheUnreadable: who may not read the other image gets the same as for
// one that is not there.
func TestMountOfTheUnreadable(t *testing.T) {
	w := newWorld(t)
	w.Must(w.Directory.Grant(t.Context(), w.Admin, "acme/open", "bob", policy.RoleWrite))
	w.blob("wim", "acme/app", "secret layer")
	for _, from := range []string{"acme/app", "acme/nix"} {
		got := w.want("202", "POST /acme/open/tool/blobs/uploads/?mount="+digestOf("secret layer")+"&from="+from, "bob", "")
		if got.Header.Get("Range") != "0-0" || len(got.body) > 0 {
			t.Errorf("%s: %v", from, got.Header)
		}
	}
	w.want("404", "GET /acme/open/tool/blobs/"+digestOf("secret layer"), "bob", "")
}

// TestLongNotes: a manifest may have as many annotations as it has room for; what
// is kept of them beside it is bounded.
func TestLongNotes(t *testing.T) {
	w := newWorld(t)
	w.blob("wim", "acme/app", "{}")
	for name, long := range map[string]string{"letters": strings.Repeat("x", 7<<20), "escapes": strings.Repeat("\x01", 1<<20)} {
		m := written("{}", nil, func(doc map[string]any) { doc["annotations"] = map[string]string{"long": long} })
		w.want("201", "PUT /acme/app/manifests/"+name, "wim", m, "Content-Type: "+typeImage)
		if got := w.want("200", "GET /acme/app/manifests/"+name, "rita", ""); string(got.body) != m {
			t.Errorf("%s: %d bytes of %d", name, len(got.body), len(m))
		}
	}
	labels := text(map[string]any{"config": map[string]any{"Labels": map[string]string{"long": strings.Repeat("\x01", 170_000)}}})
	w.blob("wim", "acme/app", labels)
	w.want("201", "PUT /acme/app/manifests/labels", "wim", written(labels, nil), "Content-Type: "+typeImage)
}
