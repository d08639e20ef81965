package disk

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"larder/cache"
)

// Figures of VerifyBlob, in bytes: one read, and how much of the page cache it
// may use before it gives it back.
const (
	verifyRead = 256 << 10
	verifyDrop = 8 << 20
)

// VerifyBlob reads the whole blob and compares its digest. It leaves the page
// cache to others. The result carries the CRC32C. Errors: cache.ErrNotExist,
// cache.ErrCorrupt; any other means that the bytes could not be read.
func (s *Store) VerifyBlob(ctx context.Context, d cache.Digest) (cache.Blob, error) {
	f, err := s.fs.Open(s.layout.blob(d))
	if err != nil {
		return cache.Blob{}, fmt.Errorf("verify blob %s: %w", d, asMissing(err))
	}
	defer f.Close()
	b, err := hashFile(ctx, f)
	if err == nil && b.Digest != d {
		err = fmt.Errorf("its bytes hash to %s: %w", b.Digest, cache.ErrCorrupt)
	}
	if err != nil {
		return cache.Blob{}, fmt.Errorf("verify blob %s: %w", d, err)
	}
	return b, nil
}

func hashFile(ctx context.Context, f *os.File) (cache.Blob, error) {
	h, err := cache.NewHasher()
	if err != nil {
		return cache.Blob{}, err
	}
	buf := make([]byte, verifyRead)
	var dropped int64
	for {
		if err := ctx.Err(); err != nil {
			return cache.Blob{}, err
		}
		n, err := f.Read(buf)
		h.Write(buf[:n]) // never fails
		if h.Size()-dropped >= verifyDrop || err == io.EOF {
			dropCached(f, dropped, h.Size()-dropped)
			dropped = h.Size()
		}
		if err == io.EOF {
			return h.Blob(), nil
		}
		if err != nil {
			return cache.Blob{}, err
		}
	}
}

// Quarantine takes a blob whose bytes went bad out of service and keeps it for
// inspection; an older one of the same digest gives way. Errors:
// cache.ErrNotExist.
func (s *Store) Quarantine(ctx context.Context, d cache.Digest) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("quarantine blob %s: %w", d, err)
	}
	s.names[d[0]].Lock()
	defer s.names[d[0]].Unlock()
	to := filepath.Join(s.layout.quarantine(), d.String())
	if err := s.fs.Rename(s.layout.blob(d), to); err != nil {
		return fmt.Errorf("quarantine blob %s: %w", d, asMissing(err))
	}
	// The new name first: between the two the blob may have both, never none.
	err := errors.Join(s.syncFolder(s.layout.quarantine()), s.syncFolder(s.layout.folder(d[0])))
	if err != nil {
		return fmt.Errorf("quarantine blob %s: %w", d, err)
	}
	return nil
}
