package registry

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"larder/cache"
	"larder/formats"
	"larder/policy"
	"larder/upstream"
)

// documentRecord says what is held of an upstream's document. Small bodies
// follow it in the same row.
type documentRecord struct {
	Name     string    `json:"name"`
	Blob     string    `json:"blob,omitempty"` // digest of the body as it came; "" for bodies in the row
	Size     int64     `json:"size"`           // bytes of the body as it came
	Encoding string    `json:"encoding,omitempty"`
	Identity string    `json:"identity"` // SHA-256 of the decoded body
	ETag     string    `json:"etag,omitempty"`
	Modified time.Time `json:"modified,omitzero"`
	First    time.Time `json:"first"`         // when the document was first fetched
	Checked  time.Time `json:"checked"`       // when the upstream last confirmed it
	Gone     time.Time `json:"gone,omitzero"` // first 404 since; believed when repeated after goneConfirm

	body []byte
}

// goneConfirm is how long after a first 404 a second one is believed.
const goneConfirm = 60 * time.Second

// recentEnough is how young a check answers formats.Latest.
const recentEnough = 10 * time.Second

func (b *bound) Document(ctx context.Context, d formats.Document) (*formats.Content, error) {
	c, _, err := b.document(ctx, d)
	if err == nil && b.engine.opt.PrivateReads {
		c.Private = true
	}
	return c, err
}

// document also returns the id of the upstream that answered, "" for hosted.
func (b *bound) document(ctx context.Context, d formats.Document) (*formats.Content, string, error) {
	res, err := b.allow(ctx, policy.Read, d.Package, "")
	if err != nil {
		return nil, "", err
	}
	o, err := b.lookup(ctx, d.Package)
	if err != nil {
		return nil, "", err
	}
	if o.ours() || b.narrowed() {
		if !b.visible(o) {
			return nil, "", b.missing(d.Package)
		}
		c, err := b.hostedDocument(ctx, d, o, res)
		return c, "", err
	}
	sources, err := b.sources(ctx, o)
	if err != nil {
		return nil, "", err
	}
	for _, s := range sources {
		c, err := b.upstreamDocument(ctx, s, d)
		if !errors.Is(err, formats.ErrNotFound) {
			return c, s.ID, err
		}
	}
	return nil, "", b.missing(d.Package)
}

func (b *bound) hostedDocument(ctx context.Context, d formats.Document, o *owned, res policy.Resource) (*formats.Content, error) {
	identity := fmt.Sprintf("hosted %s %s %d", b.spec.Format.Name(), o.hosted.Name, o.hosted.Revision)
	c, err := b.rendered(ctx, d, identity, formats.View{Base: b.base, FirstSeen: o.hosted.Created}, hostedInput{b.Registry, d.Package})
	if err != nil {
		return nil, fmt.Errorf("document %s: %w", d.Name, err)
	}
	c.Result, c.Private = formats.Hosted, res.Visibility != policy.Public
	return c, nil
}

func (b *bound) upstreamDocument(ctx context.Context, s Source, d formats.Document) (*formats.Content, error) {
	rec, result, err := b.engine.current(ctx, b.Registry, s, d)
	if err != nil {
		return nil, err
	}
	input := upstreamInput{b.engine, rec, d}
	view := formats.View{Base: b.base, FirstSeen: rec.First}
	c, err := b.rendered(ctx, d, rec.Identity, view, input)
	if errors.Is(err, cache.ErrNotExist) || errors.Is(err, cache.ErrCorrupt) {
		// The cached bytes are damaged or gone: a miss (I6).
		b.engine.opt.Observer.Integrity(b.spec.Format.Name(), d.Package, "read", err)
		rec, err = b.engine.refresh(ctx, b.Registry, s, d, nil)
		if err != nil {
			return nil, err
		}
		result, input = formats.Miss, upstreamInput{b.engine, rec, d}
		c, err = b.rendered(ctx, d, rec.Identity, view, input)
	}
	if err != nil {
		return nil, fmt.Errorf("document %s: %w", d.Name, err)
	}
	c.Result = result
	if result == formats.Stale {
		age := b.engine.now().Sub(rec.Checked)
		c.Header = http.Header{
			"Age":            {strconv.Itoa(int(age.Seconds()))},
			"Warning":        {`110 - "Response is Stale"`},
			"X-Larder-Stale": {s.ID},
		}
	}
	return c, nil
}

// current returns the document as fresh as this request needs it.
func (e *Engine) current(ctx context.Context, r *Registry, s Source, d formats.Document) (*documentRecord, formats.Result, error) {
	rec, err := e.readDocument(ctx, s, d)
	if errors.Is(err, cache.ErrNotExist) {
		rec, err := e.refresh(ctx, r, s, d, nil)
		return rec, formats.Miss, err
	}
	if err != nil {
		return nil, "", fmt.Errorf("document %s: %w", d.Name, err)
	}
	age := e.now().Sub(rec.Checked)
	fresh := e.opt.Lifetimes.Fresh
	if s.Fresh > 0 {
		fresh = s.Fresh
	}
	switch {
	case d.Age == formats.Any, s.Offline, d.Age == formats.Normal && age < fresh, d.Age == formats.Latest && age < recentEnough:
		return rec, formats.Hit, nil
	case d.Age == formats.Normal && age < fresh+e.opt.Lifetimes.StaleWhileRevalidate:
		e.work.Go(func() {
			// Whoever asks next meets the same trouble, and is told of it.
			_, _ = e.refresh(e.life, r, s, d, rec)
		})
		return rec, formats.Hit, nil
	}
	newer, err := e.refresh(ctx, r, s, d, rec)
	if err == nil {
		result := formats.Revalidated
		if newer.Identity != rec.Identity {
			result = formats.Miss
		}
		return newer, result, nil
	}
	if errors.Is(err, formats.ErrNotFound) || ctx.Err() != nil || age > e.opt.Lifetimes.StaleIfError {
		return nil, "", err
	}
	return rec, formats.Stale, nil
}

