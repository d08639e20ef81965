package rules

import (
	"cmp"
	"errors"
	"slices"
	"time"

	"larder/policy/purl"
)

// Set is rules made ready to be asked. It does not change once made, so it may
// be shared, and swapped for another at any time.
type Set struct {
	all    []*rule // in the order in which they are asked
	epoch  string
	orders map[string]func(a, b string) int
	// general are the concerns of names that no pattern tells apart, by format;
	// those of "" hold for formats without package URLs.
	general map[string][]concern
	names   map[string]*names // by format
}

// rule is a Rule made ready.
type rule struct {
	Rule
	rank, order   int // of its kind; in Set.all
	match, exempt []*purl.Pattern
	// always holds the exceptions that cover every name, by format.
	always map[string]concern
}

// start is the concern of a rule before any pattern has covered a name.
func (r *rule) start(format string) concern {
	c := r.always[format]
	c.rule = r
	return c
}

// grant is one pattern of a waiver.
type grant struct {
	rule    *rule
	pattern *purl.Pattern
	waiver  *Waiver
}

// New makes a set. compare returns the order of a format's versions (negative,
// 0 or positive as a is less than, equal to or greater than b), nil where it
// has none; ranges are then refused. The order must call those equal that
// clients take for the same, and must decide any text. The error joins all
// mistakes as *Mistake, each naming its rule.
func New(rules []Rule, waivers []Waiver, compare func(format string) func(a, b string) int) (*Set, error) {
	if compare == nil {
		compare = func(string) func(a, b string) int { return nil }
	}
	r := read(rules, waivers, compare)
	var errs []error
	for i := range r.mistakes {
		errs = append(errs, &r.mistakes[i])
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	s := &Set{all: r.rules, orders: map[string]func(a, b string) int{}, general: map[string][]concern{}, names: map[string]*names{}}
	slices.SortFunc(s.all, func(a, b *rule) int { return cmp.Or(cmp.Compare(a.rank, b.rank), cmp.Compare(a.ID, b.ID)) })
	for i, rule := range s.all {
		rule.order, rule.always = i, map[string]concern{}
	}
	for _, f := range purl.Formats() {
		s.orders[f] = compare(f)
	}
	s.index(r.grants)
	s.epoch = epochOf(s.all, r.grants)
	return s, nil
}

// index puts every pattern that counts where names find it.
func (s *Set) index(grants []*grant) {
	var everywhere []*entry // matches of all names of their format
	for _, e := range s.entries(grants) {
		f := e.pattern.Format()
		switch {
		case !everyName(e.pattern):
			if s.names[f] == nil {
				s.names[f] = newNames()
			}
			s.names[f].add(e)
		case e.part == matches:
			everywhere = append(everywhere, e)
		default:
			start := e.rule.start(f)
			start.take([]*entry{e})
			e.rule.always[f] = start
		}
	}
	for _, f := range append(purl.Formats(), "") {
		for _, r := range s.all {
			if r.Mode != off && r.general() && r.about(f) {
				s.general[f] = append(s.general[f], r.start(f))
			}
		}
	}
	for _, e := range everywhere {
		f := e.pattern.Format()
		s.general[f] = assemble(s.general[f], []*entry{e})
	}
}

// entries are the patterns of all rules that are not off.
func (s *Set) entries(grants []*grant) []*entry {
	var list []*entry
	for _, r := range s.all {
		for _, p := range r.match {
			list = append(list, &entry{rule: r, part: matches, pattern: p})
		}
		for _, p := range r.exempt {
			list = append(list, &entry{rule: r, part: exempts, pattern: p})
		}
	}
	for _, g := range grants {
		list = append(list, &entry{rule: g.rule, part: waives, pattern: g.pattern, grant: g})
	}
	return slices.DeleteFunc(list, func(e *entry) bool { return e.rule.Mode == off })
}

// Epoch changes exactly when what the rules say changes: not with their order
// or spelling, nor with rules that are off. It is 16 hex digits.
func (s *Set) Epoch() string { return s.epoch }

// Rules returns the rules of the set in the order in which they are asked, with
// what was left out filled in.
func (s *Set) Rules() []Rule {
	list := make([]Rule, len(s.all))
	for i, r := range s.all {
		list[i] = r.Rule
	}
	return list
}

// Rule returns one rule of the set.
func (s *Set) Rule(id string) (r Rule, ok bool) {
	at := slices.IndexFunc(s.all, func(r *rule) bool { return r.ID == id })
	if at < 0 {
		return r, false
	}
	return s.all[at].Rule, true
}

// For returns the rules that could concern a name, which is written as its
// format writes it (Maven: group:artifact), in a registry. It allocates only
// where a pattern covers the name, and not all of them.
func (s *Set) For(format, mount, name string) Scope {
	scope := Scope{set: s, format: format, mount: mount, name: name}
	list, ok := s.general[format]
	if !ok {
		list = s.general[""]
	}
	scope.concerns = list
	if n := s.names[format]; n != nil {
		var room [8]*entry
		if found := n.find(purl.Fold(format, name), room[:0]); len(found) > 0 {
			scope.concerns = assemble(list, found)
		}
	}
	return scope
}

// general reports whether the rule concerns every name of its formats: what an
// allow-list does not hold it refuses.
func (r *rule) general() bool { return len(r.Match) == 0 || r.Exclusive }

// everyName reports whether a pattern covers all names of its format.
func everyName(p *purl.Pattern) bool { return p.Name() == "**" }

// formats are those that the rule is about; empty: every one.
func (r *rule) formats() []string {
	if len(r.Formats) > 0 || r.general() {
		return r.Formats
	}
	var list []string
	for _, p := range r.match {
		if !slices.Contains(list, p.Format()) {
			list = append(list, p.Format())
		}
	}
	return list
}

// about reports whether the rule is about a format.
func (r *rule) about(format string) bool {
	list := r.formats()
	return len(list) == 0 || slices.Contains(list, format)
}

// holds reports whether the rule holds in a registry.
func (r *rule) holds(mount string) bool {
	return len(r.Mounts) == 0 || slices.Contains(r.Mounts, mount)
}

// ended reports whether the rule no longer holds.
func (r *rule) ended(now time.Time) bool { return !r.Expires.IsZero() && !now.Before(r.Expires) }

// named returns the rule of an id that is in the set.
func (s *Set) named(id string) *rule {
	return s.all[slices.IndexFunc(s.all, func(r *rule) bool { return r.ID == id })]
}
