package rules

import (
	"time"

	"larder/policy/purl"
)

// Verdict is what one rule says of one version.
type Verdict string

// The verdicts.
const (
	Pass        Verdict = "pass"        // looked at, and nothing against it
	Refuse      Verdict = "refuse"      // in mode warn: would refuse
	Exempt      Verdict = "exempt"      // would refuse, but for an exempt of the rule
	Waived      Verdict = "waived"      // would refuse, but for a waiver
	Unconcerned Verdict = "unconcerned" // the rule is about something else, off, or over
	Undecided   Verdict = "undecided"   // depends on facts that were not given
)

// judgement is a verdict with what its sentence is made of.
type judgement struct {
	verdict Verdict
	pattern *purl.Pattern // that decided, nil for none
	grant   *grant        // of Waived
	since   time.Time     // what a timed rule counted from
	// opens is when this rule stops to refuse by itself, zero for never.
	opens time.Time
}

// judge says what a rule that covers the name says of a version.
func (s *Scope) judge(c *concern, f *Facts, now time.Time) judgement {
	r := c.rule
	if !r.holds(s.mount) || r.ended(now) || timed(r.Kind) && f.Hosted {
		return judgement{verdict: Unconcerned}
	}
	covered := yes
	var by *purl.Pattern
	if len(r.Match) > 0 && r.Kind != Allow {
		if covered, by = s.covers(c.match, f); covered == no {
			return judgement{verdict: Unconcerned}
		}
	}
	j := s.objection(r, f, now)
	if j.pattern == nil {
		j.pattern = by
	}
	if j.verdict == Refuse && covered == maybe {
		j.verdict = Undecided
	}
	if j.verdict != Refuse && j.verdict != Undecided {
		return j
	}
	return s.spared(c, f, now, j)
}

// objection says what the rule says of a version that it covers.
func (s *Scope) objection(r *rule, f *Facts, now time.Time) judgement {
	switch r.Kind {
	case Deny:
		return judgement{verdict: Refuse, opens: r.Expires}
	case Allow:
		return s.listed(r, f, now)
	}
	return r.tooNew(f, now)
}

// listed says what an allow-list says: any allow rule adds to it, those in mode
// warn only to lists that are in mode warn themselves.
func (s *Scope) listed(list *rule, f *Facts, now time.Time) judgement {
	if !list.Exclusive {
		return judgement{verdict: Pass}
	}
	best := judgement{verdict: Refuse, opens: list.Expires}
	for i := range s.concerns {
		c := &s.concerns[i]
		if c.rule.Kind != Allow || c.rule.Mode == warn && list.Mode != warn || !c.rule.holds(s.mount) || c.rule.ended(now) {
			continue
		}
		switch covered, by := s.covers(c.match, f); covered {
		case yes:
			return judgement{verdict: Pass, pattern: by}
		case maybe:
			best = judgement{verdict: Undecided, pattern: by}
		}
	}
	return best
}

// tooNew is the objection of freeze and cooldown.
func (r *rule) tooNew(f *Facts, now time.Time) judgement {
	since, known := r.clock(f)
	switch {
	case f.Version == "":
		return judgement{verdict: Undecided}
	case !known && r.UnknownTime == denyTime:
		return judgement{verdict: Refuse, opens: r.Expires}
	case !known:
		return judgement{verdict: Pass}
	case r.Kind == Freeze:
		if since.After(r.NotAfter) {
			return judgement{verdict: Refuse, since: since, opens: r.Expires}
		}
		return judgement{verdict: Pass, since: since}
	}
	ripe := since.Add(r.MinAge)
	if !now.Before(ripe) {
		return judgement{verdict: Pass, since: since}
	}
	if !r.Expires.IsZero() && r.Expires.Before(ripe) {
		ripe = r.Expires
	}
	return judgement{verdict: Refuse, since: since, opens: ripe}
}

// clock returns when a version was published, as far as the rule knows.
func (r *rule) clock(f *Facts) (since time.Time, known bool) {
	switch {
	case !f.Published.IsZero():
		return f.Published, true
	case r.UnknownTime == firstSeen:
		return f.FirstSeen, true
	}
	return time.Time{}, false
}

// spared looks for an exception from what is refused or may be.
func (s *Scope) spared(c *concern, f *Facts, now time.Time, j judgement) judgement {
	covered, by := s.covers(c.exempt, f)
	if covered == yes {
		return judgement{verdict: Exempt, pattern: by, since: j.since}
	}
	for _, g := range c.grants {
		if !now.Before(g.waiver.Until) {
			continue
		}
		switch s.coverage(g.pattern, f) {
		case yes:
			return judgement{verdict: Waived, pattern: g.pattern, grant: g, since: j.since}
		case maybe:
			covered, by = maybe, g.pattern
		}
	}
	if covered == maybe {
		return judgement{verdict: Undecided, pattern: by}
	}
	return j
}

// answer says whether a pattern covers a version. maybe is where it depends on
// a version or digest that is not known.
type answer uint8

const (
	no answer = iota
	maybe
	yes
)

func (s *Scope) covers(patterns []*purl.Pattern, f *Facts) (answer, *purl.Pattern) {
	best, by := no, (*purl.Pattern)(nil)
	for _, p := range patterns {
		if a := s.coverage(p, f); a > best {
			best, by = a, p
		}
		if best == yes {
			break
		}
	}
	return best, by
}

func (s *Scope) coverage(p *purl.Pattern, f *Facts) answer {
	switch {
	case p.EveryVersion():
		return yes
	case f.Version == "":
		return maybe
	case !p.MatchVersion(f.Version, s.set.orders[s.format]):
		return no
	case p.Digest() == "" || p.Digest() == f.Digest:
		return yes
	case f.Digest == "":
		return maybe
	}
	return no
}
