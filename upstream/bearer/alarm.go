package bearer

import (
	"sync"
	"time"
)

// alarmEvery is how often one reason is told.
const alarmEvery = time.Minute

// Alarm says that an upstream refuses us, which only its operator can mend. No
// field holds anything secret.
type Alarm struct {
	Upstream   string
	Host       string // that refused, with its port
	Status     int    // 401 or 403
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
	at, known := l.told[a.Reason]
	if since := now.Sub(at); known && since >= 0 && since < alarmEvery {
		return false
	}
	l.told[a.Reason] = now
	return true
}
