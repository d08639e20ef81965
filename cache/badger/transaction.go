package badger

import (
	"bytes"
	"fmt"
	"iter"

	"larder/cache"
)

// writer is what one function of a batch reads and writes through.
type writer struct {
	*batch
	size   int   // of the overlay when the function began
	broken error // the first refused write; sinks the function even if it goes on
}

func (w *writer) Get(key []byte) ([]byte, error) {
	if p := w.get(key); p != nil {
		if p.deleted {
			return nil, cache.ErrNotExist
		}
		return bytes.Clone(p.value), nil
	}
	return w.snapshot.Get(key)
}

func (w *writer) Put(key, value []byte) error {
	return w.add(&write{key: bytes.Clone(key), value: append([]byte{}, value...)})
}

func (w *writer) Delete(key []byte) error {
	return w.add(&write{key: bytes.Clone(key), deleted: true})
}

func (w *writer) add(p *write) error {
	if err := w.check(p); err != nil {
		w.broken = err
		return err
	}
	w.put(p)
	return nil
}

func (w *writer) check(p *write) error {
	switch {
	case len(p.key) == 0 || len(p.key) > cache.MaxKey:
		return fmt.Errorf("record key of %d bytes: want 1 to %d", len(p.key), cache.MaxKey)
	case len(p.value) > cache.MaxValue:
		return fmt.Errorf("record %x of %d bytes: want at most %d", p.key, len(p.value), cache.MaxValue)
	case w.overlay.size-w.size+p.cost() > maxUpdateBytes || len(w.undo) >= maxUpdateRows:
		return errTooBig
	}
	return nil
}

// Scan merges the snapshot with the pending writes. It may write while it
// runs: what it has yet to reach is seen as written.
func (w *writer) Scan(prefix, after []byte) iter.Seq2[cache.Row, error] {
	prefix, after = bytes.Clone(prefix), bytes.Clone(after)
	return func(yield func(cache.Row, error) bool) {
		m := merge{over: &w.overlay, prefix: prefix, at: after, yield: yield}
		if bytes.Compare(after, prefix) < 0 || len(after) == 0 {
			m.at, m.including = prefix, true
		}
		for row, err := range w.snapshot.Scan(prefix, after) {
			if err != nil {
				yield(cache.Row{}, err)
				return
			}
			if !m.row(row) {
				return
			}
		}
		m.upTo(nil)
	}
}

// merge is the state of one scan: all keys up to at have been dealt with.
type merge struct {
	over      *overlay
	prefix    []byte
	at        []byte
	including bool // at itself is still to come
	yield     func(cache.Row, error) bool
}

// row yields the pending rows before stored and then stored, unless a pending
// write replaces it. It reports whether the scan goes on.
func (m *merge) row(stored cache.Row) bool {
	if !m.upTo(stored.Key) {
		return false
	}
	if p := m.over.get(stored.Key); p != nil {
		return m.pending(p)
	}
	m.at, m.including = bytes.Clone(stored.Key), false
	return m.yield(stored, nil)
}

// upTo yields the pending rows with keys below limit (nil: all).
func (m *merge) upTo(limit []byte) bool {
	for {
		p := m.over.next(m.prefix, m.at, m.including)
		if p == nil || limit != nil && bytes.Compare(p.key, limit) >= 0 {
			return true
		}
		if !m.pending(p) {
			return false
		}
	}
}

func (m *merge) pending(p *write) bool {
	m.at, m.including = p.key, false
	if p.deleted {
		return true
	}
	return m.yield(cache.Row{Key: bytes.Clone(p.key), Value: bytes.Clone(p.value)}, nil)
}
