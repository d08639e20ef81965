package npm_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"larder/upstream/upstreamtest/npmtest"
)

const abbreviated = "Accept: application/vnd.npm.install-v1+json; q=1.0, application/json; q=0.8, */*"

// TestSpellings: section 2. Every spelling of a scoped name is one resource, and
// none is answered with a redirect.
func TestSpellings(t *testing.T) {
	w := newWorld(t)
	w.publish("wim", "@acme/widget", "1.0.0")
	w.publish("olga", "@open/part", "1.0.0")
	tarball := w.upstream("@far/thing", "1.0.0")
	w.upstream("JSONStream", "1.0.0")
	w.upstream("hasownproperty", "1.0.0")
	for name, who := range map[string]string{"@acme/widget": "wim", "@open/part": "", "@far/thing": ""} {
		scope, bare, _ := strings.Cut(name, "/")
		var tags, files map[string]bool = map[string]bool{}, map[string]bool{}
		for _, slash := range []string{"%2f", "%2F", "/"} {
			spelt := "/" + scope + slash + bare
			got := w.want(200, "GET "+spelt, who, "")
			tags[got.Header.Get("ETag")] = true
			w.want(200, "GET "+spelt+"/1.0.0", who, "")
			w.want(200, "GET "+spelt+"/latest", who, "")
			w.want(200, "GET /-/package"+spelt+"/dist-tags", who, "")
			for _, tgz := range []string{bare + "-1.0.0.tgz", scope + "/" + bare + "-1.0.0.tgz", scope + "%2f" + bare + "-1.0.0.tgz"} {
				files[string(w.want(200, "GET "+spelt+"/-/"+tgz, who, "").raw)] = true
			}
		}
		if len(tags) != 1 || len(files) != 1 {
			t.Errorf("%s: %d documents and %d files by its spellings", name, len(tags), len(files))
		}
		if name == "@far/thing" && !files[string(tarball)] {
			t.Error("other bytes than the upstream's")
		}
	}
	w.run([]call{
		{name: "percent-encoded scope sign", method: "GET", path: "/%40far%2fthing", status: 200},
		{name: "foreign scope before the file", method: "GET", path: "/@far/thing/-/@other/thing-1.0.0.tgz", status: 404},
		{name: "legacy upper case", method: "GET", path: "/JSONStream", status: 200, has: []string{`"name":"JSONStream"`, "/npm/JSONStream/-/JSONStream-1.0.0.tgz"}},
		{name: "names keep their case", method: "GET", path: "/jsonstream", status: 404},
		{name: "proto", method: "GET", path: "/__proto__", status: 404},
		{name: "constructor", method: "GET", path: "/constructor", status: 404},
		{name: "hasOwnProperty", method: "GET", path: "/hasOwnProperty", status: 404},
		{name: "reserved first segment", method: "GET", path: "/-", status: 404},
		{name: "unknown route", method: "GET", path: "/-/nothing", status: 404},
		{name: "node_modules", method: "GET", path: "/node_modules", status: 404},
		{name: "overlong", method: "GET", path: "/" + strings.Repeat("a", 215), status: 404},
		{name: "traversal", method: "GET", path: "/..%2f..%2fetc", status: 400},
		{name: "NUL", method: "GET", path: "/a%00b", status: 400},
	})
	for _, q := range w.far.Log("") {
		if strings.Contains(q.Path, "__proto__") || strings.Contains(q.Path, "node_modules") || len(q.Path) > 200 {
			t.Errorf("a name that cannot exist was asked of the upstream: %s", q.Path)
		}
	}
}

