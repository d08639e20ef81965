package registry

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"

	"larder/formats"
	"larder/upstream"
)

// notedNeeds is up to how many bytes of names are noted beside a file that
// refers to others: enough for a few dozen.
const notedNeeds = 4 << 10

// maxPassed bounds a file that is read in memory because it cannot be stored.
const maxPassed = 32 << 20

// inMemory is a body as a store would open it.
func inMemory(body []byte) io.ReadSeekCloser {
	return struct {
		io.ReadSeeker
		io.Closer
	}{bytes.NewReader(body), io.NopCloser(nil)}
}

// mediaType is what a file from an upstream is served as: a format that reads
// its files goes by what the upstream says.
func mediaType(f formats.File, h http.Header) string {
	if f.Check == nil {
		return f.MediaType
	}
	return cmp.Or(h.Get("Content-Type"), f.MediaType)
}

// mediaType is the same for a file that is held.
func (r *fileRecord) mediaType(f formats.File) string {
	if f.Check == nil {
		return cmp.Or(f.MediaType, r.MediaType)
	}
	return cmp.Or(r.MediaType, f.MediaType)
}

// versionOf is the version that a file belongs to: the client's word, or, for
// files that are read, which a client may ask for by a name that moves, what
// else is known of it.
func versionOf(f formats.File, known string) string {
	if f.Check == nil {
		return cmp.Or(f.Version, known)
	}
	return cmp.Or(known, f.Version)
}

// examine lets the format read a whole file before it counts. Errors: what the
// format says a client is to hear instead (formats.ErrNoVersion), else
// upstream.ErrCorrupt.
func examine(f formats.File, open func() (io.ReadSeekCloser, error), mediaType string) (formats.FileFacts, error) {
	if f.Check == nil {
		return formats.FileFacts{}, nil
	}
	src, err := open()
	if err != nil {
		return formats.FileFacts{}, err
	}
	defer src.Close()
	raw := &noting{from: src}
	facts, err := f.Check(raw, mediaType)
	switch {
	case raw.err != nil:
		return facts, raw.err // our own store, whatever the format makes of it
	case err != nil && !errors.Is(err, formats.ErrNoVersion):
		// Not %w: what a format finds wrong is the upstream's fault, whatever it
		// would be in a request.
		err = fmt.Errorf("%w: %v", upstream.ErrCorrupt, err)
	}
	return facts, err
}

// passChecked is pass for a file that is read before it is served.
func (e *Engine) passChecked(ctx context.Context, q query, f formats.File) (*formats.Content, error) {
	c, err := e.pass(ctx, q, f)
	if err != nil {
		return nil, err
	}
	src, err := c.Follow(ctx, 0, -1)
	if err != nil {
		return nil, err
	}
	defer src.Close()
	body, err := io.ReadAll(&bounded{src, maxPassed})
	if err != nil {
		return nil, fmt.Errorf("file %s: %w", f.Name, err)
	}
	facts, err := examine(f, func() (io.ReadSeekCloser, error) { return inMemory(body), nil }, c.MediaType)
	if errors.Is(err, upstream.ErrCorrupt) {
		e.distrust(q.registry, upstreamFileKey(q.source.ID, f.Name), f.Package, err)
	}
	if err != nil {
		return nil, fmt.Errorf("file %s: %w", f.Name, err)
	}
	loc, err := f.Locate(ctx)
	if err != nil {
		return nil, err
	}
	o := owner{file: f.Name, version: versionOf(f, loc.Version), digest: announced(loc), fetched: e.now()}
	for _, name := range facts.Needs {
		e.parts.note(q.source.ID, name, o)
	}
	return &formats.Content{
		Bytes: body, Size: int64(len(body)), MediaType: cmp.Or(facts.MediaType, c.MediaType), Result: formats.Pass, Immutable: true,
	}, nil
}
