package registry

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"larder/cache/refs"
	"larder/formats"
	"larder/policy"
	"larder/upstream"
)

// pointerRecord says what a name that moves stands for at an upstream.
type pointerRecord struct {
	Version   string    `json:"version"`
	MediaType string    `json:"type,omitempty"`
	Size      int64     `json:"size"`    // -1: not told
	Checked   time.Time `json:"checked"` // when the upstream last confirmed it
	Former    []former  `json:"former,omitempty"`
}

// pointed is a pointer as one request sees it.
type pointed struct {
	*pointerRecord
	result  formats.Result
	instead http.Header // where rules put an older version in the place of the latest
}

func (b *bound) Resolve(ctx context.Context, p formats.Pointer) (formats.Target, error) {
	if _, err := b.allow(ctx, policy.Read, p.Package, p.Name); err != nil {
		return formats.Target{}, err
	}
	o, err := b.lookup(ctx, p.Package)
	if err != nil {
		return formats.Target{}, err
	}
	if o.ours() || b.narrowed() {
		if !b.visible(o) {
			return formats.Target{}, b.unseen(o, p.Package)
		}
		return b.ownTag(ctx, p)
	}
	sources, err := b.sources(ctx, p.Package, o)
	if err != nil {
		return formats.Target{}, err
	}
	for _, s := range sources {
		t, err := b.engine.resolve(ctx, query{b.Registry, s}, p)
		if !errors.Is(err, formats.ErrNotFound) || len(sources) == 1 {
			return t, err
		}
	}
	return formats.Target{}, b.missing(p.Package)
}

// resolve is Resolve for one upstream.
func (e *Engine) resolve(ctx context.Context, q query, p formats.Pointer) (formats.Target, error) {
	if err := e.admitPointer(q, p); err != nil {
		return formats.Target{}, err
	}
	at, err := e.pointer(ctx, q, p)
	if err == nil {
		err = e.permitPointer(ctx, q, p, at.Version)
	}
	if isRefusal(err) {
		at, err = e.repaired(ctx, q, p, at, err)
	}
	if err != nil {
		return formats.Target{}, fmt.Errorf("%s of %s: %w", p.Name, p.Package, err)
	}
	e.parts.note(q.source.ID, p.File(at.Version).Name, owner{version: p.Name, pkg: p.Package})
	if at.result != formats.Miss {
		e.opt.Room.Touch(refs.InlineDigest(pointerKey(q.source.ID, p.Package, p.Name)))
	}
	t := formats.Target{Version: at.Version, MediaType: at.MediaType, Size: at.Size, Result: at.result, Header: at.instead}
	if at.result == formats.Stale {
		t.Header = e.staleHeader(q, at.Checked)
		for name, values := range at.instead {
			t.Header[name] = append(t.Header[name], values...)
		}
	}
	return t, nil
}

// pointer returns what is held, as long as it is fresh or nothing better can be
// had, and otherwise the upstream's word of now: nobody gets an old tag because
// the check of it is slow.
func (e *Engine) pointer(ctx context.Context, q query, p formats.Pointer) (pointed, error) {
	k := pointerKey(q.source.ID, p.Package, p.Name)
	held, err := e.readPointer(ctx, k)
	if err != nil {
		return pointed{}, err
	}
	if held != nil && e.usable(q, held) {
		return pointed{pointerRecord: held, result: formats.Hit}, nil
	}
	if (held == nil || q.source.Private) && e.knownMissing(k) {
		return pointed{}, noPointer(q, p)
	}
	if held == nil || e.now().Sub(held.Checked) > e.opt.Lifetimes.StaleIfError {
		at, err := e.askPointer(ctx, q, p)
		if refused(err) {
			err = noPointer(q, p)
		}
		return at, err
	}
	if e.rests(k) || e.rests(restKey(q.source.ID)) {
		return pointed{pointerRecord: held, result: formats.Stale}, nil
	}
	patient, cancel := context.WithTimeout(ctx, e.opt.Pace.Patience)
	defer cancel()
	at, err := e.askPointer(patient, q, p)
	switch {
	case err == nil, ctx.Err() != nil, errors.Is(err, formats.ErrNotFound):
		return at, err
	case refused(err) && q.source.Private:
		return pointed{}, noPointer(q, p)
	case patient.Err() != nil:
		e.rest(restKey(q.source.ID), restPause)
	}
	return pointed{pointerRecord: held, result: formats.Stale}, nil
}

func noPointer(q query, p formats.Pointer) error {
	return formats.Refuse(formats.ErrNotFound, fmt.Sprintf("%s has no %s in the upstream %s", p.Package, p.Name, q.source.ID))
}

// usable says that a pointer needs no check: what was checked in the future, by
// a clock that was set back since, does where it is not far.
func (e *Engine) usable(q query, held *pointerRecord) bool {
	return q.source.Offline || e.now().Sub(held.Checked).Abs() < cmp.Or(q.source.Fresh, e.opt.Lifetimes.Fresh)
}

// refused says that the upstream does not let us in. To clients that is a name
// that is not there: it may be so, and our credential is not their business.
func refused(err error) bool {
	var far *upstream.Error
	if !errors.As(err, &far) {
		return errors.Is(err, upstream.ErrNotExist) // its token service said so
	}
	return far.Status == http.StatusUnauthorized || far.Status == http.StatusForbidden
}

