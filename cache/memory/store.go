package memory

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"math"
	"sync"

	"larder/cache"
	"larder/cache/sessions"
	"larder/cache/watermark"
)

var _ cache.Store = (*Store)(nil)

// Store keeps blobs in a map. All methods may be called concurrently.
type Store struct {
	book sessions.Book

	mu       sync.RWMutex
	blobs    map[cache.Digest][]byte
	sessions map[string]*session // the writer of each that came last
	total    int64               // bytes
	room     int64               // bytes left of total for blobs and writes under way
}

// NewStore returns an empty Store without a limit.
func NewStore() *Store { return NewStoreOf(math.MaxInt64) }

// NewStoreOf returns an empty Store with room for so many bytes, unfinished
// writes included.
func NewStoreOf(room int64) *Store {
	return &Store{blobs: map[cache.Digest][]byte{}, sessions: map[string]*session{}, total: room, room: room}
}

// take reserves n bytes, or answers cache.ErrFull.
func (s *Store) take(n int64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n > s.room {
		return fmt.Errorf("%w: %d bytes wanted, %d left", cache.ErrFull, n, s.room)
	}
	s.room -= n
	return nil
}

func (s *Store) give(n int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.room += n
}

// Begin starts a write. Errors: cache.ErrFull.
func (s *Store) Begin(ctx context.Context, size int64, also ...cache.Algorithm) (cache.Partial, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("begin a blob: %w", err)
	}
	hasher, err := cache.NewHasher(also...)
	if err != nil {
		return nil, fmt.Errorf("begin a blob: %w", err)
	}
	if err := s.take(max(size, 0)); err != nil {
		return nil, fmt.Errorf("begin a blob of %d bytes: %w", size, err)
	}
	return &partial{store: s, hash: hasher, announced: size, taken: max(size, 0)}, nil
}

// Open returns the bytes. Errors: cache.ErrNotExist.
func (s *Store) Open(ctx context.Context, d cache.Digest) (io.ReadSeekCloser, error) {
	b, err := s.get(ctx, d)
	if err != nil {
		return nil, fmt.Errorf("open blob %s: %w", d, err)
	}
	return reader{bytes.NewReader(b)}, nil
}

// Stat returns digest and length. Errors: cache.ErrNotExist.
func (s *Store) Stat(ctx context.Context, d cache.Digest) (cache.Blob, error) {
	b, err := s.get(ctx, d)
	if err != nil {
		return cache.Blob{}, fmt.Errorf("stat blob %s: %w", d, err)
	}
	return cache.Blob{Digest: d, Size: int64(len(b))}, nil
}

func (s *Store) get(ctx context.Context, d cache.Digest) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	b, ok := s.blobs[d]
	if !ok {
		return nil, cache.ErrNotExist
	}
	return b, nil
}

// Delete forgets the blob.
func (s *Store) Delete(ctx context.Context, d cache.Digest) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("delete blob %s: %w", d, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.room += int64(len(s.blobs[d]))
	delete(s.blobs, d)
	return nil
}

// List yields the blobs that are here when it begins.
func (s *Store) List(ctx context.Context) iter.Seq2[cache.Blob, error] {
	return func(yield func(cache.Blob, error) bool) {
		for _, b := range s.all() {
			if err := ctx.Err(); err != nil {
				yield(cache.Blob{}, fmt.Errorf("list blobs: %w", err))
				return
			}
			if !yield(b, nil) {
				return
			}
		}
	}
}

func (s *Store) all() []cache.Blob {
	s.mu.RLock()
	defer s.mu.RUnlock()
	blobs := make([]cache.Blob, 0, len(s.blobs))
	for d, b := range s.blobs {
		blobs = append(blobs, cache.Blob{Digest: d, Size: int64(len(b))})
	}
	return blobs
}

// reader is an open blob.
type reader struct{ *bytes.Reader }

func (reader) Close() error { return nil }

// partial is a growing slice.
type partial struct {
	store     *Store
	mark      watermark.Mark
	hash      *cache.Hasher
	announced int64 // bytes, or -1
	taken     int64 // bytes of the Store's room
	ended     bool
	verified  bool
	committed bool
	failed    error // the first failure

	mu    sync.Mutex
	bytes []byte // what was written is never changed, so a prefix may be read unlocked
}

