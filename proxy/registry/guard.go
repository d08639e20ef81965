package registry

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"iter"
	"slices"
	"strconv"
	"strings"
	"time"

	"larder/formats"
	"larder/policy"
	"larder/policy/rules"
)

// Lister is implemented by formats whose documents list versions, so that
// rules can hide some of them.
type Lister interface {
	// Listing names the document that List reads. It shows every version,
	// whatever the rules say.
	Listing(pkg string) formats.Document
	// List yields the versions that the body of a Listing holds.
	List(pkg string, body []byte) iter.Seq[formats.Listed]
	// Newest returns the version of a list that people mean who name none, "" of
	// an empty list.
	Newest(versions []string) string
}

// guard is what the rules say of one package, for as long as it stays so.
type guard struct {
	hidden  map[string]bool
	known   map[string]bool           // every version that was judged
	shown   func(version string) bool // in the place of these two; nil: they count
	tag     string                    // names what is hidden; "" where no document differs
	changed time.Time
	until   time.Time // when it must be made anew; zero: never
	newest  string    // of what is shown
	notice  string    // for people: the newest of what is hidden, and why
	refused error     // of a package with no version left
}

// keep says whether a version is shown: one that was not judged is not.
func (g *guard) keep(version string) bool {
	if g.shown != nil {
		return g.shown(version)
	}
	return g.known[version] && !g.hidden[version]
}

// asked is the rules that could concern a name, as they are now.
type asked struct {
	rules.Scope
	set         *rules.Set
	name, epoch string
	approvals   uint64 // as they were before
}

// rules returns those that could concern a name; ok is false for none.
func (r *Registry) rules(pkg string) (a asked, ok bool) {
	set := r.engine.opt.Rules()
	if set == nil || pkg == "" {
		return a, false
	}
	a = r.asked(set, pkg)
	return a, a.Any()
}

func (r *Registry) asked(set *rules.Set, pkg string) asked {
	return asked{set.For(r.spec.Format.Name(), r.spec.Name, pkg), set, pkg, set.Epoch(), r.engine.approvals.Load()}
}

// guard returns what the rules hide of an upstream's document, nil for nothing
// to be asked. rec is the document's own record.
func (b *bound) guard(ctx context.Context, q query, d formats.Document, rec *documentRecord) (*guard, error) {
	if g := b.namesGuard(d.Package); g != nil {
		return g, nil
	}
	lister, lists := b.spec.Format.(Lister)
	a, concerned := b.rules(d.Package)
	if !concerned || !lists || d.Whole {
		return nil, nil
	}
	listing := lister.Listing(d.Package)
	switch {
	case listing.Name != d.Name:
		return b.guardOf(ctx, q, lister, a)
	case listing.Variant == d.Variant:
		return nil, nil
	}
	return b.guarded(ctx, q, lister, a, rec)
}

// guardOf is guard by a listing that is another document than the one asked for.
func (b *bound) guardOf(ctx context.Context, q query, l Lister, a asked) (g *guard, err error) {
	listing := l.Listing(a.name)
	rec, _, err := b.engine.current(ctx, q, listing)
	if err != nil {
		return nil, err
	}
	_, err = b.engine.unlost(ctx, q, listing, rec, func(rec *documentRecord) (err error) {
		g, err = b.guarded(ctx, q, l, a, rec)
		return err
	})
	return g, err
}

// guarded is guard by the record of the listing.
func (b *bound) guarded(ctx context.Context, q query, l Lister, a asked, rec *documentRecord) (*guard, error) {
	listing := l.Listing(a.name)
	key := strings.Join([]string{q.source.ID, b.spec.Name, a.name, rec.Identity, a.epoch, strconv.FormatUint(a.approvals, 10)}, "\x00")
	if g, ok := b.engine.guards.Get(key); ok && (g.until.IsZero() || b.engine.now().Before(g.until)) {
		return g, nil
	}
	versions, err := b.listed(ctx, l, listing, rec)
	if err != nil {
		return nil, err
	}
	facts, err := b.facts(ctx, q, a, versions)
	if err != nil {
		return nil, err
	}
	g := b.judge(a, l, facts)
	b.engine.guards.Add(key, g)
	return g, nil
}

// Allows implements formats.Reading.
func (b *bound) Allows(pkg string, v formats.Listed) bool {
	a, concerned := b.rules(pkg)
	return !concerned || !a.Check(rules.Facts{Version: v.Version, Published: v.Published, Hosted: v.Hosted}, b.engine.now()).Refused
}

