package directory

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"

	"larder/cache"
	"larder/policy"
	"larder/policy/audit"
	"larder/policy/token"
)

// Lifetimes of tokens.
const (
	DefaultLifetime = 90 * 24 * time.Hour
	MaxLifetime     = 365 * 24 * time.Hour
	defaultJob      = 15 * time.Minute
	maxJob          = time.Hour
	// keepEnded is how long a token that ended is remembered, to say why.
	keepEnded = 90 * 24 * time.Hour
)

const (
	maxTokenName = 200 // bytes
	// maxAncestors bounds how often a token may be traded for another.
	maxAncestors = 4
)

// Mint describes a token to be made.
type Mint struct {
	User   string     // "": the actor. Only administrators make tokens for others.
	Kind   token.Kind // "": token.Personal; one that is stored
	Name   string
	Scopes []policy.Scope
	Limits policy.Limits
	// Lifetime is rounded down to seconds; 0 takes the kind's default, or what
	// the token in use has left if that is less.
	Lifetime time.Duration
	// Forever makes a token that does not expire; only for administrators.
	Forever bool
	// Trade makes a token in exchange for the actor's own: it expires no later
	// and ends with it. Whatever a job token makes is traded for it.
	Trade bool
}

// MintToken makes a token with at most the rights of the one in use. The secret
// is nowhere but in the answer. Errors: policy refusals, ErrInvalid,
// ErrConflict beyond MaxTokens, cache.ErrNotExist for the user.
func (d *Directory) MintToken(ctx context.Context, actor policy.Subject, m Mint) (token.Secret, Token, error) {
	if m.Kind == "" {
		m.Kind = token.Personal
	}
	t, err := d.prepare(actor, m)
	if err != nil {
		return token.Secret{}, Token{}, err
	}
	secret, err := d.issue(&t, m.Kind)
	if err != nil {
		return token.Secret{}, Token{}, err
	}
	err = d.update(ctx, "make a token for "+t.User, func(w cache.Writer) error {
		row := tokenRow{Token: t}
		if err := d.inherit(w, actor, m, &row); err != nil {
			return err
		}
		t = row.Token
		if err := putToken(w, secret.Digest(), row); err != nil {
			return err
		}
		return d.record(ctx, w, actor, audit.Record{Action: "token.create", Resource: audit.Resource{ID: t.ID}, After: tokenState(t)})
	})
	if err != nil {
		return token.Secret{}, Token{}, err
	}
	return secret, t, nil
}

// prepare checks all that needs no lookup.
func (d *Directory) prepare(actor policy.Subject, m Mint) (Token, error) {
	t := Token{User: m.User, Kind: m.Kind, Name: m.Name, Created: d.now().UTC(), MintedFrom: actor.TokenID}
	if t.User == "" {
		t.User = actor.User
	}
	err := policy.MustOwn(actor)
	if err == nil && t.User != actor.User {
		err = policy.MustAdminister(actor)
	}
	if err != nil {
		return t, err
	}
	if !m.Kind.Stored() {
		return t, fail(ErrInvalid, "no token of the kind %.10q is made so", string(m.Kind))
	}
	if len(m.Name) > maxTokenName || strings.ContainsFunc(m.Name, func(c rune) bool { return c < ' ' || c == 0x7f }) {
		return t, fail(ErrInvalid, "the name of a token has at most %d bytes and no control characters", maxTokenName)
	}
	if t.Scopes, err = subset(actor, m.Scopes); err != nil {
		return t, err
	}
	if err := m.Limits.Check(); err != nil {
		return t, fail(ErrInvalid, "%s", err)
	}
	if t.Limits, err = actor.Limits.Narrow(m.Limits); err != nil {
		return t, refuse(policy.Deny, "%s", err)
	}
	t.Expires, err = expiry(actor, m, t.Created)
	return t, err
}

// subset checks scopes against those of the token in use.
func subset(actor policy.Subject, want []policy.Scope) ([]policy.Scope, error) {
	scopes, err := policy.CheckScopes(want)
	if err != nil {
		return nil, fail(ErrInvalid, "%s", err)
	}
	for _, s := range scopes {
		if !policy.Holds(actor.Scopes, s) {
			return nil, policy.Decision{
				Verdict: policy.Deny, Accepted: []policy.Scope{s},
				Reason: "the token in use cannot give the scope " + string(s) + ": it does not hold it; use one that does",
			}.Err()
		}
	}
	return scopes, nil
}

