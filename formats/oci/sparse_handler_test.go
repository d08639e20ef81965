package oci_test

import (
	"strings"
	"testing"

	"larder/policy/directory"
)

// TestSparseIndex: an index that is brought here for some platforms only keeps
// its bytes, and whoever asks for another platform is told why there is none.
func TestSparseIndex(t *testing.T) {
	w := newWorld(t)
	here := w.push("wim", "acme/app", "here", "one")
	away := written("{}", []string{"two"})
	list := index(here, away)
	put := "PUT /acme/app/manifests/v1"
	w.want("400 MANIFEST_BLOB_UNKNOWN", put, "wim", list, "Content-Type: "+typeIndex)
	w.want("400 MANIFEST_BLOB_UNKNOWN", put, "wim", list, "Content-Type: "+typeIndex, "X-Larder-Sparse: false")
	w.want("201", put, "wim", list, "Content-Type: "+typeIndex, "X-Larder-Sparse: true")
	if got := w.want("200", "GET /acme/app/manifests/v1", "rita", ""); string(got.body) != list {
		t.Errorf("the index is %s", got.body)
	}
	w.want("200", "GET /acme/app/manifests/"+digestOf(here), "rita", "")
	for _, method := range []string{"GET", "HEAD"} {
		w.want("404 MANIFEST_UNKNOWN", method+" /acme/app/manifests/"+digestOf(away), "rita", "")
	}
	w.want("404 MANIFEST_UNKNOWN platform not synchronised", "GET /acme/app/manifests/"+digestOf(away), "rita", "")
	w.want("404 NAME_UNKNOWN", "GET /acme/app/manifests/"+digestOf(away), "bob", "")
	got := w.want("404 MANIFEST_UNKNOWN", "GET /acme/app/manifests/"+digestOf("nothing"), "rita", "")
	if strings.Contains(string(got.body), "synchronised") {
		t.Errorf("a digest that no index names: %s", got.body)
	}

	// What is here is held by the index, and what comes later is there.
	w.want("405", "DELETE /acme/app/manifests/"+digestOf(here), "olga", "")
	w.blob("wim", "acme/app", "two")
	w.want("201", "PUT /acme/app/manifests/"+digestOf(away), "wim", away, "Content-Type: "+typeImage)
	w.want("200", "GET /acme/app/manifests/"+digestOf(away), "rita", "")
	w.want("201", put, "wim", list, "Content-Type: "+typeIndex)
	w.want("405", "DELETE /acme/app/manifests/"+digestOf(away), "olga", "")
}

// TestSparseRepository: a repository that says so takes indexes without some of what
// they name from every client, but no image without a layer.
func TestSparseRepository(t *testing.T) {
	w := newWorld(t)
	here := w.push("wim", "acme/app", "here", "one")
	away := written("{}", []string{"two"})
	list := index(here, away)
	put := func(result, to, body, mediaType string) {
		t.Helper()
		w.want(result, "PUT /acme/"+to, "wim", body, "Content-Type: "+mediaType)
	}
	set := func(on bool) {
		t.Helper()
		w.Must(w.Directory.SetRepository(t.Context(), w.Admin, "acme/packages", directory.RepositorySettings{SparseIndexes: &on}))
	}
	put("400 MANIFEST_BLOB_UNKNOWN", "app/manifests/v1", list, typeIndex)
	set(true)
	put("201", "app/manifests/v1", list, typeIndex)
	w.want("404 MANIFEST_UNKNOWN platform not synchronised", "GET /acme/app/manifests/"+digestOf(away), "rita", "")
	put("400 MANIFEST_BLOB_UNKNOWN", "app/manifests/v2", written("{}", []string{"gone"}), typeImage)
	put("400 MANIFEST_BLOB_UNKNOWN", "open/app/manifests/v1", list, typeIndex)
	set(false)
	put("400 MANIFEST_BLOB_UNKNOWN", "app/manifests/v3", index(here, away, "more"), typeIndex)
}

// TestSparseImage: an image without a layer is none, whatever the client says.
func TestSparseImage(t *testing.T) {
	w := newWorld(t)
	w.blob("wim", "acme/app", "{}")
	m := written("{}", []string{"gone"})
	w.want("400 MANIFEST_BLOB_UNKNOWN", "PUT /acme/app/manifests/v1", "wim", m, "Content-Type: "+typeImage, "X-Larder-Sparse: true")
}
