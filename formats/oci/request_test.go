package oci

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"testing"

	"larder/cache"
	"larder/formats"
	"larder/policy"
)

func sha256Digest() string { return "sha256:" + hexOf(64) }
func sha512Digest() string { return "sha512:" + hexOf(128) }

// parse reads "METHOD /target" as the edge hands it over: the target is what
// follows /v2.
func parse(t *testing.T, f *Format, line string) (formats.Request, error) {
	t.Helper()
	method, raw, _ := strings.Cut(line, " ")
	u, err := url.ParseRequestURI(raw)
	if err != nil {
		t.Fatalf("%s: %v", line, err)
	}
	path, _, err := formats.SplitPath(u)
	if err != nil {
		return formats.Request{}, err
	}
	return f.Parse(&http.Request{Method: method, URL: u, Host: "larder.example:8080"}, path)
}

// expand writes digests for $256 and $512.
func expand(line string) string {
	return strings.NewReplacer("$256", sha256Digest(), "$512", sha512Digest()).Replace(line)
}

type parseCase struct {
	line   string // METHOD /target
	action policy.Action
	want   target
}

func checkParse(t *testing.T, f *Format, cases []parseCase) {
	t.Helper()
	for _, c := range cases {
		req, err := parse(t, f, expand(c.line))
		if err != nil {
			t.Errorf("%s: %v", c.line, err)
			continue
		}
		want := c.want
		if want.spoken == "" {
			want.spoken = want.name
		}
		got := req.Detail.(target)
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s:\n got %+v\nwant %+v", c.line, got, want)
		}
		if req.Op != string(want.op) || req.Package != want.name || req.Action != c.action {
			t.Errorf("%s: %+v", c.line, req)
		}
	}
}

