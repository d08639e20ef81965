package rules

import (
	"slices"
	"strings"
	"testing"
	"time"
)

func TestFilter(t *testing.T) {
	rules := []Rule{cool(7 * day), deny("pkg:npm/left-pad@1.3.0"), {ID: "try", Kind: Deny, Mode: warn, Match: []string{"pkg:npm/left-pad@1.*"}}}
	s := made(t, rules, waiver("cool", "pkg:npm/left-pad@2.0.0", noon().Add(day))).For("npm", "npm", "left-pad")
	versions := []Facts{
		since("1.0.0", 30*day), since("1.3.0", 20*day), since("1.3.1", 6*day), since("2.0.0", 5*day), {Version: "2.0.1", FirstSeen: noon().Add(-4 * day)},
		{Version: "3.0.0", Published: noon(), Hosted: true},
	}
	l := s.Filter(versions, noon())
	if want := []bool{false, true, true, false, true, false}; !slices.Equal(l.Hidden, want) {
		t.Errorf("hidden %v, want %v", l.Hidden, want)
	}
	if want := noon().Add(day); !l.Next.Equal(want) {
		t.Errorf("next %v, want %v", l.Next, want)
	}
	if want := noon().Add(-23 * day); !l.Changed.Equal(want) {
		t.Errorf("changed %v, want %v", l.Changed, want)
	}
	if l.Outcome.Refused || len(l.Outcome.Warned) != 1 || l.Outcome.Warned[0].Reason != "3 of 6 versions of left-pad would be hidden (rule try)" {
		t.Errorf("outcome %+v", l.Outcome)
	}
	l = s.Filter(versions, noon().Add(30*day))
	if want := []bool{false, true, false, false, false, false}; !slices.Equal(l.Hidden, want) || !l.Next.IsZero() || !l.Changed.Equal(noon().Add(3*day)) {
		t.Errorf("later: %+v", l)
	}
	if l := made(t, nil).For("npm", "npm", "left-pad").Filter(versions, noon()); l.Hidden != nil || !l.Next.IsZero() || !l.Changed.IsZero() || l.Outcome.Refused {
		t.Errorf("without rules: %+v", l)
	}
	if l := s.Filter(nil, noon()); l.Hidden != nil || l.Outcome.Refused {
		t.Errorf("without versions: %+v", l)
	}
	if l := s.Filter([]Facts{{Version: "9.0.0", Claim: "acme"}, since("1.0.0", 30*day)}, noon()); !slices.Equal(l.Hidden, []bool{true, false}) {
		t.Errorf("claimed: %+v", l)
	}
}

// TestNothingLeft: the sentence when every version is hidden.
func TestNothingLeft(t *testing.T) {
	young := []Facts{since("1.0.0", hour), since("1.1.0", 5*hour), since("1.2.0", 0)}
	week := cool(7 * day)
	week.Reason = "we wait"
	for _, c := range []struct {
		rules []Rule
		want  string
		opens time.Time
	}{
		{[]Rule{week}, "all versions of left-pad are younger than 7 d (rule cool, the first opens 2026-08-08 07:00 UTC): we wait", noon().Add(7*day - 5*hour)},
		{[]Rule{week, deny("pkg:npm/left-pad@1.1.0")}, "no version of left-pad is allowed here: left-pad 1.0.0 is 1 h old; this registry waits 7 d (rule cool, opens 2026-08-08 11:00 UTC): we wait", noon().Add(7*day - hour)},
		{[]Rule{deny("pkg:npm/left-pad")}, "no version of left-pad is allowed here: left-pad 1.0.0 is denied by this registry (rule bad)", time.Time{}},
	} {
		l := made(t, c.rules).For("npm", "npm", "left-pad").Filter(young, noon())
		if f := l.Outcome.Finding; !l.Outcome.Refused || f.Reason != c.want || !f.Opens.Equal(c.opens) {
			t.Errorf("got  %s, %v\nwant %s, %v", f.Reason, f.Opens, c.want, c.opens)
		}
	}
}

