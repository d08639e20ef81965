package rules

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"

	"larder/policy/purl"
)

// epochOf hashes the canonical form of what is in force: rules in order, each
// field with its length in front, lists sorted and without repetitions.
func epochOf(all []*rule, grants []*grant) string {
	h := sha256.New()
	put := func(texts ...string) {
		for _, t := range texts {
			fmt.Fprintf(h, "%d:%s,", len(t), t)
		}
	}
	list := func(texts []string) {
		texts = slices.Clone(texts)
		slices.Sort(texts)
		texts = slices.Compact(texts)
		put(fmt.Sprint(len(texts)))
		put(texts...)
	}
	for _, r := range all {
		if r.Mode == off {
			continue
		}
		put("rule", r.ID, r.Kind, r.Mode, r.Reason, r.UnknownTime, r.MinAge.String(), instant(r.NotAfter), instant(r.Expires), fmt.Sprint(r.Exclusive))
		list(r.Formats)
		list(r.Mounts)
		list(texts(r.match))
		list(texts(r.exempt))
	}
	var waived []string
	for _, g := range grants {
		if g.rule.Mode != off {
			w := g.waiver
			waived = append(waived, strings.Join([]string{g.rule.ID, g.pattern.String(), w.By, w.Why, instant(w.Until)}, "\x00"))
		}
	}
	list(waived)
	return hex.EncodeToString(h.Sum(nil)[:8])
}

func texts(patterns []*purl.Pattern) []string {
	var list []string
	for _, p := range patterns {
		list = append(list, p.String())
	}
	return list
}

func instant(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }
