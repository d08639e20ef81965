package rules

import "time"

// Scope is what the rules that could concern one name say. It is a value that
// holds for ever, for the set that it comes from.
type Scope struct {
	set                 *Set
	format, mount, name string
	concerns            []concern // in the order in which they are asked
}

// Facts are what is known of a version, or of the file of one.
type Facts struct {
	// Version is "" in a question about the name as a whole: it is refused then
	// only if every version is.
	Version string
	// Published is what the registry that it comes from says, zero where it
	// says nothing or where its authors can choose it.
	Published time.Time
	// FirstSeen is when the version was first seen here. It must be kept, or
	// the version waits for ever; zero: it is seen now.
	FirstSeen time.Time
	// Digest and Pinned are the SHA-256 of the file and the one it had when it
	// was first seen, in 64 lower-case hex digits; "" for not known and none.
	Digest, Pinned string
	// Hosted says that the version was published here.
	Hosted bool
	// Claim is the id of the claim that covers the name, "" for none.
	Claim string
	// Ours says that the name was first published here, so that no upstream
	// may supply it.
	Ours bool
}

// Any reports whether any rule could concern the name; the built-in ones can
// always.
func (s Scope) Any() bool {
	for i := range s.concerns {
		if s.concerns[i].rule.holds(s.mount) {
			return true
		}
	}
	return false
}

// NeedsTime reports whether an answer depends on when versions were published.
func (s Scope) NeedsTime(now time.Time) bool {
	for i := range s.concerns {
		c := &s.concerns[i]
		if !timed(c.rule.Kind) || !c.rule.holds(s.mount) || c.rule.ended(now) {
			continue
		}
		if covered, _ := s.covers(c.exempt, &Facts{}); covered != yes {
			return true
		}
	}
	return false
}

// refuses reports whether a rule in force refuses a version at a time.
func (s *Scope) refuses(f *Facts, now time.Time) bool {
	for i := range s.concerns {
		if c := &s.concerns[i]; c.rule.Mode == enforce && s.judge(c, f, now).verdict == Refuse {
			return true
		}
	}
	return false
}

// turns calls fn with every instant at which what the rules in force say of a
// version may change by itself.
func (s *Scope) turns(f *Facts, fn func(time.Time)) {
	for i := range s.concerns {
		c := &s.concerns[i]
		if c.rule.Mode != enforce || !c.rule.holds(s.mount) {
			continue
		}
		if !c.rule.Expires.IsZero() {
			fn(c.rule.Expires)
		}
		if since, known := c.rule.clock(f); known && c.rule.Kind == Cooldown {
			fn(since.Add(c.rule.MinAge))
		}
		for _, g := range c.grants {
			if s.coverage(g.pattern, f) != no {
				fn(g.waiver.Until)
			}
		}
	}
}

// next returns when the answer about a version changes by itself after now,
// zero for never.
func (s *Scope) next(f *Facts, now time.Time) time.Time {
	refused := s.refuses(f, now)
	for at := now; ; {
		var turn time.Time
		s.turns(f, func(t time.Time) {
			if t.After(at) && (turn.IsZero() || t.Before(turn)) {
				turn = t
			}
		})
		if turn.IsZero() || s.refuses(f, turn) != refused {
			return turn
		}
		at = turn
	}
}

// last returns when the answer about a version last changed by itself, at now
// or before, zero for never.
func (s *Scope) last(f *Facts, now time.Time) time.Time {
	refused := s.refuses(f, now)
	for at := now.Add(1); ; {
		var turn time.Time
		s.turns(f, func(t time.Time) {
			if t.Before(at) && t.After(turn) {
				turn = t
			}
		})
		if turn.IsZero() || s.refuses(f, turn.Add(-1)) != refused {
			return turn
		}
		at = turn
	}
}