// TestDocuments: section 3.1, hosted and upstream alike.
func TestDocuments(t *testing.T) {
	w := newWorld(t)
	w.upstream("left", "1.0.0", "libc", "glibc", "scripts", "x", "bundledDependencies", "b")
	w.upstream("left", "2.0.0-beta.1")
	w.Must(w.far.Tag("left", "cjs", "1.0.0"))
	w.publish("olga", "@open/part", "1.0.0", manifest("peerDependenciesMeta", map[string]any{"a": map[string]any{"optional": true}},
		"_nodeVersion", "20.0.0", "_npmVersion", "11.0.0", "funding", "f", "acceptDependencies", map[string]any{"a": "1"}, "odd", 1))
	full := []string{"Content-Type: application/json\r\n", "Cache-Control: no-cache\r\n", `Vary: Accept`, "Etag: \"", `"time":{`, `"created":"`, `"modified":"`, `"dist-tags":{`, `"_id":`, `"maintainers":[`}
	short := []string{"Content-Type: application/vnd.npm.install-v1+json\r\n", `"modified":"`, `"time":{`, `"dist-tags":{"`}
	var calls []call
	for _, name := range []string{"/left", "/@open%2fpart"} {
		for accept, want := range map[string][]string{
			"":                         full,
			"Accept: */*":              full,
			"Accept: application/json": full,
			abbreviated:                short,
			"Accept: " + strings.ToUpper("application/vnd.npm.install-v1+json"):                    short,
			"Accept: application/vnd.npm.install-v1+json;q=0.5, application/json":                  full,
			"Accept: application/json;q=0.9, application/vnd.npm.install-v1+json;q=0.8, */*;q=0.1": full,
			"Accept: application/vnd.npm.install-v1+json;q=0":                                      full,
		} {
			c := call{name: accept, method: "GET", path: name, status: 200, has: want}
			if accept != "" {
				c.header = []string{accept}
			}
			calls = append(calls, c)
		}
	}
	calls = append(calls,
		call{name: "all tags are kept", method: "GET", path: "/left", status: 200, has: []string{`"cjs":"1.0.0"`, `"latest":"1.0.0"`}},
		call{name: "unknown members are kept", method: "GET", path: "/left", status: 200, has: []string{`"libc":"glibc"`, `"scripts":"x"`}},
		call{name: "the short form leaves scripts out", method: "GET", path: "/left", header: []string{abbreviated}, status: 200, has: []string{`"libc":"glibc"`, `"bundledDependencies":"b"`}, lacks: []string{`"scripts"`, `"maintainers"`}},
		call{name: "hosted members are kept", method: "GET", path: "/@open%2fpart", status: 200, has: []string{`"peerDependenciesMeta":{"a":{"optional":true}}`, `"_nodeVersion":"20.0.0"`, `"_npmVersion":"11.0.0"`, `"odd":1`, `"_npmUser":{"name":"olga","email":"olga@mail.example"}`, `"_attachments":{}`, `"_rev":"1-`, `"fileCount":2`, `"unpackedSize":`}},
		call{name: "hosted short form", method: "GET", path: "/@open%2fpart", header: []string{abbreviated}, status: 200, has: []string{`"acceptDependencies"`, `"funding"`, `"_hasShrinkwrap":false`}, lacks: []string{`"odd"`, `"_npmUser"`, `"readme"`}},
		call{name: "missing", method: "GET", path: "/missing", status: 404, has: []string{`{"error":"`, "Cache-Control: no-store"}},
		call{name: "missing, short", method: "GET", path: "/missing", header: []string{abbreviated}, status: 404},
		call{name: "head", method: "HEAD", path: "/left", status: 200, has: []string{"Content-Type: application/json"}, lacks: []string{`"name"`}},
	)
	w.run(calls)
	if n := len(w.far.Log("/missing")); n != 1 {
		t.Errorf("a missing name cost %d upstream requests", n)
	}
	for _, q := range w.far.Log("/left") {
		if q.Header.Get("Accept") != "application/json" || q.Header.Get("Accept-Encoding") != "gzip" || q.Header.Get("User-Agent") == "" {
			t.Errorf("asked with %v", q.Header)
		}
	}
	if n := len(w.far.Log("/left")); n != 1 {
		t.Errorf("both forms cost %d upstream requests", n)
	}
}

// manifest sets members of the version's manifest: name, value and so on.
func manifest(members ...any) func(map[string]any) {
	return func(doc map[string]any) {
		for _, v := range doc["versions"].(map[string]any) {
			for i := 0; i+1 < len(members); i += 2 {
				v.(map[string]any)[members[i].(string)] = members[i+1]
			}
		}
	}
}

