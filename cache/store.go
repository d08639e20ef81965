package cache

import (
	"context"
	"fmt"
	"io"
	"iter"
)

// HoldBack is how many bytes at the end of a Partial its followers do not get
// before the whole has been verified, so that a wrong body never looks whole.
const HoldBack = 64 << 10

// Store keeps immutable bytes by digest. A digest names exactly its bytes, or
// nothing. All methods may be called concurrently.
type Store interface {
	// Begin starts a write. size is the announced length in bytes, or -1; room
	// for it is taken at once. also names checksums to compute beside SHA-256.
	// Errors: ErrFull.
	Begin(ctx context.Context, size int64, also ...Algorithm) (Partial, error)
	// Open returns the bytes. A backend on files returns an *os.File, so that
	// the kernel can send it; the caller closes it. Deleting a blob does not
	// disturb who has it open. Errors: ErrNotExist.
	Open(ctx context.Context, d Digest) (io.ReadSeekCloser, error)
	// Stat returns size and digest. Errors: ErrNotExist.
	Stat(ctx context.Context, d Digest) (Blob, error)
	// Delete removes the bytes; a missing blob is no error.
	Delete(ctx context.Context, d Digest) error
	// List yields every committed blob, in no order, and no unfinished write.
	// It costs time in proportion to the blobs: for verify and gc only.
	List(ctx context.Context) iter.Seq2[Blob, error]
}

// Partial is a write in progress that readers may follow while it grows.
// Order of calls: Write…, Verify, [Open], Commit; Abort at any time, and
// harmlessly after Commit. Write, Verify, Commit and Abort belong to one
// goroutine; Follow may be called from any.
type Partial interface {
	// Write appends. Errors: ErrFull, ErrCorrupt when the announced size is passed.
	io.Writer
	// Follow reads n bytes from offset off (n < 0: to the end) as they arrive,
	// at most up to HoldBack before the last byte written, until Verify
	// succeeded. It ends with io.EOF only for verified bytes, and with the
	// cause given to Abort otherwise. The reader stays usable after Commit and
	// implements io.WriterTo so that files can be sent by the kernel.
	Follow(ctx context.Context, off, n int64) (io.ReadCloser, error)
	// Verify ends the writing and compares the length announced and the
	// checksums wanted; one that Begin was not told of costs a reading of all
	// bytes. Success releases the held-back bytes to followers.
	// Errors: ErrCorrupt, after which only Abort is useful.
	Verify(want ...Sum) (Blob, error)
	// Open reads the verified bytes before they are committed.
	Open() (io.ReadSeekCloser, error)
	// Commit makes the blob durable and visible under its digest. That equal
	// bytes are there already is success; should those have gone bad, these
	// take their place.
	Commit(ctx context.Context) error
	// Abort drops everything and wakes followers with cause (nil: ErrAborted).
	Abort(cause error)
}

// Put stores all of src: begin, copy, verify, commit. All or nothing.
func Put(ctx context.Context, s Store, src io.Reader, size int64, want ...Sum) (Blob, error) {
	also := make([]Algorithm, 0, len(want))
	for _, w := range want {
		also = append(also, w.Algorithm)
	}
	p, err := s.Begin(ctx, size, also...)
	if err != nil {
		return Blob{}, fmt.Errorf("put: %w", err)
	}
	if _, err := io.Copy(p, src); err != nil {
		p.Abort(err)
		return Blob{}, fmt.Errorf("put: %w", err)
	}
	b, err := p.Verify(want...)
	if err != nil {
		p.Abort(err)
		return Blob{}, fmt.Errorf("put: %w", err)
	}
	if err := p.Commit(ctx); err != nil {
		p.Abort(err)
		return Blob{}, fmt.Errorf("put %s: %w", b.Digest, err)
	}
	return b, nil
}
