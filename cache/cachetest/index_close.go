package cachetest

import (
	"testing"

	"larder/cache"
)

func indexClosed(t *testing.T, ix cache.Index) {
	put(t, ix, "a", "1")
	for range 2 {
		if err := ix.Close(); err != nil {
			t.Fatalf("close: %v", err)
		}
	}
	if err := ix.View(t.Context(), func(cache.Reader) error { return nil }); err == nil {
		t.Error("a closed index took a View")
	}
	if err := ix.Update(t.Context(), func(cache.Writer) error { return nil }); err == nil {
		t.Error("a closed index took an Update")
	}
}
