package registry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"larder/cache"
	"larder/formats"
	"larder/upstream"
)

// Limits of one flight.
const (
	readSize     = 256 << 10 // bytes read from the upstream at once
	maxResumes   = 3
	minRate      = 64 << 10         // bytes per second that a body may take beside Pace.Base
	unknownSize  = 512 << 20        // taken for that where no size is announced
	locateTime   = 60 * time.Second // to find where an upstream has a file, and to make room for it
	keepFetching = 512 << 20        // a body up to this size is fetched to its end without readers
	lonely       = 30 * time.Second // a larger one ends after this long without readers
	passMark     = 60 * time.Second // a file that could not be stored is passed through for this long
	backoffStart = 5 * time.Second  // after bytes that were not those announced
	backoffMost  = 60 * time.Second //
	linkTimeout  = 60 * time.Second // for the record of a finished fill
)

// retry says when a key may be asked again, after bad bytes or as a pass mark.
type retry struct {
	until time.Time
	pause time.Duration
	pass  bool
}

// flight is the one running download of a file. Its map entry goes only after
// the record is visible, so that a newcomer sees the flight or a hit.
type flight struct {
	engine *Engine
	query
	file formats.File
	key  []byte

	readers atomic.Int64
	idle    atomic.Int64 // unix nanoseconds since when no reader is there

	ready chan struct{} // closed once the head is known or the flight failed

	mu      sync.Mutex
	partial cache.Partial
	size    int64
	err     error
}

// fly joins the flight of a key, or begins one, and returns the growing body.
func (e *Engine) fly(ctx context.Context, q query, f formats.File, k []byte) (*formats.Content, error) {
	if b, ok := e.backoff.Get(string(k)); ok && e.now().Before(b.until) {
		if b.pass {
			return e.pass(ctx, q, f)
		}
		return nil, fmt.Errorf("%s from upstream %s, not asked again yet: %w", f.Name, q.source.ID, upstream.ErrCorrupt)
	}
	fl, result, err := e.board(q, f, k)
	if err != nil {
		return nil, err
	}
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-fl.ready:
	}
	return fl.content(ctx, result)
}

// board returns the flight of a key: the one under way, or a new one.
func (e *Engine) board(q query, f formats.File, k []byte) (*flight, formats.Result, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return nil, "", errClosed
	}
	if fl, ok := e.flights[string(k)]; ok {
		e.opt.Observer.Shared(q.registry.spec.Format.Name())
		return fl, formats.Join, nil
	}
	fl := &flight{engine: e, query: q, file: f, key: k, ready: make(chan struct{}), size: -1}
	e.flights[string(k)] = fl
	e.work.Go(fl.run)
	return fl, formats.Miss, nil
}

func (fl *flight) content(ctx context.Context, result formats.Result) (*formats.Content, error) {
	fl.mu.Lock()
	size, err := fl.size, fl.err
	fl.mu.Unlock()
	switch {
	case unstorable(err):
		return fl.engine.pass(ctx, fl.query, fl.file)
	case err != nil:
		return nil, err
	}
	return &formats.Content{
		Size: size, MediaType: fl.file.MediaType, Result: result, Immutable: true,
		Follow: fl.follow,
	}, nil
}

// unstorable says that only our own store is in the way.
func unstorable(err error) bool {
	return errors.Is(err, cache.ErrFull) || errors.Is(err, cache.ErrUnhealthy)
}

func (fl *flight) follow(ctx context.Context, off, n int64) (io.ReadCloser, error) {
	fl.readers.Add(1)
	r, err := fl.partial.Follow(ctx, off, n)
	if err != nil {
		fl.leave()
		return nil, err
	}
	return &follower{ReadCloser: r, leave: sync.OnceFunc(fl.leave)}, nil
}

func (fl *flight) leave() {
	fl.idle.Store(fl.engine.now().UnixNano())
	fl.readers.Add(-1)
}

// follower tells the flight when its reader leaves. It keeps WriteTo, so that
// the kernel can copy.
type follower struct {
	io.ReadCloser
	leave func()
}

func (f *follower) Close() error {
	f.leave()
	return f.ReadCloser.Close()
}

func (f *follower) WriteTo(w io.Writer) (int64, error) {
	if wt, ok := f.ReadCloser.(io.WriterTo); ok {
		return wt.WriteTo(w)
	}
	return io.Copy(w, struct{ io.Reader }{f.ReadCloser})
}

// run is the flight: it ends when the file is stored and recorded, or failed.
// Nobody may join a failed one: who comes later has a try of his own.
func (fl *flight) run() {
	err := guarded(fl.fetch)
	if err != nil {
		fl.remember(err)
	}
	fl.engine.mu.Lock()
	delete(fl.engine.flights, string(fl.key))
	fl.engine.mu.Unlock()
	if err != nil {
		fl.fail(err)
	}
}

// guarded turns a panic into an error: formats read what strangers wrote, and
// here no request stands around them that net/http would end alone.
func guarded(fn func() error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("panic: %v\n%s", v, debug.Stack())
		}
	}()
	return fn()
}

// remember says how the file is to be asked for after this failure.
func (fl *flight) remember(err error) {
	e := fl.engine
	switch {
	case errors.Is(err, upstream.ErrCorrupt):
		e.distrust(fl.registry, fl.key, fl.file.Package, err)
	case unstorable(err):
		e.backoff.Add(string(fl.key), retry{until: e.now().Add(passMark), pass: true})
	}
}

