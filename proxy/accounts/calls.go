package accounts

import (
	"context"
	"errors"
	"net/netip"

	"larder/cache"
	"larder/formats"
	"larder/policy"
	"larder/policy/directory"
	"larder/policy/token"
)

// User returns a user's public facts; an organization is no user. Errors:
// formats.ErrNotFound.
func (a *Accounts) User(ctx context.Context, name string) (formats.User, error) {
	who, err := a.directory.Account(ctx, name)
	if err == nil && who.Org {
		return formats.User{}, formats.Refuse(formats.ErrNotFound, "there is no user of that name")
	}
	return formats.User{Name: who.Name, Email: who.Email, Created: who.Created}, translate(err)
}

// Login trades a token, given as the password of the user it belongs to, for a
// session token without administrative scopes. The session ends with the token
// it was traded for. Errors: policy.ErrUnauthenticated, directory.ThrottledError.
func (a *Accounts) Login(ctx context.Context, from netip.Addr, name, password string) (string, error) {
	caller, err := a.directory.Authenticate(ctx, password, from)
	if err != nil {
		return "", err
	}
	if caller.User != name {
		return "", formats.Refuse(policy.ErrUnauthenticated, "that token belongs to another user: sign in with the user name it was made for, and the token as password")
	}
	return a.session(ctx, caller)
}

// SignIn finds out whom a user name and a password belong to, as Basic does.
// Errors: policy.ErrUnauthenticated, directory.ThrottledError.
func (a *Accounts) SignIn(ctx context.Context, from netip.Addr, name, password string) (policy.Subject, error) {
	secret, err := pick(name, password)
	if err != nil {
		return policy.Subject{}, err
	}
	return a.directory.Authenticate(ctx, secret, from)
}

// Bearer makes a token of the token service. Errors: policy.ErrUnauthenticated.
func (a *Accounts) Bearer(ctx context.Context, caller policy.Subject, grants []policy.Grant) (formats.Bearer, error) {
	b, err := a.directory.MintBearer(ctx, caller, grants)
	return formats.Bearer{Secret: b.Secret, Issued: b.Issued, Life: b.Expires.Sub(b.Issued)}, err
}

// sessionName is what people see in their list of tokens.
const sessionName = "npm login"

func (a *Accounts) session(ctx context.Context, caller policy.Subject) (string, error) {
	secret, _, err := a.directory.MintToken(ctx, caller, directory.Mint{
		Name: sessionName, Scopes: packageScopes(caller.Scopes), Trade: true, Lifetime: directory.DefaultLifetime,
	})
	if err != nil {
		return "", translate(err)
	}
	return secret.Reveal(), nil
}

// packageScopes leaves out what a package client never needs.
func packageScopes(held []policy.Scope) []policy.Scope {
	var kept []policy.Scope
	for _, s := range held {
		if s != policy.AdminOrg && s != policy.AdminInstance {
			kept = append(kept, s)
		}
	}
	return kept
}

// Tokens lists the caller's own tokens.
func (a *Accounts) Tokens(ctx context.Context, caller policy.Subject) ([]formats.Token, error) {
	own, err := a.directory.Tokens(ctx, caller, caller.User)
	if err != nil {
		return nil, translate(err)
	}
	list := make([]formats.Token, len(own))
	for i, t := range own {
		list[i] = describe(t)
	}
	return list, nil
}

func describe(t directory.Token) formats.Token {
	return formats.Token{
		ID: t.ID, Name: t.Name, Prefix: t.Hint, Scopes: t.Scopes, Limits: t.Limits,
		Created: t.Created, LastUsed: t.LastUsed, Expires: t.Expires,
	}
}

// Mint makes a token with a subset of the caller's rights: of want, the name,
// scopes, limits and expiry count. No scopes means those of the caller but for
// the administrative ones; no expiry means directory.DefaultLifetime. Errors:
// policy.ErrDenied, formats.ErrBadRequest.
func (a *Accounts) Mint(ctx context.Context, caller policy.Subject, want formats.Token) (string, formats.Token, error) {
	m := directory.Mint{Name: want.Name, Scopes: want.Scopes, Limits: want.Limits}
	if len(m.Scopes) == 0 {
		m.Scopes = packageScopes(caller.Scopes)
	}
	if !want.Expires.IsZero() {
		m.Lifetime = want.Expires.Sub(a.clock())
		if m.Lifetime <= 0 {
			return "", formats.Token{}, formats.Refuse(formats.ErrBadRequest, "the token would have expired already: choose a later date")
		}
	}
	secret, made, err := a.directory.MintToken(ctx, caller, m)
	if err != nil {
		return "", formats.Token{}, translate(err)
	}
	return secret.Reveal(), describe(made), nil
}

// Revoke ends one of the caller's tokens, named by its id or given itself.
// Errors: formats.ErrNotFound.
func (a *Accounts) Revoke(ctx context.Context, caller policy.Subject, idOrSecret string) error {
	if secret, err := token.Parse(idOrSecret); err == nil {
		return translate(a.directory.RevokeSecret(ctx, caller, secret))
	}
	return translate(a.directory.RevokeToken(ctx, caller, idOrSecret))
}

// Pairing returns the logins that wait for a confirmation.
func (a *Accounts) Pairing() formats.Pairing { return a.pairings }

// translate turns the errors of the directory into those that formats know.
func translate(err error) error {
	for _, pair := range [...]struct{ from, to error }{
		{directory.ErrInvalid, formats.ErrBadRequest}, {directory.ErrExists, formats.ErrExists},
		{directory.ErrConflict, formats.ErrConflict}, {cache.ErrNotExist, formats.ErrNotFound},
	} {
		if errors.Is(err, pair.from) {
			return formats.Refuse(pair.to, err.Error())
		}
	}
	return err
}
