package rules

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

func TestMistakes(t *testing.T) {
	ok := cool(day)
	with := func(change func(r *Rule)) []Rule {
		r := ok
		change(&r)
		return []Rule{r}
	}
	denied := func(match ...string) []Rule { return []Rule{deny(match...)} }
	waived := func(change func(w *Waiver)) []Waiver {
		w := waiver("cool", "pkg:npm/a", noon())
		change(&w)
		return []Waiver{w}
	}
	var many []Rule
	for i := range maxGeneral + 1 {
		many = append(many, Rule{ID: fmt.Sprint("r", i), Kind: Cooldown, MinAge: day})
	}
	for _, c := range []struct {
		rules   []Rule
		waivers []Waiver
		key     string
		want    string
	}{
		{with(func(r *Rule) { r.ID = "" }), nil, "rules[0].id", "rules[0].id: the id is missing"},
		{with(func(r *Rule) { r.ID = "a b" }), nil, "rules[0].id", "is no id"},
		{with(func(r *Rule) { r.ID = "a\r\nb" }), nil, "rules[0].id", "is no id"},
		{with(func(r *Rule) { r.ID = "pin" }), nil, "rules[0].id", "built in"},
		{append(one(ok), ok), nil, "rules[1].id", "rule cool: id: the id cool is there twice"},
		{with(func(r *Rule) { r.Kind = "cooldwn" }), nil, "rules[0].kind", `rule cool: kind: "cooldwn" is not known: use deny, allow, freeze, cooldown`},
		{with(func(r *Rule) { r.Kind = "" }), nil, "rules[0].kind", "is not known"},
		{with(func(r *Rule) { r.Kind = "malware" }), nil, "rules[0].kind", "are not in this version"},
		{with(func(r *Rule) { r.Kind = Claim }), nil, "rules[0].kind", "under policy.claims"},
		{with(func(r *Rule) { r.Kind = Pin }), nil, "rules[0].kind", "leave it out"},
		{with(func(r *Rule) { r.Kind = Origin; r.Mode = off }), nil, "rules[0].kind", "leave it out"},
		{with(func(r *Rule) { r.Mode = "enforced" }), nil, "rules[0].mode", "use enforce, warn, off"},
		{with(func(r *Rule) { r.UnknownTime = "never" }), nil, "rules[0].unknown_time", "use first_seen, deny, allow"},
		{with(func(r *Rule) { r.Formats = []string{"npm", "mpn"} }), nil, "rules[0].formats[1]", `"mpn" is not known`},
		{with(func(r *Rule) { r.Reason = "a\nb" }), nil, "rules[0].reason", "one line"},
		{with(func(r *Rule) { r.Reason = "a\xff" }), nil, "rules[0].reason", "one line"},
		{with(func(r *Rule) { r.Reason = strings.Repeat("a", 501) }), nil, "rules[0].reason", "longer than 500"},
		{with(func(r *Rule) { r.Mounts = make([]string, 101) }), nil, "rules[0].mounts", "at most 100"},
		{with(func(r *Rule) { r.MinAge = 0 }), nil, "rules[0].min_age", "a rule of kind cooldown needs it"},
		{with(func(r *Rule) { r.MinAge = -1 }), nil, "rules[0].min_age", "out of range"},
		{with(func(r *Rule) { r.MinAge = 11 * 365 * day }), nil, "rules[0].min_age", "out of range"},
		{with(func(r *Rule) { r.NotAfter = noon() }), nil, "rules[0].not_after", "has no not_after"},
		{with(func(r *Rule) { r.Exclusive = true }), nil, "rules[0].exclusive", "has no exclusive"},
		{with(func(r *Rule) { r.Kind, r.MinAge = Freeze, 0 }), nil, "rules[0].not_after", "a rule of kind freeze needs it"},
		{one(Rule{Kind: Deny}), nil, "rules[0].match", "a rule of kind deny needs it"},
		{one(Rule{Kind: Allow}), nil, "rules[0].match", "a rule of kind allow needs it"},
		{one(Rule{Kind: Allow, Match: []string{"pkg:npm/a"}, Exempt: []string{"pkg:npm/b"}}), nil, "rules[0].exempt", "has no exempt"},
		{one(Rule{Kind: Deny, Match: []string{"pkg:npm/a"}, UnknownTime: denyTime}), nil, "rules[0].unknown_time", "has no unknown_time"},
		{denied("pkg:npm/a", "left-pad"), nil, "rules[0].match[1]", "rule bad: match[1]: \"left-pad\" is no package URL"},
		{denied("pkg:npm/@acme"), nil, "rules[0].match[0]", "write pkg:npm/@acme/*"},
		{denied("pkg:npm/a@>=2.0.0,<1.0.0"), nil, "rules[0].match[0]", "no version is both"},
		{denied("pkg:oci/a@>=2.0.0"), nil, "rules[0].match[0]", "have no order here"},
		{denied(make([]string, maxPatterns+1)...), nil, "rules[0].match", "at most 10000"},
		{with(func(r *Rule) { r.Formats, r.Match = []string{"maven"}, []string{"pkg:npm/a"} }), nil, "rules[0].match[0]", "the rule is about maven: it would cover nothing"},
		{with(func(r *Rule) { r.Formats, r.Exempt = []string{"maven"}, []string{"pkg:npm/a"} }), nil, "rules[0].exempt[0]", "the rule is about maven"},
		{with(func(r *Rule) { r.Match, r.Exempt = []string{"pkg:gem/a"}, []string{"pkg:npm/a"} }), nil, "rules[0].exempt[0]", "the rule is about rubygems"},
		{many, nil, "rules", "101 rules that concern every name"},
		{make([]Rule, maxRules+1), nil, "rules", "10001 rules: at most 10000"},
		{one(ok), make([]Waiver, maxWaivers+1), "waivers", "10001 waivers: at most 10000"},
		{one(ok), waived(func(w *Waiver) { w.Rule = "kool" }), "waivers[0].rule", `there is no rule "kool"`},
		{one(ok), waived(func(w *Waiver) { w.Rule = "" }), "waivers[0].rule", `waivers[0].rule: there is no rule ""`},
		{one(ok), waived(func(w *Waiver) { w.Rule = Pin }), "waivers[0].rule", "cannot be waived"},
		{one(ok), waived(func(w *Waiver) { w.Match = nil }), "waivers[0].match", "name the package versions"},
		{one(ok), waived(func(w *Waiver) { w.Match = []string{"a"} }), "waivers[0].match[0]", "waiver of cool: match[0]:"},
		{one(ok), waived(func(w *Waiver) { w.By = "" }), "waivers[0].by", "a waiver says who gave it"},
		{one(ok), waived(func(w *Waiver) { w.Why = "" }), "waivers[0].why", "a waiver says who gave it"},
		{one(ok), waived(func(w *Waiver) { w.Why = "a\tb" }), "waivers[0].why", "one line"},
		{one(ok), waived(func(w *Waiver) { w.Until = time.Time{} }), "waivers[0].until", "a waiver says who gave it"},
		{denied("pkg:gem/a"), waived(func(w *Waiver) { w.Rule = "bad" }), "waivers[0].match[0]", "the rule is about rubygems"},
	} {
		mistakes, _ := Check(c.rules, c.waivers, dotted)
		found := false
		for _, m := range mistakes {
			found = found || m.Key() == c.key && strings.Contains(m.Error(), c.want)
		}
		if !found {
			t.Errorf("%s: got %v, want %s", c.key, mistakes, c.want)
		}
		if _, err := New(c.rules, c.waivers, dotted); err == nil {
			t.Errorf("%s: New takes it", c.key)
		}
	}
}

