package rules

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"time"

	"larder/policy/purl"
)

// dice makes rules and facts from a small world, so that they meet often.
type dice struct{ *rand.Rand }

func pick[T any](d dice, list ...T) T { return list[d.IntN(len(list))] }

func (d dice) name() string {
	return pick(d, "a", "ab", "b", "@x/a", "@x/b", "@y/a", "evil-a", "b-evil", "@x/b-evil")
}

func (d dice) version() string { return pick(d, "1.0.0", "1.1.0", "2.0.0", "2.1.0", "3.0.0") }

func (d dice) group() string { return pick(d, "com.a:x", "com.a.b:x", "com.ab:x", "com:a", "org.b:y") }

func (d dice) pattern() string {
	if d.IntN(6) == 0 {
		return "pkg:maven/" + pick(d, "com.a.**", "com.a/*", "com.a/x", "com.a*", "*/x", "com.**", "**")
	}
	name := pick(d, d.name(), "*", "**", "@x/*", "@*/a", "a*", "*-evil", "evil-*", "@x/**", "*b*")
	return "pkg:" + pick(d, "npm", "npm", "npm", "cargo") + "/" + name +
		pick(d, "", "", "@*", "@"+d.version(), "@1.*", "@>=1.1.0", "@>=1.0.0,<2.1.0", "?checksum=sha256:"+sha)
}

func (d dice) patterns(least int) []string {
	var list []string
	for range least + d.IntN(3) {
		p := d.pattern()
		if _, err := purl.ParsePattern(p); err == nil {
			list = append(list, p)
		}
	}
	if len(list) < least {
		return []string{"pkg:npm/a"}
	}
	return list
}

// moment is within days of noon, on the hour.
func (d dice) moment() time.Time { return noon().Add(time.Duration(d.IntN(200)-100) * hour) }

func (d dice) rule(id int) Rule {
	r := Rule{ID: fmt.Sprint("r", id), Kind: pick(d, Deny, Allow, Freeze, Cooldown), Mode: pick(d, "", enforce, enforce, warn, off)}
	if d.IntN(3) == 0 {
		r.Mounts = []string{pick(d, "npm", "npm2")}
	}
	if d.IntN(3) == 0 {
		r.Expires = d.moment()
	}
	if r.Kind == Deny || r.Kind == Allow || d.IntN(2) == 0 {
		r.Match = d.patterns(1)
	}
	if r.Kind != Allow {
		r.Exempt = d.patterns(0)
	}
	switch r.Kind {
	case Allow:
		r.Exclusive = d.IntN(2) == 0
	case Cooldown:
		r.MinAge, r.UnknownTime = time.Duration(1+d.IntN(100))*hour, pick(d, "", firstSeen, denyTime, allowTime)
	case Freeze:
		r.NotAfter = d.moment()
	}
	return r
}

// rules of which New says nothing: patterns of other formats than the rule's
// are taken out.
func (d dice) rules() ([]Rule, []Waiver) {
	var rules []Rule
	for i := range 1 + d.IntN(5) {
		rules = append(rules, d.rule(i))
	}
	var waivers []Waiver
	for range d.IntN(4) {
		waivers = append(waivers, Waiver{Rule: pick(d, rules...).ID, Match: d.patterns(1), By: "alice", Why: "so", Until: d.moment()})
	}
	for _, m := range mistaken(rules, waivers) {
		if m.List == "waivers" {
			waivers[m.Index].Match = []string{"pkg:npm/a"}
		} else {
			rules[m.Index].Exempt = nil
		}
	}
	waivers = slices.DeleteFunc(waivers, func(w Waiver) bool { return len(mistaken(rules, []Waiver{w})) > 0 })
	return rules, waivers
}

func mistaken(rules []Rule, waivers []Waiver) []Mistake {
	mistakes, _ := Check(rules, waivers, dotted)
	return mistakes
}

func (d dice) facts() Facts {
	f := Facts{Version: pick(d, d.version(), d.version(), d.version(), ""), Digest: pick(d, "", sha, "other"), Pinned: pick(d, "", "", sha), Hosted: d.IntN(8) == 0}
	if d.IntN(4) > 0 {
		f.Published = d.moment()
	}
	if d.IntN(4) > 0 {
		f.FirstSeen = d.moment()
	}
	return f
}

