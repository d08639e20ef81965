package formats

import (
	"context"
	"net/netip"
	"time"

	"larder/policy"
)

// Accounts is what a format may do with users and tokens: the login, token and
// ownership calls that some protocols carry themselves.
type Accounts interface {
	// User returns a user's public facts. Errors: ErrNotFound.
	User(ctx context.Context, name string) (User, error)
	// Login trades a user name and a password, or a token in its place, for a
	// new token with at most the rights of the credential given. Failures are
	// counted by the client's address, and a token may be limited to some.
	// Errors: policy.ErrUnauthenticated.
	Login(ctx context.Context, from netip.Addr, name, password string) (secret string, err error)
	// Tokens lists the caller's own tokens.
	Tokens(ctx context.Context, caller policy.Subject) ([]Token, error)
	// Mint makes a token with a subset of the caller's rights. The secret is
	// returned once. Errors: policy.ErrDenied, ErrBadRequest.
	Mint(ctx context.Context, caller policy.Subject, want Token) (secret string, made Token, err error)
	// Revoke ends one of the caller's own tokens, named by its id or its
	// secret. Errors: ErrNotFound, also for tokens of others.
	Revoke(ctx context.Context, caller policy.Subject, idOrSecret string) error
	// Pairing hands a token from a browser or command line to a waiting client
	// (npm's web login).
	Pairing() Pairing
	TokenService
}

// TokenService is the part of Accounts for protocols in which a client trades its
// credential for a short-lived token that is for one purpose.
type TokenService interface {
	// SignIn finds out whom a user name and a password, or a token in its place,
	// belong to. Failures count as those of Login. Errors:
	// policy.ErrUnauthenticated.
	SignIn(ctx context.Context, from netip.Addr, name, password string) (policy.Subject, error)
	// Bearer makes a token for what the grants say, as far as the caller may do it
	// when it comes to it. It ends with the credential of the caller, who may be
	// nobody. Errors: policy.ErrUnauthenticated for a caller who came with such a
	// token, and for nobody where there is nothing to see without a credential.
	Bearer(ctx context.Context, caller policy.Subject, grants []policy.Grant) (Bearer, error)
}

// Bearer is a token for one purpose.
type Bearer struct {
	Secret string
	Issued time.Time
	Life   time.Duration // whole seconds
}

// Pairing is a login that is begun by one program and confirmed in another.
// Pairings live in memory for five minutes and yield their token once.
type Pairing interface {
	// Begin returns the id to poll with and the code to confirm with; the two
	// are different secrets. from is where the client is. Errors: one with a
	// method RetryAfter() time.Duration while too many wait there, or in all.
	Begin(ctx context.Context, from netip.Addr) (id, code string, err error)
	// Waiting says where the login of a code was begun, for whoever is to
	// confirm it. Errors: ErrNotFound.
	Waiting(ctx context.Context, code string) (from netip.Addr, err error)
	// Confirm binds the caller to the pairing. Errors: ErrNotFound.
	Confirm(ctx context.Context, code string, caller policy.Subject) error
	// Take returns the secret once confirmed, ok=false while waiting.
	// Errors: ErrNotFound once taken, expired or unknown.
	Take(ctx context.Context, id string) (secret string, ok bool, err error)
}

// User is what others may know of a user.
type User struct {
	Name    string
	Email   string
	Created time.Time
}

// Token describes a token, never its secret.
type Token struct {
	ID       string
	Name     string
	Prefix   string // the first characters, to recognise it by
	Scopes   []policy.Scope
	Limits   policy.Limits
	Created  time.Time
	LastUsed time.Time
	Expires  time.Time // zero: never
}
