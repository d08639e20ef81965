package oci_test

import (
	"context"
	"io"
	"strings"
	"sync/atomic"
	"testing"

	"larder/cache"
	"larder/cache/memory"
)

// counting is a store that counts how often bytes are opened.
type counting struct {
	*memory.Store
	opened atomic.Int64
}

func (s *counting) Open(ctx context.Context, d cache.Digest) (io.ReadSeekCloser, error) {
	s.opened.Add(1)
	return s.Store.Open(ctx, d)
}

// TestHeadReadsNothing: what clients ask most, a HEAD of a tag, opens no bytes,
// and neither does that of a blob.
func TestHeadReadsNothing(t *testing.T) {
	store := &counting{Store: memory.NewStore()}
	w := newWorld(t, func(w *world) { w.Store = store })
	layer := strings.Repeat("layer", 100_000)
	m := w.push("wim", "acme/app", "v1", layer, func(doc map[string]any) {
		doc["annotations"] = map[string]string{"long": strings.Repeat("x", 200_000)}
	})
	before := store.opened.Load()
	for _, what := range []string{"/manifests/v1", "/manifests/" + digestOf(m), "/blobs/" + digestOf(layer)} {
		w.want("200", "HEAD /acme/app"+what, "rita", "")
		if got := store.opened.Load() - before; got != 0 {
			t.Errorf("HEAD %s opened bytes %d times", what, got)
		}
	}
	w.want("200", "GET /acme/app/manifests/v1", "rita", "")
	if store.opened.Load() == before {
		t.Error("a GET opened nothing: nothing was counted")
	}
}
