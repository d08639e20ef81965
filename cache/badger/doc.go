// Package badger is the cache.Index of one node, kept in a Badger database.
//
// Badger runs its transactions side by side and syncs for each of them. Here
// one goroutine runs the functions of Update one after the other and commits
// all that queued up meanwhile with a single sync, so they are in serial order
// without conflicts and sixty-four writers share the cost of one.
//
// The database maps sparse files: on a volume without free blocks the process
// dies of SIGBUS, which Go cannot catch. Whoever opens an Index must therefore
// watch the free space of its volume and say so through Options.Critical.
package badger
