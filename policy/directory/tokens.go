package directory

import (
	"context"
	"fmt"

	"larder/cache"
	"larder/policy"
	"larder/policy/audit"
	"larder/policy/token"
)

// MaxTokens is how many tokens that are not revoked one user may have.
const MaxTokens = 10_000

// Tokens lists a user's tokens that are not revoked: one's own, or anyone's to
// an administrator. Those of others do not exist.
func (d *Directory) Tokens(ctx context.Context, actor policy.Subject, user string) ([]Token, error) {
	if err := policy.MustOwn(actor); err != nil {
		return nil, err
	}
	if user != actor.User && policy.MustAdminister(actor) != nil || !accountName.MatchString(user) {
		return nil, missing("user", user)
	}
	var all []Token
	for t, err := range list(ctx, d, tokenUsersKey(user), nil, readListed) {
		if err != nil {
			return nil, fmt.Errorf("tokens of %s: %w", user, err)
		}
		all = append(all, t)
	}
	return all, nil
}

func readListed(r cache.Reader, _ string, value []byte) (Token, error) {
	digest, _, err := toDigest(value)
	if err != nil {
		return Token{}, err
	}
	var t tokenRow
	if _, err := get(r, tokenKey(digest), &t); err != nil {
		return Token{}, err
	}
	var last use
	_, err = get(r, tokenUseKey(t.ID), &last)
	t.LastUsed, t.LastAddress = last.At, last.Address
	return t.Token, err
}

// RevokeToken ends a token, and all that were traded for it, at once: one's
// own, or anyone's for an administrator. The token in use may end itself and
// those that may do no more than it. Errors: cache.ErrNotExist, also for tokens
// of others and those that are revoked already, policy refusals.
func (d *Directory) RevokeToken(ctx context.Context, actor policy.Subject, id string) error {
	if err := policy.MustOwn(actor); err != nil {
		return err
	}
	return d.revoke(ctx, actor, id, func(r cache.Reader) (digest, bool, error) {
		if len(id) > 100 {
			return digest{}, false, nil
		}
		return getDigest(r, tokenIDKey(id))
	})
}

// RevokeSecret does the same for a token given as such.
func (d *Directory) RevokeSecret(ctx context.Context, actor policy.Subject, secret token.Secret) error {
	if err := policy.MustOwn(actor); err != nil {
		return err
	}
	return d.revoke(ctx, actor, secret.Hint()+"…", func(cache.Reader) (digest, bool, error) {
		return secret.Digest(), true, nil
	})
}

func (d *Directory) revoke(ctx context.Context, actor policy.Subject, title string, find func(cache.Reader) (digest, bool, error)) error {
	var dig digest // once found
	defer func() { d.changes.revoked(dig) }()
	return d.update(ctx, "revoke token "+title, func(w cache.Writer) (err error) {
		var ok bool
		dig, ok, err = find(w)
		if err != nil {
			return err
		}
		var t tokenRow
		if ok {
			ok, err = get(w, tokenKey(dig), &t)
		}
		if err != nil {
			return err
		}
		if !ok || !t.Revoked.IsZero() || t.User != actor.User && policy.MustAdminister(actor) != nil {
			return missing("token", title)
		}
		if err := mayEnd(actor, t.Token); err != nil {
			return err
		}
		t.Revoked = d.now().UTC()
		if err := putRevoked(w, dig, t); err != nil {
			return err
		}
		return d.record(ctx, w, actor, audit.Record{Action: "token.revoke", Resource: audit.Resource{ID: t.ID}, Before: tokenState(t.Token)})
	})
}

// mayEnd checks that a token which may do little, and was lost, shuts nobody out.
func mayEnd(actor policy.Subject, t Token) error {
	if t.ID == actor.TokenID || policy.MustAdminister(actor) == nil || policy.Covers(actor.Scopes, t.Scopes) && actor.Limits.Covers(t.Limits) {
		return nil
	}
	return policy.Decision{
		Verdict: policy.Deny, Accepted: t.Scopes,
		Reason: "the token in use cannot end token " + t.ID + ", which may do more: use that token itself, or one that may do as much",
	}.Err()
}

// putRevoked keeps the row, so that whoever uses the token reads why it ended,
// and takes it out of the list.
func putRevoked(w cache.Writer, dig digest, t tokenRow) error {
	if err := put(w, tokenKey(dig), t); err != nil {
		return err
	}
	if t.Expires.IsZero() {
		if err := w.Put(tokenEndKey(t.Revoked.Add(keepEnded), t.ID), dig[:]); err != nil {
			return err
		}
	}
	return w.Delete(tokenUserKey(t.User, t.ID))
}
