package registry

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync/atomic"
	"syscall"

	"larder/cache"
	"larder/cache/refs"
	"larder/formats"
	"larder/policy"
	"larder/upstream"
)

func (b *bound) File(ctx context.Context, f formats.File) (*formats.Content, error) {
	res, err := b.allow(ctx, policy.Read, f.Package, f.Version)
	if err != nil {
		return nil, err
	}
	o, err := b.lookup(ctx, f.Package)
	if err != nil {
		return nil, err
	}
	if o.ours() || b.narrowed() {
		if !b.visible(o) {
			return nil, b.unseen(o, f.Package)
		}
		return b.hostedFile(ctx, f, o, res)
	}
	c, err := b.upstreamFile(ctx, f, o)
	if err == nil {
		c.Private = b.engine.opt.PrivateReads
	}
	return c, err
}

func (b *bound) hostedFile(ctx context.Context, f formats.File, o *owned, res policy.Resource) (*formats.Content, error) {
	format := b.spec.Format.Name()
	changes := b.engine.changes.of(format, f.Package).Load()
	k := hostedFileKey(format, f.Name)
	rec, until, err := b.engine.hostedRecord(ctx, k, changes)
	if errors.Is(err, cache.ErrNotExist) {
		return nil, b.noFile(f)
	}
	if err != nil {
		return nil, err
	}
	if !rec.belongs(o.hosted) {
		return nil, b.noFile(f) // a file is served under its own package's rules only
	}
	if err := b.permitHosted(f.Package, rec); err != nil {
		return nil, err
	}
	c, err := b.engine.open(ctx, rec, f)
	if err == nil && f.Head && c.Bytes != nil {
		err = b.engine.present(ctx, rec) // of which memory knows nothing
	}
	if err != nil && (ctx.Err() != nil || exhausted(err)) {
		return nil, err
	}
	if err != nil {
		// A lease may have ended, and its record gone unheard, since we read it.
		b.engine.records.Remove(string(k))
		if _, _, again := b.engine.hostedRecord(ctx, k, changes); errors.Is(again, cache.ErrNotExist) {
			return nil, b.noFile(f)
		}
		err = errors.Join(err, b.engine.suspect(ctx, rec.Digest, err))
		b.engine.opt.Observer.Integrity(format, f.Package, "read", err)
		// Not %w: to clients this is a fault of ours, not a file that is missing.
		return nil, fmt.Errorf("stored file %s: %w: %v", f.Name, formats.ErrDamaged, err)
	}
	if f.Head {
		if err := b.engine.promise(ctx, k, rec, until); errors.Is(err, cache.ErrNotExist) {
			return nil, b.noFile(f)
		} else if err != nil {
			return nil, fmt.Errorf("hold %s: %w", f.Name, err)
		}
	}
	c.Result, c.Private = formats.Hosted, b.engine.opt.PrivateReads || res.Visibility != policy.Public
	return c, nil
}

func (b *bound) noFile(f formats.File) error {
	return formats.Refuse(formats.ErrNoVersion, fmt.Sprintf("%s is not in the registry %s", f.Name, b.spec.Name))
}

// suspect lets bytes be taken out of service that were not what they were: who
// asks whether they are here sends them again then.
func (e *Engine) suspect(ctx context.Context, d cache.Digest, err error) error {
	if e.opt.Suspect == nil || !errors.Is(err, cache.ErrCorrupt) {
		return nil
	}
	return e.opt.Suspect(ctx, d)
}

// exhausted says that this process has too many files open: the bytes are all right.
func exhausted(err error) bool {
	return errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE)
}

// remembered is a file record decoded, as it was after so many changes to its
// package or, of an upstream's, after it was dropped so often.
type remembered struct {
	*fileRecord
	changes uint64
}

// dropsOf counts how often what is cached under a key was dropped by an operator.
func (e *Engine) dropsOf(k []byte) *atomic.Uint64 { return e.drops.of("", string(k)) }

// record reads the record of a cached file through the memory of decoded ones.
func (e *Engine) record(ctx context.Context, k []byte) (*fileRecord, error) {
	changes := e.dropsOf(k).Load()
	if r, ok := e.records.Get(string(k)); ok && r.changes == changes {
		return r.fileRecord, nil
	}
	var rec *fileRecord
	err := e.opt.Index.View(ctx, func(r cache.Reader) error {
		var err error
		rec, err = readFile(r, k)
		return err
	})
	if err != nil {
		return nil, err
	}
	e.records.Add(string(k), remembered{rec, changes})
	return rec, nil
}