// TestOpens: when a version may be used, with regard to all rules and waivers.
func TestOpens(t *testing.T) {
	in := func(d time.Duration) time.Time { return noon().Add(d) }
	until := func(r Rule, d time.Duration) Rule { r.Expires = in(d); return r }
	bad := deny("pkg:npm/left-pad")
	for _, c := range []struct {
		say     string
		rules   []Rule
		waivers []Waiver
		facts   Facts
		rule    string
		opens   time.Time // zero: never
	}{
		{"a cooldown", []Rule{cool(day)}, nil, since("1", hour), "cool", in(23 * hour)},
		{"a cooldown that ends first", []Rule{until(cool(day), hour)}, nil, since("1", hour), "cool", in(hour)},
		{"the second of two", []Rule{cool(day), {ID: "a", Kind: Cooldown, MinAge: 2 * day}}, nil, since("1", 0), "a", in(2 * day)},
		{"a deny", []Rule{bad}, nil, since("1", 0), "bad", time.Time{}},
		{"a deny that ends before a cooldown", []Rule{until(bad, hour), cool(day)}, nil, since("1", 0), "bad", in(day)},
		{"a cooldown before a freeze", []Rule{cool(day), {ID: "worm", Kind: Freeze, NotAfter: in(-day)}}, nil, since("1", 0), "worm", time.Time{}},
		{"two denies of which one ends", []Rule{until(bad, hour), {ID: "a", Kind: Deny, Match: bad.Match}}, nil, since("1", 0), "a", time.Time{}},
		{"a waiver that ends before the other rule", []Rule{bad, cool(day)}, []Waiver{waiver("bad", "pkg:npm/left-pad", in(hour))}, since("1", 0), "cool", time.Time{}},
		{"a waiver that ends after it", []Rule{bad, cool(day)}, []Waiver{waiver("bad", "pkg:npm/left-pad", in(2*day))}, since("1", 0), "cool", in(day)},
		{"what is seen now", []Rule{cool(day)}, nil, Facts{Version: "1"}, "cool", in(day)},
		{"what is behind a pin", []Rule{cool(day)}, nil, Facts{Version: "1", Published: noon(), Pinned: "a", Digest: "b"}, "cool", time.Time{}},
	} {
		f := made(t, c.rules, c.waivers...).For("npm", "npm", "left-pad").Check(c.facts, noon()).Finding
		if f.Rule != c.rule || !f.Opens.Equal(c.opens) {
			t.Errorf("%s: rule %s opens %v, want %s and %v", c.say, f.Rule, f.Opens, c.rule, c.opens)
		}
		if strings.Contains(f.Reason, "opens") == c.opens.IsZero() {
			t.Errorf("%s: %s", c.say, f.Reason)
		}
	}
}

func TestNeeds(t *testing.T) {
	week := cool(7 * day)
	for _, c := range []struct {
		say   string
		rules []Rule
		any   bool
		time  bool
	}{
		{"no rules", nil, false, false},
		{"a deny of another name", one(deny("pkg:npm/right-pad")), false, false},
		{"a deny", one(deny("pkg:npm/left-pad")), true, false},
		{"a cooldown", one(week), true, true},
		{"one that is only tried", one(Rule{Kind: Cooldown, Mode: warn, MinAge: day}), true, true},
		{"one that is off", one(Rule{Kind: Cooldown, Mode: off, MinAge: day}), false, false},
		{"one of another registry", one(Rule{Kind: Cooldown, MinAge: day, Mounts: []string{"x"}}), false, false},
		{"one of another format", one(Rule{Kind: Cooldown, MinAge: day, Formats: []string{"maven"}}), false, false},
		{"one that is over", one(Rule{Kind: Freeze, NotAfter: noon(), Expires: noon()}), true, false},
		{"one that exempts the name", one(Rule{Kind: Cooldown, MinAge: day, Exempt: []string{"pkg:npm/left-*"}}), true, false},
		{"one that exempts a version", one(Rule{Kind: Cooldown, MinAge: day, Exempt: []string{"pkg:npm/left-pad@1.0.0"}}), true, true},
		{"one that exempts a digest", one(Rule{Kind: Cooldown, MinAge: day, Exempt: []string{"pkg:npm/left-pad?checksum=sha256:" + sha}}), true, true},
		{"one that matches a version", one(Rule{Kind: Cooldown, MinAge: day, Match: []string{"pkg:npm/left-pad@1.0.0"}}), true, true},
	} {
		s := made(t, c.rules).For("npm", "npm", "left-pad")
		if s.Any() != c.any || s.NeedsTime(noon()) != c.time {
			t.Errorf("%s: any %v, needs time %v", c.say, s.Any(), s.NeedsTime(noon()))
		}
	}
}
