package seed

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"larder/cache"
	"larder/cache/badger"
)

// page is how many packages one transaction records: with small documents well
// below what an Update may write.
const page = 256

// index is the folder of the index in a data folder.
func index(data string) string { return filepath.Join(data, "index") }

// Packages are those of the numbers from one up to, and without, another.
type Packages struct {
	From, To int
	Make     func(number int) Package
	// Unused is how long ago they were last used: eviction takes the oldest first.
	Unused time.Duration
}

// Fill stores packages and records them. It returns how long recording took,
// and comes back once neither the database nor the disk has work left from it.
func (s *Sample) Fill(ctx context.Context, data string, all Packages) (time.Duration, error) {
	if err := store(ctx, data, all); err != nil {
		return 0, fmt.Errorf("fill %s: %w", data, err)
	}
	ix, err := badger.Open(index(data), badger.Options{})
	if err != nil {
		return 0, fmt.Errorf("fill %s: %w", data, err)
	}
	begin := time.Now()
	err = s.fill(ctx, ix, all)
	took := time.Since(begin)
	if err == nil {
		err = rest(ctx)
	}
	err = errors.Join(err, ix.Close())
	syscall.Sync() // readers would wait for what the kernel still holds back
	if err != nil {
		return 0, fmt.Errorf("fill %s: %w", data, err)
	}
	return took, nil
}

// fill makes the next page while the one before it is written.
func (s *Sample) fill(ctx context.Context, ix cache.Index, all Packages) error {
	pages := make(chan []records, 1)
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		defer close(pages)
		for at := all.From; at < all.To; at += page {
			made, err := s.page(Packages{From: at, To: min(at+page, all.To), Make: all.Make})
			if err != nil {
				return err
			}
			select {
			case pages <- made:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		return nil
	})
	group.Go(func() error {
		at := time.Now().Add(-all.Unused)
		for made := range pages {
			if err := ix.Update(ctx, func(w cache.Writer) error { return writeAll(w, made, at) }); err != nil {
				return err
			}
		}
		return nil
	})
	return group.Wait()
}

func (s *Sample) page(some Packages) ([]records, error) {
	made := make([]records, 0, some.To-some.From)
	for i := some.From; i < some.To; i++ {
		one, err := s.records(some.Make(i))
		if err != nil {
			return nil, err
		}
		made = append(made, one)
	}
	return made, nil
}

func writeAll(w cache.Writer, made []records, at time.Time) error {
	for _, one := range made {
		if err := one.write(w, at); err != nil {
			return err
		}
	}
	return nil
}

// How long this process must have done next to nothing to count as at rest.
const (
	restFor   = 500 * time.Millisecond
	restLimit = 2 * time.Minute
)

// rest waits until the database has moved its records to where they stay.
func rest(ctx context.Context) error {
	for end := time.Now().Add(restLimit); time.Now().Before(end); {
		before, err := used()
		if err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(restFor):
		}
		after, err := used()
		if err != nil {
			return err
		}
		if after-before < restFor/20 {
			return nil
		}
	}
	return errors.New("the database does not come to rest")
}

// used is the processor time of this process.
func used() (time.Duration, error) {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0, fmt.Errorf("processor time: %w", err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano()), nil
}
