package registry

import (
	"context"
	"errors"
	"fmt"
	"time"

	"larder/cache"
	"larder/formats"
	"larder/policy"
	"larder/policy/audit"
)

// Approval says from when on versions count as seen here, and by whose word.
type Approval struct {
	Actor policy.Subject
	Since time.Time // zero: long enough for every rule
}

// Known is a version that was in use before this server saw it.
type Known struct{ Package, Version string }

// maxApproved is how many rows of versions one transaction writes; each takes
// another one in the audit log.
const maxApproved = 80

// Approve notes that versions of upstreams were first seen at a moment, unless
// they were before. It counts for rules about age where the upstream does not
// say itself when a version was published, and for no other. It returns how many
// were noted. For administrators. Errors: formats.ErrBadRequest for a moment
// that is still to come, cache.ErrFull.
func (r *Registry) Approve(ctx context.Context, a Approval, list []Known) (noted int, err error) {
	if err := policy.MustAdminister(a.Actor); err != nil {
		return 0, err
	}
	if a.Since.IsZero() {
		a.Since = time.Unix(0, 0).UTC()
	}
	if a.Since.After(r.engine.now()) {
		return 0, formats.Refuse(formats.ErrBadRequest, "the versions cannot have been seen since "+a.Since.Format(time.RFC3339)+", which is still to come")
	}
	sources, err := r.spec.Upstreams(ctx)
	if err != nil || len(sources) == 0 {
		return 0, err
	}
	// What is hidden is remembered, and nothing else tells that it has changed.
	defer r.engine.approvals.Add(1)
	step := max(1, maxApproved/len(sources))
	for len(list) > 0 {
		n := min(step, len(list))
		more, err := r.approve(ctx, a, sources, list[:n])
		if err != nil {
			return noted, fmt.Errorf("approve versions: %w", err)
		}
		noted += more
		list = list[n:]
	}
	return noted, nil
}

func (r *Registry) approve(ctx context.Context, a Approval, sources []Source, list []Known) (noted int, err error) {
	err = r.engine.opt.Index.Update(ctx, func(w cache.Writer) error {
		noted = 0 // fn may run twice
		for _, v := range list {
			moved := false
			for _, s := range sources {
				earlier, err := seenBefore(w, seenVersionKey(s.ID, v.Package, v.Version), a.Since)
				if err != nil {
					return err
				}
				moved = moved || earlier
			}
			if !moved {
				continue
			}
			noted++
			if err := r.recordApproval(ctx, w, a, v); err != nil {
				return err
			}
		}
		return nil
	})
	return noted, err
}

// seenBefore moves a first-seen time to at, unless it is earlier already.
func seenBefore(w cache.Writer, k []byte, at time.Time) (moved bool, err error) {
	old, err := readTime(w, k)
	if err != nil && !errors.Is(err, cache.ErrNotExist) {
		return false, err
	}
	if err == nil && !at.Before(old) {
		return false, nil
	}
	return true, writeTime(w, k, at)
}

func (r *Registry) recordApproval(ctx context.Context, w cache.Writer, a Approval, v Known) error {
	return audit.Chain{Clock: r.engine.now}.Append(ctx, w, audit.Record{
		Action: "version.approve", Decision: audit.Allow, Actor: audit.ActorOf(a.Actor),
		Resource: audit.Resource{Format: r.spec.Format.Name(), Package: v.Package, Version: v.Version},
		After:    audit.State{"first_seen": a.Since.UTC().Format(time.RFC3339)},
	})
}
