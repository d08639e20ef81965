package directory

import (
	"errors"
	"fmt"
	"time"

	"larder/cache"
	"larder/policy"
)

// Errors of changes. What does not exist is cache.ErrNotExist, and a lack of
// authority is a *policy.Refusal.
var (
	ErrInvalid  = policy.ErrInvalid
	ErrExists   = policy.ErrExists
	ErrConflict = policy.ErrConflict
)

// Error is one of the errors above with a sentence for the person who asked.
type Error = policy.Fault

func fail(kind error, format string, args ...any) error {
	return policy.Faultf(kind, format, args...)
}

func missing(what, name string) error {
	return fail(cache.ErrNotExist, "there is no %s %.80s", what, name)
}

func refuse(v policy.Verdict, format string, args ...any) error {
	return policy.Decision{Verdict: v, Reason: fmt.Sprintf(format, args...)}.Err()
}

// worded reports whether err already says what it has to say.
func worded(err error) bool {
	var own *Error
	var refusal *policy.Refusal
	return errors.As(err, &own) || errors.As(err, &refusal)
}

// ThrottledError says that too many sign-ins failed. It unwraps to
// policy.ErrUnauthenticated.
type ThrottledError struct{ Wait time.Duration }

// Error says how long to wait.
func (e *ThrottledError) Error() string {
	return fmt.Sprintf("too many failed sign-ins: wait %d s, then use a valid token", int64((e.Wait+time.Second-1)/time.Second))
}

// RetryAfter is when the next attempt is worth making.
func (e *ThrottledError) RetryAfter() time.Duration { return e.Wait }

// Unwrap returns policy.ErrUnauthenticated.
func (e *ThrottledError) Unwrap() error { return policy.ErrUnauthenticated }
