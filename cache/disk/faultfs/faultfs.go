// Package faultfs is a disk.FS for tests over the real one. It fails the n-th
// call of an operation, writes short, limits the volume, records the order of
// calls, and cuts the power: what was not synced is lost then.
package faultfs

import (
	"errors"
	"io/fs"
	"os"
	"sync"

	"larder/cache/disk"
)

// Op names an operation of disk.FS or disk.File.
type Op string

// The operations, in the words of disk.FS and disk.File.
const (
	Create   Op = "create"
	Append   Op = "append"
	Open     Op = "open"
	Stat     Op = "stat"
	Rename   Op = "rename"
	Remove   Op = "remove"
	SyncDir  Op = "syncdir"
	Statfs   Op = "statfs"
	Write    Op = "write"
	Allocate Op = "allocate"
	Truncate Op = "truncate"
	Sync     Op = "sync"
	Close    Op = "close"
)

// ErrPower is what every call answers once the power is off.
var ErrPower = errors.New("the power is off")

// Call is one recorded call.
type Call struct {
	Op   Op
	Path string // of the file or folder; for Rename the old one
	To   string // the new path of Rename
}

// changes reports whether the call may alter what is on the disk.
func (c Call) changes() bool {
	return c.Op != Append && c.Op != Open && c.Op != Stat && c.Op != Statfs && c.Op != Close
}

// fault is a failure that waits for its call.
type fault struct {
	op   Op
	in   int // calls of op until it strikes; 1 is the next
	err  error
	keep int // bytes a failing Write still writes
}

// FS is a disk.FS that can be made to fail. All methods may be called
// concurrently.
type FS struct {
	base disk.FS

	mu     sync.Mutex
	calls  []Call
	faults []*fault
	budget int  // changing calls until the power goes; negative: it stays
	dark   bool // the power is off
	disk   volume
}

var _ disk.FS = (*FS)(nil)

// New returns an FS over the real file system that behaves well until told otherwise.
func New() *FS {
	return &FS{base: disk.OS{}, budget: -1, disk: newVolume()}
}

// Fail makes the n-th call of op from now (1: the next) answer err and do nothing.
func (f *FS) Fail(op Op, n int, err error) { f.add(&fault{op: op, in: n, err: err}) }

// Short makes the n-th Write from now write only keep bytes and answer err.
func (f *FS) Short(n, keep int, err error) {
	f.add(&fault{op: Write, in: n, err: err, keep: keep})
}

func (f *FS) add(x *fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.faults = append(f.faults, x)
}

// Calls returns what was called so far, in order.
func (f *FS) Calls() []Call {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]Call(nil), f.calls...)
}

// Forget empties the record of calls.
func (f *FS) Forget() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls = nil
}

// enter records c and returns the fault that strikes, if any. The caller holds mu.
func (f *FS) enter(c Call) *fault {
	if f.dark {
		return &fault{err: ErrPower}
	}
	if c.changes() {
		if f.budget == 0 {
			f.dark = true
			return &fault{err: ErrPower}
		}
		f.budget--
	}
	f.calls = append(f.calls, c)
	var struck *fault
	for _, x := range f.faults {
		if x.op != c.Op {
			continue
		}
		x.in--
		if x.in == 0 && struck == nil {
			struck = x
		}
	}
	return struck
}

// do runs one call under the lock, so that the record and the model of the
// volume agree with what happened.
func (f *FS) do(c Call, act func() error) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if x := f.enter(c); x != nil {
		return &os.PathError{Op: string(c.Op), Path: c.Path, Err: x.err}
	}
	return act()
}

// Create makes a new file for writing.
func (f *FS) Create(name string) (disk.File, error) {
	var made disk.File
	err := f.do(Call{Op: Create, Path: name}, func() error {
		file, err := f.base.Create(name)
		if err != nil {
			return err
		}
		made = &File{fs: f, base: file, path: name, node: f.disk.create(name)}
		return nil
	})
	return made, err
}

// Append opens a file to write on at its end.
func (f *FS) Append(name string) (made disk.File, size int64, err error) {
	err = f.do(Call{Op: Append, Path: name}, func() error {
		if err := f.disk.know(name); err != nil {
			return err
		}
		file, has, err := f.base.Append(name)
		if err != nil {
			return err
		}
		made, size = &File{fs: f, base: file, path: name, node: f.disk.names[name]}, has
		return nil
	})
	return made, size, err
}

// Open opens a file or folder for reading.
func (f *FS) Open(name string) (file *os.File, err error) {
	err = f.do(Call{Op: Open, Path: name}, func() error {
		file, err = f.base.Open(name)
		return err
	})
	return file, err
}

// Stat describes a file.
func (f *FS) Stat(name string) (info fs.FileInfo, err error) {
	err = f.do(Call{Op: Stat, Path: name}, func() error {
		info, err = f.base.Stat(name)
		return err
	})
	return info, err
}

// Rename moves a file.
func (f *FS) Rename(from, to string) error {
	return f.do(Call{Op: Rename, Path: from, To: to}, func() error {
		if err := f.disk.know(from, to); err != nil {
			return err
		}
		if err := f.base.Rename(from, to); err != nil {
			return err
		}
		f.disk.rename(from, to)
		return nil
	})
}

// Remove unlinks a file.
func (f *FS) Remove(name string) error {
	return f.do(Call{Op: Remove, Path: name}, func() error {
		if err := f.disk.know(name); err != nil {
			return err
		}
		if err := f.base.Remove(name); err != nil {
			return err
		}
		delete(f.disk.names, name)
		return nil
	})
}

// SyncDir makes the names in a folder durable.
func (f *FS) SyncDir(name string) error {
	return f.do(Call{Op: SyncDir, Path: name}, func() error {
		f.disk.syncDir(name)
		return nil // the model, not the real disk, decides what a cut leaves
	})
}

// Statfs measures the limited volume, or the real one where none was set.
func (f *FS) Statfs(name string) (space disk.Space, err error) {
	err = f.do(Call{Op: Statfs, Path: name}, func() error {
		if f.disk.total > 0 {
			space = f.disk.space()
			return nil
		}
		space, err = f.base.Statfs(name)
		return err
	})
	return space, err
}