// open returns the bytes of a record, from memory or from the store; for a HEAD
// that they are there is enough, and nothing is opened.
func (e *Engine) open(ctx context.Context, rec *fileRecord, f formats.File) (*formats.Content, error) {
	c := &formats.Content{
		Size: rec.Size, MediaType: rec.mediaType(f), ETag: `"` + rec.Digest.String() + `"`,
		Result: formats.Hit, Immutable: true,
	}
	memory := string(rec.Digest[:])
	if rec.Size <= smallBody {
		if body, ok := e.memory.Get(memory); ok {
			c.Bytes = body
			return c, nil
		}
	}
	if f.Head {
		if err := e.present(ctx, rec); err != nil {
			return nil, err
		}
		return c, nil
	}
	file, err := e.opt.Store.Open(ctx, rec.Digest)
	if err != nil {
		return nil, err
	}
	size, err := file.Seek(0, io.SeekEnd)
	if err == nil {
		err = rec.hasSize(size)
	}
	if err == nil {
		_, err = file.Seek(0, io.SeekStart)
	}
	if err != nil {
		file.Close()
		return nil, err
	}
	if rec.Size > smallBody {
		c.File = file
		return c, nil
	}
	defer file.Close()
	if c.Bytes, err = rec.read(file); err != nil {
		return nil, fmt.Errorf("blob %s: %w", rec.Digest, err)
	}
	e.memory.Add(memory, c.Bytes)
	return c, nil
}

// read takes a small body into memory. It is served from there for long, so
// that it is worth to look once whether it is what it was. Errors: cache.ErrCorrupt.
func (r *fileRecord) read(file io.Reader) ([]byte, error) {
	body := make([]byte, r.Size)
	if _, err := io.ReadFull(file, body); err != nil {
		return nil, err
	}
	if sha256.Sum256(body) != r.Digest {
		return nil, fmt.Errorf("its bytes have another digest: %w", cache.ErrCorrupt)
	}
	return body, nil
}

// present looks whether the bytes of a record are there, in its length: a client
// that is told so does not send them, or relies on them.
func (e *Engine) present(ctx context.Context, rec *fileRecord) error {
	blob, err := e.opt.Store.Stat(ctx, rec.Digest)
	if err != nil {
		return err
	}
	return rec.hasSize(blob.Size)
}

// hasSize compares the length of the stored bytes with the recorded one.
func (r *fileRecord) hasSize(size int64) error {
	if size != r.Size {
		return fmt.Errorf("blob %s has %d bytes, want %d: %w", r.Digest, size, r.Size, cache.ErrCorrupt)
	}
	return nil
}

func (b *bound) upstreamFile(ctx context.Context, f formats.File, o *owned) (*formats.Content, error) {
	sources, err := b.sources(ctx, f.Package, o)
	if err != nil {
		return nil, err
	}
	if len(sources) > 1 {
		if sources, err = b.owner(ctx, f, sources); err != nil {
			return nil, err
		}
	}
	for _, s := range sources {
		c, err := b.engine.fromUpstream(ctx, query{b.Registry, s}, f)
		if !errors.Is(err, formats.ErrNotFound) || len(sources) == 1 {
			return c, err
		}
	}
	return nil, b.missing(f.Package)
}

// owner returns the upstream that a name belongs to, where the format can tell
// and nothing is held yet: a file must not be asked of one upstream by what the
// index of another says.
func (b *bound) owner(ctx context.Context, f formats.File, all []Source) ([]Source, error) {
	probe, ok := b.spec.Format.(Prober)
	if !ok {
		return all, nil
	}
	d := probe.Probe(f.Package)
	d.Age = formats.Any
	_, id, err := b.known(ctx, all, d)
	if err != nil {
		return nil, err
	}
	return only(all, id), nil
}

// sources returns the upstreams to ask for a name ("" for none in particular): the
// one it first came from, or all in order, without those that do not serve it. None
// at all is an error that says how to configure one.
func (r *Registry) sources(ctx context.Context, pkg string, o *owned) ([]Source, error) {
	all, err := r.spec.Upstreams(ctx)
	if err != nil {
		return nil, err
	}
	if o != nil && o.upstream != "" {
		all = only(all, o.upstream)
	}
	shut := func(s Source) bool { return pkg != "" && s.Serves != nil && !s.Serves(pkg) }
	if slices.ContainsFunc(all, shut) {
		all = slices.DeleteFunc(slices.Clone(all), shut)
	}
	return all, nil
}

// only returns the source of that id, or all if there is none.
func only(all []Source, id string) []Source {
	for i, s := range all {
		if s.ID == id {
			return all[i : i+1]
		}
	}
	return all
}

