package oci_test

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"larder/cache"
)

// rows are the keys of all rows, without what every request may write.
func (w *world) rows() []string {
	w.T.Helper()
	var keys []string
	w.Must(w.Index.View(w.T.Context(), func(r cache.Reader) error {
		for row, err := range r.Scan(nil, nil) {
			if err != nil {
				return err
			}
			keys = append(keys, string(row.Key))
		}
		return nil
	}))
	return keys
}

// files are the digests of all that is stored.
func (w *world) files() []string {
	w.T.Helper()
	var list []string
	for blob, err := range w.Store.List(w.T.Context()) {
		w.Must(err)
		list = append(list, blob.Digest.String())
	}
	slices.Sort(list)
	return list
}

// unchanged runs fn, and fails if that left anything of a package or a session,
// or bytes.
func (w *world) unchanged(what string, fn func()) {
	w.T.Helper()
	files := w.files()
	w.unseen(what, fn)
	if after := w.files(); !slices.Equal(files, after) {
		w.T.Errorf("%s: stored %q, before %q", what, after, files)
	}
}

// unseen is unchanged, but that bytes may stay which only their lease holds.
func (w *world) unseen(what string, fn func()) {
	w.T.Helper()
	rows := w.rows()
	fn()
	for _, k := range w.rows() {
		if !slices.Contains(rows, k) && strings.ContainsAny(k[:1], "fpu") {
			w.T.Errorf("%s: left the row %q", what, k)
		}
	}
}

// TestBadPaths: names, tags, digests and queries that are none, each refused
// with its code and without a trace.
func TestBadPaths(t *testing.T) {
	w := newWorld(t)
	d, long := digestOf("x"), "/acme/"+strings.Repeat("a", 300)
	for _, c := range []struct{ line, want string }{
		{"GET /acme/App/tags/list", "404 NAME_INVALID image name"},
		{"PUT /acme/App/manifests/v1", "400 NAME_INVALID image name"},
		{"POST /acme/App/blobs/uploads/", "400 NAME_INVALID"},
		{"GET /acme//app/tags/list", "400 NAME_INVALID"},
		{"POST /acme//app/blobs/uploads/", "400 NAME_INVALID"},
		{"GET /acme/../app/tags/list", "400 NAME_INVALID"},
		{"GET /acme/./app/tags/list", "400 NAME_INVALID"},
		{"GET /acme%2Fapp/tags/list", "400 NAME_INVALID slash"},
		{"PUT /acme%2Fapp/manifests/v1", "400 NAME_INVALID"},
		{"GET /acme%5Capp/tags/list", "400 NAME_INVALID"},
		{"GET /acme%00app/tags/list", "400 NAME_INVALID"},
		{"GET " + long + "/tags/list", "400 NAME_INVALID longer than"},
		{"POST " + long + "/blobs/uploads/", "400 NAME_INVALID longer than"},
		{"PUT /acme/app/manifests/" + strings.Repeat("a", 129), "400 MANIFEST_INVALID is no tag"},
		{"GET /acme/app/manifests/" + strings.Repeat("a", 129), "404 MANIFEST_UNKNOWN no tag"},
		{"PUT /acme/app/manifests/-v1", "400 MANIFEST_INVALID is no tag"},
		{"PUT /acme/app/manifests/.v1", "400 MANIFEST_INVALID is no tag"},
		{"GET /acme/app/blobs/md5:d41d8cd98f00b204e9800998ecf8427e", "400 DIGEST_INVALID sha256 or sha512"},
		{"GET /acme/app/blobs/" + d[:len(d)-1], "400 DIGEST_INVALID 64"},
		{"GET /acme/app/blobs/" + strings.ToUpper(d[:8]) + d[8:], "400 DIGEST_INVALID"},
		{"GET /acme/app/blobs/sha256:" + strings.ToUpper(d[7:]), "400 DIGEST_INVALID"},
		{"PUT /acme/app/manifests/sha256:baddigeststring", "400 DIGEST_INVALID"},
		{"GET /acme/app/manifests/sha256:baddigeststring", "400 DIGEST_INVALID"},
		{"GET /acme/app/referrers/latest", "400 DIGEST_INVALID"},
		{"POST /acme/app/blobs/uploads/?digest=" + d + "&digest=" + digestOf("y"), "400 DIGEST_INVALID given 2 times"},
		{"POST /acme/app/blobs/uploads/?digest=sha1:0", "400 DIGEST_INVALID"},
		{"POST /acme/app/blobs/uploads/?digest-algorithm=md5", "400 DIGEST_INVALID"},
		{"POST /acme/app/blobs/uploads/?mount=latest", "400 DIGEST_INVALID"},
		{"POST /acme/app/blobs/uploads/?mount=" + d + "&from=Acme", "400 NAME_INVALID"},
		{"PATCH /acme/app/blobs/uploads/nix", "404 BLOB_UPLOAD_UNKNOWN"},
		{"PATCH /acme/app/blobs/uploads/" + strings.Repeat("a", 65), "404 BLOB_UPLOAD_UNKNOWN"},
		{"PUT /acme/app/blobs/uploads/nix", "400 DIGEST_INVALID missing"},
		{"GET /acme/app/tags/list?n=-1", "400 UNSUPPORTED"},
		{"GET /acme/app/tags/list?n=abc", "400 UNSUPPORTED"},
		{"GET /acme/app/tags/list?last=%07", "400 UNSUPPORTED"},
		{"GET /_catalog?n=-1", "400 UNSUPPORTED"},
		{"GET /acme/app/tags/list?n=%zz", "400 UNSUPPORTED"},
		{"PUT /acme/app/manifests/v1?tag=v2", "400 MANIFEST_INVALID by digest"},
		{"PUT /acme/app/manifests/" + d + "?tag=-a", "400 MANIFEST_INVALID is no tag"},
		{"PUT /acme/app/manifests/" + d + "?" + strings.Repeat("tag=a&", 101), "414 UNSUPPORTED at most 100"},
		{"GET /acme/app/nix", "404 NAME_UNKNOWN no such path"},
		{"GET /acme/app/tags/list/", "404 NAME_UNKNOWN"},
		{"POST /acme/app/tags/list", "405 UNSUPPORTED"},
		{"PATCH /acme/app/manifests/v1", "405 UNSUPPORTED"},
		{"PUT /acme/app/blobs/" + d, "405 UNSUPPORTED"},
	} {
		w.unchanged(c.line, func() {
			got := w.want(c.want, c.line, "olga", "x", "Content-Type: "+typeImage)
			if got.StatusCode == 405 && got.Header.Get("Allow") == "" {
				t.Errorf("%s: no Allow", c.line)
			}
		})
	}
}

