package rules

import (
	"fmt"
	"time"
)

// Listing says which of the versions of a package may be shown.
type Listing struct {
	// Hidden holds the versions that are refused, by position; nil when none is.
	Hidden []bool
	// Changed and Next are when Hidden last changed by itself and when it will,
	// as far as these versions tell; zero for never.
	Changed, Next time.Time
	// Outcome refuses when every version is hidden; its finding is then about
	// the one that opens first. Warned holds one finding for each rule in mode
	// warn that would hide any.
	Outcome Outcome
}

// Filter answers for all versions of the package at once.
func (s Scope) Filter(versions []Facts, now time.Time) Listing {
	var out Listing
	hidden := 0
	for i := range versions {
		f := versions[i]
		f.seen(now)
		if f.refusedBy() != "" || s.refuses(&f, now) {
			if out.Hidden == nil {
				out.Hidden = make([]bool, len(versions))
			}
			out.Hidden[i] = true
			hidden++
		}
		if f.refusedBy() != "" {
			continue
		}
		if next := s.next(&f, now); !next.IsZero() && (out.Next.IsZero() || next.Before(out.Next)) {
			out.Next = next
		}
		if last := s.last(&f, now); last.After(out.Changed) {
			out.Changed = last
		}
	}
	if hidden > 0 && hidden == len(versions) {
		out.Outcome = s.nothing(versions, now)
	}
	out.Outcome.Warned = s.warnings(versions, now)
	return out
}

// nothing words the refusal of a package of which no version is left.
func (s Scope) nothing(versions []Facts, now time.Time) Outcome {
	first, same := Outcome{}, true
	for i := range versions {
		out := s.Check(versions[i], now)
		if i > 0 {
			same = same && out.Finding.Rule == first.Finding.Rule
		}
		if i == 0 || opensLater(judgement{opens: first.Finding.Opens}, judgement{opens: out.Finding.Opens}) {
			first = out
		}
	}
	f := &first.Finding
	if same && f.Kind == Cooldown && !f.Opens.IsZero() {
		r := s.set.named(f.Rule)
		f.Reason = fmt.Sprintf("all versions of %s are younger than %s (rule %s, the first opens %s)%s",
			s.name, wait(r.MinAge), r.ID, opening(f.Opens), r.because())
		return first
	}
	f.Reason = "no version of " + s.name + " is allowed here: " + f.Reason
	return first
}

// warnings counts what each rule in mode warn would hide.
func (s *Scope) warnings(versions []Facts, now time.Time) []Finding {
	var list []Finding
	for i := range s.concerns {
		c := &s.concerns[i]
		if c.rule.Mode != warn {
			continue
		}
		n := 0
		for _, f := range versions {
			if f.seen(now); s.judge(c, &f, now).verdict == Refuse {
				n++
			}
		}
		if n > 0 {
			list = append(list, Finding{
				Rule: c.rule.ID, Kind: c.rule.Kind, Mode: warn, Verdict: Refuse,
				Reason: fmt.Sprintf("%d of %d versions of %s would be hidden (rule %s)%s", n, len(versions), s.name, c.rule.ID, c.rule.because()),
			})
		}
	}
	return list
}