// TestRevalidation: sections 3.4 and 8.1, ETag and 304.
func TestRevalidation(t *testing.T) {
	w := newWorld(t)
	w.upstream("left", "1.0.0")
	w.publish("wim", "@acme/widget", "1.0.0")
	w.publish("olga", "@open/part", "1.0.0")
	for _, c := range []struct{ path, who, control string }{
		{"/left", "", "no-cache"}, {"/@open%2fpart", "", "no-cache"}, {"/@acme%2fwidget", "rita", "private, no-cache"},
		{"/left/1.0.0", "", "no-cache"}, {"/@acme/widget/1.0.0", "rita", "private, no-cache"},
		{"/-/package/left/dist-tags", "", "no-cache"}, {"/-/package/@acme%2fwidget/dist-tags", "rita", "private, no-cache"},
		{"/left/-/left-1.0.0.tgz", "", "public, max-age=31536000, immutable"},
		{"/@open/part/-/part-1.0.0.tgz", "", "public, max-age=31536000, immutable"},
		{"/@acme/widget/-/widget-1.0.0.tgz", "rita", "private, max-age=31536000, immutable"},
	} {
		seen := map[string]bool{}
		if strings.HasSuffix(c.path, ".tgz") {
			w.want(200, "GET "+c.path, c.who, "")
			w.settled(c.path, c.who)
		}
		for _, header := range [][]string{nil, {abbreviated}, {"Accept-Encoding: gzip"}, {abbreviated, "Accept-Encoding: gzip"}} {
			first := w.want(200, "GET "+c.path, c.who, "", header...)
			tag := first.Header.Get("ETag")
			seen[tag] = true
			if first.Header.Get("Cache-Control") != c.control || len(first.Header["Last-Modified"]) > 0 || tag == "" {
				t.Errorf("%s: %v", c.path, first.Header)
			}
			again := w.want(304, "GET "+c.path, c.who, "", append(header, "If-None-Match: "+tag)...)
			for _, key := range []string{"ETag", "Cache-Control", "Vary"} {
				if strings.Join(again.Header[http.CanonicalHeaderKey(key)], ",") != strings.Join(first.Header[http.CanonicalHeaderKey(key)], ",") {
					t.Errorf("%s: the 304 has %s %q, the 200 had %q", c.path, key, again.Header[key], first.Header[key])
				}
			}
			if len(again.raw) > 0 {
				t.Errorf("%s: a 304 with a body", c.path)
			}
			w.want(200, "GET "+c.path, c.who, "", append(header, `If-None-Match: "other"`)...)
		}
		if strings.Count(c.path, "/") == 1 && len(seen) < 2 {
			t.Errorf("%s: both forms have the tags %v", c.path, seen)
		}
	}
}

// TestETagsAreStable: section 8.1. Nothing moves the tag of a document but a
// change of what it shows.
func TestETagsAreStable(t *testing.T) {
	w := newWorld(t)
	w.upstream("left", "1.0.0")
	w.publish("olga", "@open/part", "1.0.0")
	tag := func(path string) string { return w.want(200, "GET "+path, "", "").Header.Get("ETag") }
	left, part := tag("/left"), tag("/@open%2fpart")
	w.Clock.Advance(3 * time.Hour)
	if tag("/left") != left {
		t.Error("a refresh of the same document moved the tag")
	}
	w.want(201, "PUT /@open%2fpart", "olga", `{"_id":"@open/part","name":"@open/part","versions":{"1.0.0":{"name":"@open/part","version":"1.0.0"}}}`)
	if tag("/@open%2fpart") != part {
		t.Error("a change of nothing moved the tag")
	}
	modified := at(w.document("@open/part", ""), "time", "modified")
	w.Clock.Advance(time.Second)
	w.want(201, "PUT /-/package/@open%2fpart/dist-tags/next", "olga", `"1.0.0"`)
	if tag("/@open%2fpart") == part || at(w.document("@open/part", ""), "time", "modified") == modified {
		t.Error("a new tag moved neither the document's tag nor its modified")
	}
	w.upstream("left", "1.0.1")
	w.Clock.Advance(3 * time.Hour)
	if tag("/left") == left {
		t.Error("a new version did not move the tag")
	}
	other := w.want(200, "GET /@open%2fpart", "", "", "Host: other.example")
	if strings.Contains(other.text(), "example.com") == strings.Contains(other.text(), "other.example") {
		t.Errorf("the URL of another client is in the document: %s", other.text())
	}
}

