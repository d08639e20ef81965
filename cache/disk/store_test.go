package disk_test

import (
	"os"
	"path/filepath"
	"testing"

	"larder/cache"
	"larder/cache/cachetest"
	"larder/cache/disk"
	"larder/cache/disk/faultfs"
)

// openSmall opens a Store with hardly a floor, so that no test takes room for a
// ballast from the machine.
func openSmall(root string, fsys disk.FS) (*disk.Store, error) {
	return disk.Open(root, disk.Options{FS: fsys, Room: disk.RoomOptions{Floor: 64 << 10}})
}

// open opens a Store and closes it at the end of the test, when nothing may be
// left in its tmp.
func open(t *testing.T, root string, fsys disk.FS) *disk.Store {
	t.Helper()
	s, err := openSmall(root, fsys)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// wantNoTmp fails if an unfinished write has left something.
func wantNoTmp(t *testing.T, root string) {
	t.Helper()
	left, err := os.ReadDir(filepath.Join(root, "tmp"))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range left {
		t.Errorf("left in tmp: %s", e.Name())
	}
}

func TestStore(t *testing.T) {
	cachetest.Store(t, func(t *testing.T) cache.Store {
		root := t.TempDir()
		t.Cleanup(func() { wantNoTmp(t, root) })
		return open(t, root, nil)
	})
}

// TestStoreRoom runs on a small volume of faultfs, of which the floor and the
// ballast take 15 parts of 100.
func TestStoreRoom(t *testing.T) {
	cachetest.StoreRoom(t, func(t *testing.T, room int64) cache.Store {
		root := t.TempDir()
		t.Cleanup(func() { wantNoTmp(t, root) })
		fsys := faultfs.New()
		fsys.Volume(room*100/85 + 64<<10)
		s, err := disk.Open(root, disk.Options{FS: fsys, Room: disk.RoomOptions{Floor: room}})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { s.Close() })
		return s
	})
}
