package registry

import (
	"context"
	"strconv"
	"time"

	"larder/formats"
	"larder/policy/audit"
)

// maxDeeds is how many versions one change is recorded by one; beyond, they are
// counted. The records would pass what a transaction may write, and the journal
// names each version anyway.
const maxDeeds = 50

// deed is what a change did to one version.
type deed struct {
	action string
	on     audit.Resource
}

func (t *tx) did(action string, r *formats.Release) {
	d := deed{action, audit.Resource{Format: t.format, Repository: t.home, Package: t.name, Version: r.Version}}
	if len(r.Files) == 1 {
		d.on.File, d.on.Digest = r.Files[0].Name, r.Files[0].Blob.Digest.String()
	}
	t.done = append(t.done, d)
}

// record appends what the change did to the audit log. That of the package
// itself follows from its versions, where one came or went.
func (t *tx) record(ctx context.Context) error {
	if err := t.recordDeeds(ctx); err != nil {
		return err
	}
	before, after := differences(&t.was, &t.head.Package)
	if !t.saved || t.versionsMoved() || len(t.done) > 0 && len(before)+len(after) == 0 {
		return nil
	}
	return t.append(ctx, audit.Record{
		Action: "package.change", Before: before, After: after,
		Resource: audit.Resource{Format: t.format, Repository: t.home, Package: t.name},
	})
}

func (t *tx) recordDeeds(ctx context.Context) error {
	count := map[string]int{}
	for _, d := range t.done {
		count[d.action]++
	}
	for _, d := range t.done {
		r := audit.Record{Action: d.action, Resource: d.on}
		if n := count[d.action]; n > maxDeeds {
			r.After = audit.State{"versions": strconv.Itoa(n)}
			r.Resource.Version, r.Resource.File, r.Resource.Digest = "", "", ""
			count[d.action] = 0
		} else if n == 0 {
			continue
		}
		if err := t.append(ctx, r); err != nil {
			return err
		}
	}
	return nil
}

func (t *tx) versionsMoved() bool {
	for _, d := range t.done {
		if d.action != "package.amend" {
			return true
		}
	}
	return false
}

func (t *tx) append(ctx context.Context, r audit.Record) error {
	r.Decision, r.Actor = audit.Allow, audit.ActorOf(t.actor)
	return audit.Chain{Clock: func() time.Time { return t.now }}.Append(ctx, t.w, r)
}

// differences are the fields of a package that a change moved. Its metadata is
// the format's own, and not told.
func differences(old, changed *formats.Package) (before, after audit.State) {
	before, after = audit.State{}, audit.State{}
	note := func(name, a, b string) {
		if a == b {
			return
		}
		if a != "" {
			before[name] = a
		}
		if b != "" {
			after[name] = b
		}
	}
	note("visibility", string(old.Visibility), string(changed.Visibility))
	for tag, version := range old.Tags {
		note("tag "+tag, version, changed.Tags[tag])
	}
	for tag, version := range changed.Tags {
		note("tag "+tag, old.Tags[tag], version)
	}
	return before, after
}
