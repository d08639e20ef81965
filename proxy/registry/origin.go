package registry

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"larder/cache"
	"larder/formats"
	"larder/policy"
	"larder/policy/audit"
)

// OriginReset says what was forgotten of where a name came from.
type OriginReset struct {
	Upstream   string    // it had come from, "" for none
	Repository string    // it had been published to, "" for none
	Since      time.Time // when it first came, or was published
	Documents  int       // cached documents that were dropped
}

// errDryRun ends a transaction that was only to show what it would do.
var errDryRun = errors.New("dry run")

// ResetOrigin forgets where a name came from, so that it belongs to whoever has
// it next: an upstream, or who publishes it. dry only tells what it would do.
//
// What is cached of the name loses its documents, so that upstreams are asked
// anew; files stay, with the digests that were first seen of them (a file never
// changes, whoever has its name). What was published here must be deleted before;
// its versions then cannot be restored any more, and their numbers stay taken.
//
// For administrators. Errors: formats.ErrNotFound for a name that nothing is
// known of, formats.ErrConflict while it is published here or claimed.
func (r *Registry) ResetOrigin(ctx context.Context, actor policy.Subject, pkg string, dry bool) (*OriginReset, error) {
	if err := policy.MustAdminister(actor); err != nil {
		return nil, err
	}
	if r.spec.World != "" {
		return nil, formats.Refuse(formats.ErrNotFound, fmt.Sprintf("names in the registry %s belong to its upstream alone: there is nothing to reset", r.spec.Name))
	}
	o, err := r.lookup(ctx, pkg)
	if err != nil {
		return nil, err
	}
	sources, err := r.spec.Upstreams(ctx)
	if err != nil {
		return nil, err
	}
	e, format := r.engine, r.spec.Format.Name()
	reset := reset{engine: e, format: format, pkg: pkg, claim: o.claim, actor: actor}
	for _, s := range sources {
		reset.upstreams = append(reset.upstreams, s.ID)
	}
	err = e.opt.Index.Update(ctx, func(w cache.Writer) error {
		reset.out, reset.w, reset.now = OriginReset{}, w, e.now().UTC() // fn may run twice
		if err := reset.run(ctx); err != nil {
			return err
		}
		if dry {
			return errDryRun
		}
		return nil
	})
	for _, id := range reset.upstreams {
		e.forgetMissing(id, pkg)
	}
	// Also after an error: the outcome of a commit may be unknown.
	e.changes.of(format, pkg).Add(1)
	if err != nil && !errors.Is(err, errDryRun) {
		return nil, fmt.Errorf("reset the origin of %s: %w", pkg, err)
	}
	return &reset.out, nil
}

// reset is one ResetOrigin inside its transaction.
type reset struct {
	engine      *Engine
	w           cache.Writer
	now         time.Time
	actor       policy.Subject
	format, pkg string
	claim       string   // that covers the name, "" for none
	upstreams   []string // ids
	out         OriginReset
}

func (r *reset) run(ctx context.Context) error {
	if err := r.hosted(); err != nil {
		return err
	}
	if r.claim != "" {
		return formats.Refuse(formats.ErrConflict, fmt.Sprintf(
			"%s is claimed (%s), which says whose it is: there is nothing to reset while the claim holds", r.pkg, r.claim))
	}
	if err := r.ingested(); err != nil {
		return err
	}
	if r.out.Upstream == "" && r.out.Repository == "" {
		return formats.Refuse(formats.ErrNotFound, r.pkg+" came from no upstream yet and was never published here: there is nothing to reset")
	}
	for _, id := range r.upstreams {
		if err := r.dropDocuments(id); err != nil {
			return err
		}
	}
	return r.record(ctx)
}

// hosted gives a deleted package's name up. The row stays: it knows which
// versions there were.
func (r *reset) hosted() error {
	h, err := readHead(r.w, r.format, r.pkg)
	switch {
	case errors.Is(err, cache.ErrNotExist) || err == nil && h.Released:
		return nil
	case err != nil:
		return err
	case h.Deleted.IsZero():
		return formats.Refuse(formats.ErrConflict, fmt.Sprintf(
			"%s is published here, in %s: delete it first, with `larder pkg delete`", r.pkg, h.Repository))
	}
	r.out.Repository, r.out.Since = h.Repository, h.Created
	h.Released, h.GivenUp, h.Modified = true, h.LastSeq, r.now
	h.Revision++
	if err := writeHead(r.w, r.format, h); err != nil {
		return err
	}
	return appendJournal(r.w, event{
		Time: r.now, Format: r.format, Package: r.pkg, What: "released", Revision: h.Revision, Actor: r.actor.User,
	})
}

// ingested forgets the upstream that the name came from.
func (r *reset) ingested() error {
	n, err := readName(r.w, r.format, r.pkg)
	if errors.Is(err, cache.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	r.out.Upstream = n.Upstream
	if r.out.Since.IsZero() {
		r.out.Since = n.First
	}
	if !slices.Contains(r.upstreams, n.Upstream) {
		r.upstreams = append(r.upstreams, n.Upstream)
	}
	return r.w.Delete(nameKey(r.format, r.pkg))
}

// forgetMissing lets an upstream be asked again for the documents of a name that
// it did not have a moment ago.
func (e *Engine) forgetMissing(upstream, pkg string) {
	prefix := string(documentsKey(upstream, pkg))
	for _, k := range e.negative.Keys() {
		if strings.HasPrefix(k, prefix) {
			e.negative.Remove(k)
		}
	}
}

// documentsKey begins the keys of all documents of a name of ordinary length.
func documentsKey(upstream, pkg string) []byte { return append(key(rowDocument, upstream, pkg), 0) }

func (r *reset) dropDocuments(upstream string) error {
	var keys [][]byte
	for row, err := range r.w.Scan(documentsKey(upstream, r.pkg), nil) {
		if err != nil {
			return err
		}
		keys = append(keys, row.Key)
	}
	for _, k := range keys {
		if err := r.engine.unlinkOld(r.w, k, ""); err != nil {
			return err
		}
		if err := r.w.Delete(k); err != nil {
			return err
		}
	}
	r.out.Documents += len(keys)
	return nil
}

func (r *reset) record(ctx context.Context) error {
	before := audit.State{"since": r.out.Since.UTC().Format(time.RFC3339)}
	note(before, audit.State{}, "upstream", r.out.Upstream, "")
	note(before, audit.State{}, "repository", r.out.Repository, "")
	return audit.Chain{Clock: func() time.Time { return r.now }}.Append(ctx, r.w, audit.Record{
		Action: "origin.reset", Decision: audit.Allow, Actor: audit.ActorOf(r.actor), Before: before,
		Resource: audit.Resource{Format: r.format, Repository: r.out.Repository, Package: r.pkg},
	})
}
