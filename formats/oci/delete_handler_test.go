package oci_test

import (
	"fmt"
	"strings"
	"testing"

	"larder/policy/directory"
)

// TestDelete: a tag goes alone, a manifest takes all of its tags along.
func TestDelete(t *testing.T) {
	w := newWorld(t)
	m := w.push("olga", "acme/app", "v1", "layer")
	for _, tag := range []string{"v2", "v3"} {
		w.want("201", "PUT /acme/app/manifests/"+tag, "olga", m, "Content-Type: "+typeImage)
	}
	other := w.push("olga", "acme/app", "other", "another")
	got := w.want("202", "DELETE /acme/app/manifests/v1", "olga", "")
	if got.Header.Get("Content-Length") != "0" {
		t.Errorf("answer %v", got.Header)
	}
	w.want("404 MANIFEST_UNKNOWN acme/app has no tag v1", "GET /acme/app/manifests/v1", "rita", "")
	w.want("404 MANIFEST_UNKNOWN acme/app has no tag v1", "DELETE /acme/app/manifests/v1", "olga", "")
	w.want("200", "GET /acme/app/manifests/v2", "rita", "")
	w.want("200", "GET /acme/app/manifests/"+digestOf(m), "rita", "")
	w.want("202", "DELETE /acme/app/manifests/"+digestOf(m), "olga", "")
	for _, ref := range []string{"v2", "v3", digestOf(m)} {
		for _, method := range []string{"GET", "HEAD", "DELETE"} {
			w.want("404 MANIFEST_UNKNOWN", method+" /acme/app/manifests/"+ref, "olga", "")
		}
	}
	if got := w.want("200", "GET /acme/app/tags/list", "rita", ""); !strings.Contains(string(got.body), `["other"]`) {
		t.Errorf("tags %s", got.body)
	}
	if got := w.want("200", "GET /acme/app/manifests/other", "rita", ""); string(got.body) != other {
		t.Errorf("another manifest: %s", got.body)
	}
	// Its layers are here still, for a while, so that the push of it again sends none.
	w.want("200", "HEAD /acme/app/blobs/"+digestOf("layer"), "rita", "")
	w.want("201", "PUT /acme/app/manifests/v1", "olga", m, "Content-Type: "+typeImage)
	if got := w.want("200", "GET /acme/app/manifests/v1", "rita", ""); string(got.body) != m {
		t.Errorf("pushed again: %s", got.body)
	}
}

// TestDeleteBlob: a blob goes when no manifest needs it.
func TestDeleteBlob(t *testing.T) {
	w := newWorld(t)
	m := w.push("olga", "acme/app", "v1", "layer")
	d := w.blob("olga", "acme/app", "alone")
	w.blob("olga", "acme/other", "alone")
	w.want("405 UNSUPPORTED "+digestOf(m), "DELETE /acme/app/blobs/"+digestOf("layer"), "olga", "")
	w.want("202", "DELETE /acme/app/blobs/"+d, "olga", "")
	for _, method := range []string{"GET", "HEAD", "DELETE"} {
		w.want("404 BLOB_UNKNOWN", method+" /acme/app/blobs/"+d, "olga", "")
	}
	w.want("200", "GET /acme/other/blobs/"+d, "rita", "")
	// A manifest is no blob, nor the other way round.
	w.want("404 BLOB_UNKNOWN", "DELETE /acme/app/blobs/"+digestOf(m), "olga", "")
	w.want("404 MANIFEST_UNKNOWN", "DELETE /acme/app/manifests/"+digestOf("layer"), "olga", "")
}

// TestWhoDeletes: only who may, and the others learn nothing.
func TestWhoDeletes(t *testing.T) {
	w := newWorld(t)
	m := w.push("olga", "acme/app", "v1", "layer")
	for _, tail := range []string{"/manifests/v1", "/manifests/" + digestOf(m), "/blobs/" + digestOf("layer")} {
		for _, name := range []string{"app", "nix"} {
			for who, want := range map[string]string{"wim": "403 DENIED", "rita": "403 DENIED", "bob": "403 DENIED", "": "401 UNAUTHORIZED"} {
				w.want(want, fmt.Sprintf("DELETE /acme/%s%s", name, tail), who, "")
			}
		}
	}
	w.want("404 NAME_UNKNOWN", "DELETE /acme/nix/manifests/v1", "olga", "")
	w.want("404 NAME_UNKNOWN", "DELETE /acme/nix/blobs/"+digestOf("layer"), "olga", "")
	w.want("200", "GET /acme/app/manifests/v1", "rita", "")
}

// TestImmutableTags: a repository keeps some tags where they are; what would move
// one of them changes nothing at all.
func TestImmutableTags(t *testing.T) {
	w := newWorld(t)
	w.Must(w.Directory.SetRepository(t.Context(), w.Admin, "acme/packages", directory.RepositorySettings{ImmutableTags: []string{"v*"}}))
	first := w.push("olga", "acme/app", "v1", "one")
	w.push("olga", "acme/app", "v1", "one")
	w.push("olga", "acme/app", "latest", "one")
	w.blob("olga", "acme/app", "two")
	second := written("{}", []string{"two"})
	w.want("409 DENIED v1 is immutable", "PUT /acme/app/manifests/v1", "olga", second, "Content-Type: "+typeImage)
	w.want("409 DENIED v1 is immutable", "PUT /acme/app/manifests/"+digestOf(second)+"?tag=other&tag=v1", "olga", second, "Content-Type: "+typeImage)
	for _, ref := range []string{digestOf(second), "other"} {
		w.want("404 MANIFEST_UNKNOWN", "GET /acme/app/manifests/"+ref, "rita", "")
	}
	w.want("403 DENIED v1 is immutable", "DELETE /acme/app/manifests/v1", "olga", "")
	w.want("403 DENIED v1 is immutable", "DELETE /acme/app/manifests/"+digestOf(first), "olga", "")
	for _, ref := range []string{"v1", "latest"} {
		if got := w.want("200", "GET /acme/app/manifests/"+ref, "rita", ""); string(got.body) != first {
			t.Errorf("%s moved: %s", ref, got.body)
		}
	}
	w.want("201", "PUT /acme/app/manifests/latest", "olga", second, "Content-Type: "+typeImage)
	w.want("202", "DELETE /acme/app/manifests/latest", "olga", "")
}
