package badger

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
)

// Backup writes all records changed after version since (0: all) to w, in
// Badger's backup format, and returns the version to pass next time. It reads a
// snapshot, beside all other use.
func (ix *Index) Backup(w io.Writer, since uint64) (uint64, error) {
	if err := ix.enter(); err != nil {
		return 0, err
	}
	defer ix.leave()
	until, err := ix.db.Backup(w, since)
	if err != nil {
		return 0, fmt.Errorf("back up index: %w", err)
	}
	return max(since, until), nil // nothing new is reported as version 0
}

// loadWrites is how many batches a restore keeps under way.
const loadWrites = 16

// Restore makes a database in dir, which must be empty or missing, from a full
// backup and the incremental ones that follow it, in order. It works on a
// folder and not on an Index, because Badger's loader must be alone. A backup
// cut short at a record boundary cannot be told from a whole one: keep its
// checksum beside it.
func Restore(dir string, o Options, from ...io.Reader) (err error) {
	if entries, err := os.ReadDir(dir); err == nil && len(entries) > 0 {
		return fmt.Errorf("restore index: %s is not empty", dir)
	} else if err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("restore index: %w", err)
	}
	ix, err := Open(dir, o)
	if err != nil {
		return err
	}
	defer func() {
		if closed := ix.Close(); err == nil {
			err = closed
		}
	}()
	for i, r := range from {
		if err := ix.db.Load(&frames{src: r}, loadWrites); err != nil {
			return fmt.Errorf("restore index from part %d: %w", i+1, err)
		}
	}
	return nil
}

// maxFrame bounds one piece of a backup in bytes. Badger writes pieces of a few
// megabytes, and would allocate whatever length a damaged file announces.
const maxFrame = 128 << 20

var errFrame = errors.New("this is not a backup of an index, or it is damaged")

// frames passes a backup on and checks the length in front of each piece.
type frames struct {
	src  io.Reader
	head [8]byte
	sent int    // bytes of head handed on; 0: read the next
	left uint64 // bytes of the piece still to come
}

func (f *frames) Read(p []byte) (int, error) {
	if f.sent == 0 && f.left == 0 {
		if err := f.next(); err != nil {
			return 0, err
		}
	}
	if f.sent < len(f.head) {
		n := copy(p, f.head[f.sent:])
		f.sent += n
		return n, nil
	}
	if f.left == 0 { // an empty piece
		f.sent = 0
		return f.Read(p)
	}
	n, err := f.src.Read(p[:min(uint64(len(p)), f.left)])
	if f.left -= uint64(n); f.left == 0 {
		f.sent = 0
	} else if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

func (f *frames) next() error {
	if _, err := io.ReadFull(f.src, f.head[:]); err != nil {
		return err // io.EOF between pieces is the end
	}
	if f.left = binary.LittleEndian.Uint64(f.head[:]); f.left > maxFrame {
		return errFrame
	}
	return nil
}
