package disk

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// openUnnoted opens a file for reads that leave its access time alone, which
// takes its owner; others read it as usual.
func openUnnoted(name string) (*os.File, error) {
	f, err := os.OpenFile(name, os.O_RDONLY|unix.O_NOATIME, 0)
	if errors.Is(err, unix.EPERM) {
		return os.Open(name)
	}
	return f, err
}

// allocate takes blocks and keeps the size, so that a reader never meets zeros.
func allocate(f *os.File, off, n int64) error {
	for {
		err := unix.Fallocate(int(f.Fd()), unix.FALLOC_FL_KEEP_SIZE, off, n)
		if err != unix.EINTR {
			return err
		}
	}
}

// dropCached tells the kernel that these bytes will not be read again soon. It
// is advice: a kernel that does not take it costs memory, not correctness.
func dropCached(f *os.File, off, n int64) {
	_ = unix.Fadvise(int(f.Fd()), off, n, unix.FADV_DONTNEED)
}

func statfs(name string) (Space, error) {
	var st unix.Statfs_t
	for {
		err := unix.Statfs(name, &st)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return Space{}, &os.PathError{Op: "statfs", Path: name, Err: err}
		}
		// Blocks are counted in fragments; file systems without them say 0.
		unit := st.Frsize
		if unit == 0 {
			unit = st.Bsize
		}
		return Space{Total: int64(st.Blocks) * unit, Free: int64(st.Bavail) * unit}, nil
	}
}
