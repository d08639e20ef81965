package rules

import "time"

// Outcome is the answer about a version.
type Outcome struct {
	Refused bool
	// Undecided says that it depends on the digest, or on the version, which
	// was not known. It is then not refused, and must be asked about again
	// before the last byte is given away.
	Undecided bool
	// Finding is the refusal; its Opens is when the version may be used, with
	// regard to all rules.
	Finding Finding
	// Warned are the rules in mode warn that would refuse.
	Warned []Finding
}

// Finding is what one rule says of a version.
type Finding struct {
	Rule    string  `json:"rule" doc:"Id of the rule."`
	Kind    string  `json:"kind" doc:"Kind of the rule."`
	Mode    string  `json:"mode" doc:"Whether what it refuses is refused, or only recorded."`
	Verdict Verdict `json:"verdict" doc:"What it says."`
	// Reason is a sentence without its full stop.
	Reason string `json:"reason" doc:"Why, without a full stop."`
	// Since is when the clock of a freeze or cooldown began, zero for others.
	Since time.Time `json:"since,omitzero" doc:"When the clock of a freeze or cooldown began."`
	// Opens is when it stops to refuse by itself, zero for never.
	Opens time.Time `json:"opens,omitzero" doc:"When it stops to refuse by itself; absent for never."`
	// Waiver is the one that lets it pass.
	Waiver *Waiver `json:"waiver,omitempty" doc:"The waiver that lets it pass."`
}

// Tell returns the reason for the person who asked, with the newest version
// that is allowed; "" leaves it out.
func (f Finding) Tell(newest string) string {
	text := f.Reason
	if newest != "" {
		text += ". Newest allowed: " + newest
	}
	return text
}

// Check answers for one version. It allocates only to word a refusal or a
// warning.
func (s Scope) Check(f Facts, now time.Time) Outcome {
	f.seen(now)
	var out Outcome
	var first *concern
	var best judgement
	for i := range s.concerns {
		c := &s.concerns[i]
		j := s.judge(c, &f, now)
		switch {
		case j.verdict == Undecided:
			out.Undecided = out.Undecided || c.rule.Mode == enforce
		case j.verdict != Refuse:
		case c.rule.Mode == warn:
			out.Warned = append(out.Warned, s.finding(c.rule, j, &f, now))
		case first == nil, c.rule.rank == first.rule.rank && opensLater(j, best):
			first, best = c, j
		}
	}
	built := f.refusedBy()
	switch {
	case built != "" && (first == nil || built != Pin):
		out.Refused, out.Finding = true, s.builtIn(built, &f)
	case first != nil:
		if best.opens = (time.Time{}); built == "" {
			best.opens = s.next(&f, now)
		}
		out.Refused, out.Finding = true, s.finding(first.rule, best, &f, now)
	}
	out.Undecided = out.Undecided && !out.Refused
	return out
}

// seen fills in what is first seen now.
func (f *Facts) seen(now time.Time) {
	if f.FirstSeen.IsZero() {
		f.FirstSeen = now
	}
}

func opensLater(a, b judgement) bool {
	return !b.opens.IsZero() && (a.opens.IsZero() || a.opens.After(b.opens))
}

// Explain returns every rule, in the order in which they are asked, with what
// it says of the version and why it does or does not apply.
func (s Scope) Explain(f Facts, now time.Time) []Finding {
	f.seen(now)
	list := []Finding{s.builtIn(Claim, &f), s.builtIn(Origin, &f)}
	at := 0
	for _, r := range s.set.all {
		j, c := judgement{verdict: Unconcerned}, concern{rule: r}
		if at < len(s.concerns) && s.concerns[at].rule == r {
			c = s.concerns[at]
			j = s.judge(&c, &f, now)
			at++
		}
		list = append(list, s.finding(r, j, &f, now))
	}
	return append(list, s.builtIn(Pin, &f))
}
