package registry

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"strconv"
	"time"

	"larder/cache"
	"larder/cache/refs"
	"larder/formats"
	"larder/policy"
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
	// Header holds the fields of the upstream's reply that the format asked for.
	Header http.Header `json:"header,omitempty"`

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
			return nil, "", b.unseen(o, d.Package)
		}
		c, err := b.hostedDocument(ctx, d, o, res)
		return c, "", err
	}
	sources, err := b.sources(ctx, d.Package, o)
	if err != nil {
		return nil, "", err
	}
	return b.known(ctx, sources, d)
}

// known asks the upstreams in their order; the first that has the document
// answers, and one that fails hides those behind it.
func (b *bound) known(ctx context.Context, sources []Source, d formats.Document) (*formats.Content, string, error) {
	for _, s := range sources {
		c, err := b.upstreamDocument(ctx, query{b.Registry, s}, d)
		if !errors.Is(err, formats.ErrNotFound) || errors.Is(err, formats.ErrNoVersion) {
			return c, s.ID, err
		}
	}
	return nil, "", b.missing(d.Package)
}

func (b *bound) hostedDocument(ctx context.Context, d formats.Document, o *owned, res policy.Resource) (*formats.Content, error) {
	identity := fmt.Sprintf("hosted %s %d", o.hosted.Name, o.hosted.Revision)
	g, err := b.hostedGuard(ctx, d, o.hosted)
	if err != nil {
		return nil, err
	}
	if g != nil {
		if g.refused != nil {
			return nil, g.refused
		}
		identity += g.tag
	}
	c, err := b.rendered(ctx, d, identity, formats.View{Base: b.base, FirstSeen: o.hosted.Created}, hostedInput{b.Registry, d.Package, g})
	if err != nil {
		return nil, fmt.Errorf("document %s: %w", d.Name, err)
	}
	if g != nil {
		c.Notice = g.notice
	}
	c.Result, c.Private = formats.Hosted, res.Visibility != policy.Public
	return c, nil
}

