// Package formats says what a package protocol is to the rest of larder: how a
// request is read (Format.Parse), answered (Format.Serve) and refused
// (Format.Describe), and what it may touch while doing so (Registry).
//
// It knows no protocol. Each one is a folder below, plus a line in formats/all.
// A format decides words and documents; hit, miss, publish, merge and guard
// exist once, in proxy/registry.
package formats

import (
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"time"

	"larder/policy"
)

// Errors a format returns beside those of cache, policy and upstream. The edge
// turns each into one status.
var (
	// ErrBadRequest: the request does not make sense; the sentence says why. 400.
	ErrBadRequest = errors.New("bad request")
	// ErrNotFound: no such path, package, version or file. 404.
	ErrNotFound = errors.New("not found")
	// ErrNoVersion: the package is there and the caller may read it, but it has
	// no such version, tag or file. 404, with its own sentence: every other 404
	// is worded by the edge, so that hidden and missing are the same.
	ErrNoVersion = fmt.Errorf("no such version: %w", ErrNotFound)
	// ErrUnsupported: the path exists, the method does not. 405.
	ErrUnsupported = errors.New("method not allowed")
	// ErrExists: the version is here already, with other bytes. 409.
	ErrExists = errors.New("already exists")
	// ErrConflict: the caller worked from an old state. 409.
	ErrConflict = errors.New("document update conflict")
	// ErrDamaged: bytes that were published here are lost or not what they were.
	// They are never served; publishing them again makes them whole. 500.
	ErrDamaged = errors.New("hosted bytes are damaged")
	// ErrTooLarge: a limit was passed; the sentence names it. 413.
	ErrTooLarge = errors.New("too large")
	// ErrTooMany: the caller has as much under way as one may have. 429.
	ErrTooMany = errors.New("too many at once")
	// ErrMediaType: the content type or encoding of the request is not accepted. 415.
	ErrMediaType = errors.New("media type not supported")
)

// Format is one package protocol. Implementations hold settings only; they are
// shared by all requests.
type Format interface {
	// Name is the folder, the config value and the metric label.
	Name() string
	// Parse turns a request into what it asks for. It is pure: it reads method,
	// path, query and headers, never the body. path holds the segments after
	// the registry's mount, each decoded exactly once and free of empty, dot
	// and control segments; a segment may hold a slash that was encoded.
	// Errors: ErrBadRequest, ErrNotFound, ErrUnsupported (as *MethodError).
	Parse(r *http.Request, path []string) (Request, error)
	// Serve answers a request that policy has allowed. It returns an error only
	// while nothing was written; the edge then answers.
	Serve(w http.ResponseWriter, r *http.Request, call *Call) error
	// Describe words a failure in the channel that this protocol's clients
	// print, and sets the headers they look at. It may change f.Status where a
	// client insists, naming the client. It must not add to f.Sentence what the
	// caller may not know.
	Describe(f *Failure, h http.Header) (body []byte)
}

// Slashed is a Format with paths that end in a slash that counts: Parse finds it
// in r.URL.Path. The paths of other formats are refused with one.
type Slashed interface {
	Format
	FinalSlash()
}

// Request is what Parse found. Detail is the format's own reading.
type Request struct {
	Op      string // the format's word for the operation; a metric label, so from a fixed set
	Action  policy.Action
	Package string // canonical name; "" for registry-wide requests
	Version string
	Detail  any
	// SignIn says that the request brings a credential of its own in its body,
	// or asks how to get one: another one that it carries and that is no good
	// any more does not refuse it. It is then nobody's.
	SignIn bool
	// Guests says that a Basic credential with neither user nor password is none:
	// programs that have none send it to services that sign guests in as well.
	Guests bool
}

// Call is one allowed request with all that Serve may use.
type Call struct {
	Request  Request
	Registry Registry
	Accounts Accounts
	Caller   policy.Subject
	Remote   netip.Addr // of the client, past trusted proxies
	// Base is the URL of the registry as the client reached it, with a final slash.
	Base string
	// Origin is scheme://host of the same, without a final slash.
	Origin string
}

// Failure is a refusal on its way to the client.
type Failure struct {
	Status   int
	Err      error
	Sentence string // what was asked, why not, what to do
	Request  Request
	// Challenge asks for a WWW-Authenticate header where the client needs one.
	Challenge bool
	// Narrow says that the caller's own rights suffice for the request, and those
	// of the token do not: the client should ask for another one.
	Narrow bool
	// Base is the URL of the registry as Call has it; "" where none was found.
	Base       string
	RetryAfter time.Duration
	RequestID  string
}

// MethodError is ErrUnsupported with the methods that would be accepted.
type MethodError struct{ Allow []string }

// Error names the accepted methods.
func (e *MethodError) Error() string { return "method not allowed" }

// Unwrap returns ErrUnsupported.
func (e *MethodError) Unwrap() error { return ErrUnsupported }

// Error is a sentinel with the sentence the client reads.
type Error struct {
	Kind     error  // a sentinel of this package, cache, policy or upstream
	Sentence string // complete, without internals
}

// Error returns the sentence.
func (e *Error) Error() string { return e.Sentence }

// Unwrap returns the sentinel.
func (e *Error) Unwrap() error { return e.Kind }

// Refuse builds an *Error.
func Refuse(kind error, sentence string) error { return &Error{Kind: kind, Sentence: sentence} }
