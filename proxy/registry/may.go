package registry

import (
	"context"
	"errors"
	"strings"

	"larder/formats"
	"larder/policy"
)

// Aliased is implemented by formats in which clients have two names for some
// packages.
type Aliased interface {
	// Alias returns the other name of a package, "" for none.
	Alias(pkg string) string
}

// speak notes a registry whose name has a slash: clients write it before the
// names of its packages, and have one registry of the format before them.
func (e *Engine) speak(r *Registry) {
	if strings.Contains(r.spec.Name, "/") {
		e.spoken.Store(r.spec.Name, r)
	}
}

// located finds the registry and the package that a client of r means by a name.
func (r *Registry) located(name string) (*Registry, string) {
	for i := range len(name) {
		if name[i] != '/' {
			continue
		}
		known, ok := r.engine.spoken.Load(name[:i])
		if !ok {
			continue
		}
		if of := known.(*Registry); of.spec.Format.Name() == r.spec.Format.Name() {
			return of, name[i+1:]
		}
	}
	return r, name
}

// May implements formats.Rights.
func (b *bound) May(ctx context.Context, who policy.Subject, a policy.Action, name string) (bool, error) {
	r, pkg := b.located(name)
	if !r.spec.Hosted {
		switch a {
		case policy.Publish, policy.Restore, policy.Settings:
			return false, nil
		case policy.Delete:
			a = policy.Administer // what a mirror holds belongs to nobody else
		}
	}
	repository := b.repository
	if r != b.Registry {
		repository = ""
	}
	res, err := r.resource(ctx, repository, a, pkg, "")
	if err == nil {
		err = r.engine.opt.Access.Authorize(ctx, who, a, res).Err()
	}
	switch {
	case err == nil, a == policy.Read && (errors.Is(err, policy.ErrHidden) || errors.Is(err, formats.ErrNotFound)):
		return true, nil
	case errors.Is(err, policy.ErrDenied), errors.Is(err, policy.ErrHidden), errors.Is(err, policy.ErrUnauthenticated), errors.Is(err, formats.ErrNotFound):
		return false, nil
	}
	return false, err
}