// TestBadManifests: each refused with its code, and nothing of it is kept.
func TestBadManifests(t *testing.T) {
	w := newWorld(t)
	w.blob("wim", "acme/app", "{}")
	w.blob("wim", "acme/app", "layer")
	good := written("{}", []string{"layer"})
	with := func(old, new string) string { return strings.Replace(good, old, new, 1) }
	sized := func(size string) string { return with(`"size":5`, `"size":`+size) }
	many := written("{}", make([]string, 0), func(doc map[string]any) {
		list := []any{}
		for i := range 10_000 {
			list = append(list, descriptor(typeLayer, fmt.Sprint(i)))
		}
		doc["layers"] = list
	})
	nested := strings.Repeat(`{"a":`, 100) + "1" + strings.Repeat("}", 100)
	invalid := "400 MANIFEST_INVALID "
	for name, c := range map[string]struct{ body, mediaType, want string }{
		"empty":             {"", typeImage, invalid + "empty"},
		"half":              {good[:len(good)/2], typeImage, invalid},
		"an array":          {"[" + good + "]", typeImage, invalid + "no JSON object"},
		"a text":            {`"x"`, typeImage, invalid},
		"not UTF-8":         {with(`"layers"`, "\"x\":\"\xff\",\"layers\""), typeImage, invalid},
		"spaces":            {strings.Repeat(" ", 6<<20), typeImage, invalid},
		"too large":         {strings.Repeat(" ", 8<<20) + good, typeImage, "413 MANIFEST_INVALID limit"},
		"two types":         {with(`"mediaType":"`+typeImage+`"`, `"mediaType":"`+typeIndex+`","mediaType":"`+typeImage+`"`), typeImage, invalid + "twice"},
		"another type":      {good, typeIndex, invalid + "was sent as"},
		"index with layers": {with(`"mediaType":"`+typeImage+`"`, `"mediaType":"`+typeIndex+`","manifests":[]`), typeIndex, invalid},
		"size below zero":   {sized("-1"), typeImage, invalid},
		"size beyond":       {sized("9223372036854775808"), typeImage, invalid},
		"size of text":      {sized(`"5"`), typeImage, invalid},
		"10 000 layers":     {many, typeImage, invalid + "1000"},
		"deep":              {with(`"layers"`, `"x":`+nested+`,"layers"`), typeImage, invalid + "deeper"},
		"a long type":       {with(`"layers"`, `"artifactType":"`+strings.Repeat("x", 256)+`","layers"`), typeImage, invalid + "artifactType"},
		"schema 1":          {`{"schemaVersion":1}`, "application/vnd.docker.distribution.manifest.v1+json", "415 UNSUPPORTED push it again"},
		"a withdrawn type":  {"{}", "application/vnd.oci.artifact.manifest.v1+json", "415 UNSUPPORTED"},
		"an unknown type":   {"{}", "application/json", "415 UNSUPPORTED"},
	} {
		w.unchanged(name, func() {
			w.want(c.want, "PUT /acme/app/manifests/v1", "wim", c.body, "Content-Type: "+c.mediaType)
		})
	}
	for name, c := range map[string]struct{ body, mediaType, want string }{
		"other size":           {sized("6"), typeImage, invalid + "says that " + digestOf("layer")},
		"missing":              {with(digestOf("layer"), digestOf("other")), typeImage, "400 MANIFEST_BLOB_UNKNOWN"},
		"a child that is none": {index(good), typeIndex, "400 MANIFEST_BLOB_UNKNOWN"},
	} {
		w.unseen(name, func() {
			w.want(c.want, "PUT /acme/app/manifests/v1", "wim", c.body, "Content-Type: "+c.mediaType)
		})
	}
	w.unchanged("no type at all", func() {
		body := with(`"mediaType":"`+typeImage+`",`, "")
		w.want("400 MANIFEST_INVALID", "PUT /acme/app/manifests/v1", "wim", body)
	})
	w.unchanged("another digest", func() {
		w.want("400 DIGEST_INVALID", "PUT /acme/app/manifests/"+digestOf("x"), "wim", good, "Content-Type: "+typeImage)
	})
	for _, who := range []string{"rita", "bob", ""} {
		w.unchanged("by "+who, func() {
			status := "403 DENIED"
			if who == "" {
				status = "401 UNAUTHORIZED"
			}
			w.want(status, "PUT /acme/app/manifests/v1", who, good, "Content-Type: "+typeImage)
			w.want(status, "POST /acme/app/blobs/uploads/", who, "")
		})
	}
}

