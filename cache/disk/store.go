package disk

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"larder/cache"
	"larder/cache/sessions"
)

var (
	_ cache.Store    = (*Store)(nil)
	_ cache.Sessions = (*Store)(nil)
)

// ErrClosed says that the Store was closed.
var ErrClosed = errors.New("the store is closed")

// Options configures a Store. The zero value works.
type Options struct {
	FS   FS          // nil: OS
	Room RoomOptions // floor and hooks of the volume below the Store
}

// Store keeps blobs below one folder. All methods may be called concurrently.
type Store struct {
	layout layout
	fs     FS
	room   *Room
	lock   *os.File

	// names serialise renames into, and removals from, each of the 256
	// folders, so that a Commit never relies on a blob that goes at that moment.
	names [256]sync.Mutex

	book sessions.Book

	mu     sync.Mutex
	closed bool
	sick   error             // the first failed sync
	files  map[*session]File // of the open sessions, for Close
}

// Open takes the folder root (made when missing) for this process alone,
// removes what an earlier run left unfinished and prepares the room on its
// volume. A folder without VERSION becomes a new one; files of others in it
// are left alone. It must come before an Index on the same volume is opened. Errors:
// ErrLocked, ErrVersion.
func Open(root string, o Options) (*Store, error) {
	if o.FS == nil {
		o.FS = OS{}
	}
	l := layout{root}
	if err := makeRoot(o.FS, root); err != nil {
		return nil, fmt.Errorf("open the data folder: %w", err)
	}
	held, err := lock(l.lock())
	if err != nil {
		return nil, fmt.Errorf("open the data folder: %w", err)
	}
	s := &Store{layout: l, fs: o.FS, lock: held, files: map[*session]File{}}
	err = l.prepare(s.fs)
	if err == nil {
		s.room, err = PrepareRoom(s.fs, root, o.Room)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open the data folder: %w", err), held.Close())
	}
	return s, nil
}

// Room returns the watch over the Store's volume. Its Run is the caller's to start.
func (s *Store) Room() *Room { return s.room }

// Health returns nil, or the failed sync after which Begin and Commit answer
// cache.ErrUnhealthy until the process is restarted: the kernel may have
// dropped bytes, and a later sync that succeeds would prove nothing.
func (s *Store) Health() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sick
}

// Close lets go of the folder. Writes under way can no longer be committed, and
// those of sessions fail: they may go on in another process. Open blobs stay
// readable. A second Close is harmless.
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil
	}
	s.closed = true
	var err error
	for _, f := range s.files {
		err = errors.Join(err, f.Close())
	}
	return errors.Join(err, s.lock.Close())
}

// Begin starts a write. Errors: cache.ErrFull, cache.ErrUnhealthy, ErrClosed.
func (s *Store) Begin(ctx context.Context, size int64, also ...cache.Algorithm) (cache.Partial, error) {
	hasher, err := cache.NewHasher(also...)
	if err != nil {
		return nil, fmt.Errorf("begin a blob: %w", err)
	}
	p, err := s.begin(ctx, rand.Text(), size, hasher)
	if err != nil {
		return nil, fmt.Errorf("begin a blob of %d bytes: %w", size, err)
	}
	return p, nil
}

// begin makes the file name in tmp.
func (s *Store) begin(ctx context.Context, name string, size int64, hasher *cache.Hasher) (*partial, error) {
	if err := s.writable(ctx); err != nil {
		return nil, err
	}
	// Asked before the file is made: a refusal leaves nothing behind.
	promised, err := s.room.take(max(size, 0))
	if err != nil {
		return nil, err
	}
	path := filepath.Join(s.layout.tmp(), name)
	f, err := s.fs.Create(path)
	if err != nil {
		s.room.release(promised)
		return nil, classify(err)
	}
	p := &partial{store: s, hash: hasher, announced: size, promised: promised, file: f, path: path}
	if err := p.allocate(size); err != nil {
		p.drop()
		return nil, err
	}
	return p, nil
}

// Open returns the blob as an *os.File. Errors: cache.ErrNotExist.
func (s *Store) Open(ctx context.Context, d cache.Digest) (io.ReadSeekCloser, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("open blob %s: %w", d, err)
	}
	f, err := s.fs.Open(s.layout.blob(d))
	if err != nil {
		return nil, fmt.Errorf("open blob %s: %w", d, asMissing(err))
	}
	return f, nil
}

