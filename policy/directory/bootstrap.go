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
	t := Token{User: FirstAdmin, Kind: token.Personal, Name: "first admin token", Scopes: policy.AllScopes(), Created: d.now().UTC()}
	secret, err := d.issue(&t, t.Kind)
	if err != nil {
		return false, fmt.Errorf("bootstrap: %w", err)
	}
	if err := writeSecret(tokenFile, secret); err != nil {
		return false, fmt.Errorf("bootstrap: write the admin token: %w", err)
	}
	err = d.change(ctx, "bootstrap", func(w cache.Writer) error {
		if err := putOwner(w, Account{Name: FirstAdmin, Admin: true, Created: t.Created}, policy.Public); err != nil {
			return err
		}
		if err := putToken(w, secret.Digest(), tokenRow{Token: t}); err != nil {
			return err
		}
		return d.record(ctx, w, policy.Subject{}, audit.Record{
			Actor: audit.Actor{Kind: audit.System}, Action: "instance.bootstrap",
			Resource: audit.Resource{Owner: FirstAdmin, ID: t.ID}, After: tokenState(t),
		})
	})
	return err == nil, err
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
