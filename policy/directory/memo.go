package directory

import (
	"hash/maphash"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
)

// MaxAge is how old an answer from memory may be, should another process have
// changed the rows. Changes made here count at once.
const MaxAge = 5 * time.Second

// memoShards share a memo, since a look into a cache locks it.
const memoShards = 16

// memo holds decoded rows in caches of fixed size. An entry is good for one
// generation and for MaxAge.
type memo[K comparable, V any] struct {
	seed   maphash.Seed
	shards [memoShards]*lru.Cache[K, memoEntry[V]]
}

type memoEntry[V any] struct {
	generation uint64
	at         time.Time
	value      V
}

func (e *memoEntry[V]) good(generation uint64, now time.Time) bool {
	age := now.Sub(e.at)
	return e.generation == generation && age >= 0 && age < MaxAge
}

func newMemo[K comparable, V any](size int) (memo[K, V], error) {
	m := memo[K, V]{seed: maphash.MakeSeed()}
	for i := range m.shards {
		var err error
		if m.shards[i], err = lru.New[K, memoEntry[V]](size / memoShards); err != nil {
			return m, err
		}
	}
	return m, nil
}

func (m *memo[K, V]) shard(k K) *lru.Cache[K, memoEntry[V]] {
	return m.shards[maphash.Comparable(m.seed, k)%memoShards]
}

// last returns what is held, however old.
func (m *memo[K, V]) last(k K) (V, bool) {
	e, ok := m.shard(k).Peek(k)
	return e.value, ok
}

func (m *memo[K, V]) get(k K, generation uint64, now time.Time) (V, bool) {
	v, _, ok := m.getAt(k, generation, now)
	return v, ok
}

// getAt is get with the time at which the value was read.
func (m *memo[K, V]) getAt(k K, generation uint64, now time.Time) (v V, at time.Time, ok bool) {
	if e, ok := m.shard(k).Get(k); ok && e.good(generation, now) {
		return e.value, e.at, true
	}
	return v, now, false
}

// put stores what was read. generation must have been taken before the read,
// so that a change meanwhile makes the entry useless; now is the time before it.
func (m *memo[K, V]) put(k K, generation uint64, now time.Time, v V) {
	m.shard(k).Add(k, memoEntry[V]{generation, now, v})
}
