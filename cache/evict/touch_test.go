package evict

import (
	"context"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"testing"
	"time"

	"larder/cache"
	"larder/cache/memory"
	"larder/cache/refs"
)

func TestTouchesAreBounded(t *testing.T) {
	var noted touches
	var d cache.Digest
	const shard = maxTouches / touchShards
	for i := range shard + 1000 { // all in one shard
		binary.BigEndian.PutUint32(d[1:], uint32(i))
		noted.add(d)
		noted.add(d)
	}
	if got := noted.take(0); len(got) != shard {
		t.Errorf("%d notes are kept, want %d", len(got), shard)
	}
	if got := noted.take(0); len(got) != 0 {
		t.Errorf("%d notes are left", len(got))
	}
}

func TestFlush(t *testing.T) {
	s := &spy{Index: memory.NewIndex()}
	b := newBenchOn(t, 1<<30, s, memory.NewStore())
	blobs := b.fill(batch + 50) // more than a transaction, in all shards
	touch := func() {
		for _, blob := range blobs {
			b.evict.Touch(blob.Digest)
		}
		b.evict.Touch(cache.Digest{9}) // gone meanwhile
	}
	touch()
	s.refuse = cache.ErrUnhealthy
	if err := b.evict.Flush(context.Background()); !errors.Is(err, cache.ErrUnhealthy) {
		t.Errorf("got %v", err)
	}
	touch()
	s.refuse = cache.ErrFull
	if err := b.evict.Flush(context.Background()); err != nil {
		t.Errorf("below the floor the order is dropped without a word, got %v", err)
	}
	s.refuse = nil
	touch()
	over, end := context.WithCancel(context.Background())
	end()
	if err := b.evict.Flush(over); err != nil {
		t.Errorf("what a server that ends has no time to write is dropped without a word, got %v", err)
	}
	if err := b.evict.Flush(context.Background()); err != nil || b.usage().MainBytes != 0 {
		t.Errorf("dropped notes were written: %+v, %v", b.usage(), err)
	}
	touch()
	if err := b.evict.Flush(context.Background()); err != nil || b.usage().MainBytes != b.usage().CachedBytes {
		t.Errorf("usage %+v, %v", b.usage(), err)
	}
}

// recency is the plain alternative: the least recently used goes.
type recency struct {
	last map[uint64]int
	room int
}

func (r *recency) request(name uint64, at int) bool {
	_, hit := r.last[name]
	r.last[name] = at
	for len(r.last) > r.room {
		oldest := name
		for n, t := range r.last {
			if t < r.last[oldest] {
				oldest = n
			}
		}
		delete(r.last, oldest)
	}
	return hit
}

// Requests as for packages: some names very often, and two in five for names
// that nobody asks for again. Those must not push out the others.
func TestHitRatioIsBetterThanRecency(t *testing.T) {
	const requests, room = 12000, 100
	index := memory.NewIndex()
	b := newBenchOn(t, room*each, index, memory.NewStore())
	random := rand.New(rand.NewPCG(1, 2))
	popular := rand.NewZipf(random, 1.1, 8, 2000)
	plain := recency{map[uint64]int{}, room}
	hits, plainHits := 0, 0
	for i := range requests {
		b.now = b.now.Add(30 * time.Second)
		name := popular.Uint64()
		if random.IntN(5) < 2 {
			name = uint64(1_000_000 + i)
		}
		if b.request(name) {
			hits++
		}
		if plain.request(name, i) {
			plainHits++
		}
		if i%2 == 0 {
			if err := b.evict.Flush(context.Background()); err != nil {
				t.Fatal(err)
			}
		}
		if i%20 == 0 {
			b.evict.age(context.Background())
		}
	}
	t.Logf("hits of %d: %d, by recency %d", requests, hits, plainHits)
	if hits <= plainHits {
		t.Errorf("%d hits, recency has %d", hits, plainHits)
	}
}

// request touches the blob of a name, or fetches it.
func (b *bench) request(name uint64) bool {
	var d cache.Digest
	binary.BigEndian.PutUint64(d[:], name*0x9e3779b97f4a7c15)
	err := b.index.View(context.Background(), func(r cache.Reader) error {
		_, err := refs.Lookup(r, d)
		return err
	})
	if err == nil {
		b.evict.Touch(d)
		return true
	}
	if !errors.Is(err, cache.ErrNotExist) {
		b.t.Fatal(err)
	}
	if err := b.evict.Reserve(context.Background(), 3<<10); err != nil {
		b.t.Fatal(err)
	}
	err = b.index.Update(context.Background(), func(w cache.Writer) error {
		edge := refs.Edge{Kind: refs.Cached, Record: append([]byte("f"), d[:]...)}
		return refs.Link(w, cache.Blob{Digest: d, Size: 3 << 10}, edge, b.now)
	})
	if err != nil {
		b.t.Fatal(err)
	}
	return false
}