// askPointer begins the one question that may be under way about a pointer, or
// joins it. It goes on when this caller leaves.
func (e *Engine) askPointer(ctx context.Context, q query, p formats.Pointer) (pointed, error) {
	answer := e.pointers.DoChan(string(pointerKey(q.source.ID, p.Package, p.Name)), func() (any, error) {
		if !e.enter() {
			return pointed{}, errClosed
		}
		defer e.work.Done()
		var at pointed
		err := guarded(func() (err error) {
			at, err = e.latestPointer(q, p)
			return err
		})
		return at, err
	})
	select {
	case <-ctx.Done():
		return pointed{}, ctx.Err()
	case got := <-answer:
		return got.Val.(pointed), got.Err
	}
}

// latestPointer is the question itself, unless somebody had it answered while
// the caller was on the way.
func (e *Engine) latestPointer(q query, p formats.Pointer) (pointed, error) {
	ctx, cancel := context.WithTimeout(e.life, documentDeadline)
	defer cancel()
	k := pointerKey(q.source.ID, p.Package, p.Name)
	drops := e.dropsOf(k).Load()
	held, err := e.readPointer(ctx, k)
	switch {
	case err != nil:
		return pointed{}, err
	case held != nil && e.usable(q, held):
		return pointed{pointerRecord: held, result: formats.Hit}, nil
	case held == nil && e.knownMissing(k):
		return pointed{}, noPointer(q, p)
	}
	at, err := (&question{e, q, p, held, drops}).head(ctx)
	switch {
	case err == nil:
		e.backoff.Remove(string(k))
		e.backoff.Remove(string(restKey(q.source.ID)))
		return at, nil
	case refused(err):
		e.noteMissing(k, min(q.registry.spec.Negative, missingFile))
		e.rest(k, restPause)
		return pointed{}, err
	case errors.Is(err, upstream.ErrNotExist):
		e.noteMissing(k, min(q.registry.spec.Negative, missingFile))
		if err := e.dropPointer(ctx, k); err != nil && !unstorable(err) {
			return pointed{}, err
		}
		return pointed{}, noPointer(q, p)
	case !errors.Is(err, formats.ErrNotFound):
		e.restAfter(k, q.source.ID, err)
	}
	return pointed{}, err
}

// restAfter leaves a pointer alone for a while, or all of the upstream where it
// could not be reached: then the next pointer would wait as long.
func (e *Engine) restAfter(k []byte, id string, err error) {
	pause := restPause
	var far *upstream.Error
	if errors.As(err, &far) {
		if far.Status == 0 || errors.Is(err, upstream.ErrThrottled) {
			k = restKey(id)
		}
		if far.RetryAfter > 0 {
			pause = min(far.RetryAfter, restMost)
		}
	}
	e.rest(k, pause)
}

// question is one to an upstream about what a pointer stands for.
type question struct {
	*Engine
	query
	p     formats.Pointer
	held  *pointerRecord // nil: nothing
	drops uint64         // of the pointer, when the question began
}

// head asks by HEAD: not every upstream counts that as a download. What the
// pointer newly stands for is stored before anything points there.
func (a *question) head(ctx context.Context) (pointed, error) {
	req := upstream.Request{Ref: a.p.Path, Accept: a.p.Accept}
	if a.held != nil {
		req.IfNoneMatch = strconv.Quote(a.held.Version)
	}
	resp, whole, err := a.headed(ctx, a.source, req)
	if err != nil {
		return pointed{}, err
	}
	if whole {
		return a.take(ctx, resp)
	}
	resp.Body.Close()
	if resp.Status == http.StatusNotModified && a.held != nil {
		return a.move(ctx, *a.held)
	}
	if resp.Status != http.StatusOK {
		return pointed{}, fmt.Errorf("upstream %s: status %d came for a HEAD: %w", a.source.ID, resp.Status, upstream.ErrUnavailable)
	}
	t, told := a.p.Read(resp.Header, resp.Size)
	if !told {
		return a.get(ctx)
	}
	if a.held != nil && a.held.Version == t.Version {
		return a.move(ctx, *a.held)
	}
	return a.pointTo(ctx, t)
}

// pointTo moves a pointer to a target, once that has landed. What the store does
// not take now is served all the same, and not noted.
func (a *question) pointTo(ctx context.Context, t formats.Target) (pointed, error) {
	next := pointerRecord{Version: t.Version, MediaType: t.MediaType, Size: t.Size, Former: moved(a.held, t.Version)}
	f := a.p.File(t.Version)
	switch landed := a.landFile(ctx, a.query, f); {
	case unstorable(landed):
		next.Checked = a.now().UTC()
		return pointed{pointerRecord: &next, result: formats.Miss}, nil
	case errors.Is(landed, formats.ErrNotFound) && !errors.Is(landed, formats.ErrNoVersion):
		// Not %w: it has the name, so that this does not say that the name is gone.
		return pointed{}, fmt.Errorf("the upstream %s does not have what %s stands for: %w: %v", a.source.ID, a.p.Name, upstream.ErrUnavailable, landed)
	case landed != nil:
		return pointed{}, landed
	}
	if rec, err := a.record(ctx, upstreamFileKey(a.source.ID, f.Name)); err == nil {
		next.MediaType, next.Size = rec.mediaType(f), rec.Size // as the file is served
	}
	return a.move(ctx, next)
}
