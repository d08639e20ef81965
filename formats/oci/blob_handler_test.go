package oci_test

import (
	"bytes"
	"strings"
	"testing"
)

// TestBlobParts: ranges as clients of containers know them.
func TestBlobParts(t *testing.T) {
	w := newWorld(t)
	d, empty := w.blob("wim", "acme/app", "0123456789"), w.blob("wim", "acme/app", "")
	for field, want := range map[string]string{
		"bytes=0-3": "0123", "bytes=4-": "456789", "bytes=-2": "89", "bytes=8-100": "89", "bytes=0-0": "0", "bytes=-100": "0123456789",
	} {
		got := w.want("206", "GET /acme/app/blobs/"+d, "rita", "", "Range: "+field)
		if string(got.body) != want || got.Header.Get("Docker-Content-Digest") != d || got.Header.Get("Content-Range") == "" {
			t.Errorf("%s: %q %v", field, got.body, got.Header)
		}
	}
	for _, field := range []string{"bytes=0-1,4-5", "lines=0-1"} {
		if got := w.want("200", "GET /acme/app/blobs/"+d, "rita", "", "Range: "+field); string(got.body) != "0123456789" {
			t.Errorf("%s: %q", field, got.body)
		}
	}
	for _, field := range []string{"bytes=10-", "bytes=100-200", "bytes=5-3", "bytes=500-0", "bytes=-0"} {
		got := w.want("416 SIZE_INVALID", "GET /acme/app/blobs/"+d, "rita", "", "Range: "+field)
		if got.Header.Get("Content-Range") != "bytes */10" || got.Header.Get("Docker-Content-Digest") != "" {
			t.Errorf("%s: %v", field, got.Header)
		}
	}
	w.want("416", "GET /acme/app/blobs/"+empty, "rita", "", "Range: bytes=0-0")
	for _, method := range []string{"GET", "HEAD"} {
		if got := w.want("200", method+" /acme/app/blobs/"+empty, "rita", ""); got.Header.Get("Content-Length") != "0" || len(got.body) > 0 {
			t.Errorf("%s of nothing: %v", method, got.Header)
		}
	}
	if got := w.want("304", "GET /acme/app/blobs/"+d, "rita", "", `If-None-Match: "`+d+`"`); len(got.body) > 0 {
		t.Errorf("not modified: %q", got.body)
	}
}

// TestBlobsBelongToImages: bytes are stored once, and seen only where they were
// pushed.
func TestBlobsBelongToImages(t *testing.T) {
	w := newWorld(t)
	d := w.blob("wim", "acme/app", "secret")
	w.blob("wim", "acme/other", "public")
	w.blob("wim", "acme/open/tool", "public")
	for _, method := range []string{"GET", "HEAD"} {
		w.want("404 BLOB_UNKNOWN acme/other has no blob "+d, method+" /acme/other/blobs/"+d, "rita", "")
		w.want("404 BLOB_UNKNOWN", method+" /acme/open/tool/blobs/"+d, "bob", "")
		w.want("404 BLOB_UNKNOWN", method+" /acme/open/tool/blobs/"+d, "", "")
	}
	w.want("200", "GET /acme/app/blobs/"+d, "rita", "")
	got := w.want("200", "GET /acme/open/tool/blobs/"+digestOf("public"), "", "")
	if got.Header.Get("Cache-Control") != "public, max-age=31536000, immutable" {
		t.Errorf("a public blob: %v", got.Header)
	}
}

// TestLostBytes: what the disk lost is a fault of ours to who reads it; who asks
// before a push hears that it is not here, sends it, and so makes it whole.
func TestLostBytes(t *testing.T) {
	w := newWorld(t)
	layer := strings.Repeat("layer", 20_000)
	m := w.push("wim", "acme/app", "v1", layer)
	w.blob("wim", "acme/app", "small")
	w.want("200", "GET /acme/app/blobs/"+digestOf("small"), "rita", "") // and lies in memory from now on
	for blob, err := range w.Store.List(t.Context()) {
		w.Must(err)
		w.Must(w.Store.Delete(t.Context(), blob.Digest))
	}
	for _, data := range []string{layer, "small"} {
		at := "/acme/app/blobs/" + digestOf(data)
		w.want("404", "HEAD "+at, "wim", "")
		if data == layer {
			w.want("500 UNKNOWN damaged", "GET "+at, "wim", "")
		}
		w.want("202", "POST /acme/other/blobs/uploads/?mount="+digestOf(data)+"&from=acme/app", "wim", "")
		w.want("201", "POST /acme/app/blobs/uploads/?digest="+digestOf(data), "wim", data)
		w.want("200", "HEAD "+at, "wim", "")
		if got := w.want("200", "GET "+at, "wim", ""); string(got.body) != data {
			t.Errorf("%d bytes", len(got.body))
		}
	}
	w.want("500 UNKNOWN damaged", "GET /acme/app/manifests/v1", "wim", "")
	w.want("500", "HEAD /acme/app/manifests/v1", "wim", "") // a tag that is there
	w.want("404", "HEAD /acme/app/manifests/"+digestOf(m), "wim", "")
	w.want("201", "PUT /acme/app/manifests/v1", "wim", m, "Content-Type: "+typeImage)
	if got := w.want("200", "GET /acme/app/manifests/v1", "rita", ""); string(got.body) != m {
		t.Errorf("sent again it is %s", got.body)
	}
}

// TestHiddenIsMissing: who may not read an image cannot tell it from one that is
// not there, by any read.
func TestHiddenIsMissing(t *testing.T) {
	w := newWorld(t)
	w.blob("wim", "acme/app", "layer")
	for _, tail := range []string{
		"/blobs/" + digestOf("layer"), "/manifests/latest", "/manifests/" + digestOf("m"), "/tags/list", "/referrers/" + digestOf("m"),
	} {
		for _, method := range []string{"GET", "HEAD"} {
			for who, status := range map[string]string{"bob": "404 NAME_UNKNOWN", "": "401 UNAUTHORIZED"} {
				there := w.want(status, method+" /acme/app"+tail, who, "")
				none := w.want(status, method+" /acme/nix"+tail, who, "")
				for _, r := range []*reply{there, none} {
					for _, own := range []string{"X-Request-Id", "X-Larder-Decision", "Link"} {
						r.Header.Del(own)
					}
				}
				a, b := printed(t, there), printed(t, none)
				if strings.ReplaceAll(a, "acme/app", "acme/nix") != b {
					t.Errorf("%s %s by %q:\n%s\n%s", method, tail, who, a, b)
				}
			}
		}
	}
}

func printed(t *testing.T, r *reply) string {
	t.Helper()
	var b bytes.Buffer
	if err := r.Header.Write(&b); err != nil {
		t.Fatal(err)
	}
	return b.String() + string(r.body)
}
