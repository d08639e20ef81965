package registry

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"larder/cache"
	"larder/formats"
	"larder/policy/rules"
)

// permit asks the rules about a cached file before a byte of it leaves.
func (e *Engine) permit(ctx context.Context, q query, f formats.File, rec *fileRecord) error {
	a, concerned := q.registry.rules(f.Package)
	if !concerned {
		return nil
	}
	if q.isPart(f) {
		return e.learned(q, a.name, func() error { return e.judging(q, a).part(ctx, f.Name) })
	}
	facts := rules.Facts{Version: versionOf(f, rec.Version), Published: rec.Published, FirstSeen: rec.Fetched}
	if facts.Version == "" {
		loc, err := f.Locate(ctx) // its record is older than the rules
		if err != nil {
			return err
		}
		facts.Version, facts.Published = loc.Version, loc.Published
	}
	facts.Digest = rec.Digest.String()
	if f.Check != nil {
		return e.learned(q, a.name, func() error { return e.judging(q, a).whole(ctx, f.Name, facts) })
	}
	return e.decide(ctx, q, a, facts)
}

// admit asks the rules about a file that is not held, before it is fetched.
// whole says that they need the digest of the file first.
func (e *Engine) admit(ctx context.Context, q query, f formats.File) (whole bool, err error) {
	a, concerned := q.registry.rules(f.Package)
	if !concerned {
		return false, nil
	}
	if q.isPart(f) {
		return false, e.learned(q, a.name, func() error { return e.judging(q, a).part(ctx, f.Name) })
	}
	loc, err := f.Locate(ctx)
	if err != nil {
		return false, err
	}
	facts := rules.Facts{Version: versionOf(f, loc.Version), Published: loc.Published, Digest: announced(loc)}
	if f.Check != nil {
		err = e.learned(q, a.name, func() error { return e.judging(q, a).whole(ctx, f.Name, facts) })
	} else {
		err = e.decide(ctx, q, a, facts)
	}
	if errors.Is(err, errUndecided) {
		return true, nil
	}
	return false, err
}

// errUndecided says that a rule asks for the digest of a file.
var errUndecided = errors.New("the rules need the digest of the file")

// decide returns nil, a refusal, or errUndecided.
func (e *Engine) decide(ctx context.Context, q query, a asked, facts rules.Facts) error {
	if facts.Published.IsZero() && facts.Version != "" && a.NeedsTime(e.now()) {
		seen, err := e.seenVersions(ctx, q.source.ID, a.name, []string{facts.Version})
		if err != nil {
			return err
		}
		facts.FirstSeen = seen[facts.Version]
	}
	return e.judge(ctx, q, a, facts)
}

// judge is decide by facts that are complete.
func (e *Engine) judge(ctx context.Context, q query, a asked, facts rules.Facts) error {
	out := a.Check(facts, e.now())
	e.tell(q.registry, a.name, out.Warned)
	switch {
	case out.Refused:
		return refusal(out.Finding, facts.Version, e.newest(ctx, q, a))
	case out.Undecided:
		return errUndecided
	}
	return nil
}

// land waits until a file is stored, and gives none of it away before.
func (e *Engine) land(ctx context.Context, m miss) error {
	switch pass, err := e.askable(m); {
	case err != nil:
		return err
	case pass:
		return fmt.Errorf("%s cannot be stored now, and must be before it is judged: %w", m.file.Name, cache.ErrFull)
	}
	fl, _, err := e.board(m)
	if err != nil {
		return err
	}
	fl.readers.Add(1)
	defer sync.OnceFunc(fl.leave)()
	select {
	case <-ctx.Done():
		e.unboard(fl)
		return ctx.Err()
	case <-fl.done:
	}
	fl.mu.Lock()
	defer fl.mu.Unlock()
	return fl.err
}

// seenVersions returns when versions were first seen here, and notes those that
// are seen now. It is asked only for versions without a time of their own.
func (e *Engine) seenVersions(ctx context.Context, id, pkg string, versions []string) (map[string]time.Time, error) {
	seen, unseen := map[string]time.Time{}, []string(nil)
	err := e.opt.Index.View(ctx, func(r cache.Reader) error {
		clear(seen)
		unseen = unseen[:0]
		for _, v := range versions {
			at, err := readTime(r, seenVersionKey(id, pkg, v))
			switch {
			case errors.Is(err, cache.ErrNotExist):
				unseen = append(unseen, v)
			case err != nil:
				return err
			default:
				seen[v] = at
			}
		}
		return nil
	})
	if err == nil && len(unseen) > 0 {
		err = e.noteVersions(ctx, id, pkg, unseen, seen)
	}
	if unstorable(err) {
		return seen, nil // what cannot be noted is seen now, and waits
	}
	if err != nil {
		return nil, fmt.Errorf("first seen versions of %s: %w", pkg, err)
	}
	return seen, nil
}

func (e *Engine) noteVersions(ctx context.Context, id, pkg string, unseen []string, seen map[string]time.Time) error {
	now := e.now().UTC()
	return e.opt.Index.Update(ctx, func(w cache.Writer) error {
		for _, v := range unseen {
			at, err := readTime(w, seenVersionKey(id, pkg, v))
			if errors.Is(err, cache.ErrNotExist) {
				at = now
				err = writeTime(w, seenVersionKey(id, pkg, v), at)
			}
			if err != nil {
				return err
			}
			seen[v] = at
		}
		return nil
	})
}
