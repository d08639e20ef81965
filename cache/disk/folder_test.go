package disk

import (
	"strings"
	"testing"

	"larder/cache"
)

func TestListFolder(t *testing.T) {
	s, err := Open(t.TempDir(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	want := map[cache.Digest]bool{}
	for _, body := range []string{"a", "b", "c", "d", "e"} {
		b, err := cache.Put(t.Context(), s, strings.NewReader(body), 1)
		if err != nil {
			t.Fatal(err)
		}
		want[b.Digest] = true
	}
	for first := range 256 {
		for b, err := range s.ListFolder(t.Context(), byte(first)) {
			if err != nil {
				t.Fatal(err)
			}
			if !want[b.Digest] || b.Digest[0] != byte(first) || b.Size != 1 {
				t.Errorf("folder %02x has %s of %d bytes", first, b.Digest, b.Size)
			}
			delete(want, b.Digest)
		}
	}
	if len(want) != 0 {
		t.Errorf("%d blobs were not listed", len(want))
	}
}
