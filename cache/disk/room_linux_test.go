package disk_test

import (
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"larder/cache/disk"
)

// TestFullTmpfs is TestFullVolume on a real volume of 64 MiB. Who may not mount
// one gets the model once more.
func TestFullTmpfs(t *testing.T) {
	top := t.TempDir()
	if err := unix.Mount("tmpfs", top, "tmpfs", 0, "size=64m"); err != nil {
		t.Logf("no volume can be mounted here (%v): using the model", err)
		fillUp(t, modelVolume(t, 64*mib))
		return
	}
	t.Cleanup(func() {
		if err := unix.Unmount(top, 0); err != nil {
			t.Error(err)
		}
	})
	filler, err := os.Create(filepath.Join(top, "filler"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { filler.Close() })
	fillUp(t, volume{filepath.Join(top, "data"), disk.OS{}, func(t *testing.T, want int64) {
		t.Helper()
		if err := filler.Truncate(0); err != nil {
			t.Fatal(err)
		}
		space, err := disk.OS{}.Statfs(top)
		if err != nil {
			t.Fatal(err)
		}
		if err := unix.Fallocate(int(filler.Fd()), 0, 0, space.Free-want); err != nil {
			t.Fatal(err)
		}
	}})
}
