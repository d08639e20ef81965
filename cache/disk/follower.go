package disk

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"

	"larder/cache/watermark"
)

const (
	maxOffset = math.MaxInt64
	// turn bounds what is sent before the context is looked at again, in bytes.
	turn = 16 << 20
)

// follower reads a growing file through its own descriptor.
type follower struct {
	ctx  context.Context // ended by Close too
	stop context.CancelCauseFunc
	mark *watermark.Mark
	file *os.File
	off  int64
	end  int64 // exclusive; -1: the end of the blob
	set  bool  // the descriptor stands at off
}

var _ io.WriterTo = (*follower)(nil)

// follow takes over file.
func follow(ctx context.Context, mark *watermark.Mark, file *os.File, off, end int64) *follower {
	ctx, stop := context.WithCancelCause(ctx)
	return &follower{ctx: ctx, stop: stop, mark: mark, file: file, off: off, end: end}
}

// next waits for bytes that followers may have and stands before them. It goes
// to its offset only when there are some: clients name offsets beyond the end,
// and beyond what a file system counts.
func (f *follower) next() (int64, error) {
	avail, err := f.mark.Wait(f.ctx, f.off, f.end)
	if err != nil || f.set {
		return avail, err
	}
	if _, err := f.file.Seek(f.off, io.SeekStart); err != nil {
		return 0, fmt.Errorf("follow a blob from offset %d: %w", f.off, err)
	}
	f.set = true
	return avail, nil
}

// Read waits for bytes that followers may have.
func (f *follower) Read(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	avail, err := f.next()
	if err != nil {
		return 0, err
	}
	n, err := f.file.Read(b[:min(avail, int64(len(b)))])
	f.off += int64(n)
	if err == io.EOF {
		err = io.ErrUnexpectedEOF // the mark promised bytes: the file was cut by hand
	}
	return n, err
}

// WriteTo sends all bytes as they arrive. The source handed to w is a limited
// *os.File, which net/http gives to the kernel where it can.
func (f *follower) WriteTo(w io.Writer) (int64, error) {
	var sent int64
	for {
		avail, err := f.next()
		if err == io.EOF {
			return sent, nil
		}
		if err != nil {
			return sent, err
		}
		want := min(avail, turn)
		n, err := io.Copy(w, &io.LimitedReader{R: f.file, N: want})
		f.off += n
		sent += n
		if err != nil {
			return sent, err
		}
		if n < want {
			return sent, io.ErrUnexpectedEOF
		}
	}
}

// Close wakes a waiting Read and gives back the descriptor. A second Close is harmless.
func (f *follower) Close() error {
	f.stop(fs.ErrClosed)
	if err := f.file.Close(); err != nil && !errors.Is(err, fs.ErrClosed) {
		return err
	}
	return nil
}
