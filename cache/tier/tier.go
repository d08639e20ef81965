// Package tier is the memory in front of Store and Index: small bodies and
// rendered documents, in LRU order within a bound in bytes.
package tier

import (
	"hash/maphash"
	"sync"

	"github.com/hashicorp/golang-lru/v2/simplelru"
)

// overhead is what an entry costs beside its bytes: list element, map slot,
// key and slice header, as measured with the library in use.
const overhead = 256

// Tier is a sharded LRU bounded by bytes. The library bounds by count only, so
// each shard keeps its own sum. All methods may be called concurrently.
type Tier struct {
	seed   maphash.Seed
	shards []shard
}

type shard struct {
	mu   sync.Mutex
	lru  *simplelru.LRU[string, []byte]
	size int64
	max  int64
}

// New makes a tier of at most max bytes in a number of shards. An entry larger
// than a quarter of a shard's part is not kept.
func New(max int64, shards int) *Tier {
	if shards < 1 {
		shards = 1
	}
	t := &Tier{seed: maphash.MakeSeed(), shards: make([]shard, shards)}
	for i := range t.shards {
		s := &t.shards[i]
		s.max = max / int64(shards)
		// The count is no bound of ours; bytes are. simplelru refuses only
		// sizes below 1, which this is not.
		s.lru, _ = simplelru.NewLRU(1<<30, func(k string, v []byte) { s.size -= cost(k, v) })
	}
	return t
}

func cost(key string, value []byte) int64 { return int64(len(key)+len(value)) + overhead }

func (t *Tier) shard(key string) *shard {
	return &t.shards[maphash.String(t.seed, key)%uint64(len(t.shards))]
}

// Get returns the bytes kept under key. They are shared: nobody may change them.
func (t *Tier) Get(key string) ([]byte, bool) {
	s := t.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lru.Get(key)
}

// Add keeps value under key and drops what is oldest until all fits.
func (t *Tier) Add(key string, value []byte) {
	s := t.shard(key)
	c := cost(key, value)
	if c > s.max/4 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lru.Remove(key)
	s.lru.Add(key, value)
	s.size += c
	for s.size > s.max {
		s.lru.RemoveOldest()
	}
}

// Remove forgets key.
func (t *Tier) Remove(key string) {
	s := t.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lru.Remove(key)
}

// Size returns the bytes in use, overhead included.
func (t *Tier) Size() int64 {
	var n int64
	for i := range t.shards {
		t.shards[i].mu.Lock()
		n += t.shards[i].size
		t.shards[i].mu.Unlock()
	}
	return n
}
