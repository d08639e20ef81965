package registry

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"golang.org/x/sync/singleflight"

	"larder/cache"
	"larder/formats"
	"larder/upstream"
)

// documentDeadline bounds the fetch of one document. The largest ones known
// take 20 MB, less than a tenth of it compressed.
const documentDeadline = 2 * time.Minute

// errRefused says that an upstream does not let us in, where clients are not to
// be told that from absence.
var errRefused = fmt.Errorf("the upstream refuses us: %w", upstream.ErrUnavailable)

// Limits, in bytes, of what lives in the row of a document.
const (
	maxTag   = 1 << 10 // an upstream's ETag
	maxField = 4 << 10 // another of its fields, which a format needs
)

func notThere(d formats.Document, q query) error {
	return formats.Refuse(formats.ErrNotFound, fmt.Sprintf("%s is not in the upstream %s", d.Package, q.source.ID))
}

// refresh asks the upstream, once for everybody who waits. held is the record
// the caller has, nil for none; lost says that its bytes cannot be used, nil that
// they can. The work goes on when this caller leaves.
func (e *Engine) refresh(ctx context.Context, q query, d formats.Document, held *documentRecord, lost *loss) (*documentRecord, error) {
	if held == nil {
		k := documentKey(q.source.ID, d.Package, d.Name)
		if e.knownMissing(k) {
			return nil, notThere(d, q)
		}
		if _, ok := e.paused(k); ok {
			return nil, fmt.Errorf("document %s from upstream %s, not asked again yet: %w", d.Name, q.source.ID, upstream.ErrUnavailable)
		}
	}
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case got := <-e.ask(q, d, held, lost):
		if got.Err != nil {
			return nil, got.Err
		}
		return got.Val.(*documentRecord), nil
	}
}

// loss says that the bytes of a document that is held cannot be used.
type loss struct {
	cause error
	// again: those that were fetched in their place are gone too. The next ones
	// are not given to the store, but to whoever waits.
	again bool
}

// ask begins the one question that may be under way about a document, or joins it.
func (e *Engine) ask(q query, d formats.Document, held *documentRecord, lost *loss) <-chan singleflight.Result {
	k := string(documentKey(q.source.ID, d.Package, d.Name))
	if lost != nil {
		k += fmt.Sprintf("\x00lost %v", lost.again) // must not be answered with "not modified"
	}
	return e.documents.DoChan(k, func() (any, error) {
		if !e.enter() {
			return nil, errClosed
		}
		defer e.work.Done()
		var rec *documentRecord
		err := guarded(func() error {
			var err error
			rec, err = e.latest(q, d, held, lost)
			return err
		})
		return rec, err
	})
}

// latest is the question itself, unless somebody had it answered while the
// caller was on the way.
func (e *Engine) latest(q query, d formats.Document, held *documentRecord, lost *loss) (*documentRecord, error) {
	ctx, cancel := context.WithTimeout(e.life, documentDeadline)
	defer cancel()
	old, err := e.readDocument(ctx, q, d)
	switch {
	case errors.Is(err, cache.ErrNotExist):
		old = nil
	case err != nil:
		return nil, fmt.Errorf("document %s: %w", d.Name, err)
	case !old.same(held):
		return old, nil
	case lost != nil:
		e.opt.Observer.Integrity(q.registry.spec.Format.Name(), d.Package, "read", lost.cause)
	}
	f := fetching{old: old, lost: lost != nil, unstored: lost != nil && lost.again}
	rec, err := e.fetchDocument(ctx, q, d, f)
	if errors.Is(err, errNotKept) {
		f.unstored = true
		rec, err = e.fetchDocument(ctx, q, d, f)
	}
	switch k := documentKey(q.source.ID, d.Package, d.Name); {
	case err == nil:
		e.backoff.Remove(string(k))
	case errors.Is(err, errRefused):
		e.noteMissing(k, min(q.registry.spec.Negative, missingFile))
		if old != nil {
			e.rest(k, restPause)
		}
	case d.Age == formats.Checked && old != nil && !errors.Is(err, formats.ErrNotFound):
		e.restAfter(k, q.source.ID, err)
	case errors.Is(err, errNonsense), old != nil && errors.Is(err, upstream.ErrTimeout):
		e.pauseKey(k)
	}
	return rec, err
}

