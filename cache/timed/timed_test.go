package timed_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"larder/cache"
	"larder/cache/cachetest"
	"larder/cache/memory"
	"larder/cache/timed"
)

func ignore(string, time.Duration, error) {}

func TestStore(t *testing.T) {
	cachetest.Store(t, func(*testing.T) cache.Store { return timed.Store(memory.NewStore(), ignore) })
}

func TestSessions(t *testing.T) {
	cachetest.Sessions(t, func(*testing.T) (cachetest.SessionStore, func() cachetest.SessionStore) {
		inner := memory.NewStore()
		timedOf := func() cachetest.SessionStore { return timed.Store(inner, ignore).(cachetest.SessionStore) }
		return timedOf(), func() cachetest.SessionStore {
			inner = inner.Restart()
			return timedOf()
		}
	})
}

// TestNoSessions: a store that has none does not seem to have them.
func TestNoSessions(t *testing.T) {
	if _, ok := timed.Store(struct{ cache.Store }{memory.NewStore()}, ignore).(cache.Sessions); ok {
		t.Error("sessions out of nothing")
	}
}

func TestSessionsAreTold(t *testing.T) {
	var h heard
	ctx := t.Context()
	s := timed.Store(memory.NewStore(), h.observe).(cache.Sessions)
	x, err := s.BeginSession(ctx, "a")
	if err != nil {
		t.Fatal(err)
	}
	state, err := x.Save(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.ResumeSession(ctx, "a", state); !errors.Is(err, cache.ErrBusy) {
		t.Fatalf("resumed what is open: %v", err)
	}
	if err := x.Close(); err != nil {
		t.Fatal(err)
	}
	if x, err = s.ResumeSession(ctx, "a", state); err != nil {
		t.Fatal(err)
	}
	if _, err := x.Verify(); err != nil {
		t.Fatal(err)
	}
	if err := x.Commit(ctx); err != nil {
		t.Fatal(err)
	}
	if err := s.DropSession(ctx, "a"); err != nil {
		t.Fatal(err)
	}
	want := []string{"begin", "save", "begin", "begin", "commit", "delete"}
	if !slices.Equal(h.ops, want) {
		t.Errorf("told %q, want %q", h.ops, want)
	}
}

func TestIndex(t *testing.T) {
	cachetest.Index(t, func(*testing.T, string) cache.Index { return timed.Index(memory.NewIndex(), ignore) })
}

// heard collects what was observed.
type heard struct {
	mu  sync.Mutex
	ops []string
}

func (h *heard) observe(op string, took time.Duration, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if took < 0 {
		op += " before it began"
	}
	if timed.Failed(err) {
		op += " failed"
	}
	h.ops = append(h.ops, op)
}

func TestOperationsAreTold(t *testing.T) {
	var h heard
	ctx := t.Context()
	s := timed.Store(memory.NewStore(), h.observe)
	blob, err := cache.Put(ctx, s, strings.NewReader("bytes"), 5)
	if err != nil {
		t.Fatal(err)
	}
	f, err := s.Open(ctx, blob.Digest)
	if err != nil {
		t.Fatal(err)
	}
	f.Close()
	if err := s.Delete(ctx, blob.Digest); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Open(ctx, blob.Digest); !errors.Is(err, cache.ErrNotExist) {
		t.Fatalf("Open of a deleted blob = %v", err)
	}
	x := timed.Index(memory.NewIndex(), h.observe)
	own := errors.New("the caller's own")
	if err := x.Update(ctx, func(w cache.Writer) error { return w.Put([]byte("k"), nil) }); err != nil {
		t.Fatal(err)
	}
	if err := x.View(ctx, func(cache.Reader) error { return own }); !errors.Is(err, own) {
		t.Fatalf("View = %v, want the caller's own error", err)
	}
	if err := x.Close(); err != nil {
		t.Fatal(err)
	}
	if err := x.Update(ctx, func(cache.Writer) error { return nil }); err == nil {
		t.Fatal("Update of a closed index succeeds")
	}
	want := []string{"begin", "commit", "open", "delete", "open", "update", "view", "update failed"}
	if !slices.Equal(h.ops, want) {
		t.Errorf("told %q, want %q", h.ops, want)
	}
}

func TestFailed(t *testing.T) {
	for _, tt := range []struct {
		err  error
		want bool
	}{
		{nil, false}, {fmt.Errorf("blob: %w", cache.ErrNotExist), false}, {cache.ErrFull, false}, {cache.ErrCorrupt, false}, {cache.ErrBusy, false},
		{context.Canceled, false}, {cache.ErrUnhealthy, true}, {errors.New("input/output error"), true},
	} {
		if got := timed.Failed(tt.err); got != tt.want {
			t.Errorf("Failed(%v) = %v, want %v", tt.err, got, tt.want)
		}
	}
}
