package npm_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"larder/policy"
	"larder/upstream/upstreamtest/npmtest"
)

// entry is a file of a tarball, or whatever kind says.
type entry struct {
	name, text string
	kind       byte
}

// packed makes a tarball of any entries.
func packed(t testing.TB, entries ...entry) []byte {
	t.Helper()
	var out bytes.Buffer
	zip := gzip.NewWriter(&out)
	archive := tar.NewWriter(zip)
	for _, e := range entries {
		h := &tar.Header{Name: e.name, Mode: 0o644, Size: int64(len(e.text)), Typeflag: tar.TypeReg}
		if e.kind != 0 {
			h.Typeflag, h.Linkname = e.kind, "x"
		}
		if err := archive.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := archive.Write([]byte(e.text)); err != nil {
			t.Fatal(err)
		}
	}
	if err := archive.Close(); err != nil {
		t.Fatal(err)
	}
	if err := zip.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// carrying puts another tarball into a document, with its checksums.
func carrying(tarball []byte) func(map[string]any) {
	return func(doc map[string]any) {
		for _, a := range doc["_attachments"].(map[string]any) {
			a.(map[string]any)["data"] = base64.StdEncoding.EncodeToString(tarball)
			a.(map[string]any)["length"] = len(tarball)
		}
		manifest("dist", map[string]any{"integrity": npmtest.Integrity(tarball)})(doc)
	}
}

// attachment changes the tarball's attachment.
func attachment(name string, value any) func(map[string]any) {
	return func(doc map[string]any) {
		for _, a := range doc["_attachments"].(map[string]any) {
			a.(map[string]any)[name] = value
		}
	}
}

// top sets a top-level member.
func top(name string, value any) func(map[string]any) {
	return func(doc map[string]any) { doc[name] = value }
}

// blobs counts what the store holds.
func (w *world) blobs() int {
	w.T.Helper()
	n := 0
	for _, err := range w.Store.List(w.T.Context()) {
		w.Must(err)
		n++
	}
	return n
}

// refused is a publish of the package good@1.0.0 that must not be taken.
type refused struct {
	name   string
	change func(map[string]any) // of a good document
	raw    string               // in place of it
	why    string               // part of the sentence
	path   string               // default /good
	status int                  // default 400
}

// TestBadInput: the table of section 11, row by row. Nothing is kept of any.
func TestBadInput(t *testing.T) {
	w := newWorld(t)
	good := body(t, "good", "1.0.0")
	for _, c := range append(badDocuments(good), append(badTarballs(t), badNames()...)...) {
		sent := c.raw
		if c.raw == "" {
			sent = body(t, "good", "1.0.0", c.change)
		}
		if c.path == "" {
			c.path = "/good"
		}
		if c.status == 0 {
			c.status = 400
		}
		got := w.do("PUT", c.path, "admin", sent)
		sentence, _ := at(w.object(got), "error").(string)
		if got.StatusCode != c.status || !strings.Contains(sentence, c.why) {
			t.Errorf("%s: %d %q, want %d %q", c.name, got.StatusCode, sentence, c.status, c.why)
		}
		if strings.Contains(sentence, "jsontext") || strings.Contains(sentence, "invalid character") {
			t.Errorf("%s: the words of a parser: %s", c.name, sentence)
		}
	}
	if n := w.blobs(); n != 0 {
		t.Errorf("%d blobs are left of what was refused", n)
	}
	w.want(404, "GET /good", "admin", "")
	w.want(404, "GET "+file("good", "1.0.0"), "admin", "")
	w.want(201, "PUT /good", "admin", good)
}

func badDocuments(good string) []refused {
	const parse = "request body is not a publish document"
	list := []refused{
		{name: "not JSON", raw: "hello", why: parse},
		{name: "array", raw: "[]", why: parse},
		{name: "empty", raw: " ", why: parse},
		{name: "truncated", raw: good[:len(good)/2], why: parse},
		{name: "more behind it", raw: good + good, why: parse},
		{name: "no versions", change: top("versions", map[string]any{}), why: "no version to publish"},
		{name: "two versions", change: func(doc map[string]any) {
			v := doc["versions"].(map[string]any)
			v["1.0.1"] = map[string]any{"name": "good", "version": "1.0.1"}
		}, why: "one at a time"},
		{name: "other _id", change: top("_id", "bad"), why: `about "bad"`},
		{name: "other name", change: top("name", "bad"), why: `about "bad"`},
		{name: "name no text", change: top("name", 1), why: "about"},
		{name: "other URL", raw: good, path: "/other", why: `about "good"`},
		{name: "other manifest name", change: manifest("name", "bad"), why: `of package "bad"`},
		{name: "other manifest version", change: manifest("version", "1.0.1"), why: `of version "1.0.1"`},
		{name: "tag is a range", change: top("dist-tags", map[string]any{"1.x": "1.0.0"}), why: "tag"},
		{name: "tag is a version", change: top("dist-tags", map[string]any{"v1": "1.0.0"}), why: "tag"},
		{name: "tag elsewhere", change: top("dist-tags", map[string]any{"old": "0.9.0"}), why: "points to"},
		{name: "access", change: top("access", "everyone"), why: "access"},
		{name: "dependency no text", change: manifest("dependencies", map[string]any{"a": 1}), why: "dependencies"},
		{name: "dependencies a list", change: manifest("optionalDependencies", []any{"a"}), why: "optionalDependencies"},
		{name: "bin a number", change: manifest("bin", 1), why: "bin"},
		{name: "no attachment", change: top("_attachments", map[string]any{"good-1.0.0.sigstore": map[string]any{"data": "{}", "length": 2}}), why: "no tarball"},
		{name: "provenance no JSON", change: provenance(`no JSON`), why: "provenance"},
		{name: "provenance that ends early", change: provenance(`{}},{"manifest":{}`), why: "provenance"},
		{name: "provenance a list", change: provenance(`[]`), why: "provenance"},
		{name: "provenance too deep", change: provenance(strings.Repeat(`{"a":`, 65) + "1" + strings.Repeat("}", 65)), why: "provenance"},
		{name: "two tarballs", change: func(doc map[string]any) {
			doc["_attachments"].(map[string]any)["b.tgz"] = map[string]any{"data": "AAAA"}
		}, why: "two tarballs"},
		{name: "bad base64", change: attachment("data", "!!!!"), why: "base64"},
		{name: "URL-safe base64", change: attachment("data", "_-8="), why: "base64"},
		{name: "length wrong", change: attachment("length", 3), why: "announced with"},
		{name: "length a giant number", raw: strings.Replace(good, `"length":`, `"length":1e999, "x":`, 1), why: "announced with"},
		{name: "sha512 disagrees", change: manifest("dist", map[string]any{"integrity": npmtest.Integrity([]byte("x"))}), why: "integrity mismatch"},
		{name: "integrity is cut short", change: manifest("dist", map[string]any{"integrity": "sha512-AAAA"}), why: "dist.integrity in the manifest is no checksum"},
		{name: "integrity is no checksum", change: manifest("dist", map[string]any{"integrity": "garbage"}), why: "dist.integrity in the manifest is no checksum"},
		{name: "integrity is no text", change: manifest("dist", map[string]any{"integrity": 5}), why: "dist.integrity in the manifest is no checksum"},
		{name: "shasum is no checksum", change: manifest("dist", map[string]any{"shasum": "xyz"}), why: "dist.shasum in the manifest is no checksum"},
		{name: "shasum is no text", change: manifest("dist", map[string]any{"shasum": []any{}}), why: "dist.shasum in the manifest is no checksum"},
		{name: "dist is no object", change: manifest("dist", "x"), why: "dist in the manifest is not an object"},
		{name: "shasum disagrees", change: manifest("dist", map[string]any{"shasum": strings.Repeat("0", 40)}), why: "integrity mismatch"},
		{name: "duplicate keys", raw: strings.Replace(good, `"name":`, `"name":"good","name":`, 1), why: parse},
		{name: "duplicate keys within", raw: strings.Replace(good, `"description":`, `"a":1,"a":2,"description":`, 1), why: parse},
		{name: "65 levels", raw: strings.Replace(good, `"description":`, `"a":`+strings.Repeat("[", 65)+strings.Repeat("]", 65)+`,"description":`, 1), why: parse},
		{name: "20 000 levels", raw: strings.Repeat(`{"a":`, 20_000), why: parse},
		{name: "bytes that are no UTF-8", raw: strings.Replace(good, `"about good"`, "\"\xff\xfe\"", 1), why: parse},
		{name: "a NUL", raw: strings.Replace(good, `"about good"`, "\"\x00\"", 1), why: parse},
	}
	for _, v := range []string{"1", "v1.0.0", "1.0", "01.0.0", "1.0.0+build", "latest", "1.0.0 ", "1.0.0-" + strings.Repeat("a", 251), "99999999999999999999.0.0", "1.0.0/../x", "1.0.0\x00"} {
		quoted, _ := json.Marshal(v)
		list = append(list, refused{name: "version " + v, raw: strings.ReplaceAll(good, `"1.0.0"`, string(quoted)), why: "version"})
	}
	return list
}

// provenance adds a sigstore bundle.
func provenance(bundle string) func(map[string]any) {
	return func(doc map[string]any) {
		doc["_attachments"].(map[string]any)["x.sigstore"] = map[string]any{"data": bundle, "length": len(bundle)}
	}
}

func badTarballs(t *testing.T) []refused {
	t.Helper()
	manifest := entry{name: "package/package.json", text: `{"name":"good","version":"1.0.0"}`}
	list := []refused{{name: "no archive", change: carrying([]byte("no archive")), why: "not a gzipped tar"}}
	for name, entries := range map[string][]entry{
		"no package.json":                {{name: "package/index.js", text: "x"}},
		"package.json deeper":            {{name: "package/sub/package.json", text: manifest.text}},
		"package.json a link":            {{name: "package/package.json", kind: tar.TypeSymlink}},
		"package.json twice":             {manifest, manifest},
		"package.json of another":        {{name: "package/package.json", text: `{"name":"bad","version":"1.0.0"}`}},
		"package.json, other version":    {{name: "package/package.json", text: `{"name":"good","version":"1.0.1"}`}},
		"package.json, other dependency": {{name: "package/package.json", text: `{"name":"good","version":"1.0.0","dependencies":{"evil":"1"}}`}},
		"package.json, no JSON":          {{name: "package/package.json", text: `{`}},
		"package.json, a list":           {{name: "package/package.json", text: `[]`}},
		"up and out":                     {manifest, {name: "package/../../etc/passwd", text: "x"}},
		"absolute":                       {manifest, {name: "/etc/passwd", text: "x"}},
		"backslashes":                    {manifest, {name: `package\..\..\x`, text: "x"}},
		"drive":                          {manifest, {name: `c:\x`, text: "x"}},
	} {
		list = append(list, refused{name: name, change: carrying(packed(t, entries...)), why: "tarball"})
	}
	whole := packed(t, manifest)
	list = append(list, refused{name: "cut archive", change: carrying(whole[:len(whole)-9]), why: "damaged"})
	var plain bytes.Buffer
	archive := tar.NewWriter(&plain)
	if err := archive.WriteHeader(&tar.Header{Name: "package/package.json", Mode: 0o644}); err != nil {
		t.Fatal(err)
	}
	return append(list, refused{name: "tar without gzip", change: carrying(plain.Bytes()), why: "not a gzipped tar"})
}

func badNames() []refused {
	var list []refused
	for name, path := range map[string]string{
		"UPPER": "/UPPER", "node_modules": "/node_modules", "favicon.ico": "/favicon.ico", ".dot": "/.dot", "_under": "/_under",
		"a b": "/a%20b", "a!b": "/a!b", "ümlaut": "/%C3%BCmlaut", "@Scope/x": "/@Scope%2fx", "@s/.x": "/@s%2f.x", "@s/": "/@s%2f",
		"@s/a/b": "/@s%2fa%2fb", "a/b": "/a%2fb", "..": "/..", "../x": "/..%2fx", "a\x00": "/a%00",
		strings.Repeat("a", 215): "/" + strings.Repeat("a", 215),
	} {
		doc, _ := json.Marshal(map[string]any{
			"_id": name, "name": name, "versions": map[string]any{"1.0.0": map[string]any{"name": name, "version": "1.0.0"}},
			"_attachments": map[string]any{"x.tgz": map[string]any{"data": "AAAA"}},
		})
		list = append(list, refused{name: fmt.Sprintf("name %.40q", name), raw: string(doc), path: path})
	}
	return list
}

// TestLimits: the sizes of section 11.
func TestLimits(t *testing.T) {
	w := newWorld(t, func(w *world) { w.opt.MaxTarball = 100_000 })
	manifest := entry{name: "package/package.json", text: `{"name":"big","version":"1.0.0"}`}
	sent := body(t, "big", "1.0.0", carrying(packed(t, manifest, entry{name: "package/noise", text: noise(200_000)})))
	for name, lines := range map[string][]string{"plain": nil, "gzip": {"Content-Encoding: gzip"}} {
		raw := []byte(sent)
		if name == "gzip" {
			raw = squeezed(t, raw)
		}
		r := w.request("PUT", "/big", "admin", &countingReader{data: raw}, lines...)
		got := w.send(r)
		if got.StatusCode != 413 || !strings.Contains(got.text(), `{"error":"the tarball is larger than`) {
			t.Errorf("%s: %d %s", name, got.StatusCode, got.text())
		}
		if got.Header.Get("Connection") != "close" {
			t.Errorf("%s: the connection stays open for the rest: %v", name, got.Header)
		}
	}
	// A whole document that inflates without end.
	bomb := squeezed(t, []byte(`{"name":"big","x":"`+strings.Repeat("a", 8<<20)+`"}`))
	w.want(413, "PUT /big", "admin", string(bomb), "Content-Encoding: gzip")
	long := strings.Repeat("é", 40<<10)
	w.publish("admin", "big", "1.0.0", top("readme", long))
	if got, _ := at(w.document("big", ""), "readme").(string); len(got) > 64<<10 || len(got) < 60<<10 || !strings.HasPrefix(long, got) {
		t.Errorf("the readme has %d bytes", len(got))
	}
}

func squeezed(t testing.TB, b []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	if _, err := z.Write(b); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// countingReader gives its data in small pieces.
type countingReader struct {
	data []byte
	read int
}

func (c *countingReader) Read(p []byte) (int, error) {
	n := copy(p[:min(len(p), 4096)], c.data[c.read:])
	if c.read += n; n == 0 {
		return 0, fmt.Errorf("read to the end: %w", errEnd)
	}
	return n, nil
}

var errEnd = fmt.Errorf("the end")

// TestEncodings: a body is plain or gzip, and broken gzip is the sender's fault.
func TestEncodings(t *testing.T) {
	w := newWorld(t)
	good := squeezed(t, []byte(body(t, "good", "1.0.0")))
	w.want(415, "PUT /good", "admin", string(good), "Content-Encoding: br")
	for name, raw := range map[string][]byte{
		"no gzip": []byte("hello"), "cut": good[:len(good)/2], "no tail": good[:len(good)-4],
		"wrong checksum": append(bytes.Clone(good[:len(good)-8]), "12345678"...),
		"damaged":        damaged(good),
	} {
		if got := w.do("PUT", "/good", "admin", string(raw), "Content-Encoding: gzip"); got.StatusCode != 400 {
			t.Errorf("%s: %d %s", name, got.StatusCode, got.text())
		}
	}
	w.want(201, "PUT /good", "admin", string(good), "Content-Encoding: gzip")
	w.want(201, "PUT /-/package/good/dist-tags/beta", "admin", string(squeezed(t, []byte(`"1.0.0"`))), "Content-Encoding: gzip")
	w.want(400, "PUT /-/package/good/dist-tags/beta", "admin", "hello", "Content-Encoding: gzip")
	w.want(413, "PUT /-/package/good/dist-tags/beta", "admin", string(squeezed(t, bytes.Repeat([]byte(" "), 8<<20))), "Content-Encoding: gzip")
}

func damaged(b []byte) []byte {
	b = bytes.Clone(b)
	b[len(b)/2] ^= 0x55
	return b
}

// TestPublishAnswers: section 4.1, what is kept and what is said.
func TestPublishAnswers(t *testing.T) {
	w := newWorld(t)
	w.upstream("left", "1.0.0")
	got := w.want(201, "PUT /good", "admin", body(t, "good", "1.0.0"))
	if got.text() != `{"ok":"created new package","success":true}` || got.Header.Get("Content-Type") != "application/json" {
		t.Errorf("%s", got.text())
	}
	w.run([]call{
		{name: "same version again", method: "PUT", path: "/good", who: "admin", body: body(t, "good", "1.0.0"), status: 409, has: []string{"cannot publish over the previously published versions: 1.0.0."}},
		{name: "other bytes", method: "PUT", path: "/good", who: "admin", body: body(t, "good", "1.0.0", carrying(packed(t, entry{name: "package/package.json", text: `{"name":"good","version":"1.0.0","x":1}`}))), status: 409, has: []string{"previously published"}},
		{name: "a name of the upstream", method: "PUT", path: "/left", who: "admin", body: body(t, "left", "2.0.0"), status: 403, has: []string{`{"error":"left exists in the upstream far`, `"reason":"`, "claim"}},
		{name: "without a token", method: "PUT", path: "/good", body: body(t, "good", "1.0.1"), status: 401, has: []string{`{"error":"`}, lacks: []string{"Www-Authenticate"}},
		{name: "with a wrong one", method: "PUT", path: "/good", who: "ldrp_nonsense", body: body(t, "good", "1.0.1"), status: 401, lacks: []string{"Www-Authenticate"}},
		{name: "of an outsider", method: "PUT", path: "/good", who: "bob", body: body(t, "good", "1.0.1"), status: 403},
		{name: "with a token to read", method: "PUT", path: "/good", who: w.Token("admin", policy.ReadPackages), body: body(t, "good", "1.0.1"), status: 403, has: []string{"write:packages"}},
		{name: "wrong method", method: "POST", path: "/good", who: "admin", body: "{}", status: 405, has: []string{"Allow: GET, HEAD, PUT"}},
		{name: "patch", method: "PATCH", path: "/good", who: "admin", body: "{}", status: 405, has: []string{"Allow: "}},
	})
	// Every client's own way of writing the document.
	w.publish("admin", "plain", "1.0.0", manifest("_resolved", "/home/me/x.tgz", "_from", "file:x", "_integrity", "sha512-x", "readme", "# hello",
		"gypfile", true, "scripts", map[string]any{"postinstall": "node x"}), attachment("content_type", "x"))
	text := w.want(200, "GET /plain", "", "").text()
	for _, bad := range []string{"_resolved", "_from", "_integrity", "/home/me", "upstream.example"} {
		if strings.Contains(text, bad) {
			t.Errorf("%s is in the document: %s", bad, text)
		}
	}
	if at(w.document("plain", ""), "readme") != "# hello" {
		t.Errorf("readme: %s", text)
	}
	tarball := packed(t, entry{name: "package/package.json", text: `{"name":"flags","version":"1.0.0"}`}, entry{name: "package/binding.gyp"}, entry{name: "package/npm-shrinkwrap.json", text: "{}"})
	w.publish("admin", "flags", "1.0.0", carrying(tarball), func(doc map[string]any) {
		a := doc["_attachments"].(map[string]any)
		a["../../etc/passwd"] = a["flags-1.0.0.tgz"]
		delete(a, "flags-1.0.0.tgz")
	})
	v := at(w.document("flags", ""), "versions", "1.0.0")
	if at(v, "hasInstallScript") != true || at(v, "_hasShrinkwrap") != true || at(v, "dist", "integrity") != npmtest.Integrity(tarball) {
		t.Errorf("%v", v)
	}
}

// TestOverwrittenDist: whatever the client says of the tarball, the document
// tells what the server found.
func TestOverwrittenDist(t *testing.T) {
	w := newWorld(t)
	w.publish("admin", "good", "1.0.0", manifest("dist", map[string]any{"tarball": "http://evil.example/x.tgz", "fileCount": 99, "signatures": []any{}, "x": "y"}), manifest("_id", "evil@1", "_npmUser", "evil", "hasInstallScript", true))
	v := at(w.document("good", ""), "versions", "1.0.0")
	if at(v, "dist", "tarball") != "http://example.com/npm/good/-/good-1.0.0.tgz" || at(v, "dist", "fileCount") != 2.0 || at(v, "_id") != "good@1.0.0" ||
		at(v, "_npmUser", "name") != "admin" || at(v, "hasInstallScript") != nil || at(v, "dist", "x") != nil {
		t.Errorf("%v", v)
	}
}

// TestProvenance: sections 3.6 and 4.1. A bundle that came with a version is
// served where the version's document says.
func TestProvenance(t *testing.T) {
	w := newWorld(t)
	w.publish("olga", "@open/part", "1.0.0", provenance(`{"mediaType":"x"}`))
	w.publish("olga", "@open/part", "1.0.1")
	url, _ := at(w.document("@open/part", ""), "versions", "1.0.0", "dist", "attestations", "url").(string)
	path, ok := strings.CutPrefix(url, "http://example.com/npm")
	if !ok || at(w.document("@open/part", ""), "versions", "1.0.1", "dist", "attestations") != nil {
		t.Fatalf("attestations at %q", url)
	}
	w.run([]call{
		{name: "bundle", method: "GET", path: path, status: 200, has: []string{`{"attestations":[{"predicateType":"https://slsa.dev/provenance/v1","bundle":{"mediaType":"x"}}]}`}},
		{name: "none", method: "GET", path: "/-/npm/v1/attestations/@open%2fpart@1.0.1", status: 404},
		{name: "other spelling", method: "GET", path: "/-/npm/v1/attestations/@open/part@1.0.0", status: 200},
		{name: "no such version", method: "GET", path: "/-/npm/v1/attestations/@open%2fpart@3.0.0", status: 404},
		{name: "no such package", method: "GET", path: "/-/npm/v1/attestations/@open%2fnone@1.0.0", status: 404},
	})
	w.silent("open")
}

// TestReplay: the rule of section 4.1 for a publish whose answer got lost.
func TestReplay(t *testing.T) {
	w := newWorld(t)
	w.Must(w.Directory.Grant(t.Context(), w.Admin, "admin/packages", "wim", policy.RoleWrite))
	first := body(t, "good", "1.0.0")
	w.lost("PUT", "/good", "wim", first)
	w.run([]call{
		{name: "by another", method: "PUT", path: "/good", who: "admin", body: first, status: 409},
		{name: "other bytes", method: "PUT", path: "/good", who: "wim", body: body(t, "good", "1.0.0", carrying(packed(t, entry{name: "package/package.json", text: `{"name":"good","version":"1.0.0","x":1}`}))), status: 409},
		{name: "the retry", method: "PUT", path: "/good", who: "wim", body: first, status: 201},
		{name: "on purpose", method: "PUT", path: "/good", who: "wim", body: first, status: 409},
	})
	w.lost("PUT", "/good", "wim", body(t, "good", "1.0.1"))
	w.Clock.Advance(15 * time.Minute)
	w.want(409, "PUT /good", "wim", body(t, "good", "1.0.1"))
	w.want(200, "GET "+file("good", "1.0.1"), "", "")
}

// lost sends a request whose answer does not reach the client.
func (w *world) lost(method, path, who, body string) {
	w.T.Helper()
	rec := &broken{ResponseRecorder: httptest.NewRecorder()}
	w.Edge.ServeHTTP(rec, w.request(method, path, who, strings.NewReader(body)))
	if rec.Code != 201 {
		w.T.Fatalf("%s %s: %d %s", method, path, rec.Code, rec.Body)
	}
}

// broken is a connection that breaks while the answer is sent.
type broken struct{ *httptest.ResponseRecorder }

func (broken) FlushError() error { return errEnd }

// TestHostileButHonest: odd things that JSON allows are taken, and what is
// served of them can be read by every client.
func TestHostileButHonest(t *testing.T) {
	w := newWorld(t)
	for i, in := range []string{
		`"a":"\ud800 alone","\udfff":{"b":"\ud83d"}`, `"a":"\u0000\u001b[31m\u2028"`, `"a":1e999,"b":-0,"c":123456789012345678901234567890`,
		`"a":` + strings.Repeat("[", 61) + strings.Repeat("]", 61), `"__proto__":{"x":1},"constructor":1`, `"deprecated":"\ud800"`,
	} {
		version := fmt.Sprintf("1.0.%d", i)
		sent := strings.Replace(body(t, "odd", version, manifest("HOLE", 1)), `"HOLE":1`, in, 1)
		w.want(201, "PUT /odd", "admin", sent)
		for _, path := range []string{"/odd", "/odd/" + version} {
			for _, accept := range []string{"Accept: */*", abbreviated} {
				text := w.want(200, "GET "+path, "", "", accept).text()
				if !json.Valid([]byte(text)) || !utf8.ValidString(text) || strings.Contains(text, `\ud8`) || strings.Contains(text, `\udf`) {
					t.Errorf("%s: %s", in, text)
				}
			}
		}
	}
	w.want(400, "PUT /odd", "admin", strings.Replace(body(t, "odd", "2.0.0", manifest("HOLE", 1)), `"HOLE":1`, `"\ud800":1,"\ud801":2`, 1))
}
