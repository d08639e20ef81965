package registry

import (
	"bytes"
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
	linkTimeout  = 60 * time.Second // for the record of a finished fill
)

// miss is a file that is not held, and where to ask for it.
type miss struct {
	query
	file formats.File
	key  []byte
	bad  *fileRecord // names bytes that were just found damaged; nil: none
}

// flight is the one running download of a file. Its map entry goes only after
// the record is visible; a newcomer who looked for the record too early and for
// the flight too late begins one that finds the record (errLanded).
type flight struct {
	engine *Engine
	miss
	// published is the upstream's word, known once the file is located, and
	// mediaType once the head is.
	published time.Time
	mediaType string

	waiting int  // clients that do not know the head yet; guarded by engine.mu
	begun   bool // it has a slot; guarded by engine.mu
	queue   context.Context
	giveUp  context.CancelFunc // of the queue for a slot

	reserved int64        // bytes that room was made for, of a body of unknown length
	written  atomic.Int64 // bytes
	readers  atomic.Int64
	idle     atomic.Int64 // unix nanoseconds since when no reader is there

	landed atomic.Bool   // stored and recorded: no longer to be joined
	void   atomic.Bool   // dropped while it ran: it is not to be recorded
	ready  chan struct{} // closed once the head is known or the flight failed
	done   chan struct{} // closed behind all else

	mu      sync.Mutex
	partial cache.Partial
	size    int64
	from    formats.Location // where the upstream has it
	etag    string           // of the upstream, strong; "" where parts cannot be asked for
	err     error
}

// fly joins the flight of a key, or begins one, and returns the growing body.
func (e *Engine) fly(ctx context.Context, m miss) (*formats.Content, error) {
	pass, err := e.askable(m)
	if err != nil {
		return nil, err
	}
	if pass {
		return e.pass(ctx, m.query, m.file)
	}
	fl, result, err := e.board(m)
	if err != nil {
		return nil, err
	}
	select {
	case <-ctx.Done():
		e.unboard(fl)
		return nil, ctx.Err()
	case <-fl.ready:
	}
	return fl.content(ctx, result)
}

// board returns the flight of a key: the one under way, or a new one.
func (e *Engine) board(m miss) (*flight, formats.Result, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return nil, "", errClosed
	}
	if fl, ok := e.flights[string(m.key)]; ok && !fl.landed.Load() {
		e.opt.Observer.Shared(m.registry.spec.Format.Name())
		fl.waiting++
		return fl, formats.Join, nil
	}
	fl := &flight{engine: e, miss: m, ready: make(chan struct{}), done: make(chan struct{}), size: -1, waiting: 1}
	fl.queue, fl.giveUp = context.WithCancel(e.life)
	e.flights[string(m.key)] = fl
	e.work.Go(fl.run)
	return fl, formats.Miss, nil
}

// unboard is what a client does who leaves before the head is known. A flight
// that has not begun ends with the last of them: else clients that come and go
// would leave behind any number of flights that queue for a slot.
func (e *Engine) unboard(fl *flight) {
	e.mu.Lock()
	defer e.mu.Unlock()
	fl.waiting--
	if fl.waiting > 0 || fl.begun {
		return
	}
	fl.giveUp()
	if e.flights[string(fl.key)] == fl {
		delete(e.flights, string(fl.key))
	}
}

