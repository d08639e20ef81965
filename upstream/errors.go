package upstream

import (
	"errors"
	"fmt"
	"strconv"
	"time"
)

// What may go wrong, as errors.Is tells it. Every error of Fetch and of a
// Response's Body, except one of the caller's own context being cancelled,
// is an *Error that wraps one of these.
var (
	// ErrNotExist says that the upstream has no such thing (404, 410).
	ErrNotExist = errors.New("the upstream does not have it")
	// ErrUnavailable says that the upstream could not be reached, failed, refused
	// us (401, 403) or answered with nothing usable.
	ErrUnavailable = errors.New("the upstream is not available")
	// ErrTimeout says that the upstream took too long.
	ErrTimeout = errors.New("the upstream took too long")
	// ErrThrottled says that the upstream asked us to wait, or that its breaker
	// is open; RetryAfter says how long.
	ErrThrottled = errors.New("the upstream must not be asked now")
	// ErrRefused says that our own guard does not let us go to that address.
	ErrRefused = errors.New("the address is not allowed")
	// ErrOffline says that this upstream is switched off.
	ErrOffline = errors.New("the upstream is switched off")
	// ErrCorrupt is for readers that find the upstream's bytes to be other ones
	// than announced; the client itself does not look.
	ErrCorrupt = errors.New("the upstream sent other bytes than announced")
)

// Error is why a Fetch failed. Its text is for logs: it names hosts, never a
// credential, a path or a query.
type Error struct {
	Upstream   string        // Config.ID
	Host       string        // host[:port] that was asked; empty when none was
	Status     int           // of the reply; 0 when there was none
	RetryAfter time.Duration // with ErrThrottled
	Challenge  string        // WWW-Authenticate of a 401
	kind       error
	cause      error // may be nil
}

// Missing returns e as an ErrNotExist: for a refusal that clients are not to
// tell from absence.
func (e *Error) Missing() *Error {
	m := *e
	m.kind, m.Challenge = ErrNotExist, ""
	return &m
}

// Error returns the sentence for logs.
func (e *Error) Error() string {
	s := "upstream " + e.Upstream
	if e.Host != "" {
		s += " (" + e.Host + ")"
	}
	s += ": " + e.what()
	if e.cause != nil {
		s += ": " + e.cause.Error()
	}
	return s
}

// Public returns one sentence that may be shown to any client: it names the
// upstream's id and neither a host nor a cause.
func (e *Error) Public() string {
	return fmt.Sprintf("Upstream %q: %s.", e.Upstream, e.what())
}

func (e *Error) what() string {
	switch {
	case e.kind == ErrThrottled:
		return e.kind.Error() + ", try again in " + strconv.Itoa(e.Seconds()) + " s"
	case e.kind == ErrUnavailable && (e.Status == 401 || e.Status == 403):
		return "it refused our credentials or asks for some (status " + strconv.Itoa(e.Status) + ")"
	case e.kind == ErrUnavailable && e.Status != 0:
		return "it answered with status " + strconv.Itoa(e.Status)
	}
	return e.kind.Error()
}

// Seconds returns RetryAfter rounded up, at least 1: the value of a Retry-After field.
func (e *Error) Seconds() int {
	return max(1, int((e.RetryAfter+time.Second-1)/time.Second))
}

// Unwrap returns the sentinel and the cause.
func (e *Error) Unwrap() []error {
	if e.cause == nil {
		return []error{e.kind}
	}
	return []error{e.kind, e.cause}
}
