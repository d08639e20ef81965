package policy

import (
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"
)

func TestParseScopes(t *testing.T) {
	got, err := ParseScopes("write:packages,read:packages", " repo  write:packages")
	if err != nil || !slices.Equal(got, []Scope{ReadPackages, WritePackages, Repo}) {
		t.Errorf("got %v, %v", got, err)
	}
	for _, bad := range []string{"", ",", "packages:read", "READ:PACKAGES", "read:packages,admin"} {
		if got, err := ParseScopes(bad); err == nil {
			t.Errorf("%q gave %v", bad, got)
		}
	}
	if s := JoinScopes([]Scope{Repo, AdminOrg}); s != "repo, admin:org" {
		t.Error(s)
	}
}

func TestCovers(t *testing.T) {
	for _, c := range []struct {
		held, want []Scope
		ok         bool
	}{
		{nil, nil, true},
		{nil, []Scope{ReadPackages}, false},
		{[]Scope{WritePackages}, []Scope{ReadPackages, WritePackages}, true},
		{[]Scope{ReadPackages}, []Scope{WritePackages}, false},
		{[]Scope{DeletePackages}, []Scope{ReadPackages}, false},
		{[]Scope{AdminInstance}, []Scope{AdminOrg}, false},
		{AllScopes(), AllScopes(), true},
	} {
		if Covers(c.held, c.want) != c.ok {
			t.Errorf("%v covers %v: want %v", c.held, c.want, c.ok)
		}
	}
}

func TestMatch(t *testing.T) {
	for _, c := range []struct {
		pattern, name string
		want          bool
	}{
		{"@acme/**", "@acme/one", true},
		{"@acme/**", "@acme/", false},
		{"@acme/**", "@acme", false},
		{"@acme/**", "@acmex/one", false},
		{"acme/**", "acme/a/b/c", true},
		{"acme/*", "acme/a/b", false},
		{"acme/*", "acme/a", true},
		{"acme-*", "acme-", true},
		{"acme-*", "acme-a-b", true},
		{"acme-*", "acme", false},
		{"acme-*", "acme-a/b", false},
		{"com.acme.**", "com.acme", true},
		{"com.acme.**", "com.acme.sub", true},
		{"com.acme.**", "com.acme:lib", true},
		{"com.acme.**", "com.acmex", false},
		{"com.acme.**", "com.acme-x", false},
		{"**", "anything/at/all", true},
		{"one", "one", true},
		{"one", "ones", false},
		{"*-x-*", "a-x-x-b", true},
		{"*a/*b", "xa/yb", true},
		{"*a/*b", "xa/y/b", false},
		{"a*b*c", "abbbc", true},
		{"a*b*c", "abbb", false},
	} {
		if err := CheckPattern(c.pattern); err != nil {
			t.Errorf("pattern %s: %v", c.pattern, err)
		}
		if got := Match(c.pattern, c.name); got != c.want {
			t.Errorf("%s covers %s: %v, want %v", c.pattern, c.name, got, c.want)
		}
	}
}

func TestCheckPatternRefuses(t *testing.T) {
	for pattern, word := range map[string]string{
		"": "empty", "a**": "single *", "**a": "at the end", "a/**/b": "at the end", "***": "**",
		"a/*/**": "no other", "pkg:npm/x": "package URL", "a b": "blank", "a\\b": "blank", "[ab]": "blank", "a\x00": "blank",
		"*-*-*-*-*": "wildcards", strings.Repeat("a", 300): "longer",
	} {
		if err := CheckPattern(pattern); err == nil || !strings.Contains(err.Error(), word) {
			t.Errorf("%.20q: %v, want a word of %q", pattern, err, word)
		}
	}
}

// matchSlowly is the definition of * and ** that Match is compared with.
func matchSlowly(pattern, name string) bool {
	if base, ok := strings.CutSuffix(pattern, ".**"); ok {
		if rest, ok := strings.CutPrefix(name, base); ok && base != "" && (rest == "" || rest[0] == ':') {
			return true
		}
	}
	if head, ok := strings.CutSuffix(pattern, "**"); ok {
		return len(name) > len(head) && name[:len(head)] == head
	}
	if pattern == "" {
		return name == ""
	}
	if pattern[0] != '*' {
		return name != "" && name[0] == pattern[0] && matchSlowly(pattern[1:], name[1:])
	}
	for i := 0; ; i++ {
		if matchSlowly(pattern[1:], name[i:]) {
			return true
		}
		if i == len(name) || name[i] == '/' {
			return false
		}
	}
}

