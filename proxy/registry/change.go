package registry

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"larder/cache"
	"larder/formats"
	"larder/policy"
	"larder/policy/rules"
	"larder/upstream"
)

func (b *bound) Change(ctx context.Context, c formats.Change, fn func(formats.Tx) error) error {
	if !b.spec.Hosted {
		return formats.Refuse(formats.ErrUnsupported, fmt.Sprintf("the registry %s only mirrors; nothing is published to it", b.spec.Name))
	}
	res, err := b.allow(ctx, c.Action, c.Package, "")
	if err == nil {
		err = b.engine.opt.Access.Lives(ctx, b.caller)
	}
	if err != nil {
		return err
	}
	o, err := b.lookup(ctx, c.Package)
	if err != nil {
		return err
	}
	if err := b.changeable(ctx, c, o); err != nil {
		return err
	}
	if c.Visibility == "" {
		c.Visibility = res.Visibility
	}
	if c.Into != "" {
		if err := b.movable(ctx, c, res); err != nil {
			return err
		}
	}
	return b.commit(ctx, c, res, fn)
}

// movable says whether the caller may move a package into another repository,
// or take its access from that one. It stays with its owner.
func (b *bound) movable(ctx context.Context, c formats.Change, from policy.Resource) error {
	to := from
	to.Repository, to.Access = c.Into, ""
	if err := b.engine.opt.Access.Authorize(ctx, b.caller, c.Action, to).Err(); err != nil {
		return err
	}
	if owner := ownerOf(from.Repository); ownerOf(c.Into) != owner {
		return formats.Refuse(formats.ErrConflict, fmt.Sprintf("%s stays with its owner: name a repository of %s", c.Package, owner))
	}
	return nil
}

// changeable says whether a change of that name may be tried here. The name
// may change hands until the commit, which looks again.
func (b *bound) changeable(ctx context.Context, c formats.Change, o *owned) error {
	elsewhere := o.hosted != nil && b.narrowed() && o.hosted.Repository != b.repository
	switch {
	case elsewhere && c.Create:
		return b.taken(c.Package)
	case elsewhere:
		return b.missing(c.Package)
	case o.hosted != nil:
		return nil
	case c.Create && o.claim != "" && b.narrowed() && ownerOf(o.repository) != ownerOf(b.repository):
		// Otherwise whoever may write to any repository could take a claimed name
		// before its owner uses it, and everybody would install that.
		return b.taken(c.Package)
	case c.Create:
		return b.origin(ctx, c.Package, o)
	}
	// An upstream that cannot be asked leaves the name missing, as it is here.
	if id, err := b.source(ctx, c.Package, o); err == nil && id != "" {
		return formats.Refuse(policy.ErrDenied, fmt.Sprintf(
			"%s comes from the upstream %s; copies of upstream packages cannot be changed here", c.Package, id))
	}
	return b.missing(c.Package)
}

// taken refuses a name that is another's, in the same words whether it is there
// or only claimed: under a claim nobody is to learn which names exist.
func (b *bound) taken(pkg string) error {
	return formats.Refuse(policy.ErrDenied, fmt.Sprintf(
		"%s cannot be published to %s: the name is taken, or claimed for another owner", pkg, b.repository))
}

func ownerOf(repository string) string {
	owner, _, _ := strings.Cut(repository, "/")
	return owner
}

func (b *bound) commit(ctx context.Context, c formats.Change, asked policy.Resource, fn func(formats.Tx) error) error {
	begin := func(cache.Writer) (*tx, error) {
		return &tx{asked: asked, actor: b.caller, begun: c, home: asked.Repository}, nil
	}
	return b.transact(ctx, c.Package, begin, func(t *tx) error { return fn(t) })
}

// transact runs fn in one transaction on a hosted package. begin says who does
// it, and where the package is.
func (r *Registry) transact(ctx context.Context, pkg string, begin func(cache.Writer) (*tx, error), fn func(*tx) error) error {
	e, format := r.engine, r.spec.Format.Name()
	err := e.opt.Index.Update(ctx, func(w cache.Writer) error {
		t, err := begin(w)
		if err != nil {
			return err
		}
		t.ctx, t.w, t.access, t.now, t.format, t.name = ctx, w, e.opt.Access, e.now().UTC(), format, pkg
		if err := t.load(); err != nil {
			return err
		}
		if err := fn(t); err != nil {
			return err
		}
		return t.finish()
	})
	// Also after an error: the outcome of a commit may be unknown.
	e.changes.of(format, pkg).Add(1)
	if err != nil {
		return fmt.Errorf("change %s: %w", pkg, err)
	}
	return nil
}

// origin holds the rule that a name belongs to whoever had it first: one that
// an upstream has, and that no claim makes ours, is not published here.
func (b *bound) origin(ctx context.Context, pkg string, o *owned) error {
	id, err := b.source(ctx, pkg, o)
	switch {
	case errors.Is(err, upstream.ErrOffline):
		return nil // what can never be asked had nothing first
	case err != nil:
		return fmt.Errorf("whether an upstream has %s is not known now: %w", pkg, err)
	case id == "":
		return nil
	}
	return policy.Decision{Verdict: policy.Deny, Rule: rules.Origin, Reason: fmt.Sprintf(
		"%s exists in the upstream %s; an administrator can make the name yours with: larder claim add %s %q OWNER/REPOSITORY",
		pkg, id, b.spec.Format.Name(), pkg)}.Err()
}

// source returns the upstream that has a name which is not ours, "" for none.
// Errors: those of upstream.
func (b *bound) source(ctx context.Context, pkg string, o *owned) (id string, err error) {
	switch {
	case o.ours():
		return "", nil
	case o.upstream != "":
		return o.upstream, nil
	}
	// Under the URL of one repository the upstream is not asked: no client has
	// told it the name there, and we must not be the first.
	probe, ok := b.spec.Format.(Prober)
	if !ok || b.narrowed() {
		return "", nil
	}
	sources, err := b.sources(ctx, pkg, o)
	if err == nil {
		_, id, err = b.known(ctx, sources, probe.Probe(pkg))
	}
	if errors.Is(err, formats.ErrNotFound) {
		return "", nil
	}
	return id, err
}

// Prober is implemented by formats whose packages have a document that exists
// exactly when the package does.
type Prober interface {
	Probe(pkg string) formats.Document
}
