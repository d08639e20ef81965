package refs

import (
	"slices"
	"sync"

	"larder/cache"
)

// Locks are mutexes by digest. Whoever commits a blob and links it, and whoever
// checks that a blob is unused and deletes it, hold its lock over both steps:
// otherwise a publish could find its bytes there, and lose them before its
// record names them. The zero value is ready; memory is bound to the locks in
// use.
type Locks struct {
	mu   sync.Mutex
	held map[cache.Digest]*lock // guarded by mu
}

type lock struct {
	mu    sync.Mutex
	users int // guarded by Locks.mu: holder and waiters
}

// Lock waits for the locks of all given digests and returns their release. Who
// needs several takes them in one call, since two calls may wait for each other.
func (l *Locks) Lock(digests ...cache.Digest) (unlock func()) {
	order := slices.Clone(digests)
	slices.SortFunc(order, func(a, b cache.Digest) int { return slices.Compare(a[:], b[:]) })
	order = slices.Compact(order)
	for _, d := range order {
		l.join(d).mu.Lock()
	}
	return func() {
		for _, d := range slices.Backward(order) {
			l.leave(d)
		}
	}
}

func (l *Locks) join(d cache.Digest) *lock {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.held == nil {
		l.held = map[cache.Digest]*lock{}
	}
	k := l.held[d]
	if k == nil {
		k = &lock{}
		l.held[d] = k
	}
	k.users++
	return k
}

func (l *Locks) leave(d cache.Digest) {
	l.mu.Lock()
	defer l.mu.Unlock()
	k := l.held[d]
	k.mu.Unlock()
	if k.users--; k.users == 0 {
		delete(l.held, d)
	}
}
