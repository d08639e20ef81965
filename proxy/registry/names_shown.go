package registry

import (
	"context"
	"strconv"
	"time"

	"larder/formats"
	"larder/policy/rules"
)

// unaged are facts of a version that is old enough for every rule about age.
func unaged(version string) rules.Facts {
	return rules.Facts{Version: version, Published: time.Unix(0, 0)}
}

// namesGuard is the guard of lists in which a format names versions, and pointers
// to them, without telling more of them: rules that go by a name can be asked. It
// is nil where none is.
func (r *Registry) namesGuard(pkg string) *guard {
	if _, ok := r.spec.Format.(Composer); !ok {
		return nil
	}
	a, concerned := r.rules(pkg)
	if !concerned {
		return nil
	}
	now := r.engine.now()
	g := &guard{
		shown: func(version string) bool { return !a.Check(unaged(version), now).Refused },
		// What rules say also changes by the time, as when a waiver ends.
		tag: " by names of " + a.epoch + " " + strconv.FormatInt(now.Unix()/60, 36),
	}
	if out := a.Check(unaged(""), now); out.Refused {
		g.refused = refusal(out.Finding, "", "")
	}
	return g
}

// lists says whether a mirror's list of packages has a name that was seen at one of
// its upstreams: not one that is ours by now, that no upstream is to be asked for
// any more, or that rules refuse whole.
func (b *bound) lists(ctx context.Context, p *formats.Package) (bool, error) {
	o, err := b.lookup(ctx, p.Name)
	if err != nil || o.ours() {
		return false, err
	}
	sources, err := b.sources(ctx, p.Name, o)
	if err != nil || len(sources) == 0 {
		return false, err
	}
	g := b.namesGuard(p.Name)
	return g == nil || g.refused == nil, nil
}
