package directory

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"sync/atomic"
	"time"

	"larder/cache"
	"larder/policy"
	"larder/policy/bearer"
	"larder/policy/token"
)

// liveToken is a token as Authenticate remembers it.
type liveToken struct {
	known     bool // false: no such token
	row       tokenRow
	ancestors []digest
	used      atomic.Int64 // the minute, Unix, in which its use was last noted
	holder    atomic.Pointer[memoEntry[*Account]]
}

func (t Token) expired(now time.Time) bool { return !t.Expires.IsZero() && !now.Before(t.Expires) }

// Authenticate finds out who holds a token that came from an address, those of
// MintBearer among them. Errors:
// policy.ErrUnauthenticated with the reason, *ThrottledError after too many
// failures. A valid token is never throttled: whole build farms share one
// address.
func (d *Directory) Authenticate(ctx context.Context, secret string, remote netip.Addr) (policy.Subject, error) {
	now := d.now()
	if bearer.Is(secret) {
		return d.authenticateBearer(ctx, secret, remote, now)
	}
	t, who, reason, err := d.check(ctx, secret, remote, now)
	if err != nil {
		return policy.Subject{}, err
	}
	if reason != "" {
		if wait := d.backoff.failed(remote, secret, now); wait > 0 {
			return policy.Subject{}, &ThrottledError{Wait: wait}
		}
		d := policy.Decision{Verdict: policy.Challenge, Reason: reason}
		if t != nil {
			d.TokenID = t.row.ID
		}
		return policy.Subject{}, d.Err()
	}
	return d.subject(t, who, remote, now), nil
}

// subject is who holds a token that is good. That it was used is noted.
func (d *Directory) subject(t *liveToken, who *Account, remote netip.Addr, now time.Time) policy.Subject {
	if minute := now.Unix() / 60; t.used.Swap(minute) != minute {
		d.uses.note(t.row.ID, use{At: now.UTC(), Address: remote})
	}
	return policy.Subject{
		User: t.row.User, TokenID: t.row.ID, TokenKind: string(t.row.Kind), TokenLast4: t.row.Last4, Scopes: t.row.Scopes, Limits: t.row.Limits, Admin: who.Admin,
	}
}

const makeNew = "make a new one with `larder token create`, or sign in again"

// check returns why the token is no good, in words for whoever sent it, or "".
// The token itself is there in both cases, if there is or was one, and its user
// where it is good.
func (d *Directory) check(ctx context.Context, text string, remote netip.Addr, now time.Time) (t *liveToken, who *Account, reason string, err error) {
	secret, err := token.Parse(text)
	if err != nil {
		return nil, nil, "the credential is malformed: " + err.Error(), nil
	}
	return d.find(ctx, secret.Digest(), remote, now)
}

// find is check of a token by its digest.
func (d *Directory) find(ctx context.Context, dig digest, remote netip.Addr, now time.Time) (t *liveToken, who *Account, reason string, err error) {
	if t, err = d.token(ctx, dig, now); err != nil {
		return nil, nil, "", err
	}
	if reason := t.ended(now); reason != "" {
		return t, nil, reason, nil
	}
	if reason, err = d.orphaned(ctx, t, now, func(p *liveToken) bool { return p.ended(now) != "" }); err != nil || reason != "" {
		return t, nil, reason, err
	}
	if who, err = d.holder(ctx, t, now); err != nil {
		return nil, nil, "", err
	}
	switch {
	case who == nil:
		return t, nil, "the user of this token is gone: " + makeNew, nil
	case who.Suspended:
		return t, nil, "the account " + who.Name + " is suspended: ask an administrator", nil
	case !t.row.Limits.Address(remote):
		return t, nil, fmt.Sprintf("this token may not be used from the address %s: it is limited to %s", remote, strings.Join(t.row.Limits.CIDRs, ", ")), nil
	}
	return t, who, "", nil
}

// orphaned says why a token ends with one that it was traded for, "" if none of
// those is over.
func (d *Directory) orphaned(ctx context.Context, t *liveToken, now time.Time, over func(*liveToken) bool) (reason string, err error) {
	for _, a := range t.ancestors {
		parent, err := d.token(ctx, a, now)
		if err != nil {
			return "", err
		}
		if over(parent) {
			return "the token that this one was traded for has ended: " + makeNew, nil
		}
	}
	return "", nil
}

// Lives refuses a subject whose token somebody has ended since it came, or one
// that it was traded for. One whose time is over meanwhile may finish what it
// began. Errors: policy.ErrUnauthenticated.
func (d *Directory) Lives(ctx context.Context, s policy.Subject) error {
	if s.TokenID == "" {
		return nil // nobody, or the server itself
	}
	var dig digest
	err := d.index.View(ctx, func(r cache.Reader) (err error) {
		dig, _, err = getDigest(r, tokenIDKey(s.TokenID))
		return err
	})
	if err != nil {
		return fmt.Errorf("look up the token in use: %w", err)
	}
	now := d.now()
	t, err := d.token(ctx, dig, now)
	if err != nil {
		return err
	}
	gone := func(t *liveToken) bool { return !t.known || !t.row.Revoked.IsZero() }
	reason := ""
	if gone(t) {
		reason = t.ended(now)
	} else if reason, err = d.orphaned(ctx, t, now, gone); err != nil {
		return err
	}
	if reason == "" {
		return nil
	}
	return policy.Decision{Verdict: policy.Challenge, Reason: reason, TokenID: s.TokenID}.Err()
}

// holder returns the account of a token's user, nil for one who is gone. It is
// remembered with the token, which spares every request a look for it.
func (d *Directory) holder(ctx context.Context, t *liveToken, now time.Time) (*Account, error) {
	generation := d.changes.ofAccount(t.row.User)
	if e := t.holder.Load(); e != nil && e.good(generation, now) {
		return e.value, nil
	}
	who, at, err := d.accountAt(ctx, t.row.User)
	if err == nil {
		t.holder.Store(&memoEntry[*Account]{generation, at, who})
	}
	return who, err
}

func (t *liveToken) ended(now time.Time) string {
	switch {
	case !t.known:
		return "this token is not known here: check which server it is for, or " + makeNew
	case !t.row.Revoked.IsZero():
		return "this token was revoked on " + t.row.Revoked.Format(time.DateOnly) + ": " + makeNew
	case t.row.expired(now):
		return "this token expired on " + t.row.Expires.Format(time.DateOnly) + ": " + makeNew
	}
	return ""
}

// token looks a token up. What is unknown is remembered too, apart from the
// others so that guesses push none out; a token made later has another digest.
func (d *Directory) token(ctx context.Context, dig digest, now time.Time) (*liveToken, error) {
	ended := d.changes.ofToken(dig)
	if t, ok := d.tokens.get(dig, ended, now); ok {
		return t, nil
	}
	t := new(liveToken)
	if _, ok := d.guesses.get(dig, ended, now); ok {
		return t, nil
	}
	err := d.index.View(ctx, func(r cache.Reader) (err error) {
		t.known, err = get(r, tokenKey(dig), &t.row)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("look up a token: %w", err)
	}
	if !t.known {
		d.guesses.put(dig, ended, now, struct{}{})
		return t, nil
	}
	for _, b := range t.row.Ancestors {
		a, _, err := toDigest(b)
		if err != nil {
			return nil, fmt.Errorf("token %s: %w", t.row.ID, err)
		}
		t.ancestors = append(t.ancestors, a)
	}
	if old, ok := d.tokens.last(dig); ok {
		t.used.Store(old.used.Load())
	}
	d.tokens.put(dig, ended, now, t)
	return t, nil
}
