package registry

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"larder/cache"
	"larder/formats"
	"larder/policy"
)

// bound is a registry as one caller may use it: the guard in front of every
// operation, for the URL's name and for those found in bodies.
type bound struct {
	*Registry
	caller     policy.Subject
	repository string
	base       string
}

// allow asks policy about a name and returns whose it is.
func (b *bound) allow(ctx context.Context, a policy.Action, pkg, version string) (policy.Resource, error) {
	res, err := b.resource(ctx, b.repository, a, pkg, version)
	if err != nil {
		return res, err
	}
	return res, b.engine.opt.Access.Authorize(ctx, b.caller, a, res).Err()
}

// narrowed says that the URL shows hosted packages of one repository only.
func (b *bound) narrowed() bool { return b.repository != "" }

func (b *bound) missing(pkg string) error {
	return formats.Refuse(formats.ErrNotFound, fmt.Sprintf("%s is not in the registry %s", pkg, b.spec.Name))
}

// visible returns the hosted package of that name as this URL shows it.
func (b *bound) visible(o *owned) bool {
	return o.hosted != nil && o.hosted.Deleted.IsZero() && (!b.narrowed() || o.hosted.Repository == b.repository)
}

// unseen is a name of ours that this URL does not show.
func (b *bound) unseen(o *owned, pkg string) error {
	if o.hosted == nil && o.claim != "" && !b.narrowed() {
		b.engine.opt.Observer.Claimed(b.spec.Format.Name(), pkg, o.claim)
	}
	return b.missing(pkg)
}

func (b *bound) Package(ctx context.Context, name string) (*formats.Package, error) {
	if _, err := b.allow(ctx, policy.Read, name, ""); err != nil {
		return nil, err
	}
	o, err := b.lookup(ctx, name)
	if err != nil {
		return nil, err
	}
	if !b.visible(o) {
		return nil, b.missing(name)
	}
	var p *formats.Package
	err = b.engine.opt.Index.View(ctx, func(r cache.Reader) error {
		h, err := readHead(r, b.spec.Format.Name(), name)
		if err == nil {
			p = &h.Package
		}
		return err
	})
	if errors.Is(err, cache.ErrNotExist) {
		return nil, b.missing(name)
	}
	return p, err
}

func (b *bound) Role(ctx context.Context, user, pkg string) (policy.Role, error) {
	res, err := b.allow(ctx, policy.Read, pkg, "")
	if err != nil {
		return policy.RoleNone, err
	}
	if !res.Hosted {
		return policy.RoleNone, b.missing(pkg)
	}
	return b.engine.opt.Access.Role(ctx, user, res)
}

func (b *bound) Releases(ctx context.Context, name string) iter.Seq2[*formats.Release, error] {
	return func(yield func(*formats.Release, error) bool) {
		if _, err := b.Package(ctx, name); err != nil {
			yield(nil, err)
			return
		}
		err := b.engine.opt.Index.View(ctx, func(r cache.Reader) error {
			for rel, err := range living(r, b.spec.Format.Name(), name) {
				if err != nil {
					return err
				}
				if !yield(rel, nil) {
					return nil
				}
			}
			return nil
		})
		if err != nil {
			yield(nil, fmt.Errorf("versions of %s: %w", name, err))
		}
	}
}

// living yields the versions of a package that are not retracted.
func living(r cache.Reader, format, name string) iter.Seq2[*formats.Release, error] {
	return func(yield func(*formats.Release, error) bool) {
		for s, err := range scanReleases(r, packageKey(format, name, partRelease), nil) {
			if err == nil && !s.Retracted.IsZero() {
				continue
			}
			if !yield(s.Release, err) || err != nil {
				return
			}
		}
	}
}

func (b *bound) Packages(ctx context.Context, after string) iter.Seq2[*formats.Package, error] {
	reader := *b
	reader.caller = b.caller.ForLists(b.spec.Format.Name())
	list := b.published
	if b.spec.World != "" { // where nothing is
		list = b.seen
	}
	return func(yield func(*formats.Package, error) bool) {
		for p, err := range list(ctx, after) {
			if err == nil {
				_, err = reader.allow(ctx, policy.Read, p.Name, "")
			}
			if errors.Is(err, policy.ErrHidden) || errors.Is(err, policy.ErrDenied) || errors.Is(err, policy.ErrUnauthenticated) {
				continue
			}
			if err == nil && b.spec.World != "" {
				var listed bool
				if listed, err = b.lists(ctx, p); err == nil && !listed {
					continue
				}
			}
			if !yield(p, err) || err != nil {
				return
			}
		}
	}
}

// published yields the hosted packages that this URL shows, whoever asks.
func (b *bound) published(ctx context.Context, after string) iter.Seq2[*formats.Package, error] {
	return func(yield func(*formats.Package, error) bool) {
		for {
			h, err := b.next(ctx, after)
			if errors.Is(err, cache.ErrNotExist) {
				return
			}
			if err != nil {
				yield(nil, err)
				return
			}
			p := &h.Package
			after = p.Name
			if h.LastSeq == 0 || !p.Deleted.IsZero() || (b.narrowed() && p.Repository != b.repository) {
				continue
			}
			if !yield(p, nil) {
				return
			}
		}
	}
}

// next reads the first hosted package whose name comes after the one given; a
// transaction each, so that a long listing keeps no old versions alive.
func (r *Registry) next(ctx context.Context, after string) (*head, error) {
	var first *head
	err := r.engine.opt.Index.View(ctx, func(v cache.Reader) error {
		prefix := append(key(rowPackage, r.spec.Format.Name()), 0)
		var from []byte
		if after != "" {
			from = packageKey(r.spec.Format.Name(), after, 0xff)
		}
		for row, err := range v.Scan(prefix, from) {
			if err != nil {
				return err
			}
			var h head
			meta, err := splitBody(row.Value, &h)
			if err != nil {
				return err
			}
			h.Meta = meta
			first = &h
			return nil
		}
		return cache.ErrNotExist
	})
	return first, err
}

func (b *bound) Ours(ctx context.Context, names []string) ([]bool, error) {
	found := make([]bool, len(names))
	for i, n := range names {
		o, err := b.lookup(ctx, n)
		if err != nil {
			return nil, err
		}
		found[i] = o.ours()
	}
	return found, nil
}
