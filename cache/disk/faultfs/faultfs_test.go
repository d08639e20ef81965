package faultfs_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"

	"larder/cache/disk"
	"larder/cache/disk/faultfs"
)

func create(t *testing.T, f *faultfs.FS, name, text string) disk.File {
	t.Helper()
	file, err := f.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = file.Close() }) // most tests have closed it, or cut its power
	if _, err := file.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	return file
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// left is what dir holds, by name.
func left(t *testing.T, dir string) map[string]string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	must(t, err)
	found := map[string]string{}
	for _, e := range entries {
		b, err := os.ReadFile(filepath.Join(dir, e.Name()))
		must(t, err)
		found[e.Name()] = string(b)
	}
	return found
}

// TestPowerCut shows what each sync saves.
func TestPowerCut(t *testing.T) {
	for name, c := range map[string]struct {
		run         func(t *testing.T, f *faultfs.FS, dir string)
		lose, names map[string]string // what is left without and with unsynced names
	}{
		"nothing is synced": {
			func(t *testing.T, f *faultfs.FS, dir string) { create(t, f, dir+"/a", "text") },
			map[string]string{}, map[string]string{"a": ""},
		},
		"the bytes are": {
			func(t *testing.T, f *faultfs.FS, dir string) { must(t, create(t, f, dir+"/a", "text").Sync()) },
			map[string]string{}, map[string]string{"a": "text"},
		},
		"the name is": {
			func(t *testing.T, f *faultfs.FS, dir string) {
				create(t, f, dir+"/a", "text")
				must(t, f.SyncDir(dir))
			},
			map[string]string{"a": ""}, map[string]string{"a": ""},
		},
		"both are, and more is written": {
			func(t *testing.T, f *faultfs.FS, dir string) {
				file := create(t, f, dir+"/a", "text")
				must(t, errors.Join(file.Sync(), f.SyncDir(dir)))
				_, err := file.Write([]byte(" and more"))
				must(t, err)
			},
			map[string]string{"a": "text"}, map[string]string{"a": "text"},
		},
		"a new name is not": {
			func(t *testing.T, f *faultfs.FS, dir string) {
				must(t, errors.Join(create(t, f, dir+"/a", "text").Sync(), f.SyncDir(dir), f.Rename(dir+"/a", dir+"/b")))
			},
			map[string]string{"a": "text"}, map[string]string{"b": "text"},
		},
		"a new name in place of another is not": {
			func(t *testing.T, f *faultfs.FS, dir string) {
				must(t, errors.Join(create(t, f, dir+"/b", "old").Sync(), f.SyncDir(dir)))
				must(t, errors.Join(create(t, f, dir+"/a", "new").Sync(), f.Rename(dir+"/a", dir+"/b")))
			},
			map[string]string{"b": "old"}, map[string]string{"b": "new"},
		},
		"a removal is not": {
			func(t *testing.T, f *faultfs.FS, dir string) {
				must(t, errors.Join(create(t, f, dir+"/a", "text").Sync(), f.SyncDir(dir), f.Remove(dir+"/a")))
			},
			map[string]string{"a": "text"}, map[string]string{},
		},
		"a file of an earlier run is removed": {
			func(t *testing.T, f *faultfs.FS, dir string) {
				must(t, os.WriteFile(dir+"/a", []byte("early"), 0o600))
				must(t, f.Remove(dir+"/a"))
			},
			map[string]string{"a": "early"}, map[string]string{},
		},
	} {
		for loss, want := range map[faultfs.Loss]map[string]string{faultfs.LoseNames: c.lose, faultfs.KeepNames: c.names} {
			dir, f := t.TempDir(), faultfs.New()
			c.run(t, f, dir)
			must(t, f.PowerCut(loss))
			got := left(t, dir)
			if len(got) != len(want) {
				t.Errorf("%s, loss %d: left %q, want %q", name, loss, got, want)
			}
			for file, text := range want {
				if have, ok := got[file]; !ok || have != text {
					t.Errorf("%s, loss %d: %s is there %t with %q, want %q", name, loss, file, ok, have, text)
				}
			}
			if _, err := f.Stat(dir); !errors.Is(err, faultfs.ErrPower) {
				t.Errorf("a call without power: %v", err)
			}
		}
	}
}

func TestPowerOffAfter(t *testing.T) {
	dir, f := t.TempDir(), faultfs.New()
	f.PowerOffAfter(2)
	file := create(t, f, dir+"/a", "12") // both that pass
	if _, err := f.Stat(dir + "/a"); err != nil {
		t.Errorf("a look changes nothing: %v", err)
	}
	if n, err := file.Write([]byte("3")); n != 0 || !errors.Is(err, faultfs.ErrPower) {
		t.Errorf("a third change: %d bytes, %v", n, err)
	}
	if _, err := f.Stat(dir + "/a"); !errors.Is(err, faultfs.ErrPower) {
		t.Errorf("a look afterwards: %v", err)
	}
}

