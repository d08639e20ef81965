package disk

import (
	"context"
	"iter"

	"larder/cache"
)

// ListFolder yields what List yields of one of the 256 folders: the blobs whose
// digests begin with first. So a walk over all can be cut into steps.
func (s *Store) ListFolder(ctx context.Context, first byte) iter.Seq2[cache.Blob, error] {
	return func(yield func(cache.Blob, error) bool) { s.listFolder(ctx, first, yield) }
}
