package directory

import (
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
)

// MaxAge is how old an answer from memory may be, should another process have
// changed the rows. Changes made here count at once.
const MaxAge = 5 * time.Second

// memo holds decoded rows in a cache of fixed size. An entry is good for one
// generation and for MaxAge.
type memo[K comparable, V any] struct {
	entries *lru.Cache[K, memoEntry[V]]
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
	c, err := lru.New[K, memoEntry[V]](size)
	return memo[K, V]{c}, err
}

func (m memo[K, V]) get(k K, generation uint64, now time.Time) (V, bool) {
	v, _, ok := m.getAt(k, generation, now)
	return v, ok
}

// getAt is get with the time at which the value was read.
func (m memo[K, V]) getAt(k K, generation uint64, now time.Time) (v V, at time.Time, ok bool) {
	if e, ok := m.entries.Get(k); ok && e.good(generation, now) {
		return e.value, e.at, true
	}
	return v, now, false
}

// put stores what was read. generation must have been taken before the read,
// so that a change meanwhile makes the entry useless; now is the time before it.
func (m memo[K, V]) put(k K, generation uint64, now time.Time, v V) {
	m.entries.Add(k, memoEntry[V]{generation, now, v})
}
