package faultfs

import (
	"os"
	"syscall"

	"larder/cache/disk"
)

// File is a disk.File of an FS.
type File struct {
	fs   *FS
	base disk.File
	path string // at creation; recorded with each call
	node *node
}

var _ disk.File = (*File)(nil)

// Write appends; a fault or a full volume may cut it short.
func (f *File) Write(b []byte) (int, error) {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	keep, cause := len(b), error(nil)
	if x := f.fs.enter(Call{Op: Write, Path: f.path}); x != nil {
		keep, cause = min(x.keep, len(b)), x.err
	}
	if room := f.fs.disk.roomIn(f.node) - f.node.size; int64(keep) > room {
		keep, cause = int(max(room, 0)), syscall.ENOSPC
	}
	n, err := f.base.Write(b[:keep])
	f.node.resize(f.node.size + int64(n))
	if err == nil && cause != nil {
		err = &os.PathError{Op: string(Write), Path: f.path, Err: cause}
	}
	return n, err
}

// Allocate takes blocks of the limited volume, all or none.
func (f *File) Allocate(off, n int64) error {
	return f.fs.do(Call{Op: Allocate, Path: f.path}, func() error {
		if off+n > f.fs.disk.roomIn(f.node) {
			return &os.PathError{Op: string(Allocate), Path: f.path, Err: syscall.ENOSPC}
		}
		f.node.charged = max(f.node.charged, roundUp(off+n))
		return nil // the model counts them: no need to take them from the real disk
	})
}

// Truncate sets the size and gives back blocks beyond it.
func (f *File) Truncate(size int64) error {
	return f.fs.do(Call{Op: Truncate, Path: f.path}, func() error {
		if err := f.base.Truncate(size); err != nil {
			return err
		}
		f.node.truncate(size)
		return nil
	})
}

// Sync makes the bytes written so far survive a power cut.
func (f *File) Sync() error {
	return f.fs.do(Call{Op: Sync, Path: f.path}, func() error {
		return f.fs.disk.syncFile(f.node)
	})
}

// Close always closes the real file, also when the call is made to fail.
func (f *File) Close() error {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	err := f.base.Close()
	if x := f.fs.enter(Call{Op: Close, Path: f.path}); x != nil && err == nil {
		err = &os.PathError{Op: string(Close), Path: f.path, Err: x.err}
	}
	return err
}