// begin takes a slot. Errors: the end of the engine, or that every client left.
func (fl *flight) begin() error {
	e := fl.engine
	if err := e.slots.Acquire(fl.queue, 1); err != nil {
		return err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := fl.queue.Err(); err != nil {
		e.slots.Release(1)
		return err
	}
	fl.begun = true
	return nil
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
	r, err := fl.ahead(ctx, off, n)
	if r == nil && err == nil {
		r, err = fl.open(ctx, off, n)
	}
	if err == nil {
		return &follower{ReadCloser: r, leave: sync.OnceFunc(fl.leave)}, nil
	}
	fl.leave()
	switch gone := errors.Is(err, cache.ErrNotExist); {
	case unstorable(err), gone && fl.landed.Load():
		// It could not be stored, or was stored and evicted at once, before this
		// reader opened it. Not by another flight: that could go on for ever.
		c, err := fl.engine.pass(ctx, fl.query, fl.file)
		if err != nil {
			return nil, err
		}
		return partOf(ctx, c, off, n)
	case gone:
		// Not %w: to clients this is a fault of ours, not a file that is missing.
		return nil, fmt.Errorf("file %s: %w: %v", fl.file.Name, errLost, err)
	}
	return nil, err
}

// errLost is an internal fault: bytes went that were about to be served.
var errLost = errors.New("cached bytes went while they were in use")

// open reads the growing file, unless the flight has failed.
func (fl *flight) open(ctx context.Context, off, n int64) (io.ReadCloser, error) {
	fl.mu.Lock()
	err := fl.err
	fl.mu.Unlock()
	if err != nil {
		return nil, err
	}
	return fl.partial.Follow(ctx, off, n)
}

// partOf reads n bytes from off (n < 0: to the end) of any content.
func partOf(ctx context.Context, c *formats.Content, off, n int64) (io.ReadCloser, error) {
	if c.Follow != nil {
		return c.Follow(ctx, off, n)
	}
	var src io.ReadSeeker = c.File
	if c.File == nil {
		src = bytes.NewReader(c.Bytes)
	}
	if _, err := src.Seek(off, io.SeekStart); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	if n < 0 {
		n = c.Size - off
	}
	return limited(src, n, c), nil
}

// limited reads n bytes of src; end closes what it comes from.
func limited(src io.Reader, n int64, end io.Closer) io.ReadCloser {
	return struct {
		io.Reader
		io.Closer
	}{io.LimitReader(src, n), end}
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
	defer close(fl.done)
	defer fl.giveUp()
	err := guarded(fl.fetch)
	if err != nil {
		fl.remember(err)
	}
	fl.engine.mu.Lock()
	if fl.engine.flights[string(fl.key)] == fl {
		delete(fl.engine.flights, string(fl.key))
	}
	fl.engine.mu.Unlock()
	if err != nil {
		fl.fail(err)
		return
	}
	fl.engine.foresee(fl.query, fl.file)
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
		e.passOn(fl.key)
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

// errLanded says that the file has been stored meanwhile.
var errLanded = errors.New("the file is there by now")

// stored reports whether the file is there already. What was found damaged
// does not count, though its record may still be there.
func (fl *flight) stored(ctx context.Context) bool {
	rec, err := fl.engine.record(ctx, fl.key)
	if err != nil || fl.bad != nil && rec.Fetched.Equal(fl.bad.Fetched) {
		return false
	}
	blob, err := fl.engine.opt.Store.Stat(ctx, rec.Digest)
	return err == nil && blob.Size == rec.Size
}

func (fl *flight) fetch() error {
	e := fl.engine
	if fl.stored(e.life) {
		return errLanded
	}
	if err := fl.begin(); err != nil {
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
	fl.file.Version, fl.published = versionOf(fl.file, loc.Version), loc.Published
	if digest := announced(loc); digest != "" {
		leader, err := fl.lead(digest, loc.Adopt)
		if !leader || err != nil {
			return err
		}
		defer fl.cede(digest)
	}
	d := newDownload(e.life, fl.source.Fetcher, loc, e.opt.Pace)
	defer d.close()
	if err := d.open(fl.file.MediaType, len(want) > 0); err != nil {
		return e.notFound(err, fl.key, fl.file.Name, fl.source.ID)
	}
	fl.mediaType = mediaType(fl.file, d.resp.Header)
	if err := e.opt.Room.Reserve(e.life, max(d.size, 0)); err != nil {
		return err
	}
	partial, err := e.opt.Store.Begin(e.life, d.size, algorithms(want)...)
	if err != nil {
		return err
	}
	fl.mu.Lock()
	fl.partial, fl.size, fl.from, fl.etag = partial, d.size, loc, d.etag
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
