package memory

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"iter"
	"sync"
	"sync/atomic"

	"larder/cache"
)

// errClosed is what every use after Close gets.
var errClosed = errors.New("the index is closed")

// Index is a cache.Index in memory. Its records form a tree whose nodes never
// change, so a snapshot is a pointer. Make one with NewIndex.
type Index struct {
	seed   maphash.Seed
	root   atomic.Pointer[node]
	closed atomic.Bool
	mu     sync.Mutex // held by the one Update that runs
}

// NewIndex returns an empty Index.
func NewIndex() *Index { return &Index{seed: maphash.MakeSeed()} }

func (ix *Index) usable(ctx context.Context) error {
	if ix.closed.Load() {
		return errClosed
	}
	return ctx.Err()
}

// View runs fn on the records as they are now.
func (ix *Index) View(ctx context.Context, fn func(cache.Reader) error) error {
	if err := ix.usable(ctx); err != nil {
		return err
	}
	return fn(&transaction{root: ix.root.Load()})
}

// Update runs fn alone and keeps what it wrote if it returns nil.
func (ix *Index) Update(ctx context.Context, fn func(cache.Writer) error) error {
	ix.mu.Lock()
	defer ix.mu.Unlock()
	if err := ix.usable(ctx); err != nil {
		return err
	}
	t := &transaction{root: ix.root.Load(), seed: ix.seed}
	if err := fn(t); err != nil {
		return err
	}
	if err := errors.Join(t.broken, ctx.Err()); err != nil {
		return err
	}
	ix.root.Store(t.root)
	return nil
}

// Close ends all use; the records are gone.
func (ix *Index) Close() error {
	ix.closed.Store(true)
	return nil
}

// transaction reads and writes one version of the tree.
type transaction struct {
	root   *node
	seed   maphash.Seed
	broken error // the first refused write; sinks the whole even if fn goes on
}

func (t *transaction) Get(key []byte) ([]byte, error) {
	for n := t.root; n != nil; {
		switch c := bytes.Compare(key, n.key); {
		case c < 0:
			n = n.left
		case c > 0:
			n = n.right
		default:
			return append([]byte{}, n.value...), nil
		}
	}
	return nil, cache.ErrNotExist
}

func (t *transaction) Scan(prefix, after []byte) iter.Seq2[cache.Row, error] {
	from, including := bytes.Clone(after), false
	if len(after) == 0 || bytes.Compare(after, prefix) < 0 {
		from, including = bytes.Clone(prefix), true
	}
	prefix = bytes.Clone(prefix)
	return func(yield func(cache.Row, error) bool) {
		// Each step looks anew, so that fn may write while it scans.
		for n := t.root.next(from, including); n != nil; n = t.root.next(from, false) {
			if !bytes.HasPrefix(n.key, prefix) {
				return
			}
			from = n.key
			if !yield(cache.Row{Key: bytes.Clone(n.key), Value: append([]byte{}, n.value...)}, nil) {
				return
			}
		}
	}
}

func (t *transaction) Put(key, value []byte) error {
	switch {
	case len(key) == 0 || len(key) > cache.MaxKey:
		t.broken = fmt.Errorf("record key of %d bytes: want 1 to %d", len(key), cache.MaxKey)
		return t.broken
	case len(value) > cache.MaxValue:
		t.broken = fmt.Errorf("record %x of %d bytes: want at most %d", key, len(value), cache.MaxValue)
		return t.broken
	}
	n := &node{key: bytes.Clone(key), value: bytes.Clone(value), rank: maphash.Bytes(t.seed, key)}
	left, right := t.root.split(key)
	t.root = join(join(left, n), right)
	return nil
}

func (t *transaction) Delete(key []byte) error {
	if len(key) == 0 || len(key) > cache.MaxKey {
		t.broken = fmt.Errorf("record key of %d bytes: want 1 to %d", len(key), cache.MaxKey)
		return t.broken
	}
	left, right := t.root.split(key)
	t.root = join(left, right)
	return nil
}

// node is a record in a tree that is ordered by key from left to right and by
// rank from bottom to top; random ranks keep it shallow. Nodes are never
// changed, only replaced on the way up to a new root.
type node struct {
	key, value  []byte
	rank        uint64
	left, right *node
}

// next returns the node with the smallest key above key, or at it.
func (n *node) next(key []byte, including bool) *node {
	var found *node
	for n != nil {
		c := bytes.Compare(n.key, key)
		if c > 0 || c == 0 && including {
			found, n = n, n.left
		} else {
			n = n.right
		}
	}
	return found
}

// split returns the records below key and those above it; key itself is in neither.
func (n *node) split(key []byte) (left, right *node) {
	if n == nil {
		return nil, nil
	}
	c := bytes.Compare(key, n.key)
	if c == 0 {
		return n.left, n.right
	}
	made := *n
	if c < 0 {
		left, made.left = n.left.split(key)
		return left, &made
	}
	made.right, right = n.right.split(key)
	return &made, right
}

// join puts two trees together, all keys of left being below those of right.
func join(left, right *node) *node {
	if left == nil {
		return right
	}
	if right == nil {
		return left
	}
	if left.rank > right.rank {
		made := *left
		made.right = join(left.right, right)
		return &made
	}
	made := *right
	made.left = join(left, right.left)
	return &made
}
