package rules

import (
	"fmt"
	"testing"
	"time"
)

// thousand is a set of a thousand rules: packages and versions denied one by
// one, scopes and globs of all lengths, a cooldown for all with exemptions.
func thousand(t testing.TB, cooldown bool) *Set {
	var rules []Rule
	for i := range 1000 {
		var match []string
		switch i % 4 {
		case 0:
			match = []string{fmt.Sprintf("pkg:npm/package-%d", i)}
		case 1:
			match = []string{fmt.Sprintf("pkg:npm/package-%d@>=1.0.0,<1.5.0", i), fmt.Sprintf("pkg:npm/@scope-%d/x@2.*", i)}
		case 2:
			match = []string{fmt.Sprintf("pkg:npm/@scope-%0*d/*", 1+i%30, i)}
		case 3:
			match = []string{fmt.Sprintf("pkg:npm/*-evil-%d", i), fmt.Sprintf("pkg:maven/com.acme%d.**", i)}
		}
		rules = append(rules, Rule{ID: fmt.Sprint("bad-", i), Kind: Deny, Match: match})
	}
	if cooldown {
		rules[0] = Rule{ID: "cool", Kind: Cooldown, MinAge: 7 * day, Exempt: []string{"pkg:npm/@types/*", "pkg:npm/**@0.*"}}
	}
	return made(t, rules)
}

// TestAllocations: names that no pattern covers cost none, with a rule for
// every name too.
func TestAllocations(t *testing.T) {
	f, old := Facts{Version: "1.2.3", Published: noon().Add(-9 * day)}, noon()
	for _, cooldown := range []bool{false, true} {
		s := thousand(t, cooldown)
		for _, name := range []string{"left-pad", "@babel/core", "a-rather-long-name-of-a-package-that-somebody-made"} {
			if n := testing.AllocsPerRun(100, func() {
				scope := s.For("npm", "npm", name)
				if out := scope.Check(f, old); out.Refused || scope.NeedsTime(old) != cooldown || scope.Any() != cooldown {
					t.Errorf("%s: %+v", name, out)
				}
			}); n != 0 {
				t.Errorf("%s: %v allocations", name, n)
			}
		}
	}
	few, many := made(t, []Rule{cool(day), deny("pkg:npm/package-1@2.0.0")}), thousand(t, true)
	count := func(s *Set) float64 {
		return testing.AllocsPerRun(100, func() {
			if out := s.For("npm", "npm", "package-1").Check(f, old); out.Refused != (s == many) {
				t.Errorf("%+v", out)
			}
		})
	}
	if a, b := count(few), count(many); b > a+12 { // the words of the refusal
		t.Errorf("a name that is denied costs %v allocations with few rules and %v with many", a, b)
	}
}

func BenchmarkFor(b *testing.B) {
	for _, cooldown := range []bool{false, true} {
		s := thousand(b, cooldown)
		for _, name := range []string{"left-pad", "@babel/core", "package-5"} {
			b.Run(fmt.Sprintf("rules=1000/cooldown=%v/%s", cooldown, name), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					s.For("npm", "npm", name)
				}
			})
		}
	}
}

func BenchmarkCheck(b *testing.B) {
	s := thousand(b, true)
	now := noon()
	for name, f := range map[string]Facts{"passes": since("1.2.3", 9*day), "waits": since("1.2.3", day)} {
		b.Run("rules=1000/"+name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				s.For("npm", "npm", "left-pad").Check(f, now)
			}
		})
	}
}

func BenchmarkFilter(b *testing.B) {
	s := thousand(b, true).For("npm", "npm", "left-pad")
	var versions []Facts
	for i := range 2800 {
		versions = append(versions, since(fmt.Sprintf("1.0.%d", i), time.Duration(i)*hour))
	}
	b.ReportAllocs()
	for b.Loop() {
		s.Filter(versions, noon())
	}
}

func BenchmarkNew(b *testing.B) {
	var rules []Rule
	for i := range 1000 {
		rules = append(rules, Rule{ID: fmt.Sprint("bad-", i), Kind: Deny, Match: []string{fmt.Sprintf("pkg:npm/package-%d@>=1.0.0,<1.5.0", i)}})
	}
	b.ReportAllocs()
	for b.Loop() {
		made(b, rules)
	}
}
