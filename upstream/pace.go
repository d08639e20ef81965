package upstream

import (
	"errors"
	"fmt"
	"sync"
	"time"
)

// maxPause is how long a request waits for its turn; one that would have to wait
// longer is told to come again.
const maxPause = 5 * time.Second

// Rate is how many requests may go to an upstream's own origin: Requests at once,
// and as many again over each Per. The zero value sets no limit.
type Rate struct {
	Requests int
	Per      time.Duration
}

// String writes a Rate as 100/6h0m0s.
func (r Rate) String() string {
	if r == (Rate{}) {
		return "no limit"
	}
	return fmt.Sprintf("%d/%s", r.Requests, r.Per)
}

func (r Rate) check() error {
	if r != (Rate{}) && (r.Requests < 1 || r.Per < time.Duration(r.Requests)) {
		return errors.New("a rate is at least one request in a positive time")
	}
	return nil
}

// pacer spaces requests.
type pacer struct {
	every, ahead time.Duration // both 0: no limit

	mu  sync.Mutex
	due time.Time // of the next request, if all came evenly
}

func newPacer(r Rate) *pacer {
	if r == (Rate{}) {
		return &pacer{}
	}
	every := r.Per / time.Duration(r.Requests)
	return &pacer{every: every, ahead: every * time.Duration(r.Requests-1)}
}

// turn returns how long a request has to wait. Where that is more than maxPause,
// the request has not been counted.
func (p *pacer) turn(now time.Time) time.Duration {
	if p.every == 0 {
		return 0
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	due := p.due
	// A clock that was set back must not shut the upstream for as long.
	if due.Before(now) || due.Sub(now) > p.ahead+p.every+maxPause {
		due = now
	}
	pause := max(due.Sub(now)-p.ahead, 0)
	if pause <= maxPause {
		p.due = due.Add(p.every)
	}
	return pause
}
