package policy

import (
	"errors"
	"fmt"
)

// Errors of changes to what policy goes by. What does not exist is the
// ErrNotExist of package cache, and a lack of authority is a *Refusal.
var (
	// ErrInvalid: a name or value is not of the right form.
	ErrInvalid = errors.New("invalid")
	// ErrExists: the name is taken.
	ErrExists = errors.New("already exists")
	// ErrConflict: the state of the thing does not allow the change.
	ErrConflict = errors.New("conflict")
)

// Fault is one of the errors above with a sentence for the person who asked.
type Fault struct {
	Kind     error
	Sentence string
}

// Faultf returns a *Fault with a formatted sentence.
func Faultf(kind error, format string, args ...any) error {
	return &Fault{Kind: kind, Sentence: fmt.Sprintf(format, args...)}
}

// Error returns the sentence.
func (f *Fault) Error() string { return f.Sentence }

// Unwrap returns the kind.
func (f *Fault) Unwrap() error { return f.Kind }