// TestAllMistakes: New tells them at once, and each as a *Mistake.
func TestAllMistakes(t *testing.T) {
	s, err := New([]Rule{{ID: "a", Kind: "x"}, {ID: "b", Kind: Deny, Match: []string{"x", "y"}}}, []Waiver{{Rule: "c"}}, dotted)
	if s != nil || err == nil || strings.Count(err.Error(), "\n") != 7 {
		t.Errorf("got %v", err)
	}
	var m *Mistake
	if !errors.As(err, &m) || m.ID != "a" || m.Value != "x" || len(m.Known) != 4 {
		t.Errorf("got %+v", m)
	}
}

// TestOrderOfVersions: a set that is to be asked needs one for its ranges; a
// check does without.
func TestOrderOfVersions(t *testing.T) {
	ranged := one(deny("pkg:npm/a@>=2.0.0,<10.0.0"))
	if mistakes, _ := Check(ranged, nil, nil); len(mistakes) != 0 {
		t.Errorf("got %v", mistakes)
	}
	if _, err := New(ranged, nil, nil); err == nil || !strings.Contains(err.Error(), "no order here") {
		t.Errorf("got %v", err)
	}
	if _, err := New(one(deny("pkg:npm/a@1.*")), nil, nil); err != nil {
		t.Error(err)
	}
}

func TestWarnings(t *testing.T) {
	allow := func(exclusive bool, mode string, formats ...string) Rule {
		return Rule{ID: "a", Kind: Allow, Match: []string{"pkg:npm/a"}, Exclusive: exclusive, Mode: mode, Formats: formats}
	}
	other := allow(true, off, "npm")
	other.ID = "b"
	for _, c := range []struct {
		rules []Rule
		want  string
	}{
		{one(allow(false, "")), "rule a: it changes nothing"},
		{one(allow(true, "")), "rule a: it holds for every format"},
		{one(allow(true, "", "npm")), ""},
		{one(allow(false, off)), ""},
		{[]Rule{allow(false, ""), other}, ""},
		{one(cool(day)), ""},
	} {
		mistakes, warnings := Check(c.rules, nil, dotted)
		if len(mistakes) != 0 || (c.want == "") != (len(warnings) == 0) || c.want != "" && !strings.Contains(warnings[0].Error(), c.want) {
			t.Errorf("got %v and %v, want %q", mistakes, warnings, c.want)
		}
	}
}