func TestFaults(t *testing.T) {
	dir, f := t.TempDir(), faultfs.New()
	f.Fail(faultfs.Create, 2, syscall.EIO)
	f.Fail(faultfs.Create, 3, syscall.EROFS)
	file := create(t, f, dir+"/a", "")
	for _, want := range []error{syscall.EIO, syscall.EROFS} {
		if _, err := f.Create(dir + "/b"); !errors.Is(err, want) {
			t.Errorf("got %v, want %v", err, want)
		}
	}
	create(t, f, dir+"/b", "")
	f.Short(2, 3, syscall.EIO)
	if n, err := file.Write([]byte("12345")); n != 5 || err != nil {
		t.Errorf("the first write: %d, %v", n, err)
	}
	if n, err := file.Write([]byte("67890")); n != 3 || !errors.Is(err, syscall.EIO) {
		t.Errorf("the short write: %d, %v", n, err)
	}
	f.Fail(faultfs.Close, 1, syscall.EIO)
	if err := file.Close(); !errors.Is(err, syscall.EIO) {
		t.Errorf("close: %v", err)
	}
	if err := file.Close(); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("it was not closed: %v", err)
	}
	if got := left(t, dir); got["a"] != "12345678" || len(got) != 2 {
		t.Errorf("left %q", got)
	}
}

func TestCalls(t *testing.T) {
	dir, f := t.TempDir(), faultfs.New()
	f.Fail(faultfs.Rename, 1, syscall.EIO)
	file := create(t, f, dir+"/a", "x")
	must(t, errors.Join(file.Sync(), file.Close()))
	if err := f.Rename(dir+"/a", dir+"/b"); !errors.Is(err, syscall.EIO) {
		t.Errorf("rename: %v", err)
	}
	want := []faultfs.Call{
		{Op: faultfs.Create, Path: dir + "/a"}, {Op: faultfs.Write, Path: dir + "/a"},
		{Op: faultfs.Sync, Path: dir + "/a"}, {Op: faultfs.Close, Path: dir + "/a"},
		{Op: faultfs.Rename, Path: dir + "/a", To: dir + "/b"}, // recorded though it failed
	}
	if got := f.Calls(); !slices.Equal(got, want) {
		t.Errorf("got %v", got)
	}
	f.Forget()
	if got := f.Calls(); len(got) != 0 {
		t.Errorf("remembers %v", got)
	}
}

func TestVolume(t *testing.T) {
	dir, f := t.TempDir(), faultfs.New()
	f.Volume(40 << 10)
	free := func(want int64) {
		t.Helper()
		if space, err := f.Statfs(dir); err != nil || space.Total != 40<<10 || space.Free != want<<10 {
			t.Errorf("%d bytes free, %v; want %d", space.Free, err, want<<10)
		}
	}
	free(40)
	f.Occupy(8 << 10)
	free(32)
	file := create(t, f, dir+"/a", "x")
	free(28) // a block
	must(t, file.Allocate(0, 16<<10))
	free(16)
	if err := file.Allocate(16<<10, 17<<10); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("more than there is: %v", err)
	}
	free(16)
	if n, err := file.Write(make([]byte, 40<<10)); n != 32<<10-1 || !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("wrote %d bytes, %v", n, err)
	}
	free(0)
	must(t, file.Truncate(5000))
	free(24)
	must(t, f.Remove(dir+"/a"))
	free(32)
}

// TestAppend writes on in a file of an earlier run, whose bytes are durable.
func TestAppend(t *testing.T) {
	for loss, want := range map[faultfs.Loss]string{
		faultfs.LoseNames: "early", faultfs.KeepNames: "early", faultfs.KeepLengths: "ear\x00\x00\x00\x00",
	} {
		dir, f := t.TempDir(), faultfs.New()
		must(t, os.WriteFile(dir+"/a", []byte("early"), 0o444))
		f.Fail(faultfs.Append, 1, syscall.EMFILE)
		if _, _, err := f.Append(dir + "/a"); !errors.Is(err, syscall.EMFILE) {
			t.Errorf("append: %v", err)
		}
		if _, _, err := f.Append(dir + "/b"); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("append to nothing: %v", err)
		}
		file, size, err := f.Append(dir + "/a")
		must(t, err)
		if size != 5 {
			t.Errorf("%d bytes", size)
		}
		must(t, file.Truncate(3)) // where it writes on follows
		_, err = file.Write([]byte("then"))
		must(t, err)
		if got := left(t, dir)["a"]; got != "earthen" {
			t.Errorf("wrote %q", got)
		}
		must(t, errors.Join(file.Close(), f.PowerCut(loss)))
		if got := left(t, dir)["a"]; got != want {
			t.Errorf("loss %d: %q, want %q", loss, got, want)
		}
	}
}

// TestKeepLengths leaves zeros where bytes were not synced.
func TestKeepLengths(t *testing.T) {
	dir, f := t.TempDir(), faultfs.New()
	file := create(t, f, dir+"/a", "text")
	must(t, file.Sync())
	_, err := file.Write([]byte(" and more"))
	must(t, err)
	create(t, f, dir+"/b", "xy")
	must(t, f.PowerCut(faultfs.KeepLengths))
	if got := left(t, dir); got["a"] != "text\x00\x00\x00\x00\x00\x00\x00\x00\x00" || got["b"] != "\x00\x00" {
		t.Errorf("left %q", got)
	}
}
