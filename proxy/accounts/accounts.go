// Package accounts is how requests and formats use the directory of users and
// tokens: it finds the caller of a request (Identify), and answers the login
// and token calls that some protocols carry (formats.Accounts).
//
// Accounts have no passwords: wherever a client asks for one, a token is taken.
package accounts

import (
	"context"
	"net/http"
	"net/netip"
	"time"

	"larder/formats"
	"larder/policy"
	"larder/policy/directory"
	"larder/policy/token"
)

// Directory is what this package needs of directory.Directory.
type Directory interface {
	Authenticate(ctx context.Context, secret string, remote netip.Addr) (policy.Subject, error)
	Account(ctx context.Context, name string) (directory.Account, error)
	Tokens(ctx context.Context, actor policy.Subject, user string) ([]directory.Token, error)
	MintToken(ctx context.Context, actor policy.Subject, m directory.Mint) (token.Secret, directory.Token, error)
	MintBearer(ctx context.Context, actor policy.Subject, grants []policy.Grant) (directory.Bearer, error)
	RevokeToken(ctx context.Context, actor policy.Subject, id string) error
	RevokeSecret(ctx context.Context, actor policy.Subject, secret token.Secret) error
}

// Accounts implements formats.Accounts, and finds the callers of requests.
type Accounts struct {
	directory Directory
	clock     func() time.Time
	pairings  *pairings
}

// New returns Accounts over a directory. clock may be nil.
func New(d Directory, clock func() time.Time) *Accounts {
	if clock == nil {
		clock = time.Now
	}
	a := &Accounts{directory: d, clock: clock}
	a.pairings = newPairings(clock, a.session)
	return a
}

// Identify returns who sent a request, the zero Subject where it carries no
// credential. A request with an API key and another token must have both valid
// and of one user; the key decides what may be done. Errors:
// formats.ErrBadRequest, policy.ErrUnauthenticated, directory.ThrottledError.
func (a *Accounts) Identify(r *http.Request, remote netip.Addr) (policy.Subject, error) {
	found, err := credentials(r)
	if err != nil || len(found) == 0 {
		return policy.Subject{}, err
	}
	ctx := r.Context()
	caller, err := a.directory.Authenticate(ctx, found[0], remote)
	if err != nil || len(found) == 1 || found[1] == found[0] {
		return caller, err
	}
	second, err := a.directory.Authenticate(ctx, found[1], remote)
	if err != nil {
		return policy.Subject{}, err
	}
	if second.User != caller.User {
		return policy.Subject{}, formats.Refuse(formats.ErrBadRequest, "the API key and the other credential belong to different users: send tokens of one")
	}
	return caller, nil
}