// Stat returns digest and length. Errors: cache.ErrNotExist.
func (s *Store) Stat(ctx context.Context, d cache.Digest) (cache.Blob, error) {
	if err := ctx.Err(); err != nil {
		return cache.Blob{}, fmt.Errorf("stat blob %s: %w", d, err)
	}
	info, err := s.fs.Stat(s.layout.blob(d))
	if err != nil {
		return cache.Blob{}, fmt.Errorf("stat blob %s: %w", d, asMissing(err))
	}
	return cache.Blob{Digest: d, Size: info.Size()}, nil
}

// Modified returns when the last byte of the blob was written, by the clock of
// the file system; equal bytes that are stored again are newer.
// Errors: cache.ErrNotExist.
func (s *Store) Modified(ctx context.Context, d cache.Digest) (time.Time, error) {
	if err := ctx.Err(); err != nil {
		return time.Time{}, fmt.Errorf("age of blob %s: %w", d, err)
	}
	info, err := s.fs.Stat(s.layout.blob(d))
	if err != nil {
		return time.Time{}, fmt.Errorf("age of blob %s: %w", d, asMissing(err))
	}
	return info.ModTime(), nil
}

// Delete unlinks the blob. The folder is not synced: a blob that comes back
// after a power cut is an orphan, which gc collects.
func (s *Store) Delete(ctx context.Context, d cache.Digest) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("delete blob %s: %w", d, err)
	}
	s.names[d[0]].Lock()
	defer s.names[d[0]].Unlock()
	if err := s.fs.Remove(s.layout.blob(d)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("delete blob %s: %w", d, err)
	}
	return nil
}

// List walks the 256 folders, one at a time and each in pages: it holds one
// page of names and one descriptor, whatever the number of blobs, and costs one
// stat per blob. What is no file, or has a name that is no digest of its
// folder, is no blob and passed over. After an error the walk goes on with the
// next folder, if the caller does.
func (s *Store) List(ctx context.Context) iter.Seq2[cache.Blob, error] {
	return func(yield func(cache.Blob, error) bool) {
		for b := range 256 {
			if !s.listFolder(ctx, byte(b), yield) {
				return
			}
		}
	}
}

// listPage is how many names are read from a folder at once.
const listPage = 1000

// listFolder reports whether the walk goes on.
func (s *Store) listFolder(ctx context.Context, first byte, yield func(cache.Blob, error) bool) bool {
	dir, err := s.fs.Open(s.layout.folder(first))
	if err != nil {
		return yield(cache.Blob{}, fmt.Errorf("list blobs: %w", err))
	}
	defer dir.Close()
	for {
		if err := ctx.Err(); err != nil {
			yield(cache.Blob{}, fmt.Errorf("list blobs: %w", err))
			return false
		}
		entries, err := dir.ReadDir(listPage)
		for _, e := range entries {
			if !listEntry(e, first, yield) {
				return false
			}
		}
		if err == io.EOF {
			return true
		}
		if err != nil {
			return yield(cache.Blob{}, fmt.Errorf("list blobs: %w", err))
		}
	}
}

func listEntry(e fs.DirEntry, first byte, yield func(cache.Blob, error) bool) bool {
	d, err := cache.ParseDigest(e.Name())
	if err != nil || d[0] != first || !e.Type().IsRegular() {
		return true
	}
	info, err := e.Info()
	if errors.Is(err, fs.ErrNotExist) {
		return true // deleted since the page was read
	}
	if err != nil {
		return yield(cache.Blob{}, fmt.Errorf("list blob %s: %w", d, err))
	}
	return yield(cache.Blob{Digest: d, Size: info.Size()}, nil)
}

// writable reports why nothing can be written now.
func (s *Store) writable(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return ErrClosed
	}
	if s.sick != nil {
		return fmt.Errorf("%w: %w", cache.ErrUnhealthy, s.sick)
	}
	return nil
}

// syncFailed notes that durability can no longer be promised.
func (s *Store) syncFailed(err error) error {
	err = fmt.Errorf("sync: %w", err)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.sick == nil {
		s.sick = err
	}
	return err
}

// syncFolder makes the names in a folder durable. Without a descriptor to do it
// with nothing was tried, and nothing that was written before is in doubt.
func (s *Store) syncFolder(dir string) error {
	err := s.fs.SyncDir(dir)
	if err == nil || errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE) {
		return err
	}
	return s.syncFailed(err)
}

// discard removes the file of a session while the folder is held: after that
// another process may have it.
func (s *Store) discard(path string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return ErrClosed
	}
	return s.fs.Remove(path)
}

func asMissing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return cache.ErrNotExist
	}
	return err
}
