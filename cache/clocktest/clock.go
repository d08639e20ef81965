// Package clocktest is the clock of tests: it moves when it is told to, so that
// no test waits for time to pass.
package clocktest

import (
	"sync"
	"time"
)

// Clock stands still between its steps. It is safe for concurrent use.
type Clock struct {
	mu   sync.Mutex
	at   time.Time
	step time.Duration
}

// New starts a clock at noon of the first of March 2026, in UTC. It moves by step
// each time that it is read; 0 for one that moves only when it is told to.
func New(step time.Duration) *Clock {
	return &Clock{at: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC), step: step}
}

// Now reads the clock.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(c.step)
	return c.at
}

// Advance moves the clock.
func (c *Clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}
