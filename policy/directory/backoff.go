package directory

import (
	"crypto/sha256"
	"errors"
	"net/netip"
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"larder/policy"
)

// Failed sign-ins are counted per address and per first characters of the
// token. A count falls by one a second; beyond the burst each further failure
// doubles the wait. A client that is told to wait and does not is not made to
// wait longer for it.
const (
	addressBurst   = 60
	hintBurst      = 30
	maxWait        = time.Minute
	forgiveAfter   = 10 * time.Minute
	countedCallers = 16 << 10 // entries of each kind
	hintLength     = 9        // bytes: prefix and four digits
)

type backoff struct {
	mu        sync.Mutex
	addresses *lru.Cache[netip.Prefix, *strikes]
	// hints are kept as hashes: what was sent may be a password of elsewhere.
	hints *lru.Cache[digest, *strikes]
}

// strikes are the failures of one caller.
type strikes struct {
	level float64
	last  time.Time
	until time.Time
	wait  time.Duration
}

func newBackoff() (*backoff, error) {
	addresses, err1 := lru.New[netip.Prefix, *strikes](countedCallers)
	hints, err2 := lru.New[digest, *strikes](countedCallers)
	return &backoff{addresses: addresses, hints: hints}, errors.Join(err1, err2)
}

// failed notes a failure. It returns how long the caller has to wait, 0 while
// failures are still answered one by one.
func (b *backoff) failed(remote netip.Addr, secret string, now time.Time) time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	hint := digest(sha256.Sum256([]byte(secret[:min(len(secret), hintLength)])))
	return max(strike(b.addresses, policy.Network(remote), addressBurst, now), strike(b.hints, hint, hintBurst, now))
}

func strike[K comparable](callers *lru.Cache[K, *strikes], k K, burst float64, now time.Time) time.Duration {
	s, ok := callers.Get(k)
	if !ok {
		s = &strikes{last: now}
		callers.Add(k, s)
	}
	if wait := s.until.Sub(now); wait > 0 {
		return wait
	}
	if now.Sub(s.until) > forgiveAfter {
		s.wait = 0
	}
	s.level = max(0, s.level-now.Sub(s.last).Seconds()) + 1
	s.last = now
	if s.level <= burst {
		return 0
	}
	s.wait = min(max(time.Second, 2*s.wait), maxWait)
	s.until = now.Add(s.wait)
	return s.wait
}
