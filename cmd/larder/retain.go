package main

import (
	"context"
	"errors"
	"time"

	"larder/cmd/larder/config"
	"larder/proxy/admin"
	"larder/proxy/registry"
)

func retention(rules []config.Keep) []registry.Keep {
	var list []registry.Keep
	for _, r := range rules {
		list = append(list, registry.Keep{Match: r.Match, Untagged: r.Untagged.Std(), Newest: r.Newest})
	}
	return list
}

// Retain lets the rules of all registries act, or with dry tells what they would do.
func (m maintenance) Retain(ctx context.Context, dry bool) (admin.Retention, error) {
	var all admin.Retention
	var errs []error
	for _, mount := range m.n.mounts {
		out, err := mount.Retain(ctx, dry)
		all.Versions += out.Versions
		all.Bytes += out.Bytes
		all.Named = append(all.Named, out.Named...)
		errs = append(errs, err)
	}
	return all, errors.Join(errs...)
}

// retainDaily lets the rules act once a day.
func (n *node) retainDaily(ctx context.Context, report func(error)) {
	day := time.NewTicker(24 * time.Hour)
	defer day.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-day.C:
			if _, err := (maintenance{n}).Retain(ctx, false); err != nil && ctx.Err() == nil {
				report(err)
			}
		}
	}
}
