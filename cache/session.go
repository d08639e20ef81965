package cache

import (
	"context"
	"fmt"
	"iter"
)

// MaxSessionID bounds the name of a session, in bytes.
const MaxSessionID = 64

// Sessions is implemented by Stores that keep unfinished writes over requests
// and restarts: ask the Store for it. The state that a session goes on from is
// the caller's to keep, durably; the bytes are the Store's.
//
// Of all states of a session only the newest is good. A caller that cannot
// tell whether its record of that one was written drops the session.
type Sessions interface {
	// BeginSession starts a write of unknown length under a new name of letters,
	// digits, "-" and "_". also names checksums to compute beside SHA-256.
	// Errors: ErrFull.
	BeginSession(ctx context.Context, id string, also ...Algorithm) (Session, error)
	// ResumeSession goes on where Save returned state; bytes after it are
	// dropped. Errors: ErrNotExist if the bytes are not here or a newer state was
	// returned since, ErrBusy while the session is open; any other means a state
	// that is none of this session, or a Store that cannot write now.
	ResumeSession(ctx context.Context, id string, state []byte) (Session, error)
	// DropSession removes the bytes; a missing session is no error. Errors:
	// ErrBusy while it is open.
	DropSession(ctx context.Context, id string) error
	// SessionIDs yields the sessions that have bytes here, open ones included, in
	// no order.
	SessionIDs(ctx context.Context) iter.Seq2[string, error]
}

// Session is a write that can be left and taken up again. It is open until
// Close, Abort or Commit, and nobody else can have it so long. After a failed
// Write it can still be closed, and resumed from what was saved.
type Session interface {
	Partial
	// Size returns the bytes written so far.
	Size() int64
	// Save makes what was written durable and returns the state that resumes it,
	// less than 1 KiB. The writing may go on. No state that was returned before
	// resumes any more. After an error those do, as if it had not been called,
	// unless the bytes may be lost: then the session is gone. Errors:
	// ErrUnhealthy, ErrFull, that of a Write before.
	Save(ctx context.Context) (state []byte, err error)
	// Close leaves the session as it was saved last; what was written since is
	// dropped, and all of it if it never was saved. Followers end. It is harmless
	// after Commit, Abort and Close.
	Close() error
}

// CheckSessionID reports what is wrong with the name of a session.
func CheckSessionID(id string) error {
	if len(id) == 0 || len(id) > MaxSessionID {
		return fmt.Errorf("session name of %d bytes: want 1 to %d", len(id), MaxSessionID)
	}
	for _, c := range []byte(id) {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '_':
		default:
			return fmt.Errorf("session name %q: want letters, digits, - and _", id)
		}
	}
	return nil
}
