package disk

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"

	"larder/cache"
	"larder/cache/watermark"
)

// Steps in which room is taken for a write of unknown length, in bytes: as
// much again as there is, so that a small document does not reserve much.
const (
	firstStep = 1 << 20
	lastStep  = 64 << 20
)

// partial is a file in tmp that becomes a blob. All but Follow, and what Follow
// needs, belongs to the writing goroutine.
type partial struct {
	store     *Store
	mark      watermark.Mark
	hash      *cache.Hasher
	announced int64 // bytes, or -1
	allocated int64 // bytes
	promised  int64 // bytes of room granted that are not on the volume yet
	file      File
	ended     bool  // no more bytes: Verify was called
	failed    error // the first failure; nothing but Abort helps
	verified  bool
	committed bool
	resumable bool // the name is that of a session
	blob      cache.Blob

	mu   sync.Mutex // held while the file changes its name
	path string     // "" once dropped
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
	if err := p.reserve(after); err != nil {
		return 0, p.fail(err)
	}
	n, err := p.file.Write(b)
	p.settle(min(int64(n), p.promised))
	if err == nil && n < len(b) {
		err = io.ErrShortWrite
	}
	if err != nil {
		return n, p.fail(classify(err))
	}
	p.hash.Write(b) // never fails
	p.store.room.wrote(int64(n))
	p.mark.Grow(after)
	return n, nil
}

// reserve takes room for a write of unknown length up to size bytes. Near the
// floor a whole step may not fit where the bytes at hand do.
func (p *partial) reserve(size int64) error {
	if size <= p.allocated {
		return nil
	}
	step := min(max(p.allocated, firstStep), lastStep)
	err := p.grow(max(p.allocated+step, size))
	if errors.Is(err, cache.ErrFull) {
		err = p.grow(size)
	}
	return err
}

func (p *partial) grow(size int64) error {
	n, err := p.store.room.take(size - p.allocated)
	if err != nil {
		return err
	}
	p.promised += n
	return p.allocate(size)
}

// allocate takes blocks up to size, for which room was promised. Where the
// file system cannot, the promise stays until the bytes are written: else
// others would be promised the same room.
func (p *partial) allocate(size int64) error {
	if size <= p.allocated {
		return nil
	}
	err := p.file.Allocate(p.allocated, size-p.allocated)
	switch {
	case err == nil:
		p.settle(p.promised)
	case !errors.Is(err, errors.ErrUnsupported):
		p.release()
		return classify(err)
	}
	p.allocated = size
	return nil
}

// settle says that n of the promised bytes are on the volume now.
func (p *partial) settle(n int64) {
	p.store.room.settle(n)
	p.promised -= n
}

// release gives back what was promised and not used.
func (p *partial) release() {
	p.store.room.release(p.promised)
	p.promised = 0
}

// Follow opens the file itself; see cache.Partial.
func (p *partial) Follow(ctx context.Context, off, n int64) (io.ReadCloser, error) {
	if off < 0 {
		return nil, fmt.Errorf("follow a blob from offset %d", off)
	}
	end := int64(-1)
	if n >= 0 && n <= maxOffset-off {
		end = off + n
	}
	f, err := p.read()
	if err != nil {
		return nil, fmt.Errorf("follow a blob: %w", err)
	}
	return follow(ctx, &p.mark, f, off, end), nil
}

// Verify ends the writing and gives back room that was not needed.
func (p *partial) Verify(want ...cache.Sum) (cache.Blob, error) {
	p.ended = true
	if p.failed != nil {
		return cache.Blob{}, p.failed
	}
	b := p.hash.Blob()
	if p.announced >= 0 && b.Size != p.announced {
		return cache.Blob{}, p.fail(fmt.Errorf("%d bytes instead of the %d announced: %w", b.Size, p.announced, cache.ErrCorrupt))
	}
	if err := b.Prove(p.readBack, want...); err != nil {
		return cache.Blob{}, p.fail(err)
	}
	if !p.verified {
		if err := p.file.Truncate(b.Size); err != nil {
			return cache.Blob{}, p.fail(fmt.Errorf("truncate to %d bytes: %w", b.Size, classify(err)))
		}
		p.release()
		p.blob, p.verified = b, true
		p.mark.Verified()
	}
	return b, nil
}

