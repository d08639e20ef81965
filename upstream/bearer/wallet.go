package bearer

import (
	"sync"
	"time"
)

// maxHeld bounds the tokens held for one upstream; each is at most maxToken long.
const maxHeld = 1024

// wallet holds the tokens of one upstream, by what they are for.
type wallet struct {
	mu   sync.Mutex
	held map[string]*token
	// usual is a challenge of the upstream that named the scope that was to be
	// expected: so the next image needs no refusal to know where to ask.
	usual challenge
	shut  time.Time // until then the credential is not shown again
}

// get returns the token for a scope; it may be too old to be used. Without one
// it returns where to ask for it, if that can be known.
func (w *wallet) get(scope string) (t *token, where challenge, known bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if t := w.held[scope]; t != nil {
		return t, t.challenge, true
	}
	where = w.usual
	where.scope = scope
	return nil, where, scope != "" && where.realm != ""
}

// put holds a token, in the place of what was held for the scope.
func (w *wallet) put(scope string, t *token) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if scope == t.challenge.scope {
		w.usual = t.challenge
	}
	if w.held[scope] == nil && len(w.held) >= maxHeld {
		w.makeRoom(t.got)
	}
	w.held[scope] = t
}

// makeRoom forgets what is too old, and if that is nothing, any one.
func (w *wallet) makeRoom(now time.Time) {
	some := ""
	for scope, t := range w.held {
		some = scope
		if !now.Before(t.until) {
			delete(w.held, scope)
		}
	}
	if len(w.held) >= maxHeld {
		delete(w.held, some)
	}
}

// shutUntil notes that the credential was refused.
func (w *wallet) shutUntil(t time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.shut = t
}

func (w *wallet) isShut(now time.Time) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return now.Before(w.shut)
}