func (b *bound) upstreamDocument(ctx context.Context, q query, d formats.Document) (*formats.Content, error) {
	e := b.engine
	if g := b.namesGuard(d.Package); g != nil && g.refused != nil {
		return nil, g.refused // before any upstream hears of it
	}
	rec, result, err := e.current(ctx, q, d)
	if err != nil {
		return nil, err
	}
	var c *formats.Content
	used, err := e.unlost(ctx, q, d, rec, func(rec *documentRecord) (err error) {
		c, err = b.renderedFrom(ctx, q, d, rec)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("document %s: %w", d.Name, err)
	}
	if used != rec {
		rec, result = used, formats.Miss
	}
	if result != formats.Miss {
		e.touch(q, d, rec) // used again, which decides what is evicted
	}
	c.Result = result
	if result == formats.Stale {
		c.Header = e.staleHeader(q, rec.Checked)
		if d.Age != formats.Checked {
			c.Header.Set("Warning", `110 - "Response is Stale"`)
		}
	}
	if len(rec.Header) > 0 {
		kept := rec.Header.Clone()
		maps.Copy(kept, c.Header)
		c.Header = kept
	}
	return c, nil
}

// staleHeader tells how old an answer is, and why.
func (e *Engine) staleHeader(q query, checked time.Time) http.Header {
	return http.Header{
		"Age":            {strconv.Itoa(int(max(0, e.now().Sub(checked)).Seconds()))},
		"Warning":        {`299 - "upstream unreachable, cached copy from ` + checked.UTC().Format(time.RFC3339) + `"`},
		"X-Larder-Stale": {q.source.ID},
	}
}

// renderedFrom makes the variant without what the rules hide.
func (b *bound) renderedFrom(ctx context.Context, q query, d formats.Document, rec *documentRecord) (*formats.Content, error) {
	v := formats.View{Base: b.base, FirstSeen: rec.First}
	g, err := b.guard(ctx, q, d, rec)
	if err != nil {
		return nil, err
	}
	if g == nil || g.tag == "" {
		return b.rendered(ctx, d, rec.Identity, v, upstreamInput{b.engine, rec})
	}
	if g.refused != nil {
		return nil, g.refused
	}
	v.Keep, v.Changed = g.keep, g.changed
	c, err := b.rendered(ctx, d, rec.Identity+g.tag, v, upstreamInput{b.engine, rec})
	if err == nil {
		c.Notice = g.notice
	}
	return c, err
}

// unlost lets use read a document, and where its bytes turn out to be damaged or
// gone what is fetched in their place: that is a miss (I6). It returns what was
// read in the end.
func (e *Engine) unlost(ctx context.Context, q query, d formats.Document, rec *documentRecord, use func(*documentRecord) error) (*documentRecord, error) {
	err := use(rec)
	for tries := 0; isLost(err) && tries < 2; tries++ {
		if rec, err = e.refresh(ctx, q, d, rec, &loss{err, tries > 0}); err != nil {
			return nil, err
		}
		err = use(rec)
	}
	if isLost(err) {
		// Not %w: to clients this is a fault of ours, not a document that is missing.
		err = fmt.Errorf("%w: %v", errLost, err)
	}
	return rec, err
}

// isLost says that the bytes of a document that is held are damaged or gone.
func isLost(err error) bool {
	return errors.Is(err, cache.ErrNotExist) || errors.Is(err, cache.ErrCorrupt)
}

// touch notes that a document was used, whether or not its bytes were read.
func (e *Engine) touch(q query, d formats.Document, rec *documentRecord) {
	if rec.Blob == "" {
		e.opt.Room.Touch(refs.InlineDigest(documentKey(q.source.ID, d.Package, d.Name)))
	} else if digest, err := cache.ParseDigest(rec.Blob); err == nil {
		e.opt.Room.Touch(digest)
	}
}

// current returns the document as fresh as this request needs it.
func (e *Engine) current(ctx context.Context, q query, d formats.Document) (*documentRecord, formats.Result, error) {
	rec, result, err := e.heldDocument(ctx, q, d)
	if errors.Is(err, errRefused) {
		return nil, "", notThere(d, q)
	}
	return rec, result, err
}

// heldDocument is current, with errRefused for what we are not let in to.
func (e *Engine) heldDocument(ctx context.Context, q query, d formats.Document) (*documentRecord, formats.Result, error) {
	rec, err := e.readDocument(ctx, q, d)
	if errors.Is(err, cache.ErrNotExist) {
		rec, err := e.refresh(ctx, q, d, nil, nil)
		return rec, formats.Miss, err
	}
	if err != nil {
		return nil, "", fmt.Errorf("document %s: %w", d.Name, err)
	}
	age := e.now().Sub(rec.Checked)
	fresh := cmp.Or(q.source.Fresh, e.opt.Lifetimes.Fresh)
	soon := d.Age == formats.Normal && age < fresh+e.opt.Lifetimes.StaleWhileRevalidate
	switch {
	// What was checked far in the future, by a clock that was set back since, is
	// served and checked, as all that is not quite fresh.
	case d.Age == formats.Any, q.source.Offline, windowed(d) && age.Abs() < fresh, d.Age == formats.Latest && age.Abs() < recentEnough:
		return rec, formats.Hit, nil
	case q.source.Private && d.Age == formats.Checked && e.knownMissing(documentKey(q.source.ID, d.Package, d.Name)):
		return nil, "", errRefused
	case soon:
		if !e.resting(q, d, rec) {
			// Whoever asks next meets the same trouble, and is told of it.
			e.ask(q, d, rec, nil)
		}
		return rec, formats.Hit, nil
	case age > e.opt.Lifetimes.StaleIfError:
		return e.renew(ctx, q, d, rec)
	case windowed(d) && e.resting(q, d, rec):
		return rec, formats.Stale, nil
	}
	patient, cancel := context.WithTimeout(ctx, e.opt.Pace.Patience)
	defer cancel()
	newer, result, err := e.renew(patient, q, d, rec)
	switch {
	case err == nil, errors.Is(err, formats.ErrNotFound), ctx.Err() != nil:
		return newer, result, err
	case q.source.Private && errors.Is(err, errRefused):
		return nil, "", err
	case patient.Err() != nil:
		e.pauseKey(documentKey(q.source.ID, d.Package, d.Name))
	}
	return rec, formats.Stale, nil
}

// windowed says that a document is fresh for the time that is configured.
func windowed(d formats.Document) bool { return d.Age == formats.Normal || d.Age == formats.Checked }

// resting says that the upstream is not to be asked for a document now: it kept
// us waiting or sent nonsense a moment ago, or a 404 that is not believed yet.
func (e *Engine) resting(q query, d formats.Document, rec *documentRecord) bool {
	if within(rec.Gone, e.now(), goneConfirm) {
		return true
	}
	k := documentKey(q.source.ID, d.Package, d.Name)
	_, ok := e.paused(k)
	return ok || d.Age == formats.Checked && (e.rests(k) || e.rests(restKey(q.source.ID)))
}

// renew waits for the upstream's word on a document that is held.
func (e *Engine) renew(ctx context.Context, q query, d formats.Document, old *documentRecord) (*documentRecord, formats.Result, error) {
	newer, err := e.refresh(ctx, q, d, old, nil)
	if err == nil && newer.same(old) && old.Gone.IsZero() {
		// The question that was joined was an earlier one, whose answer is held.
		newer, err = e.refresh(ctx, q, d, old, nil)
	}
	switch {
	case err != nil:
		return nil, "", err
	case !newer.Gone.IsZero():
		return newer, formats.Stale, nil
	case newer.Identity == old.Identity:
		return newer, formats.Revalidated, nil
	}
	return newer, formats.Miss, nil
}

// readDocument returns what is held. A row that cannot be read is none: what is
// cached may be lost at any time. Errors: cache.ErrNotExist.
func (e *Engine) readDocument(ctx context.Context, q query, d formats.Document) (*documentRecord, error) {
	var rec *documentRecord
	err := e.opt.Index.View(ctx, func(r cache.Reader) error {
		row, err := r.Get(documentKey(q.source.ID, d.Package, d.Name))
		if err != nil {
			return err
		}
		if rec = decodeDocument(row); rec == nil {
			return cache.ErrNotExist
		}
		return nil
	})
	return rec, err
}

// decodeDocument returns nil for a row that is none of ours.
func decodeDocument(row []byte) *documentRecord {
	var rec documentRecord
	body, err := splitBody(row, &rec)
	if err != nil {
		return nil
	}
	rec.body = body
	return &rec
}

// tag makes the ETag of a rendering from what it was made of, so that a
// conditional request is answered without making it.
func tag(format, identity string, d formats.Document, v formats.View) string {
	base := v.Base
	if d.BaseFree {
		base = ""
	}
	h := sha256.New()
	for _, part := range []string{format, identity, d.Name, d.Variant, base, v.FirstSeen.UTC().Format(time.RFC3339)} {
		fmt.Fprintf(h, "%d:%s", len(part), part) // a hash.Hash never fails
	}
	return `"` + hex.EncodeToString(h.Sum(nil)[:16]) + `"`
}
