package registry

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"

	"larder/cache"
	"larder/cache/refs"
	"larder/formats"
	"larder/policy/rules"
	"larder/upstream"
)

// maxPointed bounds the body that a pointer is read from, in bytes, where the
// format has no limit of its own.
const maxPointed = 8 << 20

// get asks for the body where headers do not say what it is.
func (a *question) get(ctx context.Context) (pointed, error) {
	resp, err := a.source.Fetcher.Fetch(ctx, upstream.Request{Ref: a.p.Path, Accept: a.p.Accept})
	if err != nil {
		return pointed{}, err
	}
	return a.take(ctx, resp)
}

// take reads the body of an answer and closes it, and stores it under what it
// turns out to be, without asking for it again.
func (a *question) take(ctx context.Context, resp *upstream.Response) (pointed, error) {
	defer resp.Body.Close()
	if resp.Status == http.StatusNotModified && a.held != nil {
		return a.move(ctx, *a.held)
	}
	if err := fileReply(resp, ""); err != nil {
		return pointed{}, err
	}
	end := sync.OnceFunc(func() { resp.Body.Close() })
	src := &alert{from: &bounded{&exactly{resp.Body, resp.Size}, cmp.Or(a.p.Limit, maxPointed)}, stall: a.opt.Pace.Stall, end: end}
	body, err := io.ReadAll(src)
	if err != nil {
		return pointed{}, fmt.Errorf("upstream %s: %w: %w", a.source.ID, upstream.ErrUnavailable, err)
	}
	version, err := a.p.Digest(body, resp.Header.Get("Content-Type"))
	switch {
	case errors.Is(err, formats.ErrNoVersion):
		return pointed{}, err // what the format says a client is to hear
	case err != nil:
		return pointed{}, fmt.Errorf("upstream %s: %w: %v", a.source.ID, upstream.ErrCorrupt, err)
	}
	a.source.Fetcher = &received{header: resp.Header, body: body}
	t := formats.Target{Version: version, MediaType: resp.Header.Get("Content-Type"), Size: int64(len(body))}
	return a.pointTo(ctx, t)
}

// received is an upstream whose answer is here already. It has no ETag, so that
// nobody asks for a part of it.
type received struct {
	header http.Header
	body   []byte
}

func (r *received) Fetch(context.Context, upstream.Request) (*upstream.Response, error) {
	return &upstream.Response{
		Status: http.StatusOK, Header: r.header, Size: int64(len(r.body)), Body: io.NopCloser(bytes.NewReader(r.body)),
	}, nil
}

// landFile stores a file, unless it is there.
func (e *Engine) landFile(ctx context.Context, q query, f formats.File) error {
	err := e.land(ctx, miss{query: q, file: f, key: upstreamFileKey(q.source.ID, f.Name)})
	if errors.Is(err, errLanded) {
		return nil
	}
	return err
}

// readPointer returns what is held, nil for nothing or a row that cannot be
// read: what is cached may be lost at any time.
func (e *Engine) readPointer(ctx context.Context, k []byte) (*pointerRecord, error) {
	var rec *pointerRecord
	err := e.opt.Index.View(ctx, func(r cache.Reader) error {
		value, err := r.Get(k)
		if err == nil {
			rec = decodePointer(value)
		}
		return err
	})
	if errors.Is(err, cache.ErrNotExist) {
		err = nil
	}
	return rec, err
}

func decodePointer(value []byte) *pointerRecord {
	var rec pointerRecord
	if decodeRow(value, &rec) != nil || rec.Version == "" {
		return nil
	}
	return &rec
}

// move notes what the upstream said just now, unless that was asked before an
// operator dropped the pointer.
func (a *question) move(ctx context.Context, next pointerRecord) (pointed, error) {
	result := formats.Miss
	if a.held != nil && a.held.Version == next.Version {
		result = formats.Revalidated
	}
	next.Checked = a.now().UTC()
	row, err := encodeRow(next)
	if err != nil {
		return pointed{}, err
	}
	k := pointerKey(a.source.ID, a.p.Package, a.p.Name)
	inline, edge := refs.Inlined(k, int64(len(row)))
	err = a.opt.Index.Update(ctx, func(w cache.Writer) error {
		value, err := w.Get(k)
		switch {
		case a.dropsOf(k).Load() != a.drops:
			return nil
		case err == nil && result == formats.Revalidated && decodePointer(value) != nil:
			return w.Put(k, row) // it has its edge
		case err == nil:
			// The new edge may have another size.
			err = refs.Unlink(w, inline.Digest, edge, a.now())
		}
		if err != nil && !errors.Is(err, cache.ErrNotExist) {
			return err
		}
		if err := w.Put(k, row); err != nil {
			return err
		}
		return refs.Link(w, inline, edge, a.now())
	})
	if err != nil && !unstorable(err) {
		return pointed{}, err
	}
	return pointed{pointerRecord: &next, result: result}, nil
}

// dropPointer forgets a pointer. What it stood for stays.
func (e *Engine) dropPointer(ctx context.Context, k []byte) error {
	inline, edge := refs.Inlined(k, 0)
	return e.opt.Index.Update(ctx, func(w cache.Writer) error {
		if err := w.Delete(k); err != nil {
			return err
		}
		return refs.Unlink(w, inline.Digest, edge, e.now())
	})
}

// admitPointer asks the rules that look at nothing but the name, before any
// upstream hears of it.
func (e *Engine) admitPointer(q query, p formats.Pointer) error {
	a, concerned := q.registry.rules(p.Package)
	if !concerned {
		return nil
	}
	out := a.Check(unaged(p.Name), e.now())
	if out.Refused {
		return refusal(out.Finding, p.Name, "")
	}
	return nil
}

// permitPointer asks the rules about what a pointer stands for. Rules about age
// count from when that was first seen, and not the name.
func (e *Engine) permitPointer(ctx context.Context, q query, p formats.Pointer, version string) error {
	a, concerned := q.registry.rules(p.Package)
	if !concerned {
		return nil
	}
	facts := rules.Facts{Version: version}
	f := p.File(version)
	rec, err := e.record(ctx, upstreamFileKey(q.source.ID, f.Name))
	switch {
	case err == nil:
		facts.Digest, facts.FirstSeen = rec.Digest.String(), rec.Fetched
	case !errors.Is(err, cache.ErrNotExist):
		return err
	default:
		loc, err := f.Locate(ctx)
		if err != nil {
			return err
		}
		facts.Digest = announced(loc)
	}
	if err := e.judging(q, a).age(ctx, &facts); err != nil {
		return err
	}
	facts.Version = p.Name
	err = e.judge(ctx, q, a, facts)
	if errors.Is(err, errUndecided) {
		return nil // the file itself is judged by its digest
	}
	return err
}

// announced is the SHA-256 that a file is known to have, "" for none.
func announced(loc formats.Location) string {
	for _, sum := range loc.Want {
		if sum.Algorithm == cache.SHA256 && len(sum.Value) == len(cache.Digest{}) {
			return cache.Digest(sum.Value).String()
		}
	}
	return ""
}
