package registry

import (
	"context"
	"fmt"
	"iter"
	"maps"
	"strings"

	"larder/cache"
	"larder/formats"
	"larder/policy/rules"
)

// hostedGuard returns what the rules hide of a hosted package, nil for nothing
// to be asked.
func (b *bound) hostedGuard(ctx context.Context, d formats.Document, p *formats.Package) (*guard, error) {
	lister, lists := b.spec.Format.(Lister)
	a, concerned := b.rules(p.Name)
	if !concerned || !lists || d.Whole {
		return nil, nil
	}
	key := strings.Join([]string{"", b.spec.Name, p.Name, fmt.Sprint(p.Created.UnixNano(), p.Revision), a.epoch}, "\x00")
	if g, ok := b.engine.guards.Get(key); ok && (g.until.IsZero() || b.engine.now().Before(g.until)) {
		return g, nil
	}
	var facts []rules.Facts
	err := b.engine.opt.Index.View(ctx, func(r cache.Reader) error {
		facts = facts[:0]
		for rel, err := range living(r, b.spec.Format.Name(), p.Name) {
			if err != nil {
				return err
			}
			facts = append(facts, hostedFacts(rel))
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("versions of %s: %w", p.Name, err)
	}
	g := b.judge(a, lister, facts)
	b.engine.guards.Add(key, g)
	return g, nil
}

func hostedFacts(r *formats.Release) rules.Facts {
	return rules.Facts{Version: r.Version, Published: r.Published, FirstSeen: r.Published, Hosted: true}
}

// permitHosted asks the rules about a file that was published here.
func (b *bound) permitHosted(pkg string, rec *fileRecord) error {
	a, concerned := b.rules(pkg)
	if !concerned {
		return nil
	}
	out := a.Check(rules.Facts{
		Version: rec.Version, Published: rec.Fetched, FirstSeen: rec.Fetched, Digest: rec.Digest.String(), Hosted: true,
	}, b.engine.now())
	b.engine.tell(b.Registry, a.name, out.Warned)
	if out.Refused {
		return refusal(out.Finding, rec.Version, "")
	}
	return nil
}

// without returns a hosted package and its versions as the rules show them.
func (g *guard) without(p *formats.Package, releases iter.Seq2[*formats.Release, error]) (*formats.Package, iter.Seq2[*formats.Release, error]) {
	shown := *p
	shown.Tags = maps.Clone(p.Tags)
	for tag, version := range p.Tags {
		if !g.hidden[version] {
			continue
		}
		delete(shown.Tags, tag)
		if tag == "latest" && g.newest != "" {
			shown.Tags[tag] = g.newest
		}
	}
	return &shown, func(yield func(*formats.Release, error) bool) {
		for r, err := range releases {
			if err == nil && g.hidden[r.Version] {
				continue
			}
			if !yield(r, err) || err != nil {
				return
			}
		}
	}
}
