package rules

import (
	"strings"
	"testing"
	"time"
)

// story is one question with the answer that policy.md section 6 gives.
type story struct {
	say     string
	rules   []Rule
	waivers []Waiver
	format  string // "" npm
	mount   string
	name    string // "" left-pad
	facts   Facts
	want    string // rule that refuses; "" none, "?" undecided
	warned  string // rules that would
}

func (s story) scope(t testing.TB) Scope {
	format, name := s.format, s.name
	if format == "" {
		format = "npm"
	}
	if name == "" {
		name = "left-pad"
	}
	return made(t, s.rules, s.waivers...).For(format, s.mount, name)
}

func (s story) run(t *testing.T) {
	t.Helper()
	out := s.scope(t).Check(s.facts, noon())
	got := out.Finding.Rule
	if out.Undecided {
		got = "?"
	}
	var warned []string
	for _, f := range out.Warned {
		warned = append(warned, f.Rule)
		if f.Verdict != Refuse || f.Mode != warn || f.Reason == "" {
			t.Errorf("%s: warning %+v", s.say, f)
		}
	}
	if got != s.want || strings.Join(warned, " ") != s.warned || out.Refused != (s.want != "" && s.want != "?") {
		t.Errorf("%s: got %q, warned %q, want %q and %q; %+v", s.say, got, warned, s.want, s.warned, out)
	}
	if out.Refused && (out.Finding.Verdict != Refuse || out.Finding.Reason == "" || out.Finding.Mode != enforce) {
		t.Errorf("%s: finding %+v", s.say, out.Finding)
	}
}

func one(r Rule) []Rule {
	if r.ID == "" {
		r.ID = "r"
	}
	return []Rule{r}
}

func cool(age time.Duration) Rule { return Rule{ID: "cool", Kind: Cooldown, MinAge: age} }

func deny(match ...string) Rule { return Rule{ID: "bad", Kind: Deny, Match: match} }

