package memory_test

import (
	"testing"

	"larder/cache"
	"larder/cache/cachetest"
	"larder/cache/memory"
)

func TestIndex(t *testing.T) {
	cachetest.Index(t, func(*testing.T, string) cache.Index { return memory.NewIndex() })
}
