package badger_test

import (
	"testing"

	"larder/cache"
	"larder/cache/badger"
	"larder/cache/cachetest"
)

func open(t *testing.T, dir string) cache.Index {
	ix, err := badger.Open(dir, badger.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return ix
}

func TestIndex(t *testing.T) { cachetest.Index(t, open) }

func TestReopen(t *testing.T) { cachetest.IndexReopen(t, open) }
