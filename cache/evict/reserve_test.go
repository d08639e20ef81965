package evict

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"sync/atomic"
	"testing"

	"larder/cache"
	"larder/cache/refs"
)

const each = 5 << 10 // what a blob of bench.add costs

// Fills under way count: together they never get more than the budget.
func TestPromisesHoldTogether(t *testing.T) {
	b := newBench(t, 10*each)
	for i := range 10 {
		if err := b.evict.Reserve(context.Background(), 3<<10); err != nil {
			t.Fatalf("fill %d: %v", i, err)
		}
	}
	if err := b.evict.Reserve(context.Background(), 3<<10); !errors.Is(err, cache.ErrFull) {
		t.Errorf("one fill too many: %v", err)
	}
	// The promises are kept: now there are blobs that can be evicted.
	for i := range 10 {
		b.add(fmt.Sprint(i), refs.Cached)
	}
	for i := range 5 {
		if err := b.evict.Reserve(context.Background(), 3<<10); err != nil {
			t.Errorf("fill %d: %v", i, err)
		}
	}
	if u := b.usage(); u.CachedBytes != 5*each {
		t.Errorf("%d bytes are cached beside 5 promises", u.CachedBytes)
	}
}

// A length that no disk has is refused, and what was promised to others stands.
func TestLengthBeyondAllReason(t *testing.T) {
	b := newBench(t, 10*each)
	for range 9 {
		if err := b.evict.Reserve(context.Background(), 3<<10); err != nil {
			t.Fatal(err)
		}
	}
	for _, n := range []int64{math.MaxInt64, math.MaxInt64 - 4096, math.MaxInt64 / 2} {
		if err := b.evict.Reserve(context.Background(), n); !errors.Is(err, cache.ErrFull) {
			t.Errorf("%d bytes: %v", n, err)
		}
	}
	if err := b.evict.Reserve(context.Background(), 3<<10); err != nil {
		t.Errorf("the tenth: %v", err)
	}
	if err := b.evict.Reserve(context.Background(), 3<<10); !errors.Is(err, cache.ErrFull) {
		t.Errorf("the eleventh of ten: %v", err)
	}
}

// Fills that were given up do not take room for ever, whether or not Run is idle.
func TestPromisesAreForgotten(t *testing.T) {
	b := newBench(t, 10*each)
	for range 10 {
		if err := b.evict.Reserve(context.Background(), 3<<10); err != nil {
			t.Fatal(err)
		}
	}
	for round := range 2 * windowKeeps {
		if err := b.evict.Reserve(context.Background(), 3<<10); !errors.Is(err, cache.ErrFull) {
			t.Fatalf("in round %d: %v", round, err)
		}
		b.evict.age(context.Background())
	}
	if err := b.evict.Reserve(context.Background(), 3<<10); err != nil {
		t.Errorf("still full of promises: %v", err)
	}
}

// A fill waits for the room it needs and not for more; the background goes on.
func TestReserveEvictsNoMoreThanNeeded(t *testing.T) {
	b := newBench(t, 100*each)
	blobs := b.fill(100)
	if err := b.evict.Reserve(context.Background(), 3<<10); err != nil {
		t.Fatal(err)
	}
	if n := len(b.left(blobs)); n != 99 {
		t.Errorf("%d blobs left, want 99", n)
	}
	select {
	case <-b.evict.wake:
	default:
		t.Error("the background was not told")
	}
	if err := b.keep(); err != nil {
		t.Fatal(err)
	}
	if n := len(b.left(blobs)); n != 94 { // with the promise: the low-water mark
		t.Errorf("%d blobs left, want 94", n)
	}
}

func TestNothingCanGo(t *testing.T) {
	b := newBench(t, 4*each)
	b.add("ours", refs.Hosted)
	for range 4 {
		if err := b.evict.Reserve(context.Background(), 3<<10); err != nil {
			t.Fatalf("hosted bytes count against the budget: %v", err)
		}
	}
	for name, err := range map[string]error{
		"full of promises": b.evict.Reserve(context.Background(), 3<<10),
		"too large":        b.evict.Reserve(context.Background(), 4*each),
	} {
		if !errors.Is(err, cache.ErrFull) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestReserveEndsWithItsContext(t *testing.T) {
	b := newBench(t, 4*each)
	b.fill(4)
	b.evict.round <- struct{}{} // somebody else evicts
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := b.evict.Reserve(ctx, 3<<10); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

// Many fills at a full cache: each gets its room, and the budget holds when
// they have come to rest.
func TestManyFillsAtOnce(t *testing.T) {
	b := newBench(t, 40*each)
	b.fill(40)
	var all sync.WaitGroup
	var refused atomic.Int64
	for g := range 8 {
		all.Go(func() {
			for i := range 20 {
				if err := b.evict.Reserve(context.Background(), 3<<10); err != nil {
					refused.Add(1)
					if !errors.Is(err, cache.ErrFull) {
						t.Error(err)
					}
					continue
				}
				b.add(fmt.Sprint(g, "-", i), refs.Cached)
				b.evict.age(context.Background())
			}
		})
	}
	all.Wait()
	if err := b.keep(); err != nil {
		t.Fatal(err)
	}
	if u := b.usage(); u.CachedBytes > 40*each {
		t.Errorf("%d bytes are cached over a budget of %d", u.CachedBytes, 40*each)
	}
	if refused.Load() > 40 {
		t.Errorf("%d of 160 fills were refused", refused.Load())
	}
}

func TestNewRefusesNoBudget(t *testing.T) {
	for _, n := range []int64{0, -1} {
		if _, err := New(nil, nil, Options{Budget: n}); err == nil {
			t.Errorf("a budget of %d is taken", n)
		}
	}
}
