package registry

import (
	"fmt"
	"time"

	"larder/formats"
	"larder/upstream"
)

// What is remembered in memory of keys that were asked for in vain.
const (
	passMark     = 60 * time.Second // a file that could not be stored is passed through for this long
	backoffStart = 5 * time.Second  // after bytes that were not those announced
	backoffMost  = 60 * time.Second //
	missingFile  = 10 * time.Second // most that a file or pointer is remembered as missing
	restPause    = 30 * time.Second // between questions about a pointer of an upstream in trouble
	restMost     = time.Hour        // that an upstream may ask for instead
)

// retry says when a key may be asked again, after bad bytes or as a pass mark.
type retry struct {
	until time.Time
	pause time.Duration
	pass  bool
}

// within reports whether now lies in the span that began at a moment. A clock
// that was set back must not stretch it.
func within(began, now time.Time, span time.Duration) bool {
	age := now.Sub(began)
	return age >= 0 && age < span
}

// paused returns what keeps a key from being asked for or stored now.
func (e *Engine) paused(k []byte) (retry, bool) {
	b, ok := e.backoff.Get(string(k))
	left := b.until.Sub(e.now())
	return b, ok && left > 0 && left <= max(passMark, backoffMost)
}

// askable says whether a file may be asked for now; pass: without storing it.
// Errors: formats.ErrNotFound, upstream.ErrCorrupt.
func (e *Engine) askable(m miss) (pass bool, err error) {
	if e.knownMissing(m.key) {
		return false, formats.Refuse(formats.ErrNotFound, fmt.Sprintf("%s is not in the upstream %s", m.file.Name, m.source.ID))
	}
	b, ok := e.paused(m.key)
	if ok && !b.pass {
		return false, fmt.Errorf("%s from upstream %s, not asked again yet: %w", m.file.Name, m.source.ID, upstream.ErrCorrupt)
	}
	return ok, nil
}

// distrust reports bytes that were not those announced, and leaves their key
// alone for a while, longer every time.
func (e *Engine) distrust(r *Registry, k []byte, pkg string, err error) {
	e.opt.Observer.Integrity(r.spec.Format.Name(), pkg, "fill", err)
	e.pauseKey(k)
}

func (e *Engine) pauseKey(k []byte) {
	pause := backoffStart
	if b, ok := e.backoff.Get(string(k)); ok && !b.pass {
		pause = min(2*b.pause, backoffMost)
	}
	e.backoff.Add(string(k), retry{until: e.now().Add(pause), pause: pause})
}

// passOn lets a key pass through unstored for a while.
func (e *Engine) passOn(k []byte) {
	e.backoff.Add(string(k), retry{until: e.now().Add(passMark), pass: true})
}

// noteMissing remembers that an upstream does not have what a key names.
func (e *Engine) noteMissing(k []byte, span time.Duration) {
	e.negative.Add(string(k), e.now().Add(span))
}

// knownMissing reports whether that was noted and still counts.
func (e *Engine) knownMissing(k []byte) bool {
	until, ok := e.negative.Get(string(k))
	left := until.Sub(e.now())
	return ok && left > 0 && left <= e.opt.Lifetimes.Negative
}

// restKey stands for all pointers of an upstream.
func restKey(id string) []byte { return key(rowPointer, id) }

// rest leaves a pointer, or all of an upstream, alone for a while.
func (e *Engine) rest(k []byte, pause time.Duration) {
	e.backoff.Add(string(k), retry{until: e.now().Add(pause), pause: pause})
}

func (e *Engine) rests(k []byte) bool {
	b, ok := e.backoff.Get(string(k))
	left := b.until.Sub(e.now())
	return ok && left > 0 && left <= b.pause
}
