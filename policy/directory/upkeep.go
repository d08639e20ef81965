package directory

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"larder/cache"
	"larder/policy"
	"larder/policy/audit"
)

// maxUses bounds the tokens whose last use waits to be written; the use of
// further ones in the same minute is not noted.
const maxUses = 64 << 10

// uses are the last uses not yet written.
type uses struct {
	mu      sync.Mutex
	pending map[string]use // by token id
}

func (u *uses) note(id string, last use) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.pending == nil {
		u.pending = map[string]use{}
	}
	old, ok := u.pending[id]
	if ok && !last.At.Before(old.At) || !ok && len(u.pending) < maxUses {
		u.pending[id] = last
	}
}

func (u *uses) take() map[string]use {
	u.mu.Lock()
	defer u.mu.Unlock()
	taken := u.pending
	u.pending = nil
	return taken
}

// Flush writes when tokens were last used. Called at most once a minute and at
// the end, it costs each token one write a minute. What cannot be written is
// kept for the next call.
func (d *Directory) Flush(ctx context.Context) error {
	taken := d.uses.take()
	batch := make(map[string]use, min(len(taken), page))
	for id, last := range taken {
		batch[id] = last
		if len(batch) < page && len(batch) < len(taken) {
			continue
		}
		if err := d.writeUses(ctx, batch); err != nil {
			for id, last := range taken {
				d.uses.note(id, last)
			}
			return fmt.Errorf("write the last use of tokens: %w", err)
		}
		for id := range batch {
			delete(taken, id)
		}
		clear(batch)
	}
	return nil
}

func (d *Directory) writeUses(ctx context.Context, batch map[string]use) error {
	return d.index.Update(ctx, func(w cache.Writer) error {
		for id, last := range batch {
			if err := put(w, tokenUseKey(id), last); err != nil {
				return err
			}
		}
		return nil
	})
}

// Purge forgets tokens that ended keepEnded ago, and returns how many.
func (d *Directory) Purge(ctx context.Context) (int, error) {
	for total := 0; ; {
		n, err := d.purgePage(ctx)
		total += n
		if err != nil {
			return total, fmt.Errorf("forget ended tokens: %w", err)
		}
		if n < page {
			return total, nil
		}
	}
}

func (d *Directory) purgePage(ctx context.Context) (n int, err error) {
	end := string(tokenEndKey(d.now().Add(time.Second), "")) // the first key that is not due
	err = d.index.Update(ctx, func(w cache.Writer) error {
		var due []cache.Row
		for row, err := range w.Scan([]byte("tx"), nil) {
			if err != nil {
				return err
			}
			if len(due) == page || string(row.Key) >= end {
				break
			}
			due = append(due, row)
		}
		n = len(due)
		for _, row := range due {
			if err := forget(w, row); err != nil {
				return err
			}
		}
		if n == 0 {
			return nil
		}
		return d.record(ctx, w, policy.Subject{}, audit.Record{
			Actor: audit.Actor{Kind: audit.System}, Action: "token.forget", After: audit.State{"tokens": strconv.Itoa(n)},
		})
	})
	return n, err
}

// forget deletes all rows of the token that an end row names.
func forget(w cache.Writer, end cache.Row) error {
	dig, _, err := toDigest(end.Value)
	if err != nil {
		return err
	}
	var t tokenRow
	if _, err := get(w, tokenKey(dig), &t); err != nil {
		return err
	}
	for _, k := range [][]byte{end.Key, tokenKey(dig), tokenIDKey(t.ID), tokenUseKey(t.ID), tokenUserKey(t.User, t.ID)} {
		if err := w.Delete(k); err != nil {
			return err
		}
	}
	return nil
}

// Run flushes every minute and purges every hour until ctx ends, and then
// flushes once more. report hears of failures; the work goes on after them.
func (d *Directory) Run(ctx context.Context, report func(error)) {
	tick := time.NewTicker(time.Minute)
	defer tick.Stop()
	for minutes := 1; ; minutes++ {
		select {
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second) // ctx is over, the notes are not
			defer cancel()
			tell(report, d.Flush(last))
			return
		case <-tick.C:
		}
		err := d.Flush(ctx)
		if minutes%60 == 0 {
			_, purge := d.Purge(ctx)
			err = errors.Join(err, purge)
		}
		tell(report, err)
	}
}

func tell(report func(error), err error) {
	if err != nil {
		report(err)
	}
}