func (e *Engine) fromUpstream(ctx context.Context, q query, f formats.File) (*formats.Content, error) {
	k := upstreamFileKey(q.source.ID, f.Name)
	for range maxTurns {
		c, bad, err := e.held(ctx, q, f, k)
		if err == nil {
			return c, nil
		}
		if !errors.Is(err, cache.ErrNotExist) {
			return nil, fmt.Errorf("file %s: %w", f.Name, err)
		}
		m := miss{q, f, k, bad}
		whole, err := e.admit(ctx, q, f)
		if err != nil {
			return nil, fmt.Errorf("file %s: %w", f.Name, err)
		}
		if (whole || f.Check != nil) && !f.Head {
			if err = e.land(ctx, m); unstorable(err) && !whole {
				return e.passChecked(ctx, q, f)
			}
		} else if c, err = e.fetched(ctx, m); err == nil {
			return c, nil
		}
		if err != nil && !errors.Is(err, errLanded) {
			return nil, err
		}
	}
	return nil, fmt.Errorf("file %s: %w", f.Name, errLost)
}

// maxTurns bounds how often a file is looked for again that was just stored.
const maxTurns = 8

// fetched returns a file that is not held. Errors: errLanded if it is by now.
func (e *Engine) fetched(ctx context.Context, m miss) (*formats.Content, error) {
	if m.file.Head && !e.knownMissing(m.key) {
		return e.headUpstream(ctx, m.source, m.file)
	}
	return e.fly(ctx, m)
}

// held returns a cached file. Whatever is wrong with its bytes, it is a miss
// (I6), and only if their record is still there it is damage, and returned:
// eviction takes both. Errors: cache.ErrNotExist.
func (e *Engine) held(ctx context.Context, q query, f formats.File, k []byte) (*formats.Content, *fileRecord, error) {
	var bad *fileRecord
	var why error
	for {
		rec, err := e.record(ctx, k)
		if err != nil {
			return nil, nil, err
		}
		if bad != nil && rec.Fetched.Equal(bad.Fetched) {
			e.opt.Observer.Integrity(q.registry.spec.Format.Name(), f.Package, "read", why)
			e.forget(k, bad)
			return nil, bad, cache.ErrNotExist
		}
		if err := e.permit(ctx, q, f, rec); err != nil {
			return nil, nil, err
		}
		c, err := e.open(ctx, rec, f)
		if err == nil {
			if err = e.noteParts(ctx, q, f, rec); err != nil {
				c.Close()
			}
		}
		if err == nil {
			e.opt.Room.Touch(rec.Digest)
			return c, nil, nil
		}
		if ctx.Err() != nil || exhausted(err) {
			return nil, nil, err
		}
		bad, why = rec, err
		e.records.Remove(string(k))
	}
}

// forget drops the record of a cached file whose bytes are damaged or gone,
// unless the file was fetched again meanwhile.
func (e *Engine) forget(k []byte, bad *fileRecord) {
	e.records.Remove(string(k))
	ctx, cancel := context.WithTimeout(e.life, linkTimeout)
	defer cancel()
	// A failure here leaves the record: the next reader comes this way again.
	_ = e.opt.Index.Update(ctx, func(w cache.Writer) error {
		rec, err := readFile(w, k)
		if err != nil || !rec.Fetched.Equal(bad.Fetched) {
			return err
		}
		if err := w.Delete(k); err != nil {
			return err
		}
		return refs.Unlink(w, rec.Digest, refs.Edge{Kind: refs.Cached, Record: k}, e.now())
	})
}

// headUpstream answers HEAD for a file not held without fetching it.
func (e *Engine) headUpstream(ctx context.Context, s Source, f formats.File) (*formats.Content, error) {
	loc, err := f.Locate(ctx)
	if err != nil {
		return nil, err
	}
	resp, _, err := e.headed(ctx, s, upstream.Request{Ref: loc.Ref, Accept: loc.Accept})
	if err != nil {
		return nil, e.notFound(err, nil, f.Name, s.ID)
	}
	resp.Body.Close()
	if err := fileReply(resp, f.MediaType); err != nil {
		return nil, err
	}
	return &formats.Content{Size: resp.Size, MediaType: mediaType(f, resp.Header), Result: formats.Pass, Immutable: true}, nil
}

// notFound turns an upstream's "not there" into ours and remembers it for a
// short while; other errors pass.
func (e *Engine) notFound(err error, k []byte, name, id string) error {
	if !errors.Is(err, upstream.ErrNotExist) {
		return err
	}
	if k != nil {
		e.noteMissing(k, min(e.opt.Lifetimes.Negative, missingFile))
	}
	return formats.Refuse(formats.ErrNotFound, fmt.Sprintf("%s is not in the upstream %s", name, id))
}
