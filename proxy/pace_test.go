package proxy

import (
	"testing"
	"time"
)

func TestPaceKeepsWhoIsFastEnough(t *testing.T) {
	p := newPace(16<<10, time.Minute)
	for range 1000 { // a minute's worth of bytes in just under a minute, again and again
		p.took(59*time.Second, 60*(16<<10))
	}
	if p.slack != time.Minute {
		t.Errorf("slack %v, want all of it", p.slack)
	}
}

func TestPaceCutsWhoIsTooSlow(t *testing.T) {
	p := newPace(16<<10, time.Minute)
	now := time.Unix(1000, 0)
	start := now
	for range 1000 {
		deadline, _ := p.next(now)
		step := time.Second * 4 // for 32 KiB: half the rate
		if deadline.Before(now.Add(step)) {
			if waited := now.Sub(start); waited < time.Minute || waited > 3*time.Minute {
				t.Errorf("cut after %v", waited)
			}
			return
		}
		now = now.Add(step)
		p.took(step, 32<<10)
	}
	t.Error("a client at half the rate was never cut")
}

func TestPaceCutsWhoStands(t *testing.T) {
	p := newPace(16<<10, time.Minute)
	now := time.Unix(1000, 0)
	if deadline, moved := p.next(now); !moved || deadline != now.Add(time.Minute) {
		t.Errorf("first deadline %v, %v", deadline, moved)
	}
}

func TestPaceChargesOnlyWaiting(t *testing.T) {
	p := newPace(16<<10, time.Minute)
	now := time.Unix(1000, 0)
	p.next(now)
	now = now.Add(time.Hour) // the upstream was slow: not the client's fault
	if deadline, moved := p.next(now); !moved || deadline != now.Add(time.Minute) {
		t.Errorf("deadline %v, %v", deadline, moved)
	}
}

func TestPaceSavesTimers(t *testing.T) {
	p := newPace(16<<10, time.Minute)
	now := time.Unix(1000, 0)
	p.next(now)
	if _, moved := p.next(now.Add(500 * time.Millisecond)); moved {
		t.Error("a deadline moved for half a second")
	}
	if p.piece() != 60*(16<<10) {
		t.Errorf("piece %d", p.piece())
	}
	p.slack = 0
	if p.piece() <= 0 {
		t.Error("a piece of nothing would never end")
	}
}