func TestKinds(t *testing.T) {
	const acme = "pkg:npm/@acme/*"
	worm := Rule{ID: "worm", Kind: Freeze, NotAfter: noon().Add(-day)}
	only := Rule{ID: "only", Kind: Allow, Exclusive: true, Formats: []string{"npm"}, Match: []string{acme, "pkg:npm/left-pad@1.*"}}
	for _, s := range []story{
		{say: "no rules", facts: since("1.0.0", 0)},
		{say: "a claimed name is served from hosted storage only", facts: Facts{Version: "1.0.0", Claim: "acme"}, want: "acme"},
		{say: "and is from there", facts: Facts{Version: "1.0.0", Claim: "acme", Hosted: true}},
		{say: "a name first published here blocks upstream", facts: Facts{Version: "1.0.0", Ours: true}, want: Origin},
		{say: "and is served from here", facts: Facts{Version: "1.0.0", Ours: true, Hosted: true}},
		{say: "a different byte stream is refused", facts: Facts{Version: "1.0.0", Pinned: sha, Digest: strings.Repeat("0", 64)}, want: Pin},
		{say: "the same is not", facts: Facts{Version: "1.0.0", Pinned: sha, Digest: sha}},
		{say: "nor is one that was never seen", facts: Facts{Version: "1.0.0", Digest: sha}},
		{say: "nor one whose bytes are still to come", facts: Facts{Version: "1.0.0", Pinned: sha}},

		{say: "deny by name", rules: one(deny("pkg:npm/left-*")), facts: since("1.0.0", day), want: "bad"},
		{say: "deny another name", rules: one(deny("pkg:npm/right-*")), facts: since("1.0.0", day)},
		{say: "deny of another format", rules: one(deny("pkg:gem/left-pad")), facts: since("1.0.0", day)},
		{say: "deny by version", rules: one(deny("pkg:npm/left-pad@1.3.0")), facts: since("1.3.0", day), want: "bad"},
		{say: "deny of another version", rules: one(deny("pkg:npm/left-pad@1.3.0")), facts: since("1.3.1", day)},
		{say: "deny by glob", rules: one(deny("pkg:npm/left-pad@1.*")), facts: since("1.3.1", day), want: "bad"},
		{say: "deny by range", rules: one(deny("pkg:npm/left-pad@>=1.2.0,<2.0.0")), facts: since("1.10.0", day), want: "bad"},
		{say: "deny outside the range", rules: one(deny("pkg:npm/left-pad@>=1.2.0,<2.0.0")), facts: since("2.0.0", day)},
		{say: "deny by digest", rules: one(deny("pkg:npm/left-pad?checksum=sha256:" + sha)), facts: Facts{Version: "1.0.0", Digest: sha}, want: "bad"},
		{say: "deny of another digest", rules: one(deny("pkg:npm/left-pad?checksum=sha256:" + sha)), facts: Facts{Version: "1.0.0", Digest: strings.Repeat("1", 64)}},
		{say: "deny by a digest that is not known yet", rules: one(deny("pkg:npm/left-pad?checksum=sha256:" + sha)), facts: Facts{Version: "1.0.0"}, want: "?"},
		{say: "deny holds for what is hosted here", rules: one(deny("pkg:npm/left-pad")), facts: Facts{Version: "1.0.0", Hosted: true}, want: "bad"},
		{say: "an image by digest", rules: one(deny("pkg:oci/acme/app@sha256:" + sha)), format: "oci", name: "acme/app", facts: Facts{Version: "latest", Digest: sha}, want: "bad"},
		{say: "a Maven group", rules: one(deny("pkg:maven/com.acme.**")), format: "maven", name: "com.acme.x:widget", facts: Facts{Version: "1"}, want: "bad"},
		{say: "a NuGet id of any case", rules: one(deny("pkg:nuget/Acme.Widget@1.0-Beta")), format: "nuget", name: "ACME.widget", facts: Facts{Version: "1.0-BETA"}, want: "bad"},

		{say: "an allow-list lets in what it holds", rules: one(only), facts: since("1.0.0", day)},
		{say: "by scope too", rules: one(only), name: "@acme/x", facts: since("1.0.0", day)},
		{say: "and no other version", rules: one(only), facts: since("2.0.0", day), want: "only"},
		{say: "and no other name", rules: one(only), name: "right-pad", facts: since("1.0.0", day), want: "only"},
		{say: "hosted or not", rules: one(only), name: "right-pad", facts: Facts{Version: "1.0.0", Hosted: true}, want: "only"},
		{say: "but leaves other formats alone", rules: one(only), format: "rubygems", name: "rails", facts: since("1.0.0", day)},
		{say: "unless it is for all of them", rules: one(Rule{ID: "only", Kind: Allow, Exclusive: true, Match: []string{acme}}), format: "rubygems", facts: since("1.0.0", day), want: "only"},
		{say: "by a digest that is not known yet", rules: one(Rule{ID: "only", Kind: Allow, Exclusive: true, Match: []string{"pkg:npm/left-pad?checksum=sha256:" + sha}}), facts: since("1.0.0", day), want: "?"},
		{say: "which is another", rules: one(Rule{ID: "only", Kind: Allow, Exclusive: true, Match: []string{"pkg:npm/left-pad?checksum=sha256:" + sha}}), facts: Facts{Version: "1.0.0", Digest: strings.Repeat("1", 64)}, want: "only"},
		{say: "another allow rule adds to the list", rules: []Rule{only, {ID: "more", Kind: Allow, Match: []string{"pkg:npm/right-pad"}}}, name: "right-pad", facts: since("1.0.0", day)},
		{say: "two lists are one", rules: []Rule{only, {ID: "more", Kind: Allow, Exclusive: true, Match: []string{"pkg:npm/right-pad"}}}, facts: since("1.0.0", day)},
		{say: "one that is only tried adds nothing", rules: []Rule{only, {ID: "more", Kind: Allow, Mode: warn, Match: []string{"pkg:npm/right-pad"}}}, name: "right-pad", facts: since("1.0.0", day), want: "only"},
		{say: "one that is over adds nothing", rules: []Rule{only, {ID: "more", Kind: Allow, Expires: noon(), Match: []string{"pkg:npm/right-pad"}}}, name: "right-pad", facts: since("1.0.0", day), want: "only"},
		{say: "one of another registry adds nothing", rules: []Rule{only, {ID: "more", Kind: Allow, Mounts: []string{"x"}, Match: []string{"pkg:npm/right-pad"}}}, name: "right-pad", facts: since("1.0.0", day), want: "only"},
		{say: "to a list that is only tried it does", rules: []Rule{
			{ID: "only", Kind: Allow, Exclusive: true, Mode: warn, Match: []string{acme}}, {ID: "more", Kind: Allow, Mode: warn, Match: []string{"pkg:npm/right-pad"}},
		}, name: "right-pad", facts: since("1.0.0", day)},
		{say: "allow alone refuses nothing", rules: one(Rule{Kind: Allow, Match: []string{acme}}), facts: since("1.0.0", day)},
		{say: "allow lifts no other rule", rules: []Rule{deny("pkg:npm/left-pad"), {ID: "more", Kind: Allow, Match: []string{"pkg:npm/left-pad"}}}, facts: since("1.0.0", day), want: "bad"},

		{say: "nothing published after a date", rules: one(worm), facts: since("1.0.0", day-1), want: "worm"},
		{say: "at the date it may be", rules: one(worm), facts: since("1.0.0", day)},
		{say: "without a date, what was first seen after it", rules: one(worm), facts: Facts{Version: "1.0.0", FirstSeen: noon()}, want: "worm"},
		{say: "without a date, what was seen before it", rules: one(worm), facts: Facts{Version: "1.0.0", FirstSeen: noon().Add(-2 * day)}},
		{say: "without any", rules: one(worm), facts: Facts{Version: "1.0.0"}, want: "worm"},
		{say: "hosted packages are not frozen", rules: one(worm), facts: Facts{Version: "1.0.0", Published: noon(), Hosted: true}},
	} {
		s.run(t)
	}
}

