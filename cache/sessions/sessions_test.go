package sessions_test

import (
	"errors"
	"testing"

	"larder/cache"
	"larder/cache/sessions"
)

// state returns one of n bytes for the session id.
func state(t *testing.T, id string, n int) []byte {
	t.Helper()
	h, err := cache.NewHasher()
	if err != nil {
		t.Fatal(err)
	}
	h.Write(make([]byte, n))
	s, err := h.State(id)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestBook goes through the life of one session.
func TestBook(t *testing.T) {
	var b sessions.Book
	old, now := state(t, "a", 1), state(t, "a", 2)
	resume := func(s []byte) error { _, err := b.Resume("a", s); return err }
	for i, step := range []struct {
		do   func() error
		want error
	}{
		{func() error { return resume(old) }, nil}, // of an earlier process
		{func() error { return resume(old) }, cache.ErrBusy},
		{func() error { return b.Take("a") }, cache.ErrBusy},
		{func() error { b.Saved("a", now); b.Close("a"); return nil }, nil},
		{func() error { return resume(old) }, cache.ErrNotExist},
		{func() error { return resume(now) }, nil},
		{func() error { b.Close("a"); return b.Take("a") }, nil},
		{func() error { return resume(now) }, cache.ErrBusy},
		{func() error { b.Close("a"); return resume(now) }, nil}, // it could not be dropped
		{func() error { b.End("a"); return b.Begin("a") }, nil},
		{func() error { return b.Take("a") }, cache.ErrBusy},
		{func() error { b.Close("a"); return resume(now) }, cache.ErrNotExist}, // nothing was saved
		{func() error { b.End("a"); b.Saved("a", now); b.Close("a"); return resume(old) }, nil},
	} {
		if err := step.do(); !errors.Is(err, step.want) {
			t.Errorf("step %d: %v, want %v", i, err, step.want)
		}
	}
	if h, err := b.Resume("b", state(t, "b", 77)); err != nil || h.Size() != 77 {
		t.Errorf("resumed: %v, %v", h, err)
	}
}

// TestTakenName begins nothing that is known, open or not.
func TestTakenName(t *testing.T) {
	var b sessions.Book
	if err := b.Begin("a"); err != nil {
		t.Fatal(err)
	}
	if err := b.Begin("a"); err == nil {
		t.Error("begun twice")
	}
	b.Close("a")
	if err := b.Begin("a"); err == nil {
		t.Error("begun over one that was left")
	}
}
