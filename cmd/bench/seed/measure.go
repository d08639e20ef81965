package seed

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"larder/cache"
	"larder/cache/badger"
)

// How much is read for one figure.
const (
	gets     = 20_000
	scanned  = 1_000_000 // rows at most
	scanPage = 1000
)

// Figures are what reading an index costs, each of the best round: in the
// others somebody else worked on the machine, or the database still tidied up.
type Figures struct {
	Open   time.Duration
	Get    time.Duration // of a record that is there, median of a round
	Absent float64       // reads of records that are not there, per second
	Scan   float64       // records passed over per second, in pages of a thousand
	Bytes  int64         // on disk
}

// Measure opens an index that holds so many packages, all made by numbered, and
// reads it, once for every round.
func (s *Sample) Measure(ctx context.Context, data string, rounds int, held Packages) (Figures, error) {
	var best Figures
	for round := range rounds {
		f, err := s.round(ctx, index(data), held)
		if err != nil {
			return f, fmt.Errorf("measure the index: %w", err)
		}
		if round == 0 {
			best = f
		}
		best = Figures{
			Open: min(best.Open, f.Open), Get: min(best.Get, f.Get), Bytes: min(best.Bytes, f.Bytes),
			Absent: max(best.Absent, f.Absent), Scan: max(best.Scan, f.Scan),
		}
	}
	return best, nil
}

func (s *Sample) round(ctx context.Context, dir string, held Packages) (f Figures, err error) {
	if f.Bytes, err = size(dir); err != nil {
		return f, err
	}
	begin := time.Now()
	ix, err := badger.Open(dir, badger.Options{})
	if err != nil {
		return f, err
	}
	f.Open = time.Since(begin)
	f.Get, err = s.present(ctx, ix, held)
	if err == nil {
		f.Absent, err = absent(ctx, ix)
	}
	if err == nil {
		f.Scan, err = scan(ctx, ix)
	}
	return f, errors.Join(err, ix.Close())
}

// chance is the same in every run.
func chance() *rand.Rand { return rand.New(rand.NewPCG(1, 2)) }

// present reads one record of packages at random: their documents', since
// eviction never takes these while they are small.
func (s *Sample) present(ctx context.Context, ix cache.Index, held Packages) (time.Duration, error) {
	random, took := chance(), make([]time.Duration, gets)
	for i := range took {
		key := s.changer(held.Make(held.From + random.IntN(held.To-held.From)))(s.rows[0].Key)
		begin := time.Now()
		err := ix.View(ctx, func(r cache.Reader) error {
			_, err := r.Get(key)
			return err
		})
		took[i] = time.Since(begin)
		if err != nil {
			return 0, fmt.Errorf("record %q: %w", key, err)
		}
	}
	slices.Sort(took)
	return took[gets/2], nil
}

// absent looks for blobs that nobody knows, as a miss does.
func absent(ctx context.Context, ix cache.Index) (float64, error) {
	random, begin := chance(), time.Now()
	for range gets {
		d := sha256.Sum256(binary.BigEndian.AppendUint64(nil, random.Uint64()))
		err := ix.View(ctx, func(r cache.Reader) error {
			_, err := r.Get(append([]byte("b"), d[:]...))
			return err
		})
		if err == nil {
			return 0, fmt.Errorf("blob %x is known", d)
		}
		if !errors.Is(err, cache.ErrNotExist) {
			return 0, err
		}
	}
	return gets / time.Since(begin).Seconds(), nil
}

// scan walks all records, or enough of them.
func scan(ctx context.Context, ix cache.Index) (float64, error) {
	var after []byte
	begin, seen := time.Now(), 0
	for seen < scanned {
		rows := 0
		err := ix.View(ctx, func(r cache.Reader) error {
			for row, err := range r.Scan(nil, after) {
				if err != nil {
					return err
				}
				after = row.Key
				if rows++; rows == scanPage {
					return nil
				}
			}
			return nil
		})
		if err != nil {
			return 0, err
		}
		seen += rows
		if rows < scanPage {
			break
		}
	}
	return float64(seen) / time.Since(begin).Seconds(), nil
}

// size is what a folder's files take on the volume, in bytes: those that are
// set aside and not written do not count.
func size(dir string) (int64, error) {
	var total int64
	err := filepath.WalkDir(dir, func(_ string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		stat, ok := info.Sys().(*syscall.Stat_t)
		if !ok {
			return errors.ErrUnsupported
		}
		total += int64(stat.Blocks) * 512
		return nil
	})
	return total, err
}
