package rules

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode"

	"larder/policy/purl"
)

// Bounds of a set, which is held in memory.
const (
	maxRules    = 10_000
	maxWaivers  = 10_000 // that are written
	maxPatterns = 10_000 // of one rule or waiver
	maxGeneral  = 100    // rules that concern every name
	maxMounts   = 100    // of one rule
	maxWords    = 500    // bytes of a reason
)

// MaxGiven bounds the waivers that a set takes beside those that are written.
const MaxGiven = 1000

// ruleID is what a header can carry and an administrator can type.
var ruleID = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._/-]{0,99}$`)

// order returns the order of versions of a format, nil where it has none.
type order func(format string) func(a, b string) int

// Check finds everything that is wrong with rules and waivers, and warns about
// what does nothing or more than it seems. With a nil compare it does not look
// whether version ranges can be decided.
func Check(rules []Rule, waivers []Waiver, compare func(format string) func(a, b string) int) (mistakes, warnings []Mistake) {
	r := read(rules, waivers, compare)
	if n := len(waivers); n > maxWaivers {
		r.at = Mistake{List: "waivers", Index: -1}
		r.failf("", "%d waivers: at most %d are taken", n, maxWaivers)
	}
	return r.mistakes, r.warnings
}

// CheckWaivers finds what is wrong with each waiver by itself, beside rules that
// are right: an error in its place, or nil.
func CheckWaivers(rules []Rule, waivers []Waiver, compare func(format string) func(a, b string) int) []error {
	r := read(rules, nil, compare)
	found := make([]error, len(waivers))
	for i := range waivers {
		r.at = Mistake{List: "waivers", Index: i, ID: waivers[i].Rule}
		before := len(r.mistakes)
		r.waiver(&waivers[i])
		var errs []error
		for j := range r.mistakes[before:] {
			errs = append(errs, &r.mistakes[before+j])
		}
		found[i] = errors.Join(errs...)
	}
	return found
}

// reader parses rules and collects what is wrong with them.
type reader struct {
	compare            order
	rules              []*rule
	byID               map[string]*rule
	grants             []*grant
	at                 Mistake // where a mistake is told
	mistakes, warnings []Mistake
}

func read(rules []Rule, waivers []Waiver, compare order) *reader {
	r := &reader{compare: compare, byID: map[string]*rule{}}
	for i, entry := range rules {
		r.at = Mistake{List: "rules", Index: i, ID: entry.ID}
		r.rule(entry)
	}
	for i, w := range waivers {
		r.at = Mistake{List: "waivers", Index: i, ID: w.Rule}
		r.waiver(&w)
	}
	r.whole(len(rules), len(waivers))
	return r
}

// fail tells of a field; m holds no place yet.
func (r *reader) fail(field string, m Mistake) {
	m.List, m.Index, m.ID, m.Field = r.at.List, r.at.Index, r.at.ID, field
	r.mistakes = append(r.mistakes, m)
}

func (r *reader) failf(field, format string, args ...any) {
	r.fail(field, Mistake{Text: fmt.Sprintf(format, args...)})
}

func (r *reader) rule(entry Rule) {
	switch {
	case entry.ID == "":
		r.failf("id", "the id is missing: refusals name the rule by it")
	case !ruleID.MatchString(entry.ID):
		r.failf("id", "%.40q is no id: use letters, digits, and . _ / - behind the first", entry.ID)
	case slices.Contains([]string{Claim, Origin, Pin}, entry.ID):
		r.failf("id", "%s is the name of a rule that is built in: use another", entry.ID)
	case r.byID[entry.ID] != nil:
		r.failf("id", "the id %s is there twice", entry.ID)
	}
	out := &rule{Rule: entry, rank: rank(entry.Kind)}
	r.byID[entry.ID] = out
	r.rules = append(r.rules, out)
	if !r.kind(entry.Kind) {
		return
	}
	out.Mode = r.word("mode", entry.Mode, []string{enforce, warn, off})
	out.UnknownTime = r.word("unknown_time", entry.UnknownTime, []string{firstSeen, denyTime, allowTime})
	r.words("reason", entry.Reason)
	r.formats(entry.Formats)
	if len(entry.Mounts) > maxMounts {
		r.failf("mounts", "%d registries: at most %d can be named", len(entry.Mounts), maxMounts)
	}
	out.match = r.patterns("match", entry.Match, entry.Formats)
	out.exempt = r.patterns("exempt", entry.Exempt, out.formats())
	r.fields(entry)
}

// kind reports whether rules of the kind can be written.
func (r *reader) kind(kind string) bool {
	switch kind {
	case Deny, Allow, Freeze, Cooldown:
		return true
	case Claim:
		r.failf("kind", "claims have a list of their own: write it under policy.claims")
	case Origin, Pin:
		r.failf("kind", "the rule %s is built in and always holds: leave it out", kind)
	case "malware", "vulnerability", "license", "lookalike", "provenance":
		r.failf("kind", "rules of kind %s are not in this version", kind)
	default:
		r.fail("kind", unknown(kind, []string{Deny, Allow, Freeze, Cooldown}))
	}
	return false
}

// word returns a word, or the first that is known for none.
func (r *reader) word(field, value string, known []string) string {
	if value == "" {
		return known[0]
	}
	if !slices.Contains(known, value) {
		r.fail(field, unknown(value, known))
	}
	return value
}

// words checks a text that people are told.
func (r *reader) words(field, text string) {
	if len(text) > maxWords {
		r.failf(field, "the text is longer than %d bytes", maxWords)
	}
	if strings.ToValidUTF8(text, "") != text || strings.ContainsFunc(text, unicode.IsControl) {
		r.failf(field, "the text holds a line break or another control character: write it on one line")
	}
}

func (r *reader) formats(formats []string) {
	for i, f := range formats {
		if !slices.Contains(purl.Formats(), f) {
			r.fail(fmt.Sprintf("formats[%d]", i), unknown(f, purl.Formats()))
		}
	}
}

// patterns parses patterns, which must be of one of the formats; empty: any.
func (r *reader) patterns(field string, texts, formats []string) []*purl.Pattern {
	if len(texts) > maxPatterns {
		r.failf(field, "%d patterns: at most %d are taken", len(texts), maxPatterns)
		return nil
	}
	var list []*purl.Pattern
	for i, text := range texts {
		at := fmt.Sprintf("%s[%d]", field, i)
		p, err := purl.ParsePattern(text)
		if err == nil && r.compare != nil {
			err = p.CheckOrder(r.compare(p.Format()))
		}
		switch {
		case err != nil:
			r.failf(at, "%v", err)
		case len(formats) > 0 && !slices.Contains(formats, p.Format()):
			r.failf(at, "%s is of %s and the rule is about %s: it would cover nothing", text, p.Format(), strings.Join(formats, ", "))
		default:
			list = append(list, p)
		}
	}
	return list
}

// fields checks that a rule has what its kind needs and nothing that its kind
// would not look at.
func (r *reader) fields(entry Rule) {
	for _, f := range []struct {
		name   string
		set    bool
		kinds  []string // that have it; none: every kind
		needed []string // that cannot do without
	}{
		{"match", len(entry.Match) > 0, nil, []string{Deny, Allow}},
		{"min_age", entry.MinAge != 0, []string{Cooldown}, []string{Cooldown}},
		{"not_after", !entry.NotAfter.IsZero(), []string{Freeze}, []string{Freeze}},
		{"exclusive", entry.Exclusive, []string{Allow}, nil},
		{"unknown_time", entry.UnknownTime != "" && entry.UnknownTime != firstSeen, []string{Cooldown, Freeze}, nil},
		{"exempt", len(entry.Exempt) > 0, []string{Cooldown, Freeze, Deny}, nil},
	} {
		switch {
		case f.set && f.kinds != nil && !slices.Contains(f.kinds, entry.Kind):
			r.failf(f.name, "a rule of kind %s has no %s", entry.Kind, f.name)
		case !f.set && slices.Contains(f.needed, entry.Kind):
			r.failf(f.name, "a rule of kind %s needs it", entry.Kind)
		}
	}
	if entry.MinAge < 0 || entry.MinAge > longestAge {
		r.failf("min_age", "it is out of range: write a duration of at most ten years, such as 7d")
	}
}

func (r *reader) waiver(w *Waiver) {
	target := r.byID[w.Rule]
	switch {
	case w.Rule == Claim || w.Rule == Origin || w.Rule == Pin:
		r.failf("rule", "the rule %s is built in and cannot be waived", w.Rule)
	case w.Rule == "" || target == nil:
		r.failf("rule", "there is no rule %.40q", w.Rule)
	}
	if len(w.Match) == 0 {
		r.failf("match", "it is missing: name the package versions")
	}
	for _, f := range []struct {
		name    string
		missing bool
	}{{"by", w.By == ""}, {"until", w.Until.IsZero()}, {"why", w.Why == ""}} {
		if f.missing {
			r.failf(f.name, "it is missing: a waiver says who gave it, until when, and why")
		}
	}
	r.words("by", w.By)
	r.words("why", w.Why)
	var formats []string
	if target != nil {
		formats = target.formats()
	}
	for _, p := range r.patterns("match", w.Match, formats) {
		r.grants = append(r.grants, &grant{target, p, w})
	}
}

// whole checks what only shows over all rules.
func (r *reader) whole(rules, waivers int) {
	general, list := 0, false
	for _, rule := range r.rules {
		if rule.general() || slices.ContainsFunc(rule.match, everyName) {
			general++
		}
		list = list || rule.Exclusive
	}
	for _, l := range []struct {
		list, what string
		n, most    int
	}{
		{"rules", "rules", rules, maxRules}, {"waivers", "waivers", waivers, maxWaivers + MaxGiven},
		{"rules", "rules that concern every name (give them a match)", general, maxGeneral},
	} {
		if r.at = (Mistake{List: l.list, Index: -1}); l.n > l.most {
			r.failf("", "%d %s: at most %d are taken", l.n, l.what, l.most)
		}
	}
	for i, rule := range r.rules {
		at := Mistake{List: "rules", Index: i, ID: rule.ID}
		switch {
		case rule.Kind != Allow || rule.Mode == off:
			continue
		case !list:
			at.Text = "it changes nothing, because nothing is refused that it could allow: add exclusive: true, or use exempt or a waiver of the rule that refuses"
		case rule.Exclusive && len(rule.Formats) == 0:
			at.Text = "it holds for every format, so it refuses all of those that it does not name: add formats if only some are meant"
		default:
			continue
		}
		r.warnings = append(r.warnings, at)
	}
}