func TestCooldown(t *testing.T) {
	week := one(cool(7 * day))
	unknown := func(word string) []Rule {
		r := cool(7 * day)
		r.UnknownTime = word
		return one(r)
	}
	for _, s := range []story{
		{say: "younger than min_age", rules: week, facts: since("1.0.0", 7*day-1), want: "cool"},
		{say: "visible when now - time >= age", rules: week, facts: since("1.0.0", 7*day)},
		{say: "dated in the future", rules: week, facts: since("1.0.0", -day), want: "cool"},
		{say: "hosted packages are exempt", rules: week, facts: Facts{Version: "1.0.0", Published: noon(), Hosted: true}},
		{say: "first seen stands in for no time", rules: week, facts: Facts{Version: "1.0.0", FirstSeen: noon().Add(-7 * day)}},
		{say: "and counts", rules: week, facts: Facts{Version: "1.0.0", FirstSeen: noon().Add(-6 * day)}, want: "cool"},
		{say: "a known time counts before first seen", rules: week, facts: Facts{Version: "1.0.0", Published: noon(), FirstSeen: noon().Add(-9 * day)}, want: "cool"},
		{say: "neither known is never allowed", rules: week, facts: Facts{Version: "1.0.0"}, want: "cool"},
		{say: "unknown_time deny", rules: unknown(denyTime), facts: Facts{Version: "1.0.0", FirstSeen: noon().Add(-99 * day)}, want: "cool"},
		{say: "unknown_time allow", rules: unknown(allowTime), facts: Facts{Version: "1.0.0", FirstSeen: noon()}},
		{say: "unknown_time is for unknown times", rules: unknown(allowTime), facts: since("1.0.0", day), want: "cool"},
		{say: "of names it matches", rules: one(Rule{ID: "cool", Kind: Cooldown, MinAge: day, Match: []string{"pkg:npm/left-*"}}), facts: since("1.0.0", 0), want: "cool"},
		{say: "and of no others", rules: one(Rule{ID: "cool", Kind: Cooldown, MinAge: day, Match: []string{"pkg:npm/right-*"}}), facts: since("1.0.0", 0)},
		{say: "the longest of several holds", rules: []Rule{cool(day), {ID: "acool", Kind: Cooldown, MinAge: 2 * day}}, facts: since("1.0.0", 0), want: "acool"},
		{say: "of the whole name nothing is known", rules: week, facts: Facts{}, want: "?"},
	} {
		s.run(t)
	}
}

