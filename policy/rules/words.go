package rules

import (
	"fmt"
	"strings"
	"time"
)

// title names what was asked for.
func (s *Scope) title(f *Facts) string {
	if f.Version == "" {
		return s.name
	}
	return s.name + " " + f.Version
}

// refusal is the sentence for who is refused: what, why not, until when.
func (s *Scope) refusal(r *rule, j judgement, f *Facts, now time.Time) string {
	text := s.title(f)
	switch {
	case r.Kind == Deny:
		text += " is denied by this registry"
	case r.Kind == Allow:
		text += " is not on the list of what this registry allows"
	case j.since.IsZero():
		text += " has no known time of publication, and this registry takes nothing without"
	case r.Kind == Freeze:
		text += " " + published(f, j.since) + "; this registry takes nothing published after " + minute(r.NotAfter)
	default:
		text += " " + aged(f, j.since, now) + "; this registry waits " + wait(r.MinAge)
	}
	return text + " " + r.brackets(j.opens) + r.because()
}

// brackets names the rule, and when it opens.
func (r *rule) brackets(opens time.Time) string {
	if opens.IsZero() {
		return "(rule " + r.ID + ")"
	}
	return "(rule " + r.ID + ", opens " + opening(opens) + ")"
}

// because adds the reason that was written with the rule.
func (r *rule) because() string {
	if r.Reason == "" {
		return ""
	}
	return ": " + r.Reason
}

func published(f *Facts, since time.Time) string {
	if f.Published.IsZero() {
		return "has no known time of publication and was first seen here " + minute(since)
	}
	return "was published " + minute(since)
}

func aged(f *Facts, since, now time.Time) string {
	old := now.Sub(since)
	switch {
	case f.Published.IsZero():
		return "has no known time of publication and was first seen here " + age(max(old, 0)) + " ago"
	case old < 0:
		return "is dated " + minute(since) + ", which is still to come"
	}
	return "is " + age(old) + " old"
}

// remark says why a rule does not refuse.
func (s *Scope) remark(r *rule, j judgement, f *Facts, now time.Time) string {
	switch j.verdict {
	case Exempt:
		return "the rule exempts " + j.pattern.String()
	case Waived:
		w := j.grant.waiver
		return "waived by " + w.By + " until " + minute(w.Until) + " for " + j.pattern.String() + ": " + w.Why
	case Undecided:
		return s.open(j, f)
	case Unconcerned:
		return s.elsewhere(r, f, now)
	}
	switch {
	case r.Kind == Allow && j.pattern != nil:
		return "allowed by " + j.pattern.String()
	case r.Kind == Allow:
		return "it adds to lists of what is allowed and refuses nothing"
	case j.since.IsZero():
		return "versions without a known time of publication pass it"
	case r.Kind == Freeze:
		return s.title(f) + " " + published(f, j.since)
	}
	return s.title(f) + " " + aged(f, j.since, now)
}

// open says what a verdict waits for.
func (s *Scope) open(j judgement, f *Facts) string {
	switch {
	case f.Version == "" && j.pattern != nil:
		return "it depends on the version: see " + j.pattern.String()
	case f.Version == "":
		return "it depends on the version"
	}
	return "it depends on the digest of the file: see " + j.pattern.String()
}

// elsewhere says what a rule is about instead.
func (s *Scope) elsewhere(r *rule, f *Facts, now time.Time) string {
	switch {
	case r.Mode == off:
		return "it is off"
	case r.ended(now):
		return "it ended " + minute(r.Expires)
	case !r.about(s.format):
		return "it is about " + strings.Join(r.formats(), ", ")
	case !r.holds(s.mount):
		return "it holds in " + strings.Join(r.Mounts, ", ")
	case timed(r.Kind) && f.Hosted:
		return "what is published here does not wait"
	}
	for i := range s.concerns {
		if s.concerns[i].rule == r {
			return "it is about other versions of " + s.name
		}
	}
	return "it is about other names"
}

// minute writes a time to the minute.
func minute(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 UTC") }

// opening rounds up, so that what opens is open then.
func opening(t time.Time) string { return minute(t.Add(time.Minute - 1)) }

// units from the largest; days only where hours become hard to read.
func units() []struct {
	word        string
	unit, least time.Duration
} {
	const day = 24 * time.Hour
	return []struct {
		word        string
		unit, least time.Duration
	}{{"d", day, 4 * day}, {"h", time.Hour, time.Hour}, {"min", time.Minute, time.Minute}, {"s", time.Second, 0}}
}

// age writes how old something is, rounded down.
func age(d time.Duration) string {
	for _, u := range units() {
		if d >= u.least {
			return fmt.Sprintf("%d %s", d/u.unit, u.word)
		}
	}
	return "0 s"
}

// wait writes a length of time in its largest whole unit.
func wait(d time.Duration) string {
	for _, u := range units() {
		if d >= u.least && d%u.unit == 0 {
			return fmt.Sprintf("%d %s", d/u.unit, u.word)
		}
	}
	return d.String()
}
