package directory

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"larder/cache"
	"larder/policy"
	"larder/policy/audit"
)

// SetClaims replaces the claims of the config. A set that is not valid, or that
// clashes with claims added by API, leaves the old one in force.
func (d *Directory) SetClaims(ctx context.Context, claims []policy.Claim) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	old := d.configured
	d.configured = slices.Clone(claims)
	if err := d.loadClaims(ctx); err != nil {
		d.configured = old
		return err
	}
	d.changes.count(touched{})
	return nil
}

// loadClaims reads the claims of the API and joins them to those of the config.
// The caller holds the lock.
func (d *Directory) loadClaims(ctx context.Context) error {
	all := slices.Clone(d.configured)
	err := d.index.View(ctx, func(r cache.Reader) error {
		all = all[:len(d.configured)]
		for row, err := range r.Scan([]byte("oc"), nil) {
			if err != nil {
				return err
			}
			var c policy.Claim
			if err := decode(row.Value, &c); err != nil {
				return fmt.Errorf("claim %.100q: %w", row.Key[2:], err)
			}
			all = append(all, c)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("read claims: %w", err)
	}
	claims, err := d.compile(all)
	if err != nil {
		return fmt.Errorf("claims: %w", err)
	}
	d.claims.Store(claims)
	return nil
}

func (d *Directory) compile(all []policy.Claim) (*policy.Claims, error) {
	for _, c := range all {
		for _, f := range c.Formats {
			if len(d.opt.Formats) > 0 && !slices.Contains(d.opt.Formats, f) {
				return nil, fail(ErrInvalid, "claim %s: format %.40q is not known: use %s", c.ID, f, strings.Join(d.opt.Formats, ", "))
			}
		}
		if _, _, err := splitRepository(c.Repository); err != nil {
			return nil, fmt.Errorf("claim %s: %w", c.ID, err)
		}
	}
	return policy.NewClaims(all)
}

// Claim returns the claim that covers a name most exactly.
func (d *Directory) Claim(format, name string) (id, repository string, ok bool) {
	c, ok := d.claims.Load().Match(format, name)
	return c.ID, c.Repository, ok
}

// Claims lists all claims, those of the config first, to an administrator.
func (d *Directory) Claims(_ context.Context, actor policy.Subject) ([]policy.Claim, error) {
	if err := policy.MustAdminister(actor); err != nil {
		return nil, err
	}
	return d.claims.Load().All(), nil
}

// Home returns the repository that a name is published to: by claim, else
// "packages" of the owner that the name itself tells, else the default one. The
// error is a refusal that says which claim to add.
func (d *Directory) Home(ctx context.Context, format, name, owner string) (string, error) {
	if _, repository, ok := d.Claim(format, name); ok {
		return repository, nil
	}
	for _, candidate := range []string{owner + "/" + firstRepository, d.opt.DefaultRepository} {
		r, err := d.repository(ctx, candidate)
		if err != nil {
			return "", err
		}
		if r != nil {
			return candidate, nil
		}
	}
	return "", refuse(policy.Deny, "%.300s has no repository here to go to: add one with `larder claim add %s '%.300s' OWNER/NAME`, or publish below /r/OWNER/NAME/",
		name, format, suggest(format, name, owner))
}

// suggest is the pattern that a claim for the name would most likely have.
func suggest(format, name, owner string) string {
	switch {
	case owner != "" && format == "npm":
		return "@" + owner + "/**"
	case owner != "":
		return owner + "/**"
	case format == "maven" || format == "gradle":
		group, _, _ := strings.Cut(name, ":")
		return group + ".**"
	}
	return name
}

// AddClaim says that names are ours. An empty ID is chosen from the pattern.
// The repository must exist. Only for administrators: it takes the names from
// every upstream. Errors: ErrInvalid, ErrExists, cache.ErrNotExist.
func (d *Directory) AddClaim(ctx context.Context, actor policy.Subject, c policy.Claim) (policy.Claim, error) {
	if err := policy.MustAdminister(actor); err != nil {
		return policy.Claim{}, err
	}
	if c.ID == "" {
		c.ID = claimID(c)
	}
	if err := c.Check(); err != nil {
		return policy.Claim{}, fail(ErrInvalid, "%s", err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.admitClaim(ctx, c); err != nil {
		return policy.Claim{}, err
	}
	if err := d.change(ctx, "add claim "+c.ID, func(w cache.Writer) error {
		if err := put(w, claimKey(c.ID), c); err != nil {
			return err
		}
		return d.record(ctx, w, actor, audit.Record{Action: "claim.add", Resource: audit.Resource{ID: c.ID}, After: claimState(c)})
	}); err != nil {
		return policy.Claim{}, err
	}
	return c, d.reloadClaims(ctx)
}

func (d *Directory) admitClaim(ctx context.Context, c policy.Claim) error {
	if _, err := d.Repository(ctx, c.Repository); err != nil {
		return err
	}
	all := d.claims.Load().All()
	if slices.ContainsFunc(all, func(o policy.Claim) bool { return o.ID == c.ID }) {
		return fail(ErrExists, "claim %s is there already: remove it first, or give another id", c.ID)
	}
	if len(all) >= policy.MaxClaims {
		return fail(ErrConflict, "there are %d claims already, which is the limit: use wider patterns", len(all))
	}
	if _, err := d.compile(append(all, c)); err != nil {
		if worded(err) {
			return err
		}
		return fail(ErrExists, "%s", err)
	}
	return nil
}

// claimID makes an id that says what is claimed and is the same each time.
func claimID(c policy.Claim) string {
	text := strings.Join(append(slices.Clone(c.Formats), c.Match...), " ")
	sum := sha256.Sum256([]byte(text))
	slug := strings.Join(strings.FieldsFunc(strings.ToLower(text), func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < '0' || r > '9')
	}), "-")
	return strings.TrimPrefix(slug[:min(len(slug), 60)]+"-"+hex.EncodeToString(sum[:3]), "-")
}

// RemoveClaim gives the names up. Errors: ErrConflict for a claim of the
// config, cache.ErrNotExist.
func (d *Directory) RemoveClaim(ctx context.Context, actor policy.Subject, id string) error {
	if err := policy.MustAdminister(actor); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if slices.ContainsFunc(d.configured, func(c policy.Claim) bool { return c.ID == id }) {
		return fail(ErrConflict, "claim %s is in the config file: remove it there", id)
	}
	all := d.claims.Load().All()
	at := slices.IndexFunc(all, func(c policy.Claim) bool { return c.ID == id })
	if at < 0 {
		return missing("claim", id)
	}
	if err := d.change(ctx, "remove claim "+id, func(w cache.Writer) error {
		if err := w.Delete(claimKey(id)); err != nil {
			return err
		}
		return d.record(ctx, w, actor, audit.Record{Action: "claim.remove", Resource: audit.Resource{ID: id}, Before: claimState(all[at])})
	}); err != nil {
		return err
	}
	return d.reloadClaims(ctx)
}

// reloadClaims makes a change count. The generation moves again behind it, for
// those who looked in between.
func (d *Directory) reloadClaims(ctx context.Context) error {
	defer d.changes.count(touched{})
	return d.loadClaims(context.WithoutCancel(ctx)) // the change is made; not to see it would be worse than to wait
}