// Write appends. Errors: cache.ErrFull, cache.ErrCorrupt beyond the announced size.
func (p *partial) Write(b []byte) (int, error) {
	if p.failed != nil {
		return 0, p.failed
	}
	if p.ended {
		return 0, errors.New("write to a blob that was ended by Verify")
	}
	after := p.hash.Size() + int64(len(b))
	if p.announced >= 0 && after > p.announced {
		return 0, p.fail(fmt.Errorf("more than the %d bytes announced: %w", p.announced, cache.ErrCorrupt))
	}
	if after > p.taken {
		if err := p.store.take(after - p.taken); err != nil {
			return 0, p.fail(err)
		}
		p.taken = after
	}
	p.mu.Lock()
	p.bytes = append(p.bytes, b...)
	p.mu.Unlock()
	p.hash.Write(b) // never fails
	p.mark.Grow(after)
	return len(b), nil
}

// Follow reads the slice as it grows.
func (p *partial) Follow(ctx context.Context, off, n int64) (io.ReadCloser, error) {
	if off < 0 {
		return nil, fmt.Errorf("follow a blob from offset %d", off)
	}
	end := int64(-1)
	if n >= 0 && n <= math.MaxInt64-off {
		end = off + n
	}
	ctx, stop := context.WithCancelCause(ctx)
	return &follower{ctx: ctx, stop: stop, partial: p, off: off, end: end}, nil
}

// Verify ends the writing.
func (p *partial) Verify(want ...cache.Sum) (cache.Blob, error) {
	p.ended = true
	if p.failed != nil {
		return cache.Blob{}, p.failed
	}
	b := p.hash.Blob()
	if p.announced >= 0 && b.Size != p.announced {
		return cache.Blob{}, p.fail(fmt.Errorf("%d bytes instead of the %d announced: %w", b.Size, p.announced, cache.ErrCorrupt))
	}
	open := func() (io.ReadCloser, error) { return reader{bytes.NewReader(p.prefix())}, nil }
	if err := b.Prove(open, want...); err != nil {
		return cache.Blob{}, p.fail(err)
	}
	p.verified = true
	p.mark.Verified()
	return b, nil
}

// Open reads the verified bytes.
func (p *partial) Open() (io.ReadSeekCloser, error) {
	if !p.verified {
		return nil, errors.New("open a blob before it is verified")
	}
	if err := p.mark.Err(); err != nil {
		return nil, err
	}
	return reader{bytes.NewReader(p.prefix())}, nil
}

// Commit makes the blob visible.
func (p *partial) Commit(ctx context.Context) error {
	if p.committed {
		return nil
	}
	d := p.hash.Blob().Digest
	err := p.failed
	if err == nil && !p.verified {
		err = errors.New("it was not verified")
	}
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		return fmt.Errorf("commit blob %s: %w", d, p.fail(err))
	}
	b := p.prefix()
	p.store.mu.Lock()
	defer p.store.mu.Unlock()
	if _, here := p.store.blobs[d]; here {
		p.store.room += p.taken
	} else {
		p.store.blobs[d] = b
	}
	p.committed = true
	return nil
}

// Abort forgets the bytes and wakes the followers.
func (p *partial) Abort(cause error) {
	if p.committed || p.mark.Err() != nil {
		return
	}
	p.mark.Fail(cause)
	p.fail(p.mark.Err())
	p.store.give(p.taken)
}

func (p *partial) prefix() []byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.bytes[:len(p.bytes):len(p.bytes)]
}

func (p *partial) fail(err error) error {
	if p.failed == nil {
		p.failed = err
	}
	return err
}

// follower reads a partial that grows.
type follower struct {
	ctx      context.Context // ended by Close too
	stop     context.CancelCauseFunc
	partial  *partial
	off, end int64
}

var _ io.WriterTo = (*follower)(nil)

// next waits for bytes that followers may have.
func (f *follower) next() ([]byte, error) {
	n, err := f.partial.mark.Wait(f.ctx, f.off, f.end)
	if err != nil {
		return nil, err
	}
	return f.partial.prefix()[f.off : f.off+n], nil
}

// Read waits for bytes.
func (f *follower) Read(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	got, err := f.next()
	n := copy(b, got)
	f.off += int64(n)
	return n, err
}

// WriteTo hands over all bytes as they arrive.
func (f *follower) WriteTo(w io.Writer) (int64, error) {
	var sent int64
	for {
		got, err := f.next()
		if err == io.EOF {
			return sent, nil
		}
		if err != nil {
			return sent, err
		}
		n, err := w.Write(got)
		f.off += int64(n)
		sent += int64(n)
		if err == nil && n < len(got) {
			err = io.ErrShortWrite
		}
		if err != nil {
			return sent, err
		}
	}
}

// Close wakes a waiting Read.
func (f *follower) Close() error {
	f.stop(fs.ErrClosed)
	return nil
}
