package disk

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"larder/cache"
)

// Modes of what is made here: blobs are never written again, and nobody but
// the owner of the folder looks inside.
const (
	blobMode = 0o444
	dirMode  = 0o700
)

const (
	layoutVersion = "larder data 1\n"
	// longestVersion bounds what is read of VERSION, in bytes.
	longestVersion = 256
	// keptPrefix marks uploads in tmp that outlive the process.
	keptPrefix = "u-"
)

// ErrVersion says that the folder was written by another version of larder.
var ErrVersion = errors.New("unknown version of the data folder")

// layout names the paths below one root.
type layout struct{ root string }

func (l layout) blobs() string      { return filepath.Join(l.root, "blobs") }
func (l layout) tmp() string        { return filepath.Join(l.root, "tmp") }
func (l layout) quarantine() string { return filepath.Join(l.root, "quarantine") }
func (l layout) version() string    { return filepath.Join(l.root, "VERSION") }
func (l layout) lock() string       { return filepath.Join(l.root, "LOCK") }

// folder is the one of the 256 that holds digests beginning with b.
func (l layout) folder(b byte) string {
	return filepath.Join(l.blobs(), hex.EncodeToString([]byte{b}))
}

func (l layout) blob(d cache.Digest) string {
	return filepath.Join(l.folder(d[0]), d.String())
}

// prepare checks the version, makes what is missing and clears what an
// earlier run left unfinished. The caller holds the lock.
func (l layout) prepare(fsys FS) error {
	known, err := l.checkVersion(fsys)
	if err != nil {
		return err
	}
	if err := l.makeFolders(fsys); err != nil {
		return fmt.Errorf("make the folders: %w", err)
	}
	if err := l.clearTmp(fsys); err != nil {
		return fmt.Errorf("clear %s: %w", l.tmp(), err)
	}
	if err := l.checkDevice(fsys); err != nil {
		return err
	}
	if known {
		return nil
	}
	if err := l.writeVersion(fsys); err != nil {
		return fmt.Errorf("write %s: %w", l.version(), err)
	}
	return nil
}

// checkVersion reports whether the folder carries our version; none is false
// and means a new folder, or one whose making was interrupted.
func (l layout) checkVersion(fsys FS) (bool, error) {
	f, err := fsys.Open(l.version())
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("read the version: %w", err)
	}
	defer f.Close()
	text := make([]byte, longestVersion)
	n, err := f.Read(text)
	if err != nil && n == 0 {
		return false, fmt.Errorf("read %s: %w", l.version(), err)
	}
	if got := string(text[:n]); got != layoutVersion {
		return false, fmt.Errorf("%s says %q, this program reads %q: %w; start the larder that wrote it, or name another data folder",
			l.version(), strings.TrimSpace(got), strings.TrimSpace(layoutVersion), ErrVersion)
	}
	return true, nil
}

// makeFolders makes what is missing: at most 259 folders, whatever they hold.
func (l layout) makeFolders(fsys FS) error {
	made := false
	need := []string{l.blobs(), l.tmp(), l.quarantine()}
	for b := range 256 {
		need = append(need, l.folder(byte(b)))
	}
	for _, dir := range need {
		switch err := os.Mkdir(dir, dirMode); {
		case err == nil:
			made = true
		case !errors.Is(err, fs.ErrExist):
			return err
		}
	}
	if !made {
		return nil
	}
	return errors.Join(fsys.SyncDir(l.blobs()), fsys.SyncDir(l.root))
}

// clearTmp removes the unfinished writes of earlier runs: as many as were
// under way when the last one ended.
func (l layout) clearTmp(fsys FS) error {
	dir, err := fsys.Open(l.tmp())
	if err != nil {
		return err
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return err
	}
	for _, name := range names {
		if strings.HasPrefix(name, keptPrefix) {
			continue
		}
		if err := fsys.Remove(filepath.Join(l.tmp(), name)); err != nil {
			return err
		}
	}
	return nil
}

// checkDevice moves a probe from tmp to blobs, since a blob must get there by
// one rename. Comparing device numbers would miss bind mounts.
func (l layout) checkDevice(fsys FS) error {
	from, to := filepath.Join(l.tmp(), "probe"), filepath.Join(l.blobs(), "probe")
	f, err := fsys.Create(from)
	if outOfRoom(err) {
		return nil // a full volume must not keep the server from starting; it says nothing about devices
	}
	if err != nil {
		return fmt.Errorf("probe the data folder: %w", err)
	}
	err = f.Close()
	if err == nil {
		err = fsys.Rename(from, to)
	}
	if outOfRoom(err) {
		return fsys.Remove(from)
	}
	if err != nil {
		return fmt.Errorf("%s and %s must be on one file system: %w", l.tmp(), l.blobs(), errors.Join(err, fsys.Remove(from)))
	}
	return fsys.Remove(to)
}

func (l layout) writeVersion(fsys FS) error {
	from := filepath.Join(l.tmp(), "VERSION")
	f, err := fsys.Create(from)
	if err != nil {
		return err
	}
	_, err = f.Write([]byte(layoutVersion))
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return errors.Join(err, fsys.Remove(from))
	}
	if err := fsys.Rename(from, l.version()); err != nil {
		return errors.Join(err, fsys.Remove(from))
	}
	return fsys.SyncDir(l.root)
}
