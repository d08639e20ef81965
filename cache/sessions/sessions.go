// Package sessions says who may write to a session and from which state, so
// that the rule that keeps wrong bytes out is written once for all backends of
// cache.Sessions.
//
// The rule: a session has one writer, and goes on from the newest state that
// was given out. Someone who went on from an older one would change bytes that
// the newer one vouches for; should the newer one be used after that, after a
// crash for instance, a digest would name bytes it does not have.
package sessions

import (
	"bytes"
	"fmt"
	"sync"

	"larder/cache"
)

// Book knows the sessions that this process has used and not ended: about 100
// bytes and a state for each. The zero value is ready. All methods may be called
// concurrently.
type Book struct {
	mu    sync.Mutex
	known map[string]*entry
}

type entry struct {
	open  bool
	state []byte // the newest given out; nil: none yet
}

// Begin opens a new session. Errors: one of the name, or that it is taken.
func (b *Book) Begin(id string) error {
	if err := cache.CheckSessionID(id); err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.known[id] != nil {
		return fmt.Errorf("there is a session %s already", id)
	}
	b.add(id, &entry{open: true})
	return nil
}

// Resume opens a session and returns its checksums as of state. What earlier
// processes gave out is not known: there the caller's word is taken. Errors:
// cache.ErrBusy, cache.ErrNotExist for a state that is not the newest, any
// other for one that is none of this session.
func (b *Book) Resume(id string, state []byte) (*cache.Hasher, error) {
	if err := cache.CheckSessionID(id); err != nil {
		return nil, err
	}
	h, err := cache.ResumeHasher(id, state)
	if err != nil {
		return nil, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	e := b.known[id]
	switch {
	case e == nil:
		b.add(id, &entry{open: true, state: bytes.Clone(state)})
		return h, nil
	case e.open:
		return nil, fmt.Errorf("session %s: %w", id, cache.ErrBusy)
	case !bytes.Equal(e.state, state):
		return nil, fmt.Errorf("session %s has a newer state: %w", id, cache.ErrNotExist)
	}
	e.open = true
	return h, nil
}

// Take opens a session, known or not, in order to drop it. Errors: cache.ErrBusy.
func (b *Book) Take(id string) error {
	if err := cache.CheckSessionID(id); err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	e := b.known[id]
	if e == nil {
		e = &entry{}
		b.add(id, e)
	}
	if e.open {
		return fmt.Errorf("session %s: %w", id, cache.ErrBusy)
	}
	e.open = true
	return nil
}

// Saved notes the state that is given out now.
func (b *Book) Saved(id string, state []byte) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if e := b.known[id]; e != nil {
		e.state = bytes.Clone(state)
	}
}

// Close lets go of an open session, to be resumed.
func (b *Book) Close(id string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if e := b.known[id]; e != nil {
		e.open = false
	}
}

// End forgets a session whose bytes are gone, or have become a blob.
func (b *Book) End(id string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.known, id)
}

func (b *Book) add(id string, e *entry) {
	if b.known == nil {
		b.known = map[string]*entry{}
	}
	b.known[id] = e
}