// worlds calls fn with many sets of rules, the same ones in every run.
func worlds(t *testing.T, fn func(d dice, rules []Rule, waivers []Waiver)) {
	t.Helper()
	for seed := range uint64(400) {
		d := dice{rand.New(rand.NewPCG(seed, 7))}
		rules, waivers := d.rules()
		fn(d, rules, waivers)
		if t.Failed() {
			t.Fatalf("seed %d: rules %+v\nwaivers %+v", seed, rules, waivers)
		}
	}
}

func TestWaiversNeverHideMore(t *testing.T) {
	waived := 0
	worlds(t, func(d dice, rules []Rule, waivers []Waiver) {
		with, without := made(t, rules, waivers...), made(t, rules)
		for range 10 {
			name, f, now := d.name(), d.facts(), d.moment()
			a, b := with.For("npm", "npm", name).Check(f, now), without.For("npm", "npm", name).Check(f, now)
			if a.Refused && !b.Refused {
				t.Errorf("%s %+v at %v: %+v", name, f, now, a)
			}
			if b.Refused && !a.Refused {
				waived++
			}
		}
	})
	if waived == 0 {
		t.Error("no waiver ever counted")
	}
}

func TestWarnNeverRefuses(t *testing.T) {
	warned := 0
	worlds(t, func(d dice, rules []Rule, waivers []Waiver) {
		for i := range rules {
			rules[i].Mode = warn
		}
		set := made(t, rules, waivers...)
		for range 10 {
			name, f, now := d.name(), d.facts(), d.moment()
			f.Pinned = ""
			s := set.For("npm", "npm", name)
			out := s.Check(f, now)
			if out.Refused || out.Undecided || s.Filter([]Facts{f}, now).Hidden != nil || !s.next(&f, now).IsZero() {
				t.Errorf("%s %+v at %v: %+v", name, f, now, out)
			}
			warned += len(out.Warned)
		}
	})
	if warned == 0 {
		t.Error("no rule ever warned")
	}
}

// TestOrderOfTheFile: neither the verdict, nor who gives it, nor the epoch
// depends on the order in which things are written.
func TestOrderOfTheFile(t *testing.T) {
	worlds(t, func(d dice, rules []Rule, waivers []Waiver) {
		a := made(t, rules, waivers...)
		rules, waivers = slices.Clone(rules), slices.Clone(waivers)
		d.Shuffle(len(rules), func(i, j int) { rules[i], rules[j] = rules[j], rules[i] })
		d.Shuffle(len(waivers), func(i, j int) { waivers[i], waivers[j] = waivers[j], waivers[i] })
		for i := range rules {
			rules[i].Match = slices.Clone(rules[i].Match)
			slices.Reverse(rules[i].Match)
		}
		b := made(t, rules, waivers...)
		if a.Epoch() != b.Epoch() {
			t.Error("the epoch depends on the order")
		}
		for range 10 {
			name, f, now := d.name(), d.facts(), d.moment()
			x, y := a.For("npm", "npm2", name).Check(f, now), b.For("npm", "npm2", name).Check(f, now)
			if x.Refused != y.Refused || x.Undecided != y.Undecided || x.Finding.Reason != y.Finding.Reason || len(x.Warned) != len(y.Warned) {
				t.Errorf("%s %+v at %v: %+v and %+v", name, f, now, x, y)
			}
		}
	})
}

// concernsSlowly is what For has to find: every pattern is tried.
func concernsSlowly(s *Set, grants []*grant, format, name string) []concern {
	var list []concern
	covering := func(patterns []*purl.Pattern) []*purl.Pattern {
		var out []*purl.Pattern
		for _, p := range patterns {
			if p.Format() == format && p.MatchName(name) {
				out = append(out, p)
			}
		}
		return out
	}
	for _, r := range s.all {
		c := concern{rule: r, match: covering(r.match), exempt: covering(r.exempt)}
		for _, g := range grants {
			if g.rule.ID == r.ID && len(covering([]*purl.Pattern{g.pattern})) > 0 {
				c.grants = append(c.grants, g)
			}
		}
		if r.Mode != off && r.about(format) && (len(r.Match) == 0 || r.Exclusive || len(c.match) > 0) {
			list = append(list, c)
		}
	}
	return list
}

