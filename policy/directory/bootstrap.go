package directory

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"larder/cache"
	"larder/policy"
	"larder/policy/audit"
	"larder/policy/token"
)

// FirstAdmin is the administrator that Bootstrap makes.
const FirstAdmin = "admin"

// Bootstrap makes, where there is no account admin yet, that administrator, the
// public repository admin/packages, and a token with all scopes that never
// expires. The token goes to the file alone: mode 0600, the token and a newline.
// The file is whole before the token counts; should the process die in
// between, the next start writes another one.
func (d *Directory) Bootstrap(ctx context.Context, tokenFile string) (created bool, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	err = d.index.View(ctx, func(r cache.Reader) (err error) {
		created, err = has(r, accountKey(FirstAdmin))
		created = !created
		return err
	})
	if err != nil {
		return false, fmt.Errorf("bootstrap: %w", err)
	}
	if !created {
		return false, nil
	}
	t, secret, err := d.adminToken("first admin token")
	if err != nil {
		return false, fmt.Errorf("bootstrap: %w", err)
	}
	if err := ToFile(tokenFile)(secret); err != nil {
		return false, fmt.Errorf("bootstrap: %w", err)
	}
	err = d.change(ctx, "bootstrap", func(w cache.Writer) error {
		if err := putOwner(w, Account{Name: FirstAdmin, Admin: true, Created: t.Created}, policy.Public); err != nil {
			return err
		}
		return d.putAdminToken(ctx, w, "instance.bootstrap", t, secret)
	})
	return err == nil, err
}

// Recover is for those who hold the data folder and no administrator's token:
// it makes another token with all scopes that never expires, for the account
// admin, which is resumed and made an administrator where it is not. Tokens
// made before stay as good as they were. deliver gets the secret before the
// token counts; should it fail, nothing has changed. Errors: cache.ErrNotExist
// where Bootstrap never ran, ErrConflict beyond MaxTokens, those of deliver.
func (d *Directory) Recover(ctx context.Context, deliver func(token.Secret) error) (Token, error) {
	if _, err := d.Account(ctx, FirstAdmin); err != nil {
		return Token{}, err
	}
	t, secret, err := d.adminToken("recovered admin token")
	if err != nil {
		return Token{}, fmt.Errorf("recover: %w", err)
	}
	if err := deliver(secret); err != nil {
		return Token{}, fmt.Errorf("recover: %w", err)
	}
	return t, d.change(ctx, "recover", func(w cache.Writer) error {
		if err := amend(w, FirstAdmin, false, func(a *Account) { a.Admin, a.Suspended = true, false }); err != nil {
			return err
		}
		if err := countTokens(w, FirstAdmin); err != nil {
			return err
		}
		return d.putAdminToken(ctx, w, "instance.recover", t, secret)
	})
}

// adminToken draws a token that may do everything.
func (d *Directory) adminToken(name string) (Token, token.Secret, error) {
	t := Token{User: FirstAdmin, Kind: token.Personal, Name: name, Scopes: policy.AllScopes(), Created: d.now().UTC()}
	secret, err := d.issue(&t, t.Kind)
	return t, secret, err
}

// putAdminToken stores a token that nobody signed in for, and records it.
func (d *Directory) putAdminToken(ctx context.Context, w cache.Writer, action string, t Token, secret token.Secret) error {
	if err := putToken(w, secret.Digest(), tokenRow{Token: t}); err != nil {
		return err
	}
	return d.record(ctx, w, policy.Subject{}, audit.Record{
		Actor: audit.Actor{Kind: audit.System}, Action: action,
		Resource: audit.Resource{Owner: FirstAdmin, ID: t.ID}, After: tokenState(t),
	})
}

// ToFile delivers a secret to a file: mode 0600, the token and a newline, and
// whatever stood there before is replaced as a whole.
func ToFile(name string) func(token.Secret) error {
	return func(s token.Secret) error {
		if err := writeSecret(name, s); err != nil {
			return fmt.Errorf("write the admin token: %w", err)
		}
		return nil
	}
}

// writeSecret writes the file beside its place and moves it there, so that it
// is never seen half-written or readable by others.
func writeSecret(name string, secret token.Secret) (err error) {
	dir := filepath.Dir(name)
	f, err := os.CreateTemp(dir, ".token-*") // mode 0600
	if err != nil {
		return err
	}
	_, err = f.WriteString(secret.Reveal() + "\n")
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return syncFolder(dir)
}

// syncFolder makes a rename durable.
func syncFolder(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
