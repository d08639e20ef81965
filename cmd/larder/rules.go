package main

import (
	"context"
	"time"

	"larder/cache/timed"
	"larder/cmd/larder/config"
	"larder/policy/audit"
	"larder/policy/rulebook"
	"larder/policy/rules"
)

// ordered is a format whose versions have an order, for rules about ranges.
type ordered interface {
	// Compare is negative, 0 or positive as a is less than, equal to or greater than b.
	Compare(a, b string) int
}

// orders returns the order of each format's versions, nil where it has none.
func orders(c *config.Loaded) (func(format string) func(a, b string) int, error) {
	list, err := formatList(c, time.Now)
	if err != nil {
		return nil, err
	}
	return func(format string) func(a, b string) int {
		f, err := list.Find(format)
		if err != nil {
			return nil // a format that this program does not speak
		}
		if o, ok := f.(ordered); ok {
			return o.Compare
		}
		return nil
	}, nil
}

// checkRules says what is wrong with the rules of a configuration.
func checkRules(cfg *config.Loaded) error {
	compare, err := orders(cfg)
	if err != nil {
		return err
	}
	written, waivers := cfg.Policy.RuleSet()
	if _, err := rules.New(written, waivers, compare); err != nil {
		return usageError{err}
	}
	return nil
}

// openRules puts the rules of the configuration in force, with the waivers that
// were given while an earlier server ran.
func (n *node) openRules(ctx context.Context) error {
	compare, err := orders(n.cfg)
	if err != nil {
		return err
	}
	n.rules, err = rulebook.Open(ctx, timed.Index(n.index, n.metrics.Stored), rulebook.Options{Clock: n.clock, Compare: compare})
	if err != nil {
		return err
	}
	if err := n.rules.Use(n.cfg.Policy.RuleSet()); err != nil {
		return usageError{err}
	}
	return nil
}

// refusals records refusals, and counts those of rules.
type refusals struct{ n *node }

func (r refusals) Refused(ctx context.Context, rec audit.Record) (id string, err error) {
	if rec.Reason.RuleID != "" {
		r.n.rules.Refused(rec.Reason.RuleID)
	}
	return r.n.audit.Refused(ctx, rec)
}
