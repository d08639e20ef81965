package faultfs

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"

	"larder/cache/disk"
)

// node is one file, whatever its names.
type node struct {
	path    string // where its bytes are now
	size    int64  // bytes
	charged int64  // bytes taken from the volume
	durable []byte // as of the last Sync
	clean   int64  // bytes of durable that were not changed since
}

func (n *node) resize(size int64) {
	n.size = size
	n.charged = max(n.charged, roundUp(size))
}

// truncate sets the size; what is written after it need not be what was there.
func (n *node) truncate(size int64) {
	n.size, n.charged = size, roundUp(size)
	n.clean = min(n.clean, size)
}

// after is what a power cut leaves of the bytes.
func (n *node) after(loss Loss) []byte {
	if loss != KeepLengths {
		return n.durable
	}
	b := make([]byte, n.size)
	copy(b, n.durable[:n.clean])
	return b
}

// volume is the model of what a disk remembers: names and bytes now, and those
// that survive a power cut. Files made before are learned when they are touched.
type volume struct {
	names map[string]*node
	kept  map[string]*node // names as of the last SyncDir of their folder
	total int64            // bytes; 0: as large as the real one
	other int64            // bytes used by somebody else
}

func newVolume() volume {
	return volume{names: map[string]*node{}, kept: map[string]*node{}}
}

func (v *volume) create(path string) *node {
	n := &node{path: path}
	v.names[path] = n
	return n
}

// know learns files that were there before this FS: they count as durable.
func (v *volume) know(paths ...string) error {
	for _, path := range paths {
		if v.names[path] != nil {
			continue
		}
		b, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue // the call itself will say so
		}
		if err != nil {
			return err
		}
		n := &node{path: path, durable: b, clean: int64(len(b))}
		n.resize(int64(len(b)))
		v.names[path], v.kept[path] = n, n
	}
	return nil
}

func (v *volume) rename(from, to string) {
	n := v.names[from]
	n.path = to
	v.names[to] = n
	delete(v.names, from)
}

func (v *volume) syncDir(dir string) {
	for path := range v.kept {
		if filepath.Dir(path) == dir {
			delete(v.kept, path)
		}
	}
	for path, n := range v.names {
		if filepath.Dir(path) == dir {
			v.kept[path] = n
		}
	}
}

func (v *volume) syncFile(n *node) error {
	b, err := os.ReadFile(n.path)
	if err != nil {
		return err
	}
	n.durable, n.clean = b, int64(len(b))
	return nil
}

// roomIn is how large n may become, in bytes.
func (v *volume) roomIn(n *node) int64 {
	if v.total == 0 {
		return math.MaxInt64
	}
	return v.space().Free + n.charged
}

func (v *volume) space() disk.Space {
	used := v.other
	for _, n := range v.names {
		used += n.charged
	}
	return disk.Space{Total: v.total, Free: max(0, v.total-used)}
}

// Volume limits the volume to total bytes; files made before are not counted.
func (f *FS) Volume(total int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.disk.total = total
}

// Occupy says how many bytes of the limited volume somebody else uses.
func (f *FS) Occupy(n int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.disk.other = n
}

// PowerOffAfter lets n more changing calls pass; all that follow answer ErrPower.
func (f *FS) PowerOffAfter(n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.budget = n
}

// Loss says what a power cut leaves of names and lengths that were not synced.
// Bytes that were not synced are lost in any case.
type Loss int

const (
	// LoseNames: only names as of the last SyncDir of their folder.
	LoseNames Loss = iota
	// KeepNames: the kernel happened to write all names, but no bytes.
	KeepNames
	// KeepLengths: all names, and the lengths of the files: bytes that were not
	// synced, or were cut off since, are zeros.
	KeepLengths
)

// PowerCut turns the power off and rewrites the real folders to what the disk
// remembers. Folders themselves always survive.
func (f *FS) PowerCut(loss Loss) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.dark = true
	left := f.disk.kept
	if loss != LoseNames {
		left = f.disk.names
	}
	for _, names := range []map[string]*node{f.disk.names, f.disk.kept} {
		for path := range names {
			if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return fmt.Errorf("cut the power: %w", err)
			}
		}
	}
	for path, n := range left {
		if err := os.WriteFile(path, n.after(loss), 0o444); err != nil {
			return fmt.Errorf("cut the power: %w", err)
		}
	}
	return nil
}

// blockSize is what a file is rounded up to on the volume, in bytes.
const blockSize = 4 << 10

func roundUp(n int64) int64 { return (n + blockSize - 1) / blockSize * blockSize }
