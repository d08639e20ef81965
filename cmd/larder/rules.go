package main

import (
	"time"

	"larder/cmd/larder/config"
	"larder/policy/rules"
)

// ordered is a format whose versions have an order, for rules about ranges.
type ordered interface {
	// Compare is negative, 0 or positive as a is less than, equal to or greater than b.
	Compare(a, b string) int
}

// ruleSet makes the rules of a configuration ready to be asked.
func ruleSet(cfg *config.Loaded) (*rules.Set, error) {
	list, err := formatList(cfg.Publish, time.Now)
	if err != nil {
		return nil, err
	}
	written, waivers := cfg.Policy.RuleSet()
	set, err := rules.New(written, waivers, func(format string) func(a, b string) int {
		f, err := list.Find(format)
		if err != nil {
			return nil // a format that this program does not speak
		}
		if o, ok := f.(ordered); ok {
			return o.Compare
		}
		return nil
	})
	if err != nil {
		return nil, usageError{err}
	}
	return set, nil
}