// TestRoutes: every endpoint of the protocol.
func TestRoutes(t *testing.T) {
	d, long := digest(sha256Digest()), digest(sha512Digest())
	all := page{size: maxPage}
	checkParse(t, New(Options{}), []parseCase{
		{"GET /", policy.Open, target{op: opPing}},
		{"HEAD /", policy.Open, target{op: opPing}},
		{"GET /token?scope=repository:a:pull&service=x", policy.Open, target{op: opToken}},
		{"POST /token", policy.Open, target{op: opToken}},
		{"GET /_catalog", policy.Open, target{op: opCatalog, page: all}},
		{"GET /_catalog?n=5&last=a/b", policy.Open, target{op: opCatalog, page: page{5, "a/b"}}},
		{"GET /a/manifests/latest", policy.Read, target{op: opManifest, name: "a", tag: "latest"}},
		{"HEAD /a/b/manifests/$256", policy.Read, target{op: opManifest, name: "a/b", digest: d}},
		{"GET /a/b/manifests/$512", policy.Read, target{op: opManifest, name: "a/b", digest: long}},
		{"GET /a/b/manifests/sha256%3A" + hexOf(64), policy.Read, target{op: opManifest, name: "a/b", digest: d}},
		{"PUT /a/b/manifests/v1", policy.Publish, target{op: opManifestPut, name: "a/b", tag: "v1"}},
		{"PUT /a/b/manifests/$256", policy.Publish, target{op: opManifestPut, name: "a/b", digest: d}},
		{"PUT /a/b/manifests/$512?tag=x&tag=y&tag=x", policy.Publish, target{op: opManifestPut, name: "a/b", digest: long, tags: []string{"x", "y"}}},
		{"DELETE /a/b/manifests/v1", policy.Delete, target{op: opManifestDelete, name: "a/b", tag: "v1"}},
		{"DELETE /a/b/manifests/$256", policy.Delete, target{op: opManifestDelete, name: "a/b", digest: d}},
		{"GET /a/b/blobs/$256", policy.Read, target{op: opBlob, name: "a/b", digest: d}},
		{"HEAD /a/b/blobs/$512?ns=up.example", policy.Read, target{op: opBlob, name: "a/b", digest: long}},
		{"DELETE /a/b/blobs/$256", policy.Delete, target{op: opBlobDelete, name: "a/b", digest: d}},
		{"POST /a/b/blobs/uploads/", policy.Publish, target{op: opUpload, name: "a/b"}},
		{"POST /a/b/blobs/uploads", policy.Publish, target{op: opUpload, name: "a/b"}},
		{"POST /a/b/blobs/uploads/?digest=$256", policy.Publish, target{op: opUpload, name: "a/b", digest: d}},
		{"POST /a/b/blobs/uploads/?digest=$512&digest-algorithm=sha512", policy.Publish, target{op: opUpload, name: "a/b", digest: long, algorithm: cache.SHA512}},
		{"POST /a/b/blobs/uploads/?digest-algorithm=sha512", policy.Publish, target{op: opUpload, name: "a/b", algorithm: cache.SHA512}},
		{"POST /a/b/blobs/uploads/?digest-algorithm=sha256", policy.Publish, target{op: opUpload, name: "a/b", algorithm: cache.SHA256}},
		{"POST /a/b/blobs/uploads/?mount=$256&from=c/d&origin=up.example", policy.Publish, target{op: opMount, name: "a/b", mount: d, from: "c/d"}},
		{"POST /a/b/blobs/uploads/?mount=$256", policy.Publish, target{op: opMount, name: "a/b", mount: d}},
		{"POST /a/b/blobs/uploads/?from=c/d", policy.Publish, target{op: opUpload, name: "a/b", from: "c/d"}},
		{"GET /a/b/blobs/uploads/ABC-1.2_x", policy.Publish, target{op: opSession, name: "a/b", session: "ABC-1.2_x"}},
		{"PATCH /a/b/blobs/uploads/ABC?_state=x", policy.Publish, target{op: opChunk, name: "a/b", session: "ABC"}},
		{"PUT /a/b/blobs/uploads/ABC?digest=$256", policy.Publish, target{op: opCommit, name: "a/b", session: "ABC", digest: d}},
		{"DELETE /a/b/blobs/uploads/ABC", policy.Publish, target{op: opCancel, name: "a/b", session: "ABC"}},
		{"GET /a/b/tags/list", policy.Read, target{op: opTags, name: "a/b", page: all}},
		{"GET /a/b/tags/list?n=0", policy.Read, target{op: opTags, name: "a/b"}},
		{"GET /a/b/tags/list?n=99999999999", policy.Read, target{op: opTags, name: "a/b", page: all}},
		{"GET /a/b/tags/list?n=9999999999999999999999", policy.Read, target{op: opTags, name: "a/b", page: all}},
		{"GET /a/b/tags/list?n=2&last=no.such", policy.Read, target{op: opTags, name: "a/b", page: page{2, "no.such"}}},
		{"GET /a/b/referrers/$256", policy.Read, target{op: opReferrer, name: "a/b", digest: d, page: all}},
		{"GET /a/b/referrers/$512?artifactType=a/b&last=$256", policy.Read, target{op: opReferrer, name: "a/b", digest: long, artifactType: "a/b", page: page{maxPage, string(d)}}},
	})
}

// TestPathsAreReadFromTheRight: every word of the protocol may be a part of a name.
func TestPathsAreReadFromTheRight(t *testing.T) {
	all := page{size: maxPage}
	d := digest(sha256Digest())
	checkParse(t, New(Options{}), []parseCase{
		{"GET /a/manifests/b/manifests/latest", policy.Read, target{op: opManifest, name: "a/manifests/b", tag: "latest"}},
		{"GET /manifests/manifests/manifests", policy.Read, target{op: opManifest, name: "manifests", tag: "manifests"}},
		{"GET /x/tags/list/tags/list", policy.Read, target{op: opTags, name: "x/tags/list", page: all}},
		{"GET /tags/tags/list", policy.Read, target{op: opTags, name: "tags", page: all}},
		{"GET /a/blobs/uploads/tags/list", policy.Read, target{op: opTags, name: "a/blobs/uploads", page: all}},
		{"GET /a/manifests/tags/list", policy.Read, target{op: opTags, name: "a/manifests", page: all}},
		{"GET /blobs/blobs/$256", policy.Read, target{op: opBlob, name: "blobs", digest: d}},
		{"GET /a/referrers/referrers/$256", policy.Read, target{op: opReferrer, name: "a/referrers", digest: d, page: all}},
		{"GET /a/blobs/uploads/blobs/$256", policy.Read, target{op: opBlob, name: "a/blobs/uploads", digest: d}},
		{"GET /a/blobs/uploads/manifests/x", policy.Read, target{op: opManifest, name: "a/blobs/uploads", tag: "x"}},
		{"POST /a/blobs/uploads/blobs/uploads/", policy.Publish, target{op: opUpload, name: "a/blobs/uploads"}},
		{"PATCH /a/blobs/uploads/blobs/uploads/ID", policy.Publish, target{op: opChunk, name: "a/blobs/uploads", session: "ID"}},
		{"GET /a/blobs/uploads/uploads", policy.Publish, target{op: opSession, name: "a", session: "uploads"}},
		{"GET /a/blobs/manifests/uploads", policy.Read, target{op: opManifest, name: "a/blobs", tag: "uploads"}},
		{"GET /token/tags/list", policy.Read, target{op: opTags, name: "token", page: all}},
	})
}

// TestMirrors: a mirror takes no pushes, and an image of one part may stand for
// one below library/.
func TestMirrors(t *testing.T) {
	d := digest(sha256Digest())
	hub := New(Options{Mirror: true, Library: always})
	checkParse(t, hub, []parseCase{
		{"GET /alpine/manifests/1", policy.Read, target{op: opManifest, name: "library/alpine", spoken: "alpine", tag: "1"}},
		{"GET /library/alpine/manifests/1", policy.Read, target{op: opManifest, name: "library/alpine", tag: "1"}},
		{"GET /a/b/blobs/$256", policy.Read, target{op: opBlob, name: "a/b", digest: d}},
		{"DELETE /a/b/manifests/1", policy.Administer, target{op: opManifestDelete, name: "a/b", tag: "1"}},
		{"DELETE /a/b/blobs/$256", policy.Administer, target{op: opBlobDelete, name: "a/b", digest: d}},
	})
	for line, allow := range map[string]string{
		"PUT /a/b/manifests/1": "DELETE GET HEAD", "POST /a/b/blobs/uploads/": "", "PATCH /a/b/blobs/uploads/X": "",
		"GET /a/b/blobs/uploads/X": "",
	} {
		_, err := parse(t, hub, line)
		var method *formats.MethodError
		if !errors.As(err, &method) || strings.Join(method.Allow, " ") != allow || !strings.Contains(err.Error(), "read-only mirror") {
			t.Errorf("%s: %v, allowed %v", line, err, method)
		}
	}
	if req, err := parse(t, New(Options{Library: always}), "GET /alpine/tags/list"); err != nil || req.Package != "alpine" {
		t.Errorf("library is for mirrors: %+v, %v", req, err)
	}
}

func TestMethods(t *testing.T) {
	for line, allow := range map[string]string{
		"POST /": "GET HEAD", "DELETE /token": "GET HEAD POST", "POST /_catalog": "GET HEAD",
		"PATCH /a/manifests/x": "DELETE GET HEAD PUT", "POST /a/manifests/x": "DELETE GET HEAD PUT",
		"GET /a/blobs/uploads/": "POST", "HEAD /a/blobs/uploads": "POST", "PUT /a/blobs/uploads/": "POST",
		"POST /a/blobs/uploads/X": "DELETE GET HEAD PATCH PUT", "PUT /a/blobs/$256": "DELETE GET HEAD",
		"PUT /a/tags/list": "GET HEAD", "DELETE /a/tags/list": "GET HEAD", "PUT /a/referrers/$256": "GET HEAD", "BREW /a/tags/list": "GET HEAD",
	} {
		_, err := parse(t, New(Options{}), expand(line))
		var method *formats.MethodError
		if !errors.As(err, &method) || !slices.IsSorted(method.Allow) || strings.Join(method.Allow, " ") != allow {
			t.Errorf("%s: %v, allowed %v; want %s", line, err, method, allow)
			continue
		}
		if f := failureOf(err); f.Status != 405 || codeOf(f) != codeUnsupported {
			t.Errorf("%s: %d %s", line, f.Status, codeOf(f))
		}
	}
}