// TestEpoch: it changes with what the rules say, and with nothing else.
func TestEpoch(t *testing.T) {
	base := func() ([]Rule, []Waiver) {
		return []Rule{
			{ID: "cool", Kind: Cooldown, MinAge: day, Exempt: []string{"pkg:npm/@a/*"}},
			{ID: "bad", Kind: Deny, Match: []string{"pkg:npm/a", "pkg:npm/b@1.0.0"}, Formats: []string{"npm"}, Mounts: []string{"x", "y"}},
			{ID: "worm", Kind: Freeze, NotAfter: noon()},
			{ID: "only", Kind: Allow, Exclusive: true, Match: []string{"pkg:npm/**"}},
			{ID: "not", Kind: Deny, Mode: off, Match: []string{"pkg:npm/z"}},
		}, []Waiver{waiver("cool", "pkg:npm/b", noon()), waiver("not", "pkg:npm/z", noon())}
	}
	of := func(change func(r []Rule, w []Waiver)) string {
		r, w := base()
		change(r, w)
		return made(t, r, w...).Epoch()
	}
	first := of(func([]Rule, []Waiver) {})
	if len(first) != 16 {
		t.Errorf("epoch %q", first)
	}
	seen := map[string]int{first: -1}
	for i, change := range []func(r []Rule, w []Waiver){
		func(r []Rule, _ []Waiver) { r[0].ID, r[1].ID = "cool2", "cool" }, // and the waiver is of another rule
		func(r []Rule, _ []Waiver) { r[0].MinAge++ },
		func(r []Rule, _ []Waiver) { r[0].Exempt = nil },
		func(r []Rule, _ []Waiver) { r[0].Exempt = []string{"pkg:npm/@b/*"} },
		func(r []Rule, _ []Waiver) { r[0].UnknownTime = denyTime },
		func(r []Rule, _ []Waiver) { r[0].Expires = noon() },
		func(r []Rule, _ []Waiver) { r[0].Mode = warn },
		func(r []Rule, _ []Waiver) { r[0].Mode = off },
		func(r []Rule, _ []Waiver) { r[0].Reason = "so" },
		func(r []Rule, _ []Waiver) { r[1].Match = r[1].Match[:1] },
		func(r []Rule, _ []Waiver) { r[1].Formats = nil },
		func(r []Rule, _ []Waiver) { r[1].Mounts = r[1].Mounts[:1] },
		func(r []Rule, _ []Waiver) { r[2].NotAfter = noon().Add(1) },
		func(r []Rule, _ []Waiver) { r[3].Exclusive = false },
		func(r []Rule, _ []Waiver) { r[4].Mode = enforce },
		func(_ []Rule, w []Waiver) { w[0].Until = noon().Add(1) },
		func(_ []Rule, w []Waiver) { w[0].By = "bob" },
		func(_ []Rule, w []Waiver) { w[0].Why = "no" },
		func(_ []Rule, w []Waiver) { w[0].Match = []string{"pkg:npm/b@1.0.0"} },
	} {
		e := of(change)
		if j, twice := seen[e]; twice {
			t.Errorf("changes %d and %d give one epoch", i, j)
		}
		seen[e] = i
	}
	for i, change := range []func(r []Rule, w []Waiver){
		func(r []Rule, _ []Waiver) { r[0], r[3] = r[3], r[0] },
		func(r []Rule, _ []Waiver) { r[0].Mode, r[0].UnknownTime = enforce, firstSeen },
		func(r []Rule, _ []Waiver) { r[0].Exempt = []string{"pkg://npm/%40a/*@*", "pkg:npm/@a/*"} },
		func(r []Rule, _ []Waiver) { r[1].Match = []string{"pkg:npm/b@1.0.0", "pkg:npm/a@*"} },
		func(r []Rule, _ []Waiver) { r[1].Mounts = []string{"y", "x", "y"} },
		func(r []Rule, _ []Waiver) { r[2].NotAfter = noon().In(time.FixedZone("", 3600)) },
		func(r []Rule, _ []Waiver) { r[4].Reason = "it is off" },
		func(_ []Rule, w []Waiver) { w[0], w[1] = w[1], w[0] },
		func(_ []Rule, w []Waiver) { w[1].Why = "of a rule that is off" },
	} {
		if of(change) != first {
			t.Errorf("change %d gives another epoch", i)
		}
	}
}
