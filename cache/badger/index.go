package badger

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	db "github.com/dgraph-io/badger/v4"

	"larder/cache"
)

// collectEvery is the time between two looks at the value log.
const collectEvery = time.Hour

// errClosed is what every use after Close gets.
var errClosed = errors.New("the index is closed")

// Index is a cache.Index in a folder. Make one with Open.
type Index struct {
	db       *db.DB
	critical func() bool
	log      func(level, message string)
	commit   func(*overlay) error // apply; tests put a failing one here
	queue    chan *request
	stop     chan struct{} // closed by Close

	mu     sync.RWMutex
	closed bool   // guarded by mu
	failed error  // guarded by mu: the commit error after which writes are refused
	latest *epoch // guarded by mu; only the writer changes it

	users sync.WaitGroup // calls under way; joined under mu only while not closed
	loops sync.WaitGroup // the writer and the collector
}

// Open opens the database in dir, and makes it if the folder is empty. The
// folder is locked against other processes until Close. The time it takes does
// not depend on the number of records.
func Open(dir string, o Options) (*Index, error) { return open(o.database(dir), o) }

func open(settings db.Options, o Options) (*Index, error) {
	opened, err := db.Open(settings)
	if err != nil {
		return nil, fmt.Errorf("open index %s: %w", settings.Dir, err)
	}
	ix := &Index{
		db:       opened,
		latest:   newEpoch(opened),
		critical: o.Critical,
		log:      o.Log,
		queue:    make(chan *request, maxBatchFunctions),
		stop:     make(chan struct{}),
	}
	ix.commit = ix.apply
	ix.loops.Add(2)
	go ix.write()
	go ix.collect(collectEvery)
	return ix, nil
}

// Healthy returns nil, or the failed commit since which Update is refused
// (wraps cache.ErrUnhealthy).
func (ix *Index) Healthy() error {
	ix.mu.RLock()
	defer ix.mu.RUnlock()
	if ix.failed == nil {
		return nil
	}
	return fmt.Errorf("%w: %w", cache.ErrUnhealthy, ix.failed)
}

func (ix *Index) fail(err error) {
	ix.mu.Lock()
	defer ix.mu.Unlock()
	if ix.failed == nil {
		ix.failed = err
	}
}

// enter admits a call, so that Close waits for it; leave ends it.
func (ix *Index) enter() error {
	ix.mu.RLock()
	defer ix.mu.RUnlock()
	if ix.closed {
		return errClosed
	}
	ix.users.Add(1)
	return nil
}

func (ix *Index) leave() { ix.users.Done() }

// View runs fn on a snapshot. It never waits for a write. A long View keeps old
// versions of records on disk alive: read in pages.
func (ix *Index) View(ctx context.Context, fn func(cache.Reader) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	e, err := ix.join()
	if err != nil {
		return err
	}
	defer ix.leave()
	defer e.leave()
	return fn(snapshot{e.txn})
}

// Close waits for calls under way, then closes the database. What Update
// answered with nil is durable with or without it.
func (ix *Index) Close() error {
	ix.mu.Lock()
	if ix.closed {
		ix.mu.Unlock()
		return nil
	}
	ix.closed = true
	ix.mu.Unlock()

	ix.users.Wait()
	close(ix.stop)
	ix.loops.Wait()
	ix.latest.leave()
	if err := ix.db.Close(); err != nil {
		return fmt.Errorf("close index: %w", err)
	}
	return nil
}

// collect lets Badger shrink its value log. No record is ever large enough to
// get there, but an emptied file is only removed this way.
func (ix *Index) collect(every time.Duration) {
	defer ix.loops.Done()
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-ix.stop:
			return
		case <-tick.C:
		}
		err := ix.db.RunValueLogGC(0.5)
		for err == nil {
			err = ix.db.RunValueLogGC(0.5)
		}
		if ix.log != nil && !errors.Is(err, db.ErrNoRewrite) && !errors.Is(err, db.ErrRejected) {
			ix.log("warning", fmt.Sprintf("value log collection: %v", err))
		}
	}
}
