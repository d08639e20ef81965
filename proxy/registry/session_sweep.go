package registry

import (
	"context"
	"errors"
	"fmt"
	"time"

	"larder/cache"
)

// sweepEvery is how often Run looks for what was left.
const sweepEvery = time.Minute

// Run does the engine's work beside requests until ctx ends; report hears what
// failed.
func (e *Engine) Run(ctx context.Context, report func(error)) {
	sweep, daily := time.NewTicker(sweepEvery), time.NewTicker(day)
	defer sweep.Stop()
	defer daily.Stop()
	failed := func(err error) {
		if err != nil && ctx.Err() == nil {
			report(err)
		}
	}
	for {
		select {
		case <-ctx.Done():
			return
		case <-sweep.C:
			failed(e.SweepUploads(ctx))
			failed(e.FlushUses(ctx))
		case <-daily.C:
			failed(e.forgetUses(ctx))
		}
	}
}

// OpenUploads returns how many uploads are under way, in one request or in
// several, and the bytes that they hold.
func (e *Engine) OpenUploads(ctx context.Context) (uploads int, bytes int64, err error) {
	if err := e.loadSessions(ctx); err != nil {
		return 0, 0, err
	}
	sessions, held := e.sessions.usage()
	uploads, bytes = e.uploads.usage()
	return uploads + sessions, bytes + held, nil
}

// SweepUploads ends the upload sessions that were left for too long, and removes
// files that a crash left of others.
func (e *Engine) SweepUploads(ctx context.Context) error {
	store, ok := e.opt.Store.(cache.Sessions)
	if !ok {
		return nil
	}
	if err := e.loadSessions(ctx); err != nil {
		return err
	}
	var errs []error
	left, err := e.leftSessions(ctx)
	errs = append(errs, err)
	for _, id := range left {
		errs = append(errs, e.expireSession(ctx, store, id))
	}
	lost, err := e.lostFiles(ctx, store)
	errs = append(errs, err)
	for _, id := range lost {
		errs = append(errs, store.DropSession(ctx, id))
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("sweep the uploads: %w", err)
	}
	return nil
}

// leftSessions takes the sessions whose time is over. The error is also of those
// whose rows cannot be read, which are taken as well.
func (e *Engine) leftSessions(ctx context.Context) ([]string, error) {
	var ids, left []string
	unread := map[string]error{}
	err := e.opt.Index.View(ctx, func(r cache.Reader) error {
		ids = ids[:0]
		return eachSession(r, func(id string, _ sessionRow, bad error) {
			ids = append(ids, id)
			if bad != nil {
				unread[id] = bad
			}
		})
	})
	now := e.now()
	for _, id := range ids {
		if e.sessions.expire(id, now) {
			left = append(left, id)
			err = errors.Join(err, unread[id])
		}
	}
	return left, err
}

// expireSession drops a session that was taken: its row first, so that none
// promises bytes that are gone.
func (e *Engine) expireSession(ctx context.Context, store cache.Sessions, id string) error {
	if err := e.dropSessionRow(ctx, id); err != nil {
		e.sessions.release(id)
		return err
	}
	e.sessions.end(id)
	return store.DropSession(ctx, id) // else it is a stray
}

// lostFiles returns the files that belonged to no session for long.
func (e *Engine) lostFiles(ctx context.Context, store cache.Sessions) ([]string, error) {
	files, err := filesOf(ctx, store)
	if err != nil {
		return nil, err
	}
	return e.sessions.lost(files, e.now()), nil
}

// filesOf returns the sessions that have bytes; a nil store has none.
func filesOf(ctx context.Context, store cache.Sessions) (files []string, err error) {
	if store == nil {
		return nil, nil
	}
	for id, err := range store.SessionIDs(ctx) {
		if err != nil {
			return nil, err
		}
		files = append(files, id)
	}
	return files, nil
}
