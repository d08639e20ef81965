package seed

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"larder/cache"
	"larder/cache/disk"
)

// writers is how many blobs are written at once.
const writers = 4

// unsynced is the file system of the machine without its promises: nobody
// relies on what a measurement leaves behind.
type unsynced struct{ disk.OS }

func (u unsynced) Create(name string) (disk.File, error) {
	f, err := u.OS.Create(name)
	if err != nil {
		return nil, err
	}
	return unsyncedFile{f}, nil
}

func (unsynced) SyncDir(string) error { return nil }

type unsyncedFile struct{ disk.File }

func (unsyncedFile) Sync() error { return nil }

// store puts the packages' tarballs where a server looks for them.
func store(ctx context.Context, data string, all Packages) error {
	s, err := disk.Open(data, disk.Options{FS: unsynced{}})
	if err != nil {
		return err
	}
	group, inner := errgroup.WithContext(ctx)
	for first := range writers {
		group.Go(func() error {
			for i := all.From + first; i < all.To; i += writers {
				tarball := all.Make(i).Tarball
				if _, err := cache.Put(inner, s, bytes.NewReader(tarball), int64(len(tarball))); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return errors.Join(group.Wait(), s.Close())
}

// Orphans stores tarballs that no record knows, and makes all blobs of the
// folder look as old as the packages are unused.
func Orphans(ctx context.Context, data string, all Packages) error {
	if err := store(ctx, data, all); err != nil {
		return fmt.Errorf("store orphans: %w", err)
	}
	at := time.Now().Add(-all.Unused)
	err := filepath.WalkDir(filepath.Join(data, "blobs"), func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		return os.Chtimes(path, at, at)
	})
	if err != nil {
		return fmt.Errorf("age blobs: %w", err)
	}
	return nil
}

// Put returns how long it takes so many writers to store all of some bytes
// durably in a new data folder.
func Put(ctx context.Context, data string, writers int, all [][]byte) (time.Duration, error) {
	s, err := disk.Open(data, disk.Options{})
	if err != nil {
		return 0, fmt.Errorf("put blobs: %w", err)
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(writers)
	begin := time.Now()
	for _, one := range all {
		group.Go(func() error {
			_, err := cache.Put(ctx, s, bytes.NewReader(one), int64(len(one)))
			return err
		})
	}
	err = group.Wait()
	took := time.Since(begin)
	if err := errors.Join(err, s.Close()); err != nil {
		return 0, fmt.Errorf("put blobs: %w", err)
	}
	return took, nil
}

// Write returns how long it takes, in the median, to store one more blob
// durably in a data folder and, in turn with it, in an empty one. The blobs of
// the given packages are written for that, and deleted.
func Write(ctx context.Context, data, empty string, more Packages) (full, bare time.Duration, err error) {
	var took [2][]time.Duration
	var stores [2]*disk.Store
	for i, dir := range []string{data, empty} {
		if stores[i], err = disk.Open(dir, disk.Options{}); err != nil {
			return 0, 0, fmt.Errorf("write blobs: %w", err)
		}
		defer stores[i].Close() // nothing that was written is kept
	}
	for number := more.From; number < more.To; number++ {
		for i, s := range stores {
			one, err := write(ctx, s, more.Make(number).Tarball)
			if err != nil {
				return 0, 0, fmt.Errorf("write blobs: %w", err)
			}
			took[i] = append(took[i], one)
		}
	}
	for _, all := range took {
		slices.Sort(all)
	}
	return took[0][len(took[0])/2], took[1][len(took[1])/2], nil
}

func write(ctx context.Context, s *disk.Store, tarball []byte) (time.Duration, error) {
	begin := time.Now()
	blob, err := cache.Put(ctx, s, bytes.NewReader(tarball), int64(len(tarball)))
	took := time.Since(begin)
	if err != nil {
		return 0, err
	}
	return took, s.Delete(ctx, blob.Digest)
}
