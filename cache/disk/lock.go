package disk

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// ErrLocked says that another process uses the data folder.
var ErrLocked = errors.New("the data folder is in use")

// pidWidth is the fixed length of the pid in LOCK, in bytes, newline included:
// rewriting it in place needs no new block on a full volume.
const pidWidth = 20

// lock takes the folder for the life of the returned file. The kernel lets go
// of it when the process ends, however it ends.
func lock(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := takeLock(f); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	pid := fmt.Sprintf("%-*d\n", pidWidth-1, os.Getpid())
	if _, err := f.WriteAt([]byte(pid), 0); err != nil && !outOfRoom(err) {
		// Without room the name of the holder is missing, not its lock.
		return nil, errors.Join(fmt.Errorf("write %s: %w", path, err), f.Close())
	}
	return f, nil
}

func takeLock(f *os.File) error {
	for {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		switch {
		case err == nil:
			return nil
		case errors.Is(err, syscall.EINTR):
		case errors.Is(err, syscall.EWOULDBLOCK):
			return fmt.Errorf("%w by %s (%s): stop that process, or name another data folder", ErrLocked, holder(f), f.Name())
		default:
			return fmt.Errorf("lock %s: %w", f.Name(), err)
		}
	}
}

// holder words who wrote the lock file.
func holder(f *os.File) string {
	text := make([]byte, pidWidth)
	n, _ := f.ReadAt(text, 0) // what cannot be read is not named
	if pid := strings.TrimSpace(string(text[:n])); pid != "" {
		return "process " + pid
	}
	return "another process"
}
