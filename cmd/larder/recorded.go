package main

import (
	"context"
	"strconv"

	"larder/cache"
	"larder/cache/evict"
	"larder/policy/audit"
	"larder/proxy/admin"
)

// record appends what was done to the server itself. It was done by then, so
// that a record which cannot be written is told to the log.
func (n *node) record(ctx context.Context, r audit.Record) {
	if _, ok := audit.From(ctx); !ok {
		r.Actor.Kind = audit.System
	}
	ctx = context.WithoutCancel(ctx) // whoever asked may be gone
	n.note(n.index.Update(ctx, func(w cache.Writer) error {
		return audit.Chain{Clock: n.clock}.Append(ctx, w, r)
	}))
}

// reloaded records a reload, or that its configuration was refused.
func (n *node) reloaded(ctx context.Context, err error) {
	r := audit.Record{Action: "policy.reload", Decision: audit.Allow}
	if err != nil {
		r.Decision, r.Reason.Sentence = audit.Deny, err.Error()
	}
	n.record(ctx, r)
}

func (n *node) collected(ctx context.Context, report evict.Report) {
	n.record(ctx, audit.Record{Action: "store.gc", Decision: audit.Allow, After: audit.State{"bytes": strconv.FormatInt(report.Bytes, 10)}})
}

func (n *node) repaired(ctx context.Context, v admin.Verification) {
	count := func(n int64) string { return strconv.FormatInt(n, 10) }
	n.record(ctx, audit.Record{Action: "store.repair", Decision: audit.Allow, After: audit.State{
		"hosted_damaged": count(v.Hosted), "cached_damaged": count(v.Cached), "repaired": count(v.Repaired),
	}})
}
