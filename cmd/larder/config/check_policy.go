package config

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"larder/policy"
)

// RuleKinds are the kinds of rules that this version knows by name.
func RuleKinds() []string {
	return []string{"claim", "origin", "deny", "allow", "freeze", "cooldown", "pin"}
}

// laterKinds are kinds that the product will have; naming one is no misspelling.
func laterKinds() []string {
	return []string{"malware", "vulnerability", "license", "lookalike", "provenance"}
}

func (k *checker) claims() {
	seen := map[string]bool{}
	for i, c := range k.Policy.Claims {
		key := fmt.Sprintf("policy.claims[%d]", i)
		claim := policy.Claim{ID: c.ID, Formats: c.Formats, Match: c.Match, Repository: c.Repository}
		if err := claim.Check(); err != nil {
			k.fail(key, "%v", err)
			continue
		}
		for _, f := range c.Formats {
			k.format(key+".formats", f, f)
		}
		if seen[c.ID] {
			k.fail(key+".id", "the id %s is there twice", c.ID)
		}
		seen[c.ID] = true
	}
}

func (k *checker) rules() {
	seen := map[string]bool{}
	for i, r := range k.Policy.Rules {
		key := fmt.Sprintf("policy.rules[%d]", i)
		if r.ID == "" {
			k.fail(key+".id", "the id is missing: refusals name the rule by it")
		} else if seen[r.ID] {
			k.fail(key+".id", "the id %s is there twice", r.ID)
		}
		seen[r.ID] = true
		k.rule(key, r)
	}
}

func (k *checker) rule(key string, r Rule) {
	if slices.Contains(laterKinds(), r.Kind) {
		k.fail(key+".kind", "rules of kind %s are not in this version", r.Kind)
		return
	}
	k.oneOf(key+".kind", r.Kind, RuleKinds())
	k.oneOf(key+".mode", r.Mode, []string{"enforce", "warn", "off"})
	k.oneOf(key+".unknown_time", r.UnknownTime, []string{"first_seen", "deny", "allow"})
	for _, f := range r.Formats {
		k.format(key+".formats", f, f)
	}
	for _, m := range r.Mounts {
		if _, ok := k.Registries[m]; !ok {
			k.fail(key+".mounts", "there is no registry %q", m)
		}
	}
	k.purls(key+".match", r.Match)
	k.purls(key+".exempt", r.Exempt)
	k.fields(key, r)
	k.inForce(key, r)
}

// fields checks that a rule has what its kind needs and nothing that its kind
// would not look at.
func (k *checker) fields(key string, r Rule) {
	for _, f := range []struct {
		name   string
		set    bool
		kinds  []string // that have it
		needed []string // that cannot do without
	}{
		{"match", len(r.Match) > 0, RuleKinds(), []string{"deny", "allow"}},
		{"min_age", r.MinAge > 0, []string{"cooldown"}, []string{"cooldown"}},
		{"not_after", !r.NotAfter.IsZero(), []string{"freeze"}, []string{"freeze"}},
		{"exclusive", r.Exclusive, []string{"allow"}, nil},
		{"unknown_time", r.UnknownTime != "first_seen", []string{"cooldown"}, nil},
		{"exempt", len(r.Exempt) > 0, []string{"cooldown", "freeze", "deny"}, nil},
	} {
		switch {
		case f.set && !slices.Contains(f.kinds, r.Kind):
			k.fail(key+"."+f.name, "a rule of kind %s has no %s", r.Kind, f.name)
		case !f.set && slices.Contains(f.needed, r.Kind):
			k.fail(key+"."+f.name, "a rule of kind %s needs it", r.Kind)
		}
	}
}

// inForce refuses what would silently not be held: this version holds claims,
// origin and pins by itself, and evaluates no other rule.
func (k *checker) inForce(key string, r Rule) {
	switch r.Mode {
	case "enforce":
		k.fail(key, "rules are not enforced in this version, so larder does not start with rule %q in force: "+
			"remove it, or set its mode to off until an upgrade", cmp.Or(r.ID, r.Kind))
	case "warn":
		k.warn("%s (%s): rules are not evaluated in this version, so nothing will be reported", key, r.ID)
	}
}

// purls checks patterns of package URLs: pkg:TYPE/NAME[@VERSION] with * for any text.
func (k *checker) purls(key string, list []string) {
	for _, p := range list {
		rest, ok := strings.CutPrefix(p, "pkg:")
		kind, name, slash := strings.Cut(rest, "/")
		if !ok || !slash || name == "" || strings.ContainsFunc(p, func(c rune) bool { return c <= ' ' || c == 0x7f }) {
			k.fail(key, "%q is no package URL: write pkg:npm/name or pkg:npm/name@1.2.3, with * for any text", p)
			continue
		}
		if !slices.Contains(purlTypes(), kind) {
			k.fail(key, "%q: %q is no type of package URLs: use %s", p, kind, strings.Join(purlTypes(), ", "))
		}
	}
}

func purlTypes() []string {
	return []string{"npm", "gem", "maven", "nuget", "oci", "pypi", "golang", "cargo", "deb", "generic"}
}

func (k *checker) waivers() {
	for i, w := range k.Policy.Waivers {
		key := fmt.Sprintf("policy.waivers[%d]", i)
		known := slices.ContainsFunc(k.Policy.Rules, func(r Rule) bool { return r.ID == w.Rule })
		if !known {
			k.fail(key+".rule", "there is no rule %q", w.Rule)
		}
		if len(w.Match) == 0 {
			k.fail(key+".match", "it is missing: name the package versions")
		}
		k.purls(key+".match", w.Match)
		for _, f := range [][2]string{{"by", w.By}, {"until", w.Until.String()}, {"why", w.Why}} {
			if f[1] == "" {
				k.fail(key+"."+f[0], "it is missing: a waiver says who gave it, until when, and why")
			}
		}
	}
}
