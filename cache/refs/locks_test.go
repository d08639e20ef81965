package refs

import (
	"sync"
	"testing"

	"larder/cache"
)

func TestLocksExclude(t *testing.T) {
	var l Locks
	var held [4]int // guarded by the locks: the race detector watches
	var all sync.WaitGroup
	for g := range byte(16) {
		all.Go(func() {
			for range 200 {
				// Twice the same and in both orders: no two may wait for each other.
				a, b := g%4, (g+1)%4
				unlock := l.Lock(digest(a), digest(b), digest(a))
				held[a]++
				held[b]++
				unlock()
			}
		})
	}
	all.Wait()
	for i, n := range held {
		if n != 16*200/2 {
			t.Errorf("counter %d: %d", i, n)
		}
	}
	if len(l.held) != 0 {
		t.Errorf("%d locks are kept in memory", len(l.held))
	}
}

func TestLockWaits(t *testing.T) {
	var l Locks
	unlock := l.Lock(digest(1))
	l.Lock(digest(2))() // another one is free
	got := make(chan struct{})
	go func() {
		l.Lock(digest(1))()
		close(got)
	}()
	select {
	case <-got:
		t.Fatal("a held lock was given away")
	default:
	}
	unlock()
	<-got
	l.Lock([]cache.Digest{}...)() // none is none
}
