package cache

import (
	"context"
	"iter"
)

// Limits of one record. Longer texts go by hash in the key with the text in
// the value; larger values are split over rows or go to the Store.
const (
	MaxKey   = 1 << 10  // bytes
	MaxValue = 32 << 10 // bytes
)

// Index keeps small records by key, in transactions that run one after the
// other. Keys are ordered bytewise.
type Index interface {
	// View runs fn on a stable snapshot.
	View(ctx context.Context, fn func(Reader) error) error
	// Update runs fn and makes all it wrote durable before it returns nil, or
	// nothing of it. fn may run twice and must do no I/O of its own: check
	// first, then write. A context that ends before the commit means not
	// committed; after that the outcome is unknown but whole. Errors: that of
	// fn, ErrFull below the free-space floor, ErrUnhealthy.
	Update(ctx context.Context, fn func(Writer) error) error
	// Close ends all use; a second Close is harmless.
	Close() error
}

// Reader reads records within one transaction.
type Reader interface {
	// Get returns a copy of the value. Errors: ErrNotExist.
	Get(key []byte) ([]byte, error)
	// Scan yields, in key order, the rows whose key begins with prefix and is
	// greater than after (nil: all). Slices belong to the caller. Long scans
	// should be cut into pages of a thousand rows, a transaction each.
	Scan(prefix, after []byte) iter.Seq2[Row, error]
}

// Writer reads and writes within one transaction; reads see its own writes.
type Writer interface {
	Reader
	Put(key, value []byte) error
	Delete(key []byte) error
}

// Row is one record.
type Row struct{ Key, Value []byte }
