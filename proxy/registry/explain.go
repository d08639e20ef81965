package registry

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"

	"larder/cache"
	"larder/formats"
	"larder/policy/rules"
)

// Explanation is what the rules say of a package or of one version, by what is
// held of it. It says nothing of who may read it.
type Explanation struct {
	Findings []rules.Finding // every rule, in the order in which they are asked
	Refused  bool
	Reason   string // of the refusal
	Newest   string // version that the rules leave, "" if that is not known
	// Held says that the version was found in what is held here. Without it the
	// rules were asked about the name alone: a question asks no upstream.
	Held bool
}

// Explain asks the rules without serving anything. version may be "".
func (r *Registry) Explain(ctx context.Context, pkg, version string) (*Explanation, error) {
	set := r.engine.opt.Rules()
	if set == nil {
		return &Explanation{}, nil
	}
	o, err := r.lookup(ctx, pkg)
	if err != nil {
		return nil, err
	}
	a := r.asked(set, pkg)
	out := &Explanation{}
	facts := rules.Facts{Claim: o.claim, Hosted: o.hosted != nil, Ours: o.hosted != nil}
	if o.hosted != nil {
		err = r.hostedVersion(ctx, pkg, version, &facts)
	} else if !o.ours() {
		out.Newest, err = r.heldVersion(ctx, o, a, version, &facts)
	}
	if err != nil {
		return nil, err
	}
	out.Held = version != "" && facts.Version == version
	now := r.engine.now()
	out.Findings = a.Explain(facts, now)
	if answer := a.Check(facts, now); answer.Refused {
		out.Refused, out.Reason = true, answer.Finding.Tell(out.Newest)
	}
	return out, nil
}

// hostedVersion fills in what is known of a version that was published here.
func (r *Registry) hostedVersion(ctx context.Context, pkg, version string, f *rules.Facts) error {
	return r.engine.opt.Index.View(ctx, func(v cache.Reader) error {
		for rel, err := range living(v, r.spec.Format.Name(), pkg) {
			if err != nil {
				return err
			}
			if rel.Version != version {
				continue
			}
			claim := f.Claim
			*f = hostedFacts(rel)
			f.Claim, f.Ours = claim, true
			for _, file := range rel.Files {
				f.Digest = cmp.Or(f.Digest, file.Blob.Digest.String())
			}
		}
		return nil
	})
}

// heldVersion fills in what the documents held say of an upstream's version,
// and returns the newest that is allowed.
func (r *Registry) heldVersion(ctx context.Context, o *owned, a asked, version string, f *rules.Facts) (newest string, err error) {
	sources, err := r.sources(ctx, a.name, o)
	if err != nil {
		return "", err
	}
	lister, ok := r.spec.Format.(Lister)
	if !ok {
		for _, s := range sources {
			if held, err := r.heldPointer(ctx, s.ID, a.name, version, f); held || err != nil {
				return "", err
			}
		}
		return "", nil
	}
	b := &bound{Registry: r}
	for _, s := range sources {
		q := query{r, s}
		listing := lister.Listing(a.name)
		rec, err := r.engine.readDocument(ctx, q, listing)
		if errors.Is(err, cache.ErrNotExist) {
			continue
		}
		if err != nil {
			return "", err
		}
		g, err := b.guarded(ctx, q, lister, a, rec)
		if err != nil {
			return "", err
		}
		versions, err := b.listed(ctx, lister, listing, rec)
		if err != nil {
			return "", err
		}
		at := slices.IndexFunc(versions, func(v formats.Listed) bool { return v.Version == version })
		if at < 0 {
			return g.newest, nil
		}
		facts, err := b.facts(ctx, q, a, versions[at:at+1])
		if err != nil {
			return "", err
		}
		*f = facts[0] // no claim covers what an upstream has
		return g.newest, r.heldFile(ctx, q, versions[at], f)
	}
	return "", nil
}

// heldFile fills in the digests of a version's file.
func (r *Registry) heldFile(ctx context.Context, q query, v formats.Listed, f *rules.Facts) error {
	pin, err := r.engine.firstSeen(ctx, q.source.ID, v.File)
	if err != nil {
		return err
	}
	for _, sum := range pin {
		f.Pinned = cache.Digest(sum.Value).String()
	}
	rec, err := r.engine.record(ctx, upstreamFileKey(q.source.ID, v.File))
	if errors.Is(err, cache.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	f.Digest = rec.Digest.String()
	return nil
}

// heldPointer fills in what is held of a version that is a digest, or the name of
// a pointer to one.
func (r *Registry) heldPointer(ctx context.Context, id, pkg, version string, f *rules.Facts) (held bool, err error) {
	at, err := r.engine.readPointer(ctx, pointerKey(id, pkg, version))
	if err != nil {
		return false, err
	}
	digest := version
	if at != nil {
		digest = at.Version
	}
	d, err := cache.ParseDigest(strings.TrimPrefix(digest, "sha256:"))
	if err != nil {
		return false, nil // nothing is known of it
	}
	err = r.engine.opt.Index.View(ctx, func(v cache.Reader) error {
		rec, err := sameBytes(v, id, d, func(rec *fileRecord) bool { return rec.Package == pkg })
		if err != nil || rec == nil {
			return err
		}
		held = true
		f.Version, f.Digest, f.FirstSeen = version, d.String(), rec.Fetched
		seen, err := readTime(v, seenVersionKey(id, pkg, digest))
		if errors.Is(err, cache.ErrNotExist) {
			return nil
		}
		if err == nil && seen.Before(f.FirstSeen) {
			f.FirstSeen = seen
		}
		return err
	})
	return held, err
}
