package bearer

import (
	"sync"
	"time"
)

// How often one reason is told: that something is refused, and that a credential
// is not used although nothing is refused yet.
const (
	alarmEvery  = time.Minute
	remindEvery = 24 * time.Hour
)

// Alarm says that an upstream refuses us, or will, which only our operator can
// mend. No field holds anything secret.
type Alarm struct {
	Upstream   string
	Host       string // that refused, or was not shown the credential; with its port
	Status     int    // 401 or 403; 0: nothing was refused
	Scope      string // what was asked for, such as repository:acme/app:pull; may be ""
	Credential bool   // one is configured
	Reason     string // half a sentence: "it refuses …"
}

// alarms keeps what is wrong all the time from being told all the time.
type alarms struct {
	mu   sync.Mutex
	told map[string]time.Time // by reason, of which there are a handful
}

func (l *alarms) due(a Alarm, now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	every := alarmEvery
	if a.Status == 0 {
		every = remindEvery
	}
	at, known := l.told[a.Reason]
	if since := now.Sub(at); known && since >= 0 && since < every {
		return false
	}
	l.told[a.Reason] = now
	return true
}
