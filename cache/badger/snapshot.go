package badger

import (
	"bytes"
	"errors"
	"fmt"
	"iter"

	db "github.com/dgraph-io/badger/v4"

	"larder/cache"
)

// snapshot reads the records as they were when its transaction began.
type snapshot struct{ txn *db.Txn }

func (s snapshot) Get(key []byte) ([]byte, error) {
	item, err := s.txn.Get(key)
	if errors.Is(err, db.ErrKeyNotFound) || errors.Is(err, db.ErrEmptyKey) {
		return nil, cache.ErrNotExist
	}
	if err != nil {
		return nil, fmt.Errorf("read record %x: %w", key, err)
	}
	value, err := item.ValueCopy(nil)
	if err != nil {
		return nil, fmt.Errorf("read record %x: %w", key, err)
	}
	return value, nil
}

func (s snapshot) Scan(prefix, after []byte) iter.Seq2[cache.Row, error] {
	prefix, after = bytes.Clone(prefix), bytes.Clone(after)
	return func(yield func(cache.Row, error) bool) {
		// Values lie beside their keys, so fetching them ahead gains nothing.
		it := s.txn.NewIterator(db.IteratorOptions{Prefix: prefix})
		defer it.Close()
		for it.Seek(start(prefix, after)); it.Valid(); it.Next() {
			item := it.Item()
			if len(after) > 0 && bytes.Compare(item.Key(), after) <= 0 {
				continue
			}
			value, err := item.ValueCopy(nil)
			if err != nil {
				yield(cache.Row{}, fmt.Errorf("read record %x: %w", item.Key(), err))
				return
			}
			if !yield(cache.Row{Key: item.KeyCopy(nil), Value: value}, nil) {
				return
			}
		}
	}
}

// start returns the first key that a scan may yield.
func start(prefix, after []byte) []byte {
	if bytes.Compare(after, prefix) > 0 {
		return after
	}
	return prefix
}