// same reports whether both are one state of the document.
func (rec *documentRecord) same(o *documentRecord) bool {
	return o != nil && rec.Identity == o.Identity && rec.Blob == o.Blob && rec.Checked.Equal(o.Checked) && rec.Gone.Equal(o.Gone)
}

// fetching says how a document is to be fetched.
type fetching struct {
	old      *documentRecord // what is held, nil for nothing
	lost     bool            // its bytes cannot be used
	unstored bool            // the new ones are to stay in memory
}

func (e *Engine) fetchDocument(ctx context.Context, q query, d formats.Document, f fetching) (*documentRecord, error) {
	req := upstream.Request{Ref: d.Path, Accept: d.Accept, AcceptEncoding: "gzip"}
	usable := f.old != nil && !f.lost
	if usable {
		req.IfNoneMatch, req.IfModifiedSince = f.old.ETag, f.old.Modified
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	resp, err := q.source.Fetcher.Fetch(ctx, req)
	if d.Age == formats.Checked && refused(err) {
		return nil, fmt.Errorf("document %s from upstream %s: %w", d.Name, q.source.ID, errRefused)
	}
	if errors.Is(err, upstream.ErrNotExist) {
		return e.missingDocument(ctx, q, d, f.old)
	}
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	now := e.now().UTC()
	if resp.Status == http.StatusNotModified && usable {
		rec := *f.old
		rec.Checked, rec.Gone = now, time.Time{}
		return &rec, e.rewriteDocument(ctx, q, d, &rec)
	}
	if resp.Status != http.StatusOK {
		return nil, fmt.Errorf("document %s from upstream %s: a whole one was asked, status %d came: %w",
			d.Name, q.source.ID, resp.Status, upstream.ErrUnavailable)
	}
	rec := &documentRecord{
		Name: d.Name, Encoding: resp.Encoding, ETag: resp.ETag, Modified: resp.Modified, First: now, Checked: now,
	}
	if len(rec.ETag) > maxTag {
		rec.ETag = ""
	}
	for _, name := range d.Header {
		value := strings.Join(resp.Header.Values(name), ", ")
		if len(value) > maxField {
			// Without it the document would look whole, and may be a part of a list.
			return nil, fmt.Errorf("document %s: a field %s of %d bytes, the limit is %d: %w", d.Name, name, len(value), maxField, errNonsense)
		}
		if value != "" {
			rec.Header = setField(rec.Header, name, value)
		}
	}
	body := &alert{from: resp.Body, stall: e.opt.Pace.Stall, end: cancel}
	return rec, e.storeDocument(ctx, q, d, rec, incoming{body, resp.Size, f.unstored})
}

func setField(h http.Header, name, value string) http.Header {
	if h == nil {
		h = http.Header{}
	}
	h.Set(name, value)
	return h
}

// missingDocument handles a 404: a name never seen is remembered as missing
// for a while; one that is held must be missing twice.
func (e *Engine) missingDocument(ctx context.Context, q query, d formats.Document, old *documentRecord) (*documentRecord, error) {
	now := e.now().UTC()
	switch {
	case old == nil:
	case old.Gone.IsZero(), now.Before(old.Gone):
		rec := *old
		rec.Gone = now
		return &rec, e.rewriteDocument(ctx, q, d, &rec)
	case within(old.Gone, now, goneConfirm):
		return old, nil
	default:
		if err := e.dropDocument(ctx, q, d); err != nil {
			return nil, err
		}
	}
	e.noteMissing(documentKey(q.source.ID, d.Package, d.Name), q.registry.spec.Negative)
	return nil, notThere(d, q)
}
