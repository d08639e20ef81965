package directory

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"larder/cache"
	"larder/policy"
	"larder/policy/bearer"
	"larder/policy/token"
)

// ringEntry is the keys of bearer tokens as they were read.
type ringEntry struct {
	bearer.Ring
	at time.Time
}

// Bearer is a token of the token service.
type Bearer struct {
	Secret  string
	Issued  time.Time
	Expires time.Time
}

// MintBearer signs a token that may do what the grants say, as far as the actor
// may do it when it comes to it. It ends with the token in use. Nobody gets one as
// well, where everybody may read something. Errors: policy.ErrUnauthenticated.
func (d *Directory) MintBearer(ctx context.Context, actor policy.Subject, grants []policy.Grant) (Bearer, error) {
	now := d.now().UTC().Truncate(time.Second)
	c := bearer.Claims{Grants: grants, Issued: now, Expires: now.Add(bearer.Life)}
	switch {
	case actor.Grants != nil || actor.Guest:
		return Bearer{}, refuse(policy.Challenge, "a token of the token service cannot be traded for another: sign in with your own")
	case !actor.Anonymous():
		if err := d.parent(ctx, actor, &c); err != nil {
			return Bearer{}, err
		}
	case !d.opt.AnonymousRead:
		return Bearer{}, errNoGuests()
	}
	r, err := d.ring(ctx, now)
	if err == nil && r.Due(now) {
		r, err = d.rotate(ctx, now)
	}
	if err != nil {
		return Bearer{}, err
	}
	secret, err := r.Mint(c)
	return Bearer{secret, c.Issued, c.Expires}, err
}

func errNoGuests() error {
	return refuse(policy.Challenge, "this server shows nothing to those who have not signed in: send a user name, and a token as password")
}

// parent binds claims to the token in use.
func (d *Directory) parent(ctx context.Context, actor policy.Subject, c *bearer.Claims) error {
	var dig digest
	err := d.index.View(ctx, func(r cache.Reader) (err error) {
		dig, _, err = getDigest(r, tokenIDKey(actor.TokenID))
		return err
	})
	if err != nil {
		return fmt.Errorf("look up the token in use: %w", err)
	}
	t, err := d.token(ctx, dig, d.now())
	if err != nil {
		return err
	}
	if reason := t.ended(c.Issued); reason != "" {
		return refuse(policy.Challenge, "%s", reason)
	}
	if end := t.row.Expires; !end.IsZero() && end.Before(c.Expires) {
		c.Expires = end
	}
	c.Parent = dig[:]
	return nil
}

// ring returns the keys as they were within MaxAge of now.
func (d *Directory) ring(ctx context.Context, now time.Time) (bearer.Ring, error) {
	if e := d.keys.Load(); e != nil && now.Sub(e.at).Abs() < MaxAge {
		return e.Ring, nil
	}
	return d.readRing(ctx, now)
}

func (d *Directory) readRing(ctx context.Context, now time.Time) (r bearer.Ring, err error) {
	err = d.index.View(ctx, func(v cache.Reader) (err error) {
		r, err = getRing(v)
		return err
	})
	if err != nil {
		return r, fmt.Errorf("read the keys of bearer tokens: %w", err)
	}
	d.keys.Store(&ringEntry{r, now})
	return r, nil
}

func getRing(v cache.Reader) (bearer.Ring, error) {
	b, err := v.Get(bearerKey())
	switch {
	case errors.Is(err, cache.ErrNotExist):
		return bearer.Ring{}, nil
	case err != nil:
		return bearer.Ring{}, err
	case len(b) == 0 || b[0] != rowVersion:
		return bearer.Ring{}, errors.New("row of an unknown version")
	}
	return bearer.Decode(b[1:])
}

// rotate puts a new key in front, unless somebody else has done so meanwhile.
func (d *Directory) rotate(ctx context.Context, now time.Time) (r bearer.Ring, err error) {
	err = d.update(ctx, "make a key for bearer tokens", func(w cache.Writer) (err error) {
		if r, err = getRing(w); err != nil || !r.Due(now) {
			return err
		}
		if r, err = r.Rotate(now); err != nil {
			return err
		}
		b, err := r.Encode()
		if err != nil {
			return err
		}
		return w.Put(bearerKey(), append([]byte{rowVersion}, b...))
	})
	if err == nil {
		d.keys.Store(&ringEntry{r, now})
	}
	return r, err
}

// authenticateBearer finds out whose a signed token is, as Authenticate does. What
// was signed here and is over is no guess, and does not count as one: clients hold
// such tokens all the time.
func (d *Directory) authenticateBearer(ctx context.Context, text string, remote netip.Addr, now time.Time) (policy.Subject, error) {
	c, err := d.open(ctx, text, now)
	switch {
	case errors.Is(err, bearer.ErrForged):
		if wait := d.backoff.failed(remote, text, now); wait > 0 {
			return policy.Subject{}, &ThrottledError{Wait: wait}
		}
		return policy.Subject{}, refuse(policy.Challenge, "this token was not made here, or long ago: ask the token service for a new one")
	case errors.Is(err, bearer.ErrExpired):
		return policy.Subject{}, refuse(policy.Challenge, "this token has expired: ask the token service for a new one")
	case err != nil:
		return policy.Subject{}, err
	}
	grants := policy.NewGrants(c.Grants)
	if len(c.Parent) == 0 {
		if !d.opt.AnonymousRead {
			return policy.Subject{}, errNoGuests()
		}
		return policy.Subject{Guest: true, Grants: grants}, nil
	}
	dig, _, err := toDigest(c.Parent)
	if err != nil {
		return policy.Subject{}, err
	}
	t, who, reason, err := d.find(ctx, dig, remote, now)
	if err != nil {
		return policy.Subject{}, err
	}
	if reason != "" {
		return policy.Subject{}, policy.Decision{Verdict: policy.Challenge, Reason: reason, TokenID: t.row.ID}.Err()
	}
	s := d.subject(t, who, remote, now)
	s.TokenKind, s.Grants = string(token.Bearer), grants
	return s, nil
}

// open reads a signed token. Another process may have made a key since the keys
// were read.
func (d *Directory) open(ctx context.Context, text string, now time.Time) (bearer.Claims, error) {
	r, err := d.ring(ctx, now)
	if err != nil {
		return bearer.Claims{}, err
	}
	c, err := r.Open(text, now)
	if !errors.Is(err, bearer.ErrForged) {
		return c, err
	}
	if r, err = d.readRing(ctx, now); err != nil {
		return bearer.Claims{}, err
	}
	return r.Open(text, now)
}
