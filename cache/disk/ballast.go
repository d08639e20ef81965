package disk

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
)

// fillStep is how many zeros are written at once where blocks cannot be
// allocated, in bytes.
const fillStep = 1 << 20

func (r *Room) ballast() string { return filepath.Join(r.dir, "ballast") }

// prepareBallast decides about the ballast found at start. One of another size
// belongs to another floor, or its making was interrupted.
func (r *Room) prepareBallast(free int64) error {
	info, err := r.fs.Stat(r.ballast())
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case info.Size() == r.reserve && free >= r.floor/2:
		r.owed = 0
		return nil
	}
	return r.fs.Remove(r.ballast())
}

// roomForBallast reports whether the ballast is owed and can be made without
// going below the floor.
func (r *Room) roomForBallast() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.owed > 0 && r.free-r.owed-r.pending >= r.floor
}

// makeBallast makes it, whole or not at all. A volume that filled up meanwhile
// is no error: the ballast stays owed. It is not synced: one lost in a power
// cut is made again at the next start.
func (r *Room) makeBallast() error {
	err := r.fillBallast()
	if outOfRoom(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("make the ballast: %w", err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.owed = 0
	return nil
}

func (r *Room) fillBallast() error {
	f, err := r.fs.Create(r.ballast())
	if err != nil {
		return err
	}
	err = f.Allocate(0, r.reserve)
	if errors.Is(err, errors.ErrUnsupported) {
		err = writeZeros(f, r.reserve)
	}
	if err == nil {
		err = f.Truncate(r.reserve)
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return errors.Join(err, r.fs.Remove(r.ballast()))
	}
	return nil
}

func writeZeros(f File, n int64) error {
	zeros := make([]byte, fillStep)
	for n > 0 {
		step := min(n, fillStep)
		if _, err := f.Write(zeros[:step]); err != nil {
			return err
		}
		n -= step
	}
	return nil
}