// outline makes concerns comparable: what they hold, in any order.
func outline(list []concern) []string {
	var out []string
	for _, c := range list {
		var parts []string
		for _, p := range c.match {
			parts = append(parts, "match "+p.String())
		}
		for _, p := range c.exempt {
			parts = append(parts, "exempt "+p.String())
		}
		for _, g := range c.grants {
			parts = append(parts, "waived "+g.pattern.String()+g.waiver.Until.String())
		}
		slices.Sort(parts)
		out = append(out, fmt.Sprint(c.rule.ID, parts))
	}
	return out
}

func TestForFindsAllAndNothingElse(t *testing.T) {
	worlds(t, func(d dice, rules []Rule, waivers []Waiver) {
		s := made(t, rules, waivers...)
		grants := read(rules, waivers, dotted).grants
		for range 10 {
			format, name := pick(d, "npm", "npm", "cargo", "maven", "gradle-cache"), d.name()
			if format == "maven" {
				name = d.group()
			}
			got, want := outline(s.For(format, "npm", name).concerns), outline(concernsSlowly(s, grants, format, name))
			if !reflect.DeepEqual(got, want) {
				t.Errorf("%s %s: got %v, want %v", format, name, got, want)
			}
		}
	})
}

// TestTurns: between now and the next turn nothing changes, and there it does;
// the same looking back.
func TestTurns(t *testing.T) {
	turns := 0
	worlds(t, func(d dice, rules []Rule, waivers []Waiver) {
		set := made(t, rules, waivers...)
		for range 2 {
			s, f, now := set.For("npm", "npm", d.name()), d.facts(), d.moment()
			f.seen(now)
			if !turnsRight(t, &s, &f, now).IsZero() {
				turns++
			}
		}
	})
	if turns == 0 {
		t.Error("nothing ever changes")
	}
}

// turnsRight tries every half hour around now, and returns the next turn.
func turnsRight(t *testing.T, s *Scope, f *Facts, now time.Time) time.Time {
	const far = 210 * hour
	next, last, refused := s.next(f, now), s.last(f, now), s.refuses(f, now)
	for at := now; !at.After(now.Add(far)); at = at.Add(hour / 2) {
		if (next.IsZero() || at.Before(next)) && s.refuses(f, at) != refused {
			t.Errorf("%+v changes at %v, not at %v", f, at, next)
		}
	}
	for at := now; !at.Before(now.Add(-far)); at = at.Add(-hour / 2) {
		if (last.IsZero() || !at.Before(last)) && s.refuses(f, at) != refused {
			t.Errorf("%+v changed at %v, not at %v", f, at, last)
		}
	}
	if !next.IsZero() && s.refuses(f, next) == refused || !last.IsZero() && s.refuses(f, last.Add(-1)) == refused {
		t.Errorf("%+v does not change at %v or %v", f, next, last)
	}
	l := s.Filter([]Facts{*f}, now)
	if f.refusedBy() == "" && (!l.Next.Equal(next) || !l.Changed.Equal(last) || (l.Hidden != nil) != refused) {
		t.Errorf("%+v: listing %+v", f, l)
	}
	return next
}

// TestCheckAgreesWithExplain: what is refused has a rule that says so, and what
// is not has none.
func TestCheckAgreesWithExplain(t *testing.T) {
	worlds(t, func(d dice, rules []Rule, waivers []Waiver) {
		s := made(t, rules, waivers...).For("npm", "npm", d.name())
		f, now := d.facts(), d.moment()
		out := s.Check(f, now)
		refused, undecided, warned := false, false, 0
		list := s.Explain(f, now)
		for _, e := range list {
			refused = refused || e.Mode == enforce && e.Verdict == Refuse
			undecided = undecided || e.Mode == enforce && e.Verdict == Undecided && e.Kind != Pin
			if e.Mode == warn && e.Verdict == Refuse {
				warned++
			}
			if e.Reason == "" {
				t.Errorf("%s says nothing", e.Rule)
			}
		}
		if out.Refused != refused || out.Undecided != (undecided && !refused) || len(out.Warned) != warned || len(list) != len(rules)+3 {
			t.Errorf("%+v at %v: %+v, explained %+v", f, now, out, list)
		}
	})
}
