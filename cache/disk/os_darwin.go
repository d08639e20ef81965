package disk

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// openUnnoted is an ordinary open: macOS notes access times by volume.
func openUnnoted(name string) (*os.File, error) { return os.Open(name) }

// allocate is not offered here: macOS counts from the physical end of the file
// and not from an offset. Writes find out about a full volume themselves.
func allocate(*os.File, int64, int64) error { return errors.ErrUnsupported }

// dropCached does nothing: macOS has no such advice for a range.
func dropCached(*os.File, int64, int64) {}

func statfs(name string) (Space, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(name, &st); err != nil {
		return Space{}, &os.PathError{Op: "statfs", Path: name, Err: err}
	}
	unit := int64(st.Bsize)
	return Space{Total: int64(st.Blocks) * unit, Free: int64(st.Bavail) * unit}, nil
}
