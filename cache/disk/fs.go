package disk

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"

	"larder/cache"
)

// FS is what this package asks of a file system. OS is the real one; a test
// may put another in between that fails, records or forgets what was not
// synced (faultfs). Names are paths as of package os, and so are the errors.
type FS interface {
	Names
	// Create makes a new file for writing, mode 0444; an existing one is an error.
	Create(name string) (File, error)
	// Append opens a file that Create made, to write on at its end, and returns
	// its size in bytes.
	Append(name string) (File, int64, error)
	// Open opens a file or folder for reading. It is a file of the kernel, so
	// that it can be sent without copying.
	Open(name string) (*os.File, error)
	// Statfs measures the volume that holds name.
	Statfs(name string) (Space, error)
}

// Names are the operations on what files are called.
type Names interface {
	Stat(name string) (fs.FileInfo, error)
	// Rename moves a file in one step, in place of an existing one.
	Rename(from, to string) error
	Remove(name string) error
	// SyncDir makes the names in a folder durable.
	SyncDir(name string) error
}

// File is a file being written.
type File interface {
	io.Writer
	// Allocate takes blocks for n bytes from offset off and leaves the size
	// alone. Errors: errors.ErrUnsupported where a file system cannot.
	Allocate(off, n int64) error
	// Truncate sets the size and gives back blocks beyond it.
	Truncate(size int64) error
	// Sync makes the bytes durable. An error is final: the kernel may have
	// dropped what it could not write, and a second call would say all is well.
	Sync() error
	Close() error
}

// Space describes a volume, in bytes.
type Space struct {
	Total int64
	Free  int64 // what an ordinary user may still take
}

// OS is the file system of the machine.
type OS struct{}

// Create makes a new file for writing.
func (OS) Create(name string) (File, error) {
	// The descriptor may write whatever the mode; nobody may open it to write again.
	f, err := os.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_RDWR, blobMode)
	if err != nil {
		return nil, err
	}
	return osFile{f}, nil
}

// Append opens a file to write on at its end.
func (OS) Append(name string) (File, int64, error) {
	// Its mode lets nobody write, its owner included, who may change the mode.
	if err := os.Chmod(name, blobMode|0o200); err != nil {
		return nil, 0, err
	}
	f, err := os.OpenFile(name, os.O_RDWR|os.O_APPEND, 0)
	if err != nil {
		return nil, 0, errors.Join(err, os.Chmod(name, blobMode))
	}
	info, err := f.Stat()
	if err := errors.Join(err, f.Chmod(blobMode)); err != nil {
		return nil, 0, errors.Join(err, f.Close())
	}
	return osFile{f}, info.Size(), nil
}

// Open opens a file or folder for reading. Where the system can, reading does
// not note its time: that would be a write on the way of every first hit.
func (OS) Open(name string) (*os.File, error) { return openUnnoted(name) }

// Stat describes a file.
func (OS) Stat(name string) (fs.FileInfo, error) { return os.Stat(name) }

// Rename moves a file in one step.
func (OS) Rename(from, to string) error { return os.Rename(from, to) }

// Remove unlinks a file.
func (OS) Remove(name string) error { return os.Remove(name) }

// SyncDir makes the names in a folder durable.
func (OS) SyncDir(name string) error {
	d, err := os.Open(name)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// Statfs measures the volume that holds name.
func (OS) Statfs(name string) (Space, error) { return statfs(name) }

// osFile adds Allocate to *os.File.
type osFile struct{ *os.File }

func (f osFile) Allocate(off, n int64) error {
	if n <= 0 {
		return nil
	}
	if err := allocate(f.File, off, n); err != nil {
		return &fs.PathError{Op: "fallocate", Path: f.Name(), Err: err}
	}
	return nil
}

// outOfRoom reports whether err says that the volume or a quota is used up, or
// that the file system, or a limit of this process, takes no file so large.
func outOfRoom(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) || errors.Is(err, syscall.EFBIG)
}

// classify says in the words of cache what an error of the kernel means for
// writing: no room, or a volume that takes no writes now (it failed, or was
// therefore made read-only). Reads may go on in both cases.
func classify(err error) error {
	switch {
	case outOfRoom(err):
		return fmt.Errorf("%w: %w", cache.ErrFull, err)
	case errors.Is(err, syscall.EROFS), errors.Is(err, syscall.EIO):
		return fmt.Errorf("%w: %w", cache.ErrUnhealthy, err)
	}
	return err
}
