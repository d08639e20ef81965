package badger

import (
	"bytes"
	"slices"
)

// overlay holds what the functions of one batch have written so far, sorted by
// key, over the snapshot the batch began with. Badger's own transaction could
// do that, but it sorts all pending writes anew for every scan and cannot take
// back those of one function.
type overlay struct {
	writes []*write
	size   int    // bytes of keys and values
	undo   []undo // how to take back what the running function wrote
}

// write is one pending change of a record.
type write struct {
	key, value []byte
	deleted    bool
}

// undo restores one place of the overlay; was is nil where there was no write.
type undo struct {
	key []byte
	was *write
}

// rowOverhead is what a pending write costs beside its key and value, in
// Badger's reckoning of a transaction's size.
const rowOverhead = 16

func (w *write) cost() int { return len(w.key) + len(w.value) + rowOverhead }

// find returns the place of key and whether a write of it is there.
func (o *overlay) find(key []byte) (int, bool) {
	return slices.BinarySearchFunc(o.writes, key, func(w *write, key []byte) int {
		return bytes.Compare(w.key, key)
	})
}

// get returns the pending write of key, or nil.
func (o *overlay) get(key []byte) *write {
	if i, ok := o.find(key); ok {
		return o.writes[i]
	}
	return nil
}

// next returns the first pending write of a key greater than after (or equal
// to it, when including) that begins with prefix, or nil.
func (o *overlay) next(prefix, after []byte, including bool) *write {
	i, ok := o.find(after)
	if ok && !including {
		i++
	}
	if i < len(o.writes) && bytes.HasPrefix(o.writes[i].key, prefix) {
		return o.writes[i]
	}
	return nil
}

// put adds w and remembers what it replaces.
func (o *overlay) put(w *write) {
	i, ok := o.find(w.key)
	if !ok {
		o.writes = slices.Insert(o.writes, i, w)
		o.size += w.cost()
		o.undo = append(o.undo, undo{key: w.key})
		return
	}
	was := o.writes[i]
	o.undo = append(o.undo, undo{w.key, was})
	o.size += w.cost() - was.cost()
	o.writes[i] = w
}

// keep ends a function that succeeded.
func (o *overlay) keep() { o.undo = o.undo[:0] }

// rollback takes back all that was written since the last keep.
func (o *overlay) rollback() {
	for _, u := range slices.Backward(o.undo) {
		i, _ := o.find(u.key)
		o.size -= o.writes[i].cost()
		if u.was == nil {
			o.writes = slices.Delete(o.writes, i, i+1)
			continue
		}
		o.writes[i] = u.was
		o.size += u.was.cost()
	}
	o.keep()
}