func expiry(actor policy.Subject, m Mint, now time.Time) (time.Time, error) {
	lifetime, most := DefaultLifetime, MaxLifetime
	if m.Kind == token.Job {
		lifetime, most = defaultJob, maxJob
	}
	if m.Forever {
		if m.Kind == token.Job || m.Lifetime != 0 {
			return time.Time{}, fail(ErrInvalid, "a token of kind %s, or one with a lifetime, cannot be made to never expire", string(m.Kind))
		}
		return time.Time{}, policy.MustAdminister(actor)
	}
	if m.Lifetime != 0 {
		lifetime = m.Lifetime.Truncate(time.Second)
	}
	if lifetime <= 0 || lifetime > most {
		return time.Time{}, fail(ErrInvalid, "a token of this kind lives from 1s up to %s, not %s: choose a lifetime within", days(most), days(m.Lifetime))
	}
	return now.Add(lifetime).Truncate(time.Second), nil
}

// days writes long durations as people do.
func days(d time.Duration) string {
	if day := 24 * time.Hour; d >= day && d%day == 0 {
		return fmt.Sprintf("%dd", d/day)
	}
	return d.String()
}

// issue draws the secret and the id.
func (d *Directory) issue(t *Token, kind token.Kind) (token.Secret, error) {
	secret, err := token.New(kind)
	if err != nil {
		return secret, err
	}
	t.Hint, t.Last4 = secret.Hint(), secret.Last4()
	t.ID, err = newID()
	return secret, err
}

// newID draws what names a thing for ever, whatever becomes of its name.
func newID() (string, error) {
	var id [8]byte
	if _, err := rand.Read(id[:]); err != nil {
		return "", fmt.Errorf("make an id: %w", err)
	}
	return hex.EncodeToString(id[:]), nil
}

// inherit checks inside the transaction that the token in use still lives, and
// hands its bounds on. What is not traded still ends with all that the token in
// use was traded for: otherwise a short-lived token could outlive itself.
func (d *Directory) inherit(w cache.Writer, actor policy.Subject, m Mint, row *tokenRow) error {
	dig, ok, err := getDigest(w, tokenIDKey(actor.TokenID))
	var parent tokenRow
	if err == nil && ok {
		ok, err = get(w, tokenKey(dig), &parent)
	}
	if err != nil {
		return err
	}
	if !ok || parent.User != actor.User || !parent.Revoked.IsZero() || parent.expired(row.Created) {
		return refuse(policy.Challenge, "the token in use is no longer valid: sign in again")
	}
	row.Ancestors = slices.Clone(parent.Ancestors)
	bound := len(parent.Ancestors) > 0
	if m.Trade || parent.Kind == token.Job {
		row.Ancestors, bound = append(row.Ancestors, dig[:]), true
	}
	if len(row.Ancestors) > maxAncestors {
		return refuse(policy.Deny, "the token in use was traded %d times already: use the first one", maxAncestors)
	}
	if err := shorten(actor, m, bound, parent, row); err != nil {
		return err
	}
	user, err := needAccount(w, row.User, false)
	if err != nil {
		return err
	}
	if user.Suspended {
		return fail(ErrConflict, "%s is suspended: resume the account first", user.Name)
	}
	return countTokens(w, row.User)
}

// shorten lets no token outlive the one in use: its end is one of its limits.
// An administrator's may, unless it was traded: somebody has to decide how long
// access lasts.
func shorten(actor policy.Subject, m Mint, bound bool, parent tokenRow, row *tokenRow) error {
	within := !row.Expires.IsZero() && !row.Expires.After(parent.Expires)
	switch {
	case parent.Expires.IsZero(), within, !bound && policy.MustAdminister(actor) == nil:
	case bound, m.Lifetime == 0:
		row.Expires = parent.Expires
	default:
		return refuse(policy.Deny, "the token in use ends on %s, and nothing that it makes lives longer: ask for less, or use a token that lives longer",
			parent.Expires.Format(time.DateOnly))
	}
	return nil
}

func countTokens(r cache.Reader, user string) error {
	n := 0
	for _, err := range r.Scan(tokenUsersKey(user), nil) {
		if err != nil {
			return err
		}
		if n++; n >= MaxTokens {
			return fail(ErrConflict, "%s has %d tokens, which is the limit: revoke some first", user, n)
		}
	}
	return nil
}

func putToken(w cache.Writer, dig digest, t tokenRow) error {
	if err := put(w, tokenKey(dig), t); err != nil {
		return err
	}
	if err := w.Put(tokenIDKey(t.ID), dig[:]); err != nil {
		return err
	}
	if !t.Expires.IsZero() {
		if err := w.Put(tokenEndKey(t.Expires.Add(keepEnded), t.ID), dig[:]); err != nil {
			return err
		}
	}
	return w.Put(tokenUserKey(t.User, t.ID), dig[:])
}
