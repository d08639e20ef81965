package oci

import (
	"testing"

	"larder/cache"
)

func TestPart(t *testing.T) {
	d := digestOf(cache.SHA256, nil)
	for file, want := range map[string]bool{
		blobFile("a", d): true, blobFile("a/manifests/b", d): true, manifestFile("a", d): false, manifestFile("a/blobs", d): false, "a": false, "": false,
	} {
		if got := New(Options{}).Part(file); got != want {
			t.Errorf("%s: %v", file, got)
		}
	}
}
