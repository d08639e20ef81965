package registry

import (
	"context"
	"errors"
	"fmt"

	"larder/cache"
	"larder/formats"
	"larder/policy"
)

// Owner is implemented by formats whose names carry their owner, such as an
// npm scope.
type Owner interface {
	// Owner returns the owner that a package's name itself tells, or "".
	Owner(pkg string) string
}

// owned is what is known about whose a name is. It is held in memory and good
// for one state of the hosted packages and of the access rules.
type owned struct {
	changes, access uint64
	hosted          *formats.Package // nil: not hosted; tags and meta left out
	claim           string
	repository      string // of the package or the claim
	visibility      policy.Visibility
	upstream        string // the upstream this name first came from, "" for none yet
}

// ours says that the name must never be told to an upstream.
func (o *owned) ours() bool { return o.hosted != nil || o.claim != "" }

// lookup finds out whose a name is.
func (r *Registry) lookup(ctx context.Context, pkg string) (*owned, error) {
	e := r.engine
	k := r.names + pkg
	changes, access := e.changes.of(r.spec.Format.Name(), pkg).Load(), e.opt.Access.Generation()
	if o, ok := e.names.Get(k); ok && o.changes == changes && o.access == access {
		return o, nil
	}
	o := &owned{changes: changes, access: access}
	err := e.opt.Index.View(ctx, func(v cache.Reader) error { return r.readOwned(v, pkg, o) })
	if err != nil {
		return nil, fmt.Errorf("look up %s: %w", pkg, err)
	}
	if err := r.claimed(ctx, pkg, o); err != nil {
		return nil, err
	}
	e.names.Add(k, o)
	return o, nil
}

// claimed fills in the claim of a name, whether or not it is hosted, and what is
// not hosted gets its repository and visibility from it. The scope of an owner who
// exists here counts as claimed for its repository "packages": otherwise a
// private name not published yet would be asked upstream, and an answer would
// tell which of an owner's private names exist.
func (r *Registry) claimed(ctx context.Context, pkg string, o *owned) error {
	access := r.engine.opt.Access
	if o.claim == "" {
		named, ok := r.spec.Format.(Owner)
		if !ok || named.Owner(pkg) == "" || r.spec.World != "" {
			return nil // the owners of another world are others, whatever their names
		}
		home := named.Owner(pkg) + "/packages"
		v, err := access.Visibility(ctx, home)
		if errors.Is(err, cache.ErrNotExist) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("owner of %s: %w", pkg, err)
		}
		o.claim = "owner:" + named.Owner(pkg)
		if o.hosted == nil {
			o.repository, o.visibility = home, v
		}
		return nil
	}
	if o.hosted != nil {
		return nil
	}
	v, err := access.Visibility(ctx, o.repository)
	if errors.Is(err, cache.ErrNotExist) {
		v, err = policy.Private, nil // a claim may come before its repository
	}
	if err != nil {
		return fmt.Errorf("repository %s of claim %s: %w", o.repository, o.claim, err)
	}
	o.visibility = v
	return nil
}

func (r *Registry) readOwned(v cache.Reader, pkg string, o *owned) error {
	if id, repository, ok := r.engine.opt.Access.Claim(r.spec.Format.Name(), pkg); ok {
		o.claim, o.repository = id, repository
	}
	if r.spec.World != "" {
		return nil
	}
	h, err := readHead(v, r.spec.Format.Name(), pkg)
	switch {
	case err == nil && !h.Released && !r.empty:
		p := h.Package
		p.Tags, p.Meta = nil, nil
		o.hosted, o.repository, o.visibility = &p, p.Repository, p.Visibility
		return nil
	case err != nil && !errors.Is(err, cache.ErrNotExist):
		return err
	}
	n, err := readName(v, r.spec.Format.Name(), pkg)
	if errors.Is(err, cache.ErrNotExist) {
		return nil
	}
	o.upstream = n.Upstream
	return err
}

// Resource says what policy has to know about the package of a request. An
// error is a failure, or the refusal to publish a name that has no home.
func (r *Registry) Resource(ctx context.Context, repository string, req formats.Request) (policy.Resource, error) {
	return r.resource(ctx, repository, req.Action, req.Package, req.Version)
}

func (r *Registry) resource(ctx context.Context, repository string, a policy.Action, pkg, version string) (policy.Resource, error) {
	res := policy.Resource{
		Format: r.spec.Format.Name(), Registry: r.spec.Name, Package: pkg, Version: version, Visibility: policy.Public,
	}
	if pkg == "" {
		return r.wholeResource(ctx, repository, res)
	}
	if two, ok := r.spec.Format.(Aliased); ok {
		res.Alias = two.Alias(ctx, pkg)
	}
	o, err := r.lookup(ctx, pkg)
	if err != nil {
		return res, err
	}
	res.Claim, res.Hosted = o.claim, o.hosted != nil && o.hosted.Deleted.IsZero()
	if o.ours() {
		res.Repository, res.Visibility = o.repository, o.visibility
	}
	if o.hosted != nil {
		res.Access = o.hosted.Access
	}
	if repository != "" && res.Repository != repository {
		if res.Repository != "" && o.hosted != nil {
			return r.elsewhere(ctx, repository, res)
		}
		res.Repository = repository
		res.Visibility, err = r.engine.opt.Access.Visibility(ctx, repository)
		if errors.Is(err, cache.ErrNotExist) {
			res.Visibility, err = policy.Private, nil
		}
		return res, err
	}
	if res.Repository == "" && r.spec.World == "" && a != policy.Read && a != policy.Open && a != policy.Self {
		return r.home(ctx, pkg, res)
	}
	return res, nil
}

// wholeResource is a request about no package: the repository of the URL, or
// everything, whose parts are checked one by one.
func (r *Registry) wholeResource(ctx context.Context, repository string, res policy.Resource) (policy.Resource, error) {
	if repository == "" {
		return res, nil
	}
	res.Repository = repository
	v, err := r.engine.opt.Access.Visibility(ctx, repository)
	if errors.Is(err, cache.ErrNotExist) {
		v, err = policy.Private, nil // a repository that is not there looks like one that is hidden
	}
	res.Visibility = v
	return res, err
}

// elsewhere is a package asked for under the URL of another repository: not there.
func (r *Registry) elsewhere(ctx context.Context, repository string, res policy.Resource) (policy.Resource, error) {
	res.Hosted, res.Claim, res.Access = false, "", ""
	return r.wholeResource(ctx, repository, res)
}

func (r *Registry) home(ctx context.Context, pkg string, res policy.Resource) (policy.Resource, error) {
	owner := ""
	if named, ok := r.spec.Format.(Owner); ok {
		owner = named.Owner(pkg)
	}
	home, err := r.engine.opt.Access.Home(ctx, r.spec.Format.Name(), pkg, owner)
	if err != nil {
		return res, err
	}
	res.Repository = home
	res.Visibility, err = r.engine.opt.Access.Visibility(ctx, home)
	return res, err
}