// fail tells the readers, and drops what was written.
func (fl *flight) fail(err error) {
	fl.mu.Lock()
	partial := fl.partial
	fl.err = err
	fl.mu.Unlock()
	if partial != nil {
		partial.Abort(err)
	}
	select {
	case <-fl.ready:
	default:
		close(fl.ready)
	}
}

// distrust reports bytes that were not those announced, and leaves their key
// alone for a while, longer every time.
func (e *Engine) distrust(r *Registry, k []byte, pkg string, err error) {
	e.opt.Observer.Integrity(r.spec.Format.Name(), pkg, "fill", err)
	e.pauseKey(k)
}

func (e *Engine) pauseKey(k []byte) {
	pause := backoffStart
	if b, ok := e.backoff.Get(string(k)); ok && !b.pass {
		pause = min(2*b.pause, backoffMost)
	}
	e.backoff.Add(string(k), retry{until: e.now().Add(pause), pause: pause})
}

func (fl *flight) fetch() error {
	e := fl.engine
	if err := e.slots.Acquire(e.life, 1); err != nil {
		return err
	}
	defer e.slots.Release(1)
	ctx, cancel := context.WithTimeout(e.life, locateTime)
	defer cancel()
	loc, err := fl.file.Locate(ctx)
	if err != nil {
		return err
	}
	want, err := e.wanted(ctx, fl.source.ID, fl.file.Name, loc)
	if err != nil {
		return err
	}
	d := newDownload(e.life, fl.source.Fetcher, loc.Ref, e.opt.Pace)
	defer d.close()
	if err := d.open(); err != nil {
		return e.notFound(err, fl.key, fl.file.Name, fl.source.ID)
	}
	if err := e.opt.Room.Reserve(e.life, max(d.size, 0)); err != nil {
		return err
	}
	partial, err := e.opt.Store.Begin(e.life, d.size, algorithms(want)...)
	if err != nil {
		return err
	}
	fl.mu.Lock()
	fl.partial, fl.size = partial, d.size
	fl.mu.Unlock()
	fl.idle.Store(e.now().UnixNano())
	close(fl.ready)
	return fl.fill(d, partial, want)
}

// wanted is all that a file's bytes must agree with: what the upstream's index
// announces, and what they were when they were first fetched.
func (e *Engine) wanted(ctx context.Context, id, name string, loc formats.Location) ([]cache.Sum, error) {
	pin, err := e.firstSeen(ctx, id, name)
	return slices.Concat(loc.Want, pin), err
}

// algorithms names each checksum that must be computed.
func algorithms(want []cache.Sum) []cache.Algorithm {
	var a []cache.Algorithm
	for _, w := range want {
		a = append(a, w.Algorithm)
	}
	return a
}

func (fl *flight) fill(d *download, partial cache.Partial, want []cache.Sum) error {
	size := int64(readSize)
	if d.size >= 0 {
		size = min(size, d.size+1) // the last byte is room to see the end
	}
	buf := make([]byte, size)
	for {
		n, err := d.read(buf)
		if n > 0 {
			if _, err := partial.Write(buf[:n]); err != nil {
				return corrupt(err)
			}
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
		if fl.abandoned(d) {
			return fmt.Errorf("%s: every reader has left: %w", fl.file.Name, cache.ErrAborted)
		}
	}
	blob, err := partial.Verify(want...)
	if err != nil {
		return corrupt(fmt.Errorf("%s from upstream %s: %w", fl.file.Name, fl.source.ID, err))
	}
	return fl.keep(partial, blob)
}

// corrupt says of the upstream what the store says of bytes.
func corrupt(err error) error {
	if errors.Is(err, cache.ErrCorrupt) {
		return fmt.Errorf("%w: %w", upstream.ErrCorrupt, err)
	}
	return err
}

func (fl *flight) abandoned(d *download) bool {
	if fl.readers.Load() > 0 || (d.size >= 0 && (d.size <= keepFetching || d.offset > d.size/2)) {
		return false
	}
	return fl.engine.now().Sub(time.Unix(0, fl.idle.Load())) > lonely
}

// keep commits the bytes and their record, behind the readers' backs.
func (fl *flight) keep(partial cache.Partial, blob cache.Blob) error {
	e := fl.engine
	ctx, cancel := context.WithTimeout(context.WithoutCancel(e.life), linkTimeout)
	defer cancel()
	rec := &fileRecord{
		Digest: blob.Digest, Size: blob.Size, MediaType: fl.file.MediaType,
		Package: fl.file.Package, Version: fl.file.Version, Fetched: e.now().UTC(),
	}
	err := e.commitCached(ctx, partial, blob, fl.key, func(w cache.Writer) error {
		if err := rec.put(w, fl.key); err != nil {
			return err
		}
		return w.Put(seenKey(fl.source.ID, fl.file.Name), append([]byte{rowVersion}, blob.Digest[:]...))
	})
	if err == nil {
		e.backoff.Remove(string(fl.key))
	}
	return err
}

// firstSeen returns the digest that a file had when it was first fetched: the
// pin that a silent change upstream runs into.
func (e *Engine) firstSeen(ctx context.Context, id, name string) ([]cache.Sum, error) {
	var pin []cache.Sum
	err := e.opt.Index.View(ctx, func(r cache.Reader) error {
		value, err := r.Get(seenKey(id, name))
		if err != nil {
			return err
		}
		if len(value) != 1+len(cache.Digest{}) || value[0] != rowVersion {
			return errRow
		}
		pin = []cache.Sum{{Algorithm: cache.SHA256, Value: value[1:]}}
		return nil
	})
	if errors.Is(err, cache.ErrNotExist) {
		return nil, nil
	}
	return pin, err
}
