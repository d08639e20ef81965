package proxy

import "time"

// The least rates at which a client must take a reply and send a body. A
// client may fall behind by the slack, once; then it must keep the rate.
const (
	writeRate  = 16 << 10 // bytes per second
	writeSlack = 60 * time.Second
	readRate   = 1 << 10 // bytes per second
	readSlack  = 30 * time.Second
)

// pace turns a least rate into deadlines that move with the progress made.
// Only time spent waiting for the peer counts.
type pace struct {
	rate     int64         // bytes per second
	most     time.Duration // slack at the start, and never more
	slack    time.Duration // left
	deadline time.Time     // last one given out
}

func newPace(rate int64, slack time.Duration) pace {
	return pace{rate: rate, most: slack, slack: slack}
}

// piece is how many bytes may be moved under one deadline: what the rate
// allows within the slack, and at least a little.
func (p *pace) piece() int64 {
	return max(int64(p.slack/time.Second)*p.rate, 4<<10)
}

// next returns the deadline of a step that begins now. moved is false when the
// last one is near enough to stay, which saves most of the system's timers.
func (p *pace) next(now time.Time) (deadline time.Time, moved bool) {
	deadline = now.Add(p.slack)
	if by := deadline.Sub(p.deadline); !p.deadline.IsZero() && -time.Second < by && by < time.Second {
		return p.deadline, false
	}
	p.deadline = deadline
	return deadline, true
}

// took notes that n bytes were moved in d.
func (p *pace) took(d time.Duration, n int64) {
	earned := time.Duration(n) * time.Second / time.Duration(p.rate)
	p.slack = max(0, min(p.most, p.slack-d+earned))
}
