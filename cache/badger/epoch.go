package badger

import (
	"sync/atomic"

	db "github.com/dgraph-io/badger/v4"
)

// epoch is the state of the database after one commit. All who read before the
// next one is durable share its transaction: Badger lets a transaction of their
// own begin only once the commit under way is synced, and on a busy disk that
// takes seconds. Reads of a transaction that writes nothing change nothing in
// it, so they may run side by side.
type epoch struct {
	txn   *db.Txn
	users atomic.Int64 // readers, and 1 for as long as it is the latest
}

func newEpoch(d *db.DB) *epoch {
	e := &epoch{txn: d.NewTransaction(false)}
	e.users.Store(1)
	return e
}

// leave ends a use. The last one lets go of the versions that e has seen.
func (e *epoch) leave() {
	if e.users.Add(-1) == 0 {
		e.txn.Discard()
	}
}

// join is enter with the latest epoch, for its user to leave too.
func (ix *Index) join() (*epoch, error) {
	ix.mu.RLock()
	defer ix.mu.RUnlock()
	if ix.closed {
		return nil, errClosed
	}
	ix.users.Add(1)
	ix.latest.users.Add(1)
	return ix.latest, nil
}

// advance makes the commit that has just ended visible. Called by the writer.
func (ix *Index) advance() {
	next := newEpoch(ix.db)
	ix.mu.Lock()
	last := ix.latest
	ix.latest = next
	ix.mu.Unlock()
	last.leave()
}