func FuzzMatch(f *testing.F) {
	for _, s := range [][3]string{
		{"@acme/**", "@acme/x", "@acme/*"}, {"a*b*c/*", "abbc/d", "a*b*c/x"}, {"com.acme.**", "com.acme", "com.acme.x.**"},
		{"*a/*b", "a/a/b", "*a/b"}, {"**", "x", "*"}, {".**", ":", "x.**"},
	} {
		f.Add(s[0], s[1], s[2])
	}
	f.Fuzz(func(t *testing.T, pattern, name, inner string) {
		if CheckPattern(pattern) != nil || len(name) > 64 || strings.ContainsAny(name, "*\x00") {
			return
		}
		got := Match(pattern, name)
		if want := matchSlowly(pattern, name); got != want {
			t.Fatalf("%q covers %q: %v, want %v", pattern, name, got, want)
		}
		if CheckPattern(inner) == nil && within(inner, pattern) && Match(inner, name) && !got {
			t.Fatalf("%q is said to be within %q, but covers %q", inner, pattern, name)
		}
	})
}

func TestClaimsFindTheMostExact(t *testing.T) {
	c, err := NewClaims([]Claim{
		{ID: "all", Formats: []string{"npm"}, Match: []string{"@acme/**"}, Repository: "acme/packages"},
		{ID: "ui", Formats: []string{"npm"}, Match: []string{"@acme/ui-*", "@acme/*-ui"}, Repository: "acme/ui"},
		{ID: "one", Formats: []string{"npm"}, Match: []string{"@acme/ui-one"}, Repository: "acme/one"},
		{ID: "j", Formats: []string{"maven", "gradle"}, Match: []string{"com.acme.**"}, Repository: "acme/java"},
		{ID: "jx", Formats: []string{"maven"}, Match: []string{"com.acme.x.**"}, Repository: "acme/x"},
		{ID: "n", Formats: []string{"nuget"}, Match: []string{"Acme.*"}, Repository: "acme/net"},
		{ID: "any", Match: []string{"acme-*", "zz"}, Repository: "acme/any"},
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range []struct{ format, name, id string }{
		{"npm", "@acme/a", "all"}, {"npm", "@acme/ui-a", "ui"}, {"npm", "@acme/ui-one", "one"}, {"npm", "@acme/b-ui", "ui"},
		{"npm", "@other/a", ""}, {"npm", "acme", ""}, {"npm", "", ""}, {"pypi", "@acme/a", ""},
		{"maven", "com.acme", "j"}, {"maven", "com.acme.y:lib", "j"}, {"maven", "com.acme.x:lib", "jx"}, {"maven", "com.acme.xx", "j"},
		{"maven", "com.acmes", ""}, {"gradle", "com.acme.x", "j"}, {"maven", "com.acme:lib", "j"},
		{"nuget", "acme.json", "n"}, {"nuget", "ACME.Json", "n"}, {"nuget", "acme", ""},
		{"rubygems", "acme-x", "any"}, {"npm", "acme-x", "any"}, {"npm", "zz", "any"},
	} {
		got, ok := c.Match(w.format, w.name)
		if got.ID != w.id || ok != (w.id != "") {
			t.Errorf("%s %s: claim %q, want %q", w.format, w.name, got.ID, w.id)
		}
	}
	if len(c.All()) != 7 {
		t.Error("claims are lost")
	}
}

func TestNewClaimsRefuses(t *testing.T) {
	claim := func(format, match string) Claim {
		return Claim{ID: "a", Formats: []string{format}, Match: []string{match}, Repository: "acme/packages"}
	}
	other := claim("npm", "@acme/**")
	other.ID = "b"
	for _, c := range []struct {
		word   string
		claims []Claim
	}{
		{"@acme/**", []Claim{claim("npm", "@acme")}},
		{"begins with @", []Claim{claim("npm", "acme/**")}},
		{"with dots", []Claim{claim("maven", "com/acme/**")}},
		{"neither", []Claim{claim("nuget", "acme/**")}},
		{"neither", []Claim{claim("rubygems", "@acme/**")}},
		{"image", []Claim{claim("oci", "@acme/**")}},
		{"every name", []Claim{claim("npm", "*")}},
		{"every name", []Claim{claim("maven", "**")}},
		{"no format", []Claim{claim("n pm", "x")}},
		{"twice", []Claim{claim("npm", "x"), claim("maven", "x")}},
		{"both hold", []Claim{claim("npm", "@acme/**"), other}},
		{"owner/name", []Claim{{ID: "a", Match: []string{"x"}, Repository: "acme"}}},
		{"matches nothing", []Claim{{ID: "a", Repository: "acme/x"}}},
		{"the id", []Claim{{ID: "A b", Match: []string{"x"}, Repository: "acme/x"}}},
		{"patterns", []Claim{{ID: "a", Match: slices.Repeat([]string{"x"}, 101), Repository: "acme/x"}}},
	} {
		if _, err := NewClaims(c.claims); err == nil || !strings.Contains(err.Error(), c.word) {
			t.Errorf("%+v: %v, want a word of %q", c.claims, err, c.word)
		}
	}
}

func TestNarrow(t *testing.T) {
	held := Limits{
		Owners: []string{"acme"}, Packages: []string{"@acme/**", "acme-*"},
		Formats: []string{"npm"}, CIDRs: []string{"192.0.2.0/24"},
	}
	got, err := held.Narrow(Limits{Repositories: []string{"acme/lib"}, Packages: []string{"@acme/ui-*"}, CIDRs: []string{"192.0.2.7"}})
	want := Limits{Owners: []string{"acme"}, Repositories: []string{"acme/lib"}, Packages: []string{"@acme/ui-*"}, Formats: []string{"npm"}, CIDRs: []string{"192.0.2.7"}}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v", got, err)
	}
	for _, w := range []Limits{
		{Owners: []string{"other"}}, {Packages: []string{"**"}}, {Packages: []string{"@acme/one", "left-pad"}},
		{Packages: []string{"acme-**"}}, {Packages: []string{"acme*"}}, {Formats: []string{"npm", "oci"}},
		{CIDRs: []string{"192.0.0.0/16"}}, {CIDRs: []string{"::/0"}}, {CIDRs: []string{"x"}},
	} {
		if got, err := held.Narrow(w); err == nil {
			t.Errorf("%+v was widened to %+v", w, got)
		}
	}
	if got, err := (Limits{}).Narrow(held); err != nil || !reflect.DeepEqual(got, held) {
		t.Errorf("no limits narrowed: %+v, %v", got, err)
	}
}

// FuzzNarrow: what a token makes, or may end, can do nothing that it cannot.
func FuzzNarrow(f *testing.F) {
	f.Add("acme;;@acme/**;npm;192.0.2.0/24", ";acme/lib;@acme/a;;192.0.2.7", "npm", "acme/lib", "@acme/a", "192.0.2.7")
	f.Add(";;com.acme.**;;::/0", ";;com.acme*;;10.0.0.0/8", "maven", "a/b", "com.acme:x", "10.0.0.1")
	f.Add(";;**;;", ";;a*b*;;", "oci", "a/b", "a/b", "::1")
	f.Add(";;a-*;;0.0.0.0/0", ";;a-*-*;;::ffff:10.0.0.0/104", "npm", "", "a-/-", "10.0.0.1")
	f.Fuzz(func(t *testing.T, held, want, format, repository, name, address string) {
		l, w := limitsOf(held), limitsOf(want)
		addr, err := netip.ParseAddr(address)
		if l.Check() != nil || w.Check() != nil || err != nil || strings.ContainsFunc(name, notName) {
			return
		}
		res := Resource{Format: format, Repository: repository, Package: name}
		can := func(x Limits) bool { return x.cover(res) && x.Address(addr) }
		if n, err := l.Narrow(w); err == nil && can(n) && !can(l) {
			t.Errorf("%+v gave %+v, which covers %+v from %v", l, n, res, addr)
		}
		if l.Covers(w) && can(w) && !can(l) {
			t.Errorf("%+v is said to cover %+v, which covers %+v from %v", l, w, res, addr)
		}
	})
}

// limitsOf reads five lists, separated by semicolons, of words separated by blanks.
func limitsOf(text string) Limits {
	var lists [5][]string
	for i, list := range strings.SplitN(text, ";", 5) {
		lists[i] = strings.Fields(list)
	}
	return Limits{Owners: lists[0], Repositories: lists[1], Packages: lists[2], Formats: lists[3], CIDRs: lists[4]}
}

func TestLimitsCheckAndAddress(t *testing.T) {
	for _, bad := range []Limits{
		{Owners: []string{""}}, {Owners: []string{"a/b"}}, {Repositories: []string{"a"}}, {Repositories: []string{"a/b/c"}},
		{Packages: []string{"a**"}}, {Formats: []string{"*"}}, {CIDRs: []string{"192.0.2.0/33"}}, {CIDRs: []string{"fe80::1%eth0"}},
		{Formats: slices.Repeat([]string{"npm"}, 101)},
	} {
		if bad.Check() == nil {
			t.Errorf("%+v was accepted", bad)
		}
	}
	l := Limits{Owners: []string{"a"}, Repositories: []string{"a/b"}, Packages: []string{"@a/**"}, CIDRs: []string{"192.0.2.0/24", "2001:db8::1"}}
	if err := l.Check(); err != nil {
		t.Error(err)
	}
	for a, want := range map[string]bool{"192.0.2.9": true, "::ffff:192.0.2.9": true, "192.0.3.1": false, "2001:db8::1": true, "2001:db8::2": false} {
		if l.Address(netip.MustParseAddr(a)) != want {
			t.Errorf("%s inside: want %v", a, want)
		}
	}
	if l.Address(netip.Addr{}) || !(Limits{}).Address(netip.Addr{}) {
		t.Error("an unknown address is inside no limit, and needs none where there is none")
	}
}

func TestWords(t *testing.T) {
	for r := RoleNone; r <= RoleAdmin; r++ {
		if got, err := ParseRole(r.String()); err != nil || got != r {
			t.Errorf("role %d reads back as %d, %v", r, got, err)
		}
	}
	if _, err := ParseRole("owner"); err == nil {
		t.Error("owner is no role of a repository")
	}
	if v, err := ParseVisibility("internal"); err != nil || v != Internal {
		t.Error(v, err)
	}
	if _, err := ParseVisibility(""); err == nil {
		t.Error("no visibility was accepted")
	}
}
