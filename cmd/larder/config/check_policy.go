package config

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"larder/policy"
	"larder/policy/purl"
	"larder/policy/rules"
	"larder/policy/typo"
)

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

// RuleSet returns the rules and waivers as package rules takes them.
func (p Policy) RuleSet() ([]rules.Rule, []rules.Waiver) {
	var list []rules.Rule
	for _, r := range p.Rules {
		list = append(list, rules.Rule{
			ID: r.ID, Kind: r.Kind, Mode: r.Mode, Reason: r.Reason, Formats: r.Formats, Mounts: r.Mounts, Match: r.Match, Exempt: r.Exempt,
			MinAge: r.MinAge.Std(), NotAfter: r.NotAfter.Time, Expires: r.Expires.Time, Exclusive: r.Exclusive, UnknownTime: r.UnknownTime,
		})
	}
	var waivers []rules.Waiver
	for _, w := range p.Waivers {
		waivers = append(waivers, rules.Waiver{Rule: w.Rule, Match: w.Match, By: w.By, Why: w.Why, Until: w.Until.Time})
	}
	return list, waivers
}

// rules checks rules and waivers by themselves, and the names in them against
// the rest of the configuration.
func (k *checker) rules() {
	list, waivers := k.Policy.RuleSet()
	// Whether ranges cover anything is found by rules.New, which knows the order of versions.
	mistakes, warnings := rules.Check(list, waivers, nil)
	for _, m := range mistakes {
		if key := "policy." + m.Key(); m.Known != nil {
			k.oneOf(key, m.Value, m.Known)
		} else {
			k.fail(key, "%s", m.Text)
		}
	}
	for _, w := range warnings {
		k.warn("policy.%s (%s): %s", w.Key(), w.ID, w.Text)
	}
	for i, r := range k.Policy.Rules {
		key := fmt.Sprintf("policy.rules[%d]", i)
		for j, f := range r.Formats {
			if slices.Contains(purl.Formats(), f) {
				k.format(fmt.Sprintf("%s.formats[%d]", key, j), f, f)
			}
		}
		for j, m := range r.Mounts {
			if names := k.mounts(); !slices.Contains(names, m) {
				k.fail(fmt.Sprintf("%s.mounts[%d]", key, j), "there is no registry %q%s: the registries are %s", m, maybe(typo.Nearest(m, names)),
					cmp.Or(strings.Join(names, ", "), "none"))
			}
		}
	}
}
