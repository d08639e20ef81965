package upstream

import (
	"context"
	"sync"
	"time"
)

// Figures of the breaker and of the table of hosts.
const (
	breakerFailures = 5                // fetches failing in a row that open it
	breakerOpen     = 10 * time.Second // pause before one probe may go
	probeBusy       = time.Second      // advice to others while the probe runs
	maxHosts        = 256              // hosts remembered for one upstream
)

// host is what one Client knows of one origin: its breaker, its throttle and
// its slots.
type host struct {
	name  string // host[:port], for errors and hooks
	slots chan struct{}

	mu        sync.Mutex
	users     int // waiting or running
	failures  int // fetches in a row
	openUntil time.Time
	open      bool
	probing   bool
	throttled time.Time // not to be asked before
}

// ticket is the right to send one request.
type ticket struct {
	host  *host
	probe bool
	once  sync.Once
}

// admit takes a slot, or returns how long the caller has to stay away.
func (h *host) admit(ctx context.Context, now func() time.Time) (*ticket, time.Duration, error) {
	h.mu.Lock()
	h.users++
	h.mu.Unlock()
	select {
	case h.slots <- struct{}{}:
	case <-ctx.Done():
		h.leave()
		return nil, 0, context.Cause(ctx)
	}
	// Judged only now: the host may have failed while this one queued.
	probe, pause := h.judge(now())
	if pause > 0 {
		<-h.slots
		h.leave()
		return nil, pause, nil
	}
	return &ticket{host: h, probe: probe}, 0, nil
}

func (h *host) leave() {
	h.mu.Lock()
	h.users--
	h.mu.Unlock()
}

func (h *host) judge(now time.Time) (probe bool, pause time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case now.Before(h.throttled):
		return false, h.throttled.Sub(now)
	case !h.open:
		return false, 0
	case now.Before(h.openUntil):
		return false, h.openUntil.Sub(now)
	case h.probing:
		return false, probeBusy
	}
	h.probing = true
	return true, 0
}

// release gives the slot back; further calls do nothing.
func (t *ticket) release() {
	t.once.Do(func() {
		<-t.host.slots
		t.host.leave()
	})
}

// settle ends a probe. failed says that the host failed; what is neither
// success nor failure (the caller went away) leaves the next one to probe.
// It reports whether the breaker changed.
func (t *ticket) settle(outcome outcome, now time.Time) (changed bool) {
	h := t.host
	h.mu.Lock()
	defer h.mu.Unlock()
	if t.probe {
		h.probing = false
	}
	switch {
	case outcome == succeeded:
		changed = h.open
		h.failures, h.open = 0, false
	case outcome == failed && t.probe:
		h.openUntil = now.Add(breakerOpen)
	}
	return changed
}

// fail counts a fetch that failed in the end, and reports whether that opened
// the breaker.
func (h *host) fail(now time.Time) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.failures++
	if h.open || h.failures < breakerFailures {
		return false
	}
	h.open, h.openUntil = true, now.Add(breakerOpen)
	return true
}

// throttle keeps everyone away for d.
func (h *host) throttle(d time.Duration, now time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if until := now.Add(min(d, maxThrottle)); until.After(h.throttled) {
		h.throttled = until
	}
}

func (h *host) isOpen() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.open
}

func (h *host) isThrottled(now time.Time) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return now.Before(h.throttled)
}

func (h *host) idle(now time.Time) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.users == 0 && !now.Before(h.openUntil) && !now.Before(h.throttled)
}

// outcome is what an attempt says about its host.
type outcome int

const (
	neither outcome = iota
	succeeded
	failed
)

// hosts are the origins that a Client has met. Their number is bounded, for
// an upstream may name as many as it likes.
type hosts struct {
	slots int

	mu    sync.Mutex
	known map[string]*host // by origin
}

// get returns the host of an origin. When the table is full of hosts that are
// busy or to be left alone, the new one is remembered by nobody.
func (hs *hosts) get(origin, name string, now time.Time) *host {
	hs.mu.Lock()
	defer hs.mu.Unlock()
	if h, ok := hs.known[origin]; ok {
		return h
	}
	h := &host{name: name, slots: make(chan struct{}, hs.slots)}
	if len(hs.known) >= maxHosts {
		hs.prune(now)
	}
	if len(hs.known) < maxHosts {
		hs.known[origin] = h
	}
	return h
}

func (hs *hosts) prune(now time.Time) {
	for origin, h := range hs.known {
		if h.idle(now) {
			delete(hs.known, origin)
		}
	}
}
