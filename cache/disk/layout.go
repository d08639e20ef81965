package disk

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

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
	// Names that making and checking the folder uses in tmp.
	probeName, versionName = "probe", "VERSION"
	// keptPrefix marks sessions in tmp: they outlive the process.
	keptPrefix = "u-"
)

// ErrVersion says that the folder was written by another version of larder.
var ErrVersion = errors.New("unknown version of the data folder")

// layout names the paths below one root.
type layout struct{ root string }

func (l layout) blobs() string            { return filepath.Join(l.root, "blobs") }
func (l layout) tmp() string              { return filepath.Join(l.root, "tmp") }
func (l layout) quarantine() string       { return filepath.Join(l.root, "quarantine") }
func (l layout) session(id string) string { return filepath.Join(l.tmp(), keptPrefix+id) }
func (l layout) version() string          { return filepath.Join(l.root, versionName) }
func (l layout) lock() string             { return filepath.Join(l.root, "LOCK") }

// folder is the one of the 256 that holds digests beginning with b.
func (l layout) folder(b byte) string {
	return filepath.Join(l.blobs(), hex.EncodeToString([]byte{b}))
}

func (l layout) blob(d cache.Digest) string {
	return filepath.Join(l.folder(d[0]), d.String())
}

// makeRoot makes the data folder and what is missing above it, durably: a blob
// that was promised must not go with the folder that was never written.
func makeRoot(fsys FS, root string) error {
	err := os.Mkdir(root, dirMode)
	if errors.Is(err, fs.ErrNotExist) {
		if err = makeRoot(fsys, filepath.Dir(root)); err == nil {
			err = os.Mkdir(root, dirMode)
		}
	}
	if err != nil {
		if info, statErr := os.Stat(root); statErr == nil && info.IsDir() {
			return nil // it is there, or another process made it meanwhile
		}
		return err
	}
	// Who may make names in a folder need not be allowed to open it.
	if err := fsys.SyncDir(filepath.Dir(root)); err != nil && !errors.Is(err, fs.ErrPermission) {
		return err
	}
	return nil
}

// prepare checks the version, makes what is missing and clears what an
// earlier run left unfinished. The caller holds the lock.
func (l layout) prepare(fsys FS) error {
	known, err := l.checkVersion(fsys)
	if err != nil {
		return err
	}
	if err := l.makeFolders(fsys, known); err != nil {
		return fmt.Errorf("make the folders: %w", err)
	}
	if err := l.clearTmp(fsys, known); err != nil {
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
	if err != nil && err != io.EOF {
		return false, fmt.Errorf("read %s: %w", l.version(), err)
	}
	if got := string(text[:n]); got != layoutVersion {
		return false, fmt.Errorf("%s says %q, this program reads %q: %w; start the larder that wrote it, or name another data folder",
			l.version(), strings.TrimSpace(got), strings.TrimSpace(layoutVersion), ErrVersion)
	}
	return true, nil
}

// makeFolders makes what is missing: at most 259 folders, whatever they hold.
// Without VERSION an earlier run may have made them and not come to the sync.
func (l layout) makeFolders(fsys FS, known bool) error {
	made := !known
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
// under way when the last one ended. In a folder that is not known to be ours
// that is only what its making may have left: somebody who names / as data
// folder shall not lose /tmp.
func (l layout) clearTmp(fsys FS, known bool) error {
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
		if strings.HasPrefix(name, keptPrefix) || !known && name != probeName && name != versionName {
			continue
		}
		if err := fsys.Remove(filepath.Join(l.tmp(), name)); err != nil {
			return err
		}
	}
	return nil
}

// checkDevice moves a probe from tmp to blobs and on to quarantine, since blobs
// must get there by one rename. Comparing device numbers would miss bind mounts.
func (l layout) checkDevice(fsys FS) error {
	at := filepath.Join(l.tmp(), probeName)
	f, err := fsys.Create(at)
	if outOfRoom(err) {
		return nil // a full volume must not keep the server from starting; it says nothing about devices
	}
	if err != nil {
		return fmt.Errorf("probe the data folder: %w", err)
	}
	err = f.Close()
	for _, dir := range []string{l.blobs(), l.quarantine()} {
		if err != nil {
			break
		}
		to := filepath.Join(dir, probeName)
		if err = fsys.Rename(at, to); err == nil {
			at = to
		} else if errors.Is(err, syscall.EXDEV) {
			err = fmt.Errorf("%s and %s must be on one file system: %w", filepath.Dir(at), dir, err)
		}
	}
	if outOfRoom(err) {
		err = nil
	}
	return errors.Join(err, fsys.Remove(at))
}

func (l layout) writeVersion(fsys FS) error {
	from := filepath.Join(l.tmp(), versionName)
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