// TestManifests: section 3.2.
func TestManifests(t *testing.T) {
	w := newWorld(t)
	for _, v := range []string{"1.0.0", "1.1.0", "2.0.0-rc.1"} {
		w.upstream("left", v)
		w.publish("olga", "@open/part", v, tagged("t"+v[:1]))
	}
	w.Must(w.far.Tag("left", "t1", "1.1.0"))
	var calls []call
	for _, name := range []string{"left", "@open/part", "@open%2fpart", "@open%2Fpart"} {
		p, tarball := "/"+name, "/npm/left/-/left-"
		if name != "left" {
			tarball = "/npm/@open/part/-/part-"
		}
		for ref, version := range map[string]string{"1.0.0": "1.0.0", "latest": "1.1.0", "t1": "1.1.0", "2.0.0-rc.1": "2.0.0-rc.1"} {
			if ref == "latest" && name != "left" {
				version = "1.0.0" // the first one, and nobody moved it
			}
			calls = append(calls, call{name: ref, method: "GET", path: p + "/" + ref, status: 200,
				has: []string{`"version":"` + version + `"`, tarball + version + ".tgz", `"integrity":"sha512-`}})
		}
		calls = append(calls,
			call{name: "unknown version", method: "GET", path: p + "/9.9.9", status: 404, has: []string{`{"error":"version not found: 9.9.9"`}},
			call{name: "unknown tag", method: "GET", path: p + "/nope", status: 404, has: []string{`{"error":"version not found: nope"`}},
			call{name: "range", method: "GET", path: p + "/%5E1.0.0", status: 404},
			call{name: "range of x", method: "GET", path: p + "/1.x", status: 404},
			call{name: "of a missing package", method: "GET", path: "/missing/1.0.0", status: 404},
		)
	}
	w.run(calls)
}

// tagged puts the version under another tag than latest.
func tagged(tag string) func(map[string]any) {
	return func(doc map[string]any) {
		for v := range doc["versions"].(map[string]any) {
			doc["dist-tags"] = map[string]any{tag: v}
		}
	}
}

// TestTarballs: section 3.3.
func TestTarballs(t *testing.T) {
	w := newWorld(t)
	far := w.upstream("left", "1.0.0")
	w.publish("olga", "@open/part", "1.0.0")
	for _, c := range []struct{ path string }{{"/left/-/left-1.0.0.tgz"}, {"/@open/part/-/part-1.0.0.tgz"}} {
		whole := w.want(200, "GET "+c.path, "", "", "Accept-Encoding: gzip")
		h := whole.Header
		if h.Get("Content-Type") != "application/octet-stream" || h.Get("Content-Encoding") != "" || h.Get("Content-Length") == "" && h.Get("X-Cache") == "hit" {
			t.Errorf("%s: %v", c.path, h)
		}
		w.settled(c.path, "")
		whole = w.want(200, "GET "+c.path, "", "")
		if whole.Header.Get("Accept-Ranges") != "bytes" || whole.ContentLength != int64(len(whole.raw)) {
			t.Errorf("%s: %v", c.path, whole.Header)
		}
		head := w.want(200, "HEAD "+c.path, "", "")
		if head.ContentLength != whole.ContentLength || head.Header.Get("ETag") != whole.Header.Get("ETag") || len(head.raw) > 0 {
			t.Errorf("%s: HEAD is %v", c.path, head.Header)
		}
		part := w.want(206, "GET "+c.path, "", "", "Range: bytes=10-19")
		if string(part.raw) != string(whole.raw[10:20]) {
			t.Errorf("%s: range %x", c.path, part.raw)
		}
		w.want(416, "GET "+c.path, "", "", "Range: bytes=999999-")
		w.want(304, "GET "+c.path, "", "", "If-None-Match: "+whole.Header.Get("ETag"))
		if c.path == "/left/-/left-1.0.0.tgz" && string(whole.raw) != string(far) {
			t.Error("other bytes than the upstream's")
		}
	}
	w.run([]call{
		{name: "missing version", method: "GET", path: "/left/-/left-9.0.0.tgz", status: 404},
		{name: "other file", method: "GET", path: "/left/-/right-1.0.0.tgz", status: 404},
		{name: "no suffix", method: "GET", path: "/left/-/left-1.0.0", status: 404},
		{name: "missing package", method: "GET", path: "/missing/-/missing-1.0.0.tgz", status: 404},
		{name: "hosted, missing version", method: "GET", path: "/@open/part/-/part-9.0.0.tgz", status: 404},
	})
}

