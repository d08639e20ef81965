package disk_test

import (
	"crypto/sha512"
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"larder/cache"
	"larder/cache/disk/faultfs"
)

// TestReadBackFails wants a checksum that only a reading can tell, of bytes
// that cannot be read, or are not those that were written: nothing is verified.
func TestReadBackFails(t *testing.T) {
	b := body("late", 100_000)
	sum := sha512.Sum512(b)
	want := cache.Sum{Algorithm: cache.SHA512, Value: sum[:]}
	for name, c := range map[string]struct {
		harm func(fsys *faultfs.FS, file string) error
		want error
	}{
		"no descriptor": {func(fsys *faultfs.FS, _ string) error { fsys.Fail(faultfs.Open, 1, syscall.EMFILE); return nil }, syscall.EMFILE},
		"cut by hand":   {func(_ *faultfs.FS, file string) error { return os.Truncate(file, 99_999) }, cache.ErrCorrupt},
		"made longer":   {func(_ *faultfs.FS, file string) error { return os.Truncate(file, 100_001) }, cache.ErrCorrupt},
		"other bytes":   {func(_ *faultfs.FS, file string) error { return overwrite(file, "x") }, cache.ErrCorrupt},
		"removed":       {func(_ *faultfs.FS, file string) error { return os.Remove(file) }, cache.ErrNotExist},
	} {
		root, fsys := t.TempDir(), faultfs.New()
		s := open(t, root, fsys)
		p, err := s.Begin(t.Context(), -1)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := p.Write(b); err != nil {
			t.Fatal(err)
		}
		files, err := filepath.Glob(filepath.Join(root, "tmp", "*"))
		if err != nil || len(files) != 1 {
			t.Fatalf("%v, %v", files, err)
		}
		if err := c.harm(fsys, files[0]); err != nil {
			t.Fatal(err)
		}
		if _, err := p.Verify(want); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
		if err := p.Commit(t.Context()); err == nil {
			t.Errorf("%s: committed", name)
		}
		p.Abort(nil)
		wantNoTmp(t, root)
		wantBlobs(t, s)
	}
}

// overwrite changes the beginning of a file that is closed to writers.
func overwrite(file, text string) error {
	if err := os.Chmod(file, 0o600); err != nil {
		return err
	}
	f, err := os.OpenFile(file, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	return errors.Join(err, f.Close())
}
