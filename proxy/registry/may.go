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
	Alias(ctx context.Context, pkg string) string
	// Meant returns the package that clients mean by one of its names.
	Meant(ctx context.Context, name string) string
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
	repository := b.repository
	if r != b.Registry {
		repository = ""
	}
	ok, err := r.may(ctx, repository, wish{who, a, pkg})
	if ok || err != nil || a != policy.Read || r != b.Registry {
		return ok, err
	}
	// Clients that come by ns= or by another host leave out the name of the mirror.
	for _, other := range b.engine.spoken.Range {
		if of := other.(*Registry); of.spec.Format.Name() == r.spec.Format.Name() && of != r {
			if ok, err := of.may(ctx, "", wish{who, a, pkg}); ok || err != nil {
				return ok, err
			}
		}
	}
	return false, nil
}

// wish is what somebody may want to do.
type wish struct {
	who    policy.Subject
	action policy.Action
	pkg    string
}

func (r *Registry) may(ctx context.Context, repository string, d wish) (bool, error) {
	if !r.spec.Hosted {
		switch d.action {
		case policy.Publish, policy.Restore, policy.Settings:
			return false, nil
		case policy.Delete:
			d.action = policy.Administer // what a mirror holds belongs to nobody else
		}
	}
	res, err := r.resource(ctx, repository, d.action, d.pkg, "")
	if err == nil {
		err = r.engine.opt.Access.Authorize(ctx, d.who, d.action, res).Err()
	}
	hidden := errors.Is(err, policy.ErrHidden) || errors.Is(err, formats.ErrNotFound)
	switch {
	case err == nil, hidden && d.action == policy.Read:
		return true, nil
	case hidden, errors.Is(err, policy.ErrDenied), errors.Is(err, policy.ErrUnauthenticated):
		return false, nil
	}
	return false, err
}
