package registry_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"larder/formats"
)

// TestLargestImage: a manifest of as many layers as there may be, with names as
// long as those of images get, fits the transactions of the index of a node when
// it is put, deleted and restored.
func TestLargestImage(t *testing.T) {
	b := newBench(t, onDisk(1<<30))
	pkg := strings.Repeat("x", 255)
	links := make([]formats.ReleaseFile, formats.MaxUses)
	var uploads sync.WaitGroup
	for at := range 50 {
		uploads.Go(func() {
			for i := at; i < len(links); i += 50 {
				blob, err := upload(b.as("alice", ""), pkg, []byte(fmt.Sprint("layer", i)))
				if err != nil {
					t.Error(err)
				}
				links[i] = formats.ReleaseFile{Name: fmt.Sprintf("%s/blobs/sha512:%0128d", pkg, i), Blob: blob}
			}
		})
	}
	uploads.Wait()
	var names []string
	for at := 0; at < len(links); at += 100 {
		err := b.edit(pkg, func(tx formats.Tx) error {
			for _, f := range links[at : at+100] {
				if err := tx.Link(f); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, f := range links {
		names = append(names, f.Name)
	}
	version := "sha512:" + strings.Repeat("0", 128)
	if err := b.put(pkg, version, nil, names...); err != nil {
		t.Fatalf("put: %v", err)
	}
	if err := retract(b.as("alice", ""), pkg, version); err != nil {
		t.Fatalf("deleted: %v", err)
	}
	if err := b.restore(b.as("alice", ""), pkg, version); err != nil {
		t.Fatalf("restored: %v", err)
	}
}
