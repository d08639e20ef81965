package decide

import (
	"bytes"
	"fmt"
	"time"

	"larder/policy"
	"larder/policy/rules"
)

const day = 24 * time.Hour

// Rules returns so many: a cooldown for all names, and names and versions that
// are denied, in patterns of many kinds.
func Rules(n int) []rules.Rule {
	list := []rules.Rule{{ID: cooldown, Kind: rules.Cooldown, MinAge: 7 * day, Exempt: []string{"pkg:npm/@types/*", "pkg:npm/**@0.*"}}}
	for i := 1; i < n; i++ {
		var match []string
		switch i % 4 {
		case 0:
			match = []string{fmt.Sprintf("pkg:npm/package-%d", i)}
		case 1:
			match = []string{fmt.Sprintf("pkg:npm/package-%d@1.*", i), fmt.Sprintf("pkg:npm/@scope-%d/x@2.*", i)}
		case 2:
			match = []string{fmt.Sprintf("pkg:npm/@scope-%0*d/*", 1+i%30, i)}
		case 3:
			match = []string{fmt.Sprintf("pkg:npm/*-evil-%d", i), fmt.Sprintf("pkg:maven/com.acme%d.**", i)}
		}
		list = append(list, rules.Rule{ID: fmt.Sprintf("bad-%d", i), Kind: rules.Deny, Match: match})
	}
	return list
}

const cooldown = "cool"

// Waivers returns so many, all of the cooldown, each for another package.
func Waivers(n int) []rules.Waiver {
	var list []rules.Waiver
	for i := range n {
		list = append(list, rules.Waiver{
			Rule: cooldown, Match: []string{fmt.Sprintf("pkg:npm/urgent-%d@1.0.%d", i, i)}, By: "alice", Why: "urgent fix",
			Until: time.Now().Add(365 * day),
		})
	}
	return list
}

// Claims returns so many, each of a scope of its own.
func Claims(n int) []policy.Claim {
	var list []policy.Claim
	for i := range n {
		list = append(list, policy.Claim{
			ID: fmt.Sprintf("claim-%d", i), Formats: []string{"npm"}, Match: []string{fmt.Sprintf("@claimed-%d/**", i)}, Repository: "admin/packages",
		})
	}
	return list
}

// Config is a configuration file with all of a size.
func Config(s Size) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "policy:\n  claims:\n")
	for _, c := range Claims(s.Claims) {
		fmt.Fprintf(&b, "    - {id: %s, formats: [npm], match: [%q], repository: %s}\n", c.ID, c.Match[0], c.Repository)
	}
	fmt.Fprintf(&b, "  rules:\n")
	for _, r := range Rules(s.Rules) {
		if r.Kind == rules.Cooldown {
			fmt.Fprintf(&b, "    - {id: %s, kind: %s, min_age: %s, exempt: %s}\n", r.ID, r.Kind, r.MinAge, quoted(r.Exempt))
			continue
		}
		fmt.Fprintf(&b, "    - {id: %s, kind: %s, match: %s}\n", r.ID, r.Kind, quoted(r.Match))
	}
	fmt.Fprintf(&b, "  waivers:\n")
	for _, w := range Waivers(s.Waivers) {
		fmt.Fprintf(&b, "    - {rule: %s, match: %s, by: %s, until: %s, why: %q}\n", w.Rule, quoted(w.Match), w.By, w.Until.Format(time.DateOnly), w.Why)
	}
	return b.Bytes()
}

// quoted is a list in YAML.
func quoted(texts []string) string {
	var b bytes.Buffer
	for i, t := range texts {
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "%q", t)
	}
	return "[" + b.String() + "]"
}
