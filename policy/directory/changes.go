package directory

import (
	"encoding/binary"
	"sync/atomic"
)

// touched says what a change concerns, so that the rest stays remembered: what
// one user may do in what one owner has, or all that concerns an owner, who may
// be a user. The zero value is everything.
type touched struct{ user, owner string }

// stripes is how many counters stand for all names: two that share one make
// each other read again, and nothing worse.
const stripes = 4 << 10

// changes counts them, by what they concern. What is remembered is good for one
// sum of the counters that it depends on: none of them ever falls, so an equal
// sum means that none has moved.
type changes struct {
	everything atomic.Uint64
	shape      atomic.Uint64 // of all but what single users may do
	counters   [stripes]atomic.Uint64
}

func (c *changes) count(t touched) {
	if t == (touched{}) {
		c.everything.Add(1)
	} else {
		c.at(t).Add(1)
	}
	if t.user == "" {
		c.shape.Add(1)
	}
}

func (c *changes) at(t touched) *atomic.Uint64 {
	h := uint64(14695981039346656037) // FNV-1a
	for _, text := range [2]string{t.user, t.owner} {
		for i := range len(text) {
			h = (h ^ uint64(text[i])) * 1099511628211
		}
		h *= 1099511628211 // as for a zero byte: where one text ends
	}
	return &c.counters[h%stripes]
}

// ofAccount is what an account and its repositories depend on.
func (c *changes) ofAccount(name string) uint64 {
	return c.everything.Load() + c.at(touched{owner: name}).Load()
}

// ofPlace is what a user's standing depends on.
func (c *changes) ofPlace(user, owner string) uint64 {
	return c.ofAccount(user) + c.at(touched{owner: owner}).Load() + c.at(touched{user, owner}).Load()
}

// revoked counts the end of a token.
func (c *changes) revoked(d digest) { c.token(d).Add(1) }

// ofToken is what a token depends on.
func (c *changes) ofToken(d digest) uint64 { return c.token(d).Load() }

func (c *changes) token(d digest) *atomic.Uint64 {
	return &c.counters[binary.BigEndian.Uint64(d[:])%stripes]
}