// TestCommonFields holds what all rules have: formats, mounts, match, exempt,
// mode, expires, and waivers.
func TestCommonFields(t *testing.T) {
	with := func(change func(r *Rule)) []Rule {
		r := cool(7 * day)
		change(&r)
		return one(r)
	}
	young := since("1.3.1", hour)
	exempt := func(p string) []Rule { return with(func(r *Rule) { r.Exempt = []string{p} }) }
	for _, s := range []story{
		{say: "formats", rules: with(func(r *Rule) { r.Formats = []string{"maven", "npm"} }), facts: young, want: "cool"},
		{say: "other formats", rules: with(func(r *Rule) { r.Formats = []string{"maven"} }), facts: young},
		{say: "every format", rules: with(func(*Rule) {}), format: "gradle-cache", facts: young, want: "cool"},
		{say: "mounts", rules: with(func(r *Rule) { r.Mounts = []string{"npm", "npm2"} }), mount: "npm2", facts: young, want: "cool"},
		{say: "other mounts", rules: with(func(r *Rule) { r.Mounts = []string{"npm"} }), mount: "npm2", facts: young},
		{say: "exempt by scope", rules: exempt("pkg:npm/@types/*"), name: "@types/node", facts: young},
		{say: "others are not", rules: exempt("pkg:npm/@types/*"), facts: young, want: "cool"},
		{say: "exempt by package", rules: exempt("pkg:npm/left-pad@*"), facts: young},
		{say: "exempt by version", rules: exempt("pkg:npm/left-pad@1.3.1"), facts: young},
		{say: "not of another version", rules: exempt("pkg:npm/left-pad@1.3.0"), facts: young, want: "cool"},
		{say: "exempt of all", rules: exempt("pkg:npm/**"), facts: young},
		{say: "exempt of a digest", rules: exempt("pkg:npm/left-pad?checksum=sha256:" + sha), facts: young, want: "?"},
		{say: "exempt from deny", rules: one(Rule{ID: "bad", Kind: Deny, Match: []string{"pkg:npm/**"}, Exempt: []string{"pkg:npm/left-pad"}}), facts: young},
		{say: "off", rules: with(func(r *Rule) { r.Mode = off }), facts: young},
		{say: "warn is recorded, not refused", rules: with(func(r *Rule) { r.Mode = warn }), facts: young, warned: "cool"},
		{say: "beside a refusal", rules: append(with(func(r *Rule) { r.Mode = warn }), deny("pkg:npm/left-pad")), facts: young, want: "bad", warned: "cool"},
		{say: "warn by a digest that is not known", rules: one(Rule{Kind: Deny, Mode: warn, Match: []string{"pkg:npm/left-pad?checksum=sha256:" + sha}}), facts: young},
		{say: "expired", rules: with(func(r *Rule) { r.Expires = noon() }), facts: young},
		{say: "not yet", rules: with(func(r *Rule) { r.Expires = noon().Add(1) }), facts: young, want: "cool"},
		{say: "waived", rules: one(cool(7 * day)), waivers: []Waiver{waiver("cool", "pkg:npm/left-pad@1.3.1", noon().Add(1))}, facts: young},
		{say: "waived no longer", rules: one(cool(7 * day)), waivers: []Waiver{waiver("cool", "pkg:npm/left-pad@1.3.1", noon())}, facts: young, want: "cool"},
		{say: "another version is not waived", rules: one(cool(7 * day)), waivers: []Waiver{waiver("cool", "pkg:npm/left-pad@1.3.0", noon().Add(day))}, facts: young, want: "cool"},
		{say: "a waiver is of one rule", rules: []Rule{cool(7 * day), deny("pkg:npm/left-pad")}, waivers: []Waiver{waiver("cool", "pkg:npm/left-pad", noon().Add(day))}, facts: young, want: "bad"},
		{say: "a denied version can be waived", rules: one(deny("pkg:npm/left-pad")), waivers: []Waiver{waiver("bad", "pkg:npm/left-pad@1.3.1", noon().Add(day))}, facts: young},
		{say: "so can one that no list holds", rules: one(Rule{ID: "only", Kind: Allow, Exclusive: true, Match: []string{"pkg:npm/a"}}), waivers: []Waiver{waiver("only", "pkg:npm/left-pad", noon().Add(day))}, facts: young},
		{say: "a name that is denied whole", rules: one(deny("pkg:npm/left-pad")), facts: Facts{}, want: "bad"},
		{say: "a name of which some is denied", rules: one(deny("pkg:npm/left-pad@1.*")), facts: Facts{}, want: "?"},
		{say: "a name of which some is waived", rules: one(deny("pkg:npm/left-pad")), waivers: []Waiver{waiver("bad", "pkg:npm/left-pad@1.3.1", noon().Add(day))}, facts: Facts{}, want: "?"},
		{say: "a name that no list holds", rules: one(Rule{ID: "only", Kind: Allow, Exclusive: true, Match: []string{"pkg:npm/a@1.*"}}), facts: Facts{}, want: "only"},
		{say: "a name that a list holds in part", rules: one(Rule{ID: "only", Kind: Allow, Exclusive: true, Match: []string{"pkg:npm/a@1.*"}}), name: "a", facts: Facts{}, want: "?"},
	} {
		s.run(t)
	}
}

