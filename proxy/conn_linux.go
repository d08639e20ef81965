package proxy

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// sendMore sends what it can of p at once and tells the kernel that more
// follows, so that the packet waits for it. It returns how much was taken.
func sendMore(raw syscall.RawConn, p []byte) (n int, err error) {
	var failed error
	err = raw.Write(func(fd uintptr) bool {
		n, failed = unix.SendmsgN(int(fd), p, nil, nil, unix.MSG_MORE|unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL)
		return true
	})
	if err != nil {
		return 0, err
	}
	if failed != nil {
		return 0, nil // no room now, or broken: the write that follows waits, or tells
	}
	return n, nil
}