// TestBadRequests: what each piece of bad input gets.
func TestBadRequests(t *testing.T) {
	longest := strings.Repeat("a", maxReference-1-len("larder.example:8080"))
	many := strings.Repeat("&tag=x", 101)
	for line, want := range map[string]string{
		// paths
		"GET /x": "404 NAME_UNKNOWN", "GET /a/b/c": "404 NAME_UNKNOWN", "GET /a/manifests": "404 NAME_UNKNOWN", "GET /manifests/x": "404 NAME_UNKNOWN",
		"GET /a/tags/list/": "404 NAME_UNKNOWN", "GET /a/manifests/x/": "404 NAME_UNKNOWN", "PATCH /a/blobs/uploads/X/": "404 NAME_UNKNOWN",
		"GET /_catalog/": "404 NAME_UNKNOWN", "GET /token/": "404 NAME_UNKNOWN", "GET /blobs/uploads/x": "404 NAME_UNKNOWN", "GET /tags/list": "404 NAME_UNKNOWN",
		"GET /a/blobs/uploads/x/y": "404 NAME_UNKNOWN",
		"GET /a%2fb/manifests/x":   "400 NAME_INVALID", "GET /a/manifests/x%2Fy": "400 NAME_INVALID", "GET /a//b/manifests/x": "400 NAME_INVALID",
		"GET /a/../b/manifests/x": "400 NAME_INVALID", "GET /a%5cb/manifests/x": "400 NAME_INVALID", "GET /a%00/manifests/x": "400 NAME_INVALID",
		// names
		"GET /A/manifests/x": "404 NAME_INVALID", "HEAD /A/manifests/x": "404 NAME_INVALID", "PUT /A/manifests/x": "400 NAME_INVALID",
		"POST /a/B/blobs/uploads/": "400 NAME_INVALID", "DELETE /a../manifests/x": "400 NAME_INVALID", "GET /a___b/tags/list": "404 NAME_INVALID",
		"GET /" + longest + "a/manifests/x": "400 NAME_INVALID", "PUT /" + strings.Repeat("b", 300) + "/manifests/x": "400 NAME_INVALID",
		"GET /" + longest + "/manifests/x": "",
		// tags
		"GET /a/manifests/-x": "404 MANIFEST_UNKNOWN", "GET /a/manifests/.x": "404 MANIFEST_UNKNOWN", "PUT /a/manifests/-x": "400 MANIFEST_INVALID",
		"PUT /a/manifests/.x": "400 MANIFEST_INVALID", "DELETE /a/manifests/.x": "404 MANIFEST_UNKNOWN",
		"GET /a/manifests/" + strings.Repeat("t", 129): "404 MANIFEST_UNKNOWN", "PUT /a/manifests/" + strings.Repeat("t", 129): "400 MANIFEST_INVALID",
		"PUT /a/manifests/" + strings.Repeat("t", 128): "",
		// digests
		"GET /a/manifests/md5:" + hexOf(32): "400 DIGEST_INVALID", "PUT /a/manifests/sha256:baddigeststring": "400 DIGEST_INVALID",
		"GET /a/blobs/sha256:" + hexOf(63): "400 DIGEST_INVALID", "HEAD /a/blobs/sha256:" + strings.ToUpper(hexOf(64)): "400 DIGEST_INVALID",
		"GET /a/blobs/latest": "400 DIGEST_INVALID", "DELETE /a/blobs/x": "400 DIGEST_INVALID", "GET /a/referrers/latest": "400 DIGEST_INVALID",
		"GET /a/manifests/a:b": "400 DIGEST_INVALID",
		// uploads
		"PUT /a/blobs/uploads/X": "400 DIGEST_INVALID", "PUT /a/blobs/uploads/X?digest=": "400 DIGEST_INVALID", "PUT /a/blobs/uploads/X?digest=x": "400 DIGEST_INVALID",
		"PUT /a/blobs/uploads/X?digest=$256&digest=$256": "400 DIGEST_INVALID", "POST /a/blobs/uploads/?digest=$256&digest=$256": "400 DIGEST_INVALID",
		"POST /a/blobs/uploads/?digest=md5:x": "400 DIGEST_INVALID", "POST /a/blobs/uploads/?digest-algorithm=md5": "400 DIGEST_INVALID",
		"POST /a/blobs/uploads/?digest=$256&digest-algorithm=sha512": "400 DIGEST_INVALID", "POST /a/blobs/uploads/?mount=x&from=b": "400 DIGEST_INVALID",
		"POST /a/blobs/uploads/?mount=$256&from=../b": "400 NAME_INVALID", "POST /a/blobs/uploads/?mount=$256&from=b&from=c": "400 UNSUPPORTED",
		"POST /a/blobs/uploads/?mount=$256&digest=$256": "400 DIGEST_INVALID",
		"PATCH /a/blobs/uploads/a+b":                    "404 BLOB_UPLOAD_UNKNOWN", "GET /a/blobs/uploads/" + strings.Repeat("x", 65): "404 BLOB_UPLOAD_UNKNOWN",
		// manifests
		"PUT /a/manifests/x?tag=y": "400 MANIFEST_INVALID", "PUT /a/manifests/$256?tag=-y": "400 MANIFEST_INVALID", "PUT /a/manifests/$256?tag=": "400 MANIFEST_INVALID",
		"PUT /a/manifests/$256?" + many[1:]: "414 UNSUPPORTED",
		// pages
		"GET /a/tags/list?n=-1": "400 UNSUPPORTED", "GET /a/tags/list?n=abc": "400 UNSUPPORTED", "GET /_catalog?n=": "400 UNSUPPORTED", "GET /_catalog?n=1.5": "400 UNSUPPORTED",
		"GET /a/tags/list?n=%2b1": "400 UNSUPPORTED", "GET /a/tags/list?n=1&n=2": "400 UNSUPPORTED", "GET /a/tags/list?last=a%00b": "400 UNSUPPORTED",
		"GET /a/tags/list?last=%0a": "400 UNSUPPORTED", "GET /a/tags/list?last=%ff": "400 UNSUPPORTED", "GET /_catalog?last=a&last=b": "400 UNSUPPORTED",
		"GET /_catalog?last=" + strings.Repeat("a", 256): "400 UNSUPPORTED", "GET /a/tags/list?n=1;last=2": "400 UNSUPPORTED", "GET /a/tags/list?n=%zz": "400 UNSUPPORTED",
		"GET /a/referrers/$256?last=x": "400 DIGEST_INVALID", "GET /a/referrers/$256?artifactType=a&artifactType=b": "400 UNSUPPORTED",
	} {
		_, err := parse(t, New(Options{}), expand(line))
		got := ""
		if err != nil {
			f := failureOf(err)
			body := describe(t, f, http.Header{})
			got = fmt.Sprintf("%d %s", f.Status, body.Code)
		}
		if got != want {
			t.Errorf("%.120s: %q (%v), want %q", line, got, err, want)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, line := range []string{
		"GET /a/manifests/latest", "GET /a/b/blobs/$256", "POST /a/blobs/uploads/?mount=$256&from=x", "PUT /a/blobs/uploads/X?digest=$512",
		"GET /a/tags/list?n=1&last=x", "GET /_catalog", "GET /a/referrers/$256?artifactType=x", "PUT /a/manifests/$256?tag=a&tag=b", "GET /%2f/x",
	} {
		method, target, _ := strings.Cut(expand(line), " ")
		f.Add(method, target)
	}
	f.Fuzz(func(t *testing.T, method, raw string) {
		u, err := url.ParseRequestURI(raw)
		if err != nil {
			return
		}
		path, _, err := formats.SplitPath(u)
		if err != nil {
			return
		}
		req, err := New(Options{}).Parse(&http.Request{Method: method, URL: u, Host: "h"}, path)
		if err != nil {
			if s := failureOf(err).Status; s != 400 && s != 404 && s != 405 {
				t.Errorf("%s %q: status %d", method, raw, s)
			}
			return
		}
		got := req.Detail.(target)
		if req.Package != "" && !isName(req.Package) || got.tag != "" && !isTag(got.tag) || got.session != "" && !isSession(got.session) {
			t.Errorf("%s %q: %+v", method, raw, got)
		}
		for _, d := range []digest{got.digest, got.mount} {
			if _, err := parseDigest(string(d)); d != "" && err != nil {
				t.Errorf("%s %q: digest %q", method, raw, d)
			}
		}
		if got.page.size < 0 || got.page.size > maxPage || len(got.tags) > maxTags {
			t.Errorf("%s %q: %+v", method, raw, got)
		}
	})
}