// TestOrder: claim, origin, deny, allow, freeze and cooldown, pin; the first
// refusal wins, however the rules are written down.
func TestOrder(t *testing.T) {
	all := []Rule{
		{ID: "z-cool", Kind: Cooldown, MinAge: day}, {ID: "y-only", Kind: Allow, Exclusive: true, Match: []string{"pkg:npm/a"}},
		{ID: "x-bad", Kind: Deny, Match: []string{"pkg:npm/left-pad"}},
	}
	facts := Facts{Version: "1", Published: noon(), Claim: "acme", Ours: true, Pinned: sha, Digest: strings.Repeat("1", 64)}
	for _, step := range []struct {
		want string
		next func()
	}{
		{"acme", func() { facts.Claim = "" }},
		{Origin, func() { facts.Ours = false }},
		{"x-bad", func() { all = all[:2] }},
		{"y-only", func() { all = all[:1] }},
		{"z-cool", func() { all = nil }},
		{Pin, func() { facts.Digest = sha }},
		{"", func() {}},
	} {
		story{say: "then", rules: all, facts: facts, want: step.want}.run(t)
		step.next()
	}
}

// TestScopesAreApart: what one name adds to the lists of a rule, another does
// not see.
func TestScopesAreApart(t *testing.T) {
	exempt := []string{"pkg:npm/**@7.0.0", "pkg:npm/**@8.0.0", "pkg:npm/**@9.0.0", "pkg:npm/a@4.5.0", "pkg:npm/b@4.6.0"}
	match := []string{"pkg:npm/**@1.0.0", "pkg:npm/**@2.0.0", "pkg:npm/**@3.0.0", "pkg:npm/a@4.0.0", "pkg:npm/b@5.0.0"}
	var waivers []Waiver
	for _, m := range match {
		waivers = append(waivers, waiver("bad", m, noon().Add(day)))
	}
	week := cool(7 * day)
	week.Exempt = exempt
	s := made(t, []Rule{week, deny(match...), {ID: "worse", Kind: Deny, Match: match}}, waivers...)
	a, b := s.For("npm", "npm", "a"), s.For("npm", "npm", "b")
	for _, c := range []struct {
		scope   Scope
		version string
		want    string
	}{
		{a, "1.0.0", "worse"}, {a, "4.0.0", "worse"}, {a, "5.0.0", "cool"}, {a, "7.0.0", ""}, {a, "4.5.0", ""}, {a, "4.6.0", "cool"}, {a, "6.0.0", "cool"},
		{b, "2.0.0", "worse"}, {b, "5.0.0", "worse"}, {b, "4.0.0", "cool"}, {b, "9.0.0", ""}, {b, "4.6.0", ""}, {b, "4.5.0", "cool"},
	} {
		if got := c.scope.Check(since(c.version, day), noon()).Finding.Rule; got != c.want {
			t.Errorf("%s %s: refused by %q, want %q", c.scope.name, c.version, got, c.want)
		}
	}
	if v := a.Explain(since("4.0.0", day), noon()); v[2].Rule != "bad" || v[2].Verdict != Waived {
		t.Errorf("the waiver of a is gone: %+v", v[2])
	}
}