// newest returns the newest version that the rules leave of a package, "" if
// that is not known now.
func (e *Engine) newest(ctx context.Context, q query, a asked) string {
	lister, ok := q.registry.spec.Format.(Lister)
	if !ok {
		return ""
	}
	rec, err := e.readDocument(ctx, q, lister.Listing(a.name))
	if err != nil {
		return "" // a refusal can do without it
	}
	g, err := (&bound{Registry: q.registry}).guarded(ctx, q, lister, a, rec)
	if err != nil {
		return ""
	}
	return g.newest
}

// listed reads the versions of an upstream's document.
func (b *bound) listed(ctx context.Context, l Lister, listing formats.Document, rec *documentRecord) ([]formats.Listed, error) {
	c, err := b.rendered(ctx, listing, rec.Identity, formats.View{Base: b.base, FirstSeen: rec.First}, upstreamInput{b.engine, rec})
	if err != nil {
		return nil, fmt.Errorf("versions of %s: %w", listing.Package, err)
	}
	defer c.Close()
	src, err := partOf(ctx, c, 0, -1)
	if err != nil {
		return nil, err
	}
	plain, err := decode(src, c.Encoding)
	if err != nil {
		return nil, fmt.Errorf("versions of %s: %w", listing.Package, err)
	}
	body, err := io.ReadAll(plain)
	if err != nil {
		return nil, fmt.Errorf("versions of %s: %w", listing.Package, err)
	}
	return slices.Collect(l.List(listing.Package, body)), nil
}

// facts adds to what an upstream lists when it was first seen here, where the
// upstream does not say when it was published and a rule asks.
func (b *bound) facts(ctx context.Context, q query, a asked, versions []formats.Listed) ([]rules.Facts, error) {
	all := make([]rules.Facts, len(versions))
	var undated []string
	for i, v := range versions {
		all[i] = rules.Facts{Version: v.Version, Published: v.Published}
		if v.Published.IsZero() {
			undated = append(undated, v.Version)
		}
	}
	if len(undated) == 0 || !a.NeedsTime(b.engine.now()) {
		return all, nil
	}
	seen, err := b.engine.seenVersions(ctx, q.source.ID, a.name, undated)
	if err != nil {
		return nil, err
	}
	for i := range all {
		all[i].FirstSeen = seen[all[i].Version]
	}
	return all, nil
}

// judge asks the rules about all versions at once.
func (b *bound) judge(scope asked, lister Lister, facts []rules.Facts) *guard {
	now := b.engine.now()
	listing := scope.Filter(facts, now)
	g := &guard{hidden: map[string]bool{}, known: map[string]bool{}, changed: listing.Changed, until: listing.Next}
	var shown, hidden []string
	for i, f := range facts {
		g.known[f.Version] = true
		if listing.Hidden != nil && listing.Hidden[i] {
			g.hidden[f.Version] = true
			hidden = append(hidden, f.Version)
		} else {
			shown = append(shown, f.Version)
		}
	}
	g.newest = lister.Newest(shown)
	g.tag = tagOf(hidden, g.changed)
	b.engine.tell(b.Registry, scope.name, listing.Outcome.Warned)
	if listing.Outcome.Refused {
		g.refused = refusal(listing.Outcome.Finding, "", "")
	}
	if newest := lister.Newest(hidden); newest != "" {
		at := slices.IndexFunc(facts, func(f rules.Facts) bool { return f.Version == newest })
		g.notice = scope.Check(facts[at], now).Finding.Tell(g.newest)
	}
	return g
}

// tagOf names a set of hidden versions and the time it last changed at.
func tagOf(hidden []string, changed time.Time) string {
	if len(hidden) == 0 && changed.IsZero() {
		return ""
	}
	slices.Sort(hidden)
	h := sha256.New()
	for _, v := range append(hidden, changed.UTC().Format(time.RFC3339)) {
		fmt.Fprintf(h, "%d:%s", len(v), v) // a hash.Hash never fails
	}
	return " without " + hex.EncodeToString(h.Sum(nil)[:16])
}

// refusal is a finding about a version as the error that the edge answers with.
func refusal(f rules.Finding, version, newest string) error {
	return policy.Decision{
		Verdict: policy.Deny, Rule: f.Rule, Reason: f.Tell(newest), Opens: f.Opens, Version: version, Newest: newest,
	}.Err()
}

// tell passes on what rules in mode warn would have refused.
func (e *Engine) tell(r *Registry, pkg string, warned []rules.Finding) {
	for _, f := range warned {
		e.opt.Observer.Warned(r.spec.Format.Name(), pkg, f)
	}
}
