package rules

import "time"

// refusedBy returns the kind of the first built-in rule that refuses, "" for
// none. They are told by facts alone, so that nothing opens with time.
func (f *Facts) refusedBy() string {
	switch {
	case f.Claim != "" && !f.Hosted:
		return Claim
	case f.Ours && !f.Hosted:
		return Origin
	case f.altered():
		return Pin
	}
	return ""
}

// altered reports whether the file is not the one that was first seen.
func (f *Facts) altered() bool { return f.Pinned != "" && f.Digest != "" && f.Pinned != f.Digest }

// builtIn words what a built-in rule says.
func (s *Scope) builtIn(kind string, f *Facts) Finding {
	out := Finding{Rule: kind, Kind: kind, Mode: enforce, Verdict: Pass}
	switch kind {
	case Claim:
		switch {
		case f.Claim == "":
			out.Verdict, out.Reason = Unconcerned, "no claim covers the name"
		case f.Hosted:
			out.Rule, out.Reason = f.Claim, "the claim "+f.Claim+" covers the name, and it is published here"
		default:
			out.Rule, out.Verdict = f.Claim, Refuse
			out.Reason = s.name + " is claimed as ours and not published here, so no upstream is asked for it (claim " + f.Claim + ")"
		}
	case Origin:
		switch {
		case !f.Ours:
			out.Verdict, out.Reason = Unconcerned, "the name was not first published here"
		case f.Hosted:
			out.Reason = "the name was first published here, and so was this"
		default:
			out.Verdict = Refuse
			out.Reason = s.name + " was first published here, so no upstream may supply it (rule origin)"
		}
	case Pin:
		switch {
		case f.Pinned == "":
			out.Verdict, out.Reason = Unconcerned, "the file has not been seen yet"
		case f.Digest == "":
			out.Verdict, out.Reason = Undecided, "the file must have the SHA-256 "+f.Pinned
		case f.altered():
			out.Verdict = Refuse
			out.Reason = s.title(f) + " has other bytes than when it was first seen (rule pin): SHA-256 " + f.Digest + ", then " + f.Pinned
		default:
			out.Reason = "the file has the bytes that were first seen"
		}
	}
	return out
}

// finding words a judgement.
func (s *Scope) finding(r *rule, j judgement, f *Facts, now time.Time) Finding {
	out := Finding{Rule: r.ID, Kind: r.Kind, Mode: r.Mode, Verdict: j.verdict, Since: j.since}
	if j.grant != nil {
		w := *j.grant.waiver
		out.Waiver = &w
	}
	if j.verdict == Refuse {
		out.Opens = j.opens
		out.Reason = s.refusal(r, j, f, now)
		return out
	}
	out.Reason = s.remark(r, j, f, now)
	return out
}