// TestBodyWithoutEnd: a manifest that does not end is read up to the limit.
func TestBodyWithoutEnd(t *testing.T) {
	w := newWorld(t)
	w.unchanged("without end", func() {
		r := w.request("PUT", "/acme/app/manifests/v1", "wim", endless{}, "Content-Type: "+typeImage)
		r.ContentLength = -1
		w.is("413 MANIFEST_INVALID", "without end", w.send(r))
	})
}

type endless struct{}

func (endless) Read(p []byte) (int, error) { return copy(p, bytes.Repeat([]byte(" "), len(p))), nil }

// TestEncodedBodies: what is sent is what has the digest, so that nobody can mean
// an encoding of it.
func TestEncodedBodies(t *testing.T) {
	w := newWorld(t)
	path, d := w.begin("wim", "acme/app"), digestOf("layer")
	for _, line := range []string{
		"PATCH " + path, "PUT " + path + "?digest=" + d, "POST /acme/app/blobs/uploads/",
		"POST /acme/app/blobs/uploads/?digest=" + d, "PUT /acme/app/manifests/v1",
	} {
		for _, coding := range []string{"gzip", "aws-chunked", "identity, gzip"} {
			w.unchanged(line, func() {
				w.want("415 UNSUPPORTED Content-Encoding", line, "wim", "layer", "Content-Type: "+typeImage, "Content-Encoding: "+coding)
			})
		}
	}
	w.want("201", "PUT "+path+"?digest="+d, "wim", "layer", "Content-Encoding: identity")
}
