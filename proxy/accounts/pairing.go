package accounts

import (
	"context"
	"crypto/rand"
	"errors"
	"net/netip"
	"sync"
	"time"

	"larder/formats"
	"larder/policy"
)

const (
	pairingLife = 5 * time.Minute
	maxPairings = 1000
	// maxWaiting bounds those of one network, so that it cannot keep all others
	// from signing in.
	maxWaiting = 100
)

// pairing is one login that waits.
type pairing struct {
	id, code string
	from     netip.Addr
	ends     time.Time
	caller   policy.Subject // the anonymous until confirmed
	taking   bool
}

// pairings implements formats.Pairing. The session is made when it is taken, so
// that no secret waits in memory.
type pairings struct {
	clock   func() time.Time
	session func(context.Context, policy.Subject) (string, error)

	mu      sync.Mutex
	byID    map[string]*pairing
	byCode  map[string]*pairing
	waiting map[netip.Prefix]int // by network, of byID
}

func newPairings(clock func() time.Time, session func(context.Context, policy.Subject) (string, error)) *pairings {
	return &pairings{
		clock: clock, session: session,
		byID: map[string]*pairing{}, byCode: map[string]*pairing{}, waiting: map[netip.Prefix]int{},
	}
}

// busyError says that too many logins wait. It becomes a 429.
type busyError struct{ wait time.Duration }

func (e *busyError) Error() string {
	return "too many logins are waiting for their confirmation: try again later"
}

// RetryAfter is when the oldest of them ends.
func (e *busyError) RetryAfter() time.Duration { return e.wait }

func (p *pairings) Begin(_ context.Context, from netip.Addr) (id, code string, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.clock()
	if wait := p.room(policy.Network(from), now); wait > 0 {
		return "", "", &busyError{wait}
	}
	n := &pairing{id: rand.Text(), code: rand.Text(), from: from, ends: now.Add(pairingLife)}
	p.byID[n.id], p.byCode[n.code] = n, n
	p.waiting[policy.Network(from)]++
	return n.id, n.code, nil
}

// room drops what is over when there is none. It returns how long a network has
// to wait for room, 0 for not at all.
func (p *pairings) room(network netip.Prefix, now time.Time) time.Duration {
	crowded := p.waiting[network] >= maxWaiting
	if !crowded && len(p.byID) < maxPairings {
		return 0
	}
	wait := pairingLife
	for _, n := range p.byID {
		left := n.ends.Sub(now)
		if left <= 0 {
			p.drop(n)
		}
		if !crowded || policy.Network(n.from) == network {
			wait = min(wait, left)
		}
	}
	return max(wait, 0)
}

func (p *pairings) drop(n *pairing) {
	delete(p.byID, n.id)
	delete(p.byCode, n.code)
	network := policy.Network(n.from)
	if p.waiting[network]--; p.waiting[network] == 0 {
		delete(p.waiting, network)
	}
}

func errPairing() error {
	return formats.Refuse(formats.ErrNotFound, "this login is over or was never begun: begin it again")
}

// open returns the pairing that waits under a code, nil for none. The caller
// holds the lock.
func (p *pairings) open(code string) *pairing {
	n := p.byCode[code]
	if n == nil || !p.clock().Before(n.ends) {
		return nil
	}
	return n
}

func (p *pairings) Waiting(_ context.Context, code string) (netip.Addr, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := p.open(code)
	if n == nil {
		return netip.Addr{}, errPairing()
	}
	return n.from, nil
}

func (p *pairings) Confirm(_ context.Context, code string, caller policy.Subject) error {
	if policy.MustOwn(caller) != nil {
		return formats.Refuse(policy.ErrUnauthenticated, "sign in with a token of your own before you confirm the login of another program")
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	n := p.open(code)
	if n == nil {
		return errPairing()
	}
	delete(p.byCode, code) // a code counts once
	n.caller = caller
	return nil
}

func (p *pairings) Take(ctx context.Context, id string) (secret string, ok bool, err error) {
	n, err := p.claim(id)
	if n == nil || err != nil {
		return "", false, err
	}
	secret, err = p.session(ctx, n.caller)
	p.mu.Lock()
	defer p.mu.Unlock()
	n.taking = false
	if err == nil || errors.Is(err, policy.ErrDenied) || errors.Is(err, policy.ErrUnauthenticated) {
		p.drop(n)
	}
	return secret, err == nil, err
}

// claim returns a confirmed pairing to the one caller that may take it now, nil
// while it waits for its confirmation or for another caller.
func (p *pairings) claim(id string) (*pairing, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := p.byID[id]
	if n == nil {
		return nil, errPairing()
	}
	if !p.clock().Before(n.ends) {
		p.drop(n)
		return nil, errPairing()
	}
	if n.taking || n.caller.Anonymous() {
		return nil, nil
	}
	n.taking = true
	return n, nil
}
