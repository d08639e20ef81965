package disk_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"larder/cache/disk"
	"larder/cache/disk/faultfs"
)

// made is a folder that an earlier run left behind in good order.
func made(t *testing.T) string {
	t.Helper()
	root := t.TempDir()
	s, err := openSmall(root, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return root
}

func writeFile(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func exists(t *testing.T, name string) bool {
	t.Helper()
	_, err := os.Stat(name)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	return err == nil
}

// TestSecondProcess is fault F11.
func TestSecondProcess(t *testing.T) {
	root := t.TempDir()
	h := startHolder(t, root)
	_, err := openSmall(root, nil)
	if pid := fmt.Sprint("process ", h.cmd.Process.Pid); !errors.Is(err, disk.ErrLocked) || !strings.Contains(err.Error(), pid) {
		t.Errorf("got %v, want %v by %s", err, disk.ErrLocked, pid)
	}
	if left, err := os.ReadDir(filepath.Join(root, "tmp")); err != nil || len(left) != 2 {
		t.Errorf("the refused process touched what the other writes: %v, %v", left, err)
	}
	if err := h.leave(); err != nil {
		t.Fatal(err)
	}
	open(t, root, nil)
	if _, err := openSmall(root, nil); !errors.Is(err, disk.ErrLocked) {
		t.Errorf("opened twice in one process: %v", err)
	}
}

// TestKilledProcess shows that the kernel lets go of the lock, and that the
// next start removes what was under way.
func TestKilledProcess(t *testing.T) {
	root := t.TempDir()
	h := startHolder(t, root)
	if err := h.kill(); err != nil {
		t.Fatal(err)
	}
	if left, err := os.ReadDir(filepath.Join(root, "tmp")); err != nil || len(left) != 2 {
		t.Fatalf("this test wants an unfinished write and a session: %v, %v", left, err)
	}
	if err := open(t, root, nil).DropSession(t.Context(), heldSession); err != nil {
		t.Fatal(err)
	}
	wantNoTmp(t, root)
}

func TestVersions(t *testing.T) {
	for text, ok := range map[string]bool{
		"larder data 1\n":                     true,
		"larder data 2\n":                     false,
		"larder data 1":                       false,
		"":                                    false,
		"\x00\xff":                            false,
		"larder data 1\nmore":                 false,
		strings.Repeat("larder data 1\n", 99): false,
	} {
		root := made(t)
		writeFile(t, filepath.Join(root, "tmp", "unfinished"), "x")
		if err := os.Remove(filepath.Join(root, "VERSION")); err != nil {
			t.Fatal(err)
		}
		writeFile(t, filepath.Join(root, "VERSION"), text)
		s, err := openSmall(root, nil)
		if ok {
			if err != nil {
				t.Errorf("%.20q: %v", text, err)
				continue
			}
			if err := s.Close(); err != nil {
				t.Error(err)
			}
			continue
		}
		if !errors.Is(err, disk.ErrVersion) || !strings.Contains(err.Error(), "start the larder that wrote it") {
			t.Errorf("%.20q: %v", text, err)
		}
		if !exists(t, filepath.Join(root, "tmp", "unfinished")) {
			t.Errorf("%.20q: the folder was touched", text)
		}
	}
}

// TestClears removes the unfinished and keeps uploads that outlive a process.
func TestClears(t *testing.T) {
	root := made(t)
	for _, name := range []string{"unfinished", "u-kept", "probe"} {
		writeFile(t, filepath.Join(root, "tmp", name), "x")
	}
	open(t, root, nil)
	for name, want := range map[string]bool{"unfinished": false, "probe": false, "u-kept": true} {
		if got := exists(t, filepath.Join(root, "tmp", name)); got != want {
			t.Errorf("%s is there: %t, want %t", name, got, want)
		}
	}
}

// TestFolderOfOthers opens a folder that was no data folder, as who names the
// wrong one does: nothing that was there may go.
func TestFolderOfOthers(t *testing.T) {
	root := t.TempDir()
	if err := os.MkdirAll(filepath.Join(root, "tmp", "deep"), 0o700); err != nil {
		t.Fatal(err)
	}
	theirs := []string{"tmp/letter", "tmp/deep/letter", "letter"}
	for _, name := range theirs {
		writeFile(t, filepath.Join(root, name), "x")
	}
	open(t, root, nil)
	for _, name := range theirs {
		if !exists(t, filepath.Join(root, name)) {
			t.Errorf("%s is gone", name)
		}
	}
}

// TestMakesFoldersAbove makes a folder below others that are missing, and syncs
// each name on the way.
func TestMakesFoldersAbove(t *testing.T) {
	top, fsys := t.TempDir(), faultfs.New()
	open(t, filepath.Join(top, "a", "b"), fsys)
	synced := map[string]bool{}
	for _, c := range fsys.Calls() {
		if c.Op == faultfs.SyncDir {
			synced[c.Path] = true
		}
	}
	for _, dir := range []string{"", "a", "a/b", "a/b/blobs"} {
		if !synced[filepath.Join(top, dir)] {
			t.Errorf("%q was not synced: %v", dir, synced)
		}
	}
	file := filepath.Join(top, "file")
	writeFile(t, file, "x")
	for _, root := range []string{file, filepath.Join(file, "below")} {
		if _, err := openSmall(root, nil); err == nil {
			t.Errorf("opened %s, which is no folder", root)
		}
	}
}

func TestOtherFileSystem(t *testing.T) {
	for n, want := range []string{"blobs", "quarantine"} {
		root, fsys := made(t), faultfs.New()
		fsys.Fail(faultfs.Rename, n+1, syscall.EXDEV)
		_, err := openSmall(root, fsys)
		if !errors.Is(err, syscall.EXDEV) || !strings.Contains(err.Error(), filepath.Join(root, want)+" must be on one file system") {
			t.Errorf("%s on another file system: %v", want, err)
		}
		open(t, root, nil) // and nothing is in the way once that is mended
		if left, err := filepath.Glob(filepath.Join(root, "*", "probe")); err != nil || len(left) > 0 {
			t.Errorf("left behind: %v, %v", left, err)
		}
	}
}

// TestOpenFails lets each call of a first start fail: the folder must be free
// again, and the next start must find its way.
func TestOpenFails(t *testing.T) {
	for _, op := range []faultfs.Op{
		faultfs.Create, faultfs.Write, faultfs.Sync, faultfs.SyncDir, faultfs.Rename,
		faultfs.Remove, faultfs.Close, faultfs.Open, faultfs.Statfs,
	} {
		for n := 1; ; n++ {
			root, fsys := t.TempDir(), faultfs.New()
			fsys.Fail(op, n, syscall.EIO)
			s, err := openSmall(root, fsys)
			if err == nil {
				if err := s.Close(); err != nil {
					t.Error(err)
				}
				if n == 1 {
					t.Errorf("the first %s fails, and nobody notices", op)
				}
				break // fewer than n calls
			}
			if !errors.Is(err, syscall.EIO) {
				t.Errorf("%s %d: %v", op, n, err)
			}
			if s, err = openSmall(root, nil); err != nil {
				t.Fatalf("%s %d failed, and then: %v", op, n, err)
			}
			mustPut(t, s, body("works", 100))
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		}
	}
}

// TestOpenFull starts an existing folder on a volume without a free block.
func TestOpenFull(t *testing.T) {
	root, fsys := made(t), faultfs.New()
	fsys.Fail(faultfs.Create, 1, syscall.ENOSPC)
	open(t, root, fsys)
}

func TestClosed(t *testing.T) {
	root := t.TempDir()
	s, err := openSmall(root, nil)
	if err != nil {
		t.Fatal(err)
	}
	b := body("closed", 1000)
	f, err := s.Open(t.Context(), mustPut(t, s, b).Digest)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	p, err := s.Begin(t.Context(), 3)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := p.Write([]byte("abc")); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Verify(); err != nil {
		t.Fatal(err)
	}
	if err := p.Commit(t.Context()); !errors.Is(err, disk.ErrClosed) {
		t.Errorf("commit: %v", err)
	}
	if _, err := s.Begin(t.Context(), 1); !errors.Is(err, disk.ErrClosed) {
		t.Errorf("begin: %v", err)
	}
	if at, err := f.Seek(0, 2); err != nil || at != int64(len(b)) {
		t.Errorf("an open blob: %d bytes, %v", at, err)
	}
	wantNoTmp(t, root)
}