// read opens the file as it is now, under whichever name it has.
func (p *partial) read() (*os.File, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.path == "" {
		return nil, p.mark.Err()
	}
	f, err := p.store.fs.Open(p.path)
	return f, asMissing(err)
}

// readBack is read for Verify: the bytes written so far and nothing after them.
func (p *partial) readBack() (io.ReadCloser, error) {
	f, err := p.read()
	if err != nil {
		return nil, err // no typed nil
	}
	return f, nil
}

// Open reads the verified bytes, before or after Commit.
func (p *partial) Open() (io.ReadSeekCloser, error) {
	if !p.verified {
		return nil, errors.New("open a blob before it is verified")
	}
	f, err := p.read()
	if err != nil {
		return nil, fmt.Errorf("open blob %s: %w", p.blob.Digest, err)
	}
	return f, nil
}

// Commit syncs the file, gives it its name and syncs the folder. After an
// error the file is gone, unless it has its name already.
func (p *partial) Commit(ctx context.Context) error {
	if p.committed {
		return nil
	}
	err := p.failed
	if err == nil && !p.verified {
		err = errors.New("it was not verified")
	}
	if err == nil {
		err = p.store.writable(ctx)
	}
	if err == nil {
		err = p.publish()
	}
	if err != nil {
		p.fail(err)
		p.drop()
		return fmt.Errorf("commit blob %s: %w", p.blob.Digest, err)
	}
	p.committed = true
	return nil
}

// sync makes what was written durable. A failed one is never tried again.
func (p *partial) sync() error {
	if err := p.file.Sync(); outOfRoom(err) {
		// Blocks that are taken only now (copy on write, thin volumes, NFS): this
		// file is lost and says so, and no other is.
		return fmt.Errorf("sync: %w", classify(err))
	} else if err != nil {
		return p.store.syncFailed(err)
	}
	return nil
}

// publish is W4 to W6 of the write path.
func (p *partial) publish() error {
	if err := p.sync(); err != nil {
		return err
	}
	err := p.file.Close()
	p.file = nil
	if err == nil {
		err = p.rename()
	}
	if err != nil {
		return classify(err)
	}
	// Should it fail the name stays: others may rely on it by now. Without a
	// record it is an orphan.
	return p.store.syncFolder(p.store.layout.folder(p.blob.Digest[0]))
}

// rename gives the file its final name, in place of one that has it: that one
// should hold the same bytes, but these are known to be good. Who has the other
// open reads on.
func (p *partial) rename() error {
	s, d := p.store, p.blob.Digest
	s.names[d[0]].Lock()
	defer s.names[d[0]].Unlock()
	p.mu.Lock()
	defer p.mu.Unlock()
	to := s.layout.blob(d)
	if err := s.fs.Rename(p.path, to); err != nil {
		return err
	}
	p.path = to
	return nil
}

// Abort drops the file and wakes the followers; see cache.Partial.
func (p *partial) Abort(cause error) {
	if p.committed {
		return
	}
	p.mark.Fail(cause)
	p.fail(p.mark.Err())
	p.drop()
}

// leave closes the file and keeps it under its name in tmp.
func (p *partial) leave() error {
	err := p.file.Close()
	p.file = nil
	p.release()
	p.fail(fmt.Errorf("it was closed: %w", cache.ErrAborted))
	p.mark.Fail(p.failed)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.path = ""
	return err
}

// drop closes and removes the file, unless it has its final name. Errors leave
// at most a file in tmp, which the next start removes.
func (p *partial) drop() {
	if p.file != nil {
		_ = p.file.Close()
		p.file = nil
	}
	p.release()
	p.mark.Fail(p.failed)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.path != "" && p.path != p.store.layout.blob(p.blob.Digest) {
		remove := p.store.fs.Remove
		if p.resumable {
			remove = p.store.discard
		}
		_ = remove(p.path)
	}
	p.path = ""
}

// fail notes the first failure and returns it.
func (p *partial) fail(err error) error {
	if p.failed == nil {
		p.failed = err
	}
	return err
}