func (e *Engine) readDocument(ctx context.Context, s Source, d formats.Document) (*documentRecord, error) {
	var rec documentRecord
	err := e.opt.Index.View(ctx, func(r cache.Reader) error {
		row, err := r.Get(documentKey(s.ID, d.Package, d.Name))
		if err != nil {
			return err
		}
		rec.body, err = splitBody(row, &rec)
		return err
	})
	return &rec, err
}

// refresh asks the upstream, once for everybody who waits. The work goes on
// when this caller leaves.
func (e *Engine) refresh(ctx context.Context, r *Registry, s Source, d formats.Document, old *documentRecord) (*documentRecord, error) {
	k := string(documentKey(s.ID, d.Package, d.Name))
	if until, ok := e.negative.Get(k); ok && old == nil && e.now().Before(until) {
		return nil, notThere(d, s)
	}
	ch := e.documents.DoChan(k, func() (any, error) {
		ctx, cancel := context.WithTimeout(e.life, documentDeadline)
		defer cancel()
		return e.fetchDocument(ctx, r, s, d, old)
	})
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case got := <-ch:
		if got.Err != nil {
			return nil, got.Err
		}
		return got.Val.(*documentRecord), nil
	}
}

// documentDeadline bounds the fetch of one document. The largest ones known
// take 20 MB, less than a tenth of it compressed.
const documentDeadline = 2 * time.Minute

func notThere(d formats.Document, s Source) error {
	return formats.Refuse(formats.ErrNotFound, fmt.Sprintf("%s is not in the upstream %s", d.Package, s.ID))
}

func (e *Engine) fetchDocument(ctx context.Context, r *Registry, s Source, d formats.Document, old *documentRecord) (*documentRecord, error) {
	req := upstream.Request{Ref: d.Path, Accept: d.Accept, AcceptEncoding: "gzip"}
	if old != nil {
		req.IfNoneMatch, req.IfModifiedSince = old.ETag, old.Modified
	}
	resp, err := s.Fetcher.Fetch(ctx, req)
	if errors.Is(err, upstream.ErrNotExist) {
		return e.missingDocument(ctx, s, d, old)
	}
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	now := e.now().UTC()
	if resp.Status == http.StatusNotModified && old != nil {
		return e.confirm(ctx, s, d, old, now)
	}
	rec := &documentRecord{
		Name: d.Name, Encoding: resp.Encoding, ETag: resp.ETag, Modified: resp.Modified, First: now, Checked: now,
	}
	if old != nil {
		rec.First = old.First
	}
	return rec, e.storeDocument(ctx, r, s, d, rec, resp)
}

// confirm notes that what is held is still right.
func (e *Engine) confirm(ctx context.Context, s Source, d formats.Document, old *documentRecord, now time.Time) (*documentRecord, error) {
	rec := *old
	rec.Checked, rec.Gone = now, time.Time{}
	return &rec, e.writeDocument(ctx, s, d, &rec)
}

func (e *Engine) writeDocument(ctx context.Context, s Source, d formats.Document, rec *documentRecord) error {
	row, err := withBody(rec, rec.body)
	if err != nil {
		return err
	}
	err = e.opt.Index.Update(ctx, func(w cache.Writer) error {
		return w.Put(documentKey(s.ID, d.Package, d.Name), row)
	})
	if errors.Is(err, cache.ErrFull) {
		return nil // below the free-space floor nothing cached is written; the answer is still right
	}
	return err
}

// missingDocument handles a 404: a name never seen is remembered as missing
// for a while; one that is held must be missing twice.
func (e *Engine) missingDocument(ctx context.Context, s Source, d formats.Document, old *documentRecord) (*documentRecord, error) {
	now := e.now().UTC()
	if old == nil {
		e.negative.Add(string(documentKey(s.ID, d.Package, d.Name)), now.Add(e.opt.Lifetimes.Negative))
		return nil, notThere(d, s)
	}
	if !old.Gone.IsZero() && now.Sub(old.Gone) >= goneConfirm {
		e.negative.Add(string(documentKey(s.ID, d.Package, d.Name)), now.Add(e.opt.Lifetimes.Negative))
		if err := e.dropDocument(ctx, s, d, old); err != nil {
			return nil, err
		}
		return nil, notThere(d, s)
	}
	rec := *old
	if rec.Gone.IsZero() {
		rec.Gone = now
	}
	return &rec, e.writeDocument(ctx, s, d, &rec)
}

// tag makes the ETag of a rendering from what it was made of, so that a
// conditional request is answered without making it.
func tag(identity string, d formats.Document, base string) string {
	if d.BaseFree {
		base = ""
	}
	sum := sha256.Sum256([]byte(identity + "\x00" + d.Name + "\x00" + d.Variant + "\x00" + base))
	return `"` + hex.EncodeToString(sum[:16]) + `"`
}
