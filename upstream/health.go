package upstream

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Figures of the health table.
const (
	latencies  = 128             // last attempts that the percentiles are taken of
	minSamples = 8               // fewer say nothing about being slow
	slowMedian = 2 * time.Second // from here on an upstream counts as slow
)

// Health is how an upstream does, for people and metrics. Counts are of
// attempts since the client was made.
type Health struct {
	State       string    // "ok", "slow", "throttled", "open" (the breaker) or "offline"
	LastSuccess time.Time // last reply that shows it works; zero: none yet
	LastFailure time.Time // zero: none yet
	LastError   string    // the public sentence of the last failure
	Requests    int64     // attempts that went out
	Failures    int64     // of these: no reply, 5xx, or the body broke off
	Throttled   int64     // replies that asked us to wait
	Bytes       int64     // read from bodies
	P50, P95    time.Duration
	// Remaining is the rate budget that the upstream announced last, -1 if it never did.
	Remaining int64
}

// State returns the upstream's health at this moment.
func (c *Client) State() Health {
	h := c.record.snapshot()
	switch now := c.transport.options.Now(); {
	case c.config.Offline:
		h.State = "offline"
	case c.home.isOpen():
		h.State = "open"
	case c.home.isThrottled(now):
		h.State = "throttled"
	case h.Requests >= minSamples && h.P50 >= slowMedian:
		h.State = "slow"
	default:
		h.State = "ok"
	}
	return h
}

// record counts what happened to one upstream.
type record struct {
	mu     sync.Mutex
	health Health
	ring   [latencies]time.Duration
	filled int // samples ever added
}

func newRecord() *record { return &record{health: Health{Remaining: -1}} }

func (r *record) snapshot() Health {
	r.mu.Lock()
	defer r.mu.Unlock()
	h := r.health
	samples := slices.Sorted(slices.Values(r.ring[:min(r.filled, latencies)]))
	if n := len(samples); n > 0 {
		h.P50, h.P95 = samples[n/2], samples[n*95/100]
	}
	return h
}

// replied counts headers that came in.
func (r *record) replied(latency time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.health.Requests++
	r.ring[r.filled%latencies] = latency
	r.filled++
}

// left notes the rate budget that the upstream announced.
func (r *record) left(n int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.health.Remaining = n
}

// remaining reads the rate budget out of a reply, if that tells one.
func remaining(h http.Header) (n int64, ok bool) {
	for _, name := range []string{"RateLimit-Remaining", "X-RateLimit-Remaining"} {
		// Some append the window: "76;w=21600".
		digits, _, _ := strings.Cut(h.Get(name), ";")
		if n, err := strconv.ParseInt(strings.TrimSpace(digits), 10, 64); err == nil && n >= 0 {
			return n, true
		}
	}
	return 0, false
}

// silent counts an attempt without a reply.
func (r *record) silent() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.health.Requests++
}

func (r *record) succeeded(now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.health.LastSuccess = now
}

func (r *record) failed(now time.Time, sentence string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.health.Failures++
	r.health.LastFailure, r.health.LastError = now, sentence
}

func (r *record) throttled() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.health.Throttled++
}

func (r *record) read(n int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.health.Bytes += n
}