// settled waits until a file is kept.
func (w *world) settled(path, who string) {
	w.T.Helper()
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(time.Millisecond) {
		switch w.do("HEAD", path, who, "").Header.Get("X-Cache") {
		case "hit", "hosted":
			return
		}
		if time.Now().After(end) {
			w.T.Fatalf("%s is never kept", path)
		}
	}
}

// TestPublicURL: section 8.2. Links follow the public URL, else what the client
// used; forwarding headers of strangers count for nothing.
func TestPublicURL(t *testing.T) {
	spoofed := []string{"X-Forwarded-Host: evil.example", "X-Forwarded-Proto: gopher", "X-Forwarded-Prefix: /evil", "Forwarded: host=evil.example"}
	w := newWorld(t, func(w *world) { w.public = "https://h.example/x" })
	w.upstream("left", "1.0.0")
	r := w.request("PUT", "/@open%2fpart", "olga", strings.NewReader(body(t, "@open/part", "1.0.0")))
	r.Host = "h.example"
	w.send(r)
	for _, name := range []string{"/left", "/@open%2fpart", "/left/1.0.0"} {
		r = w.request("GET", name, "", nil, spoofed...)
		r.Host = "h.example"
		got := w.send(r).text()
		if !strings.Contains(got, `"tarball":"https://h.example/x/npm/`) || strings.Contains(got, "evil") {
			t.Errorf("%s: %s", name, got)
		}
	}
	w = newWorld(t)
	w.upstream("left", "1.0.0")
	if got := w.want(200, "GET /left", "", "", spoofed...).text(); strings.Contains(got, "evil") || !strings.Contains(got, `"tarball":"http://example.com/npm/left/-/left-1.0.0.tgz"`) {
		t.Error(got)
	}
}

// TestOddUpstreamDocuments: sections 2, 3.1 and 8.2.
func TestOddUpstreamDocuments(t *testing.T) {
	w := newWorld(t)
	w.upstream("left", "1.0.0")
	w.Must(w.far.Published("left", "1.0.0", time.Date(2026, 2, 3, 4, 5, 6, 71000, time.FixedZone("", 3600))))
	w.Must(w.far.Tag("left", "gone", "7.0.0"))
	got := w.document("left", "")
	if at(got, "time", "1.0.0") != "2026-02-03T03:05:06.000Z" || at(got, "dist-tags", "gone") != nil {
		t.Errorf("%v", got)
	}
	// A version that vanishes upstream: its tarball stays for lock files.
	tarball := w.upstream("left", "1.0.1")
	w.Clock.Advance(3 * time.Hour)
	w.want(200, "GET "+file("left", "1.0.1"), "", "")
	w.settled(file("left", "1.0.1"), "")
	w.far.Remove("left", "1.0.1")
	w.Clock.Advance(3 * time.Hour)
	if at(w.document("left", ""), "versions", "1.0.1") != nil {
		t.Error("a version that is gone upstream is still listed")
	}
	if got := w.want(200, "GET "+file("left", "1.0.1"), "", ""); string(got.raw) != string(tarball) {
		t.Error("the tarball of a version that is gone changed")
	}
	// What the held document lacks is looked for at once.
	w.upstream("left", "1.2.0")
	w.Clock.Advance(11 * time.Second)
	w.want(200, "GET /left/1.2.0", "", "")
	w.upstream("left", "1.3.0")
	w.Clock.Advance(11 * time.Second)
	w.want(200, "GET "+file("left", "1.3.0"), "", "")
	// Trouble afterwards: the old document is better than none.
	w.settled(file("left", "1.3.0"), "")
	w.far.Fail(npmtest.Fault{Status: 500})
	w.Clock.Advance(2 * time.Hour)
	stale := w.want(200, "GET /left", "", "")
	if stale.Header.Get("X-Cache") != "stale" || !strings.Contains(stale.Header.Get("npm-notice"), "left is shown as it was 2h0m0s ago") {
		t.Errorf("stale: %v", stale.Header)
	}
	w.want(502, "GET /other", "", "")
}
