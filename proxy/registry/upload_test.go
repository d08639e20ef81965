package registry_test

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"larder/cache"
	"larder/formats"
	"larder/proxy/registry"
)

// gated is a store whose writes wait until so many are there as are to be.
type gated struct {
	cache.Store
	all       int64
	writing   atomic.Int64
	most      atomic.Int64
	open      sync.Once
	everybody chan struct{}
}

func (s *gated) Begin(ctx context.Context, size int64, also ...cache.Algorithm) (cache.Partial, error) {
	p, err := s.Store.Begin(ctx, size, also...)
	return gatedPartial{p, s}, err
}

type gatedPartial struct {
	cache.Partial
	store *gated
}

func (p gatedPartial) Write(b []byte) (int, error) {
	n := p.store.writing.Add(1)
	defer p.store.writing.Add(-1)
	for most := p.store.most.Load(); n > most && !p.store.most.CompareAndSwap(most, n); most = p.store.most.Load() {
	}
	if n == p.store.all {
		p.store.open.Do(func() { close(p.store.everybody) })
	}
	<-p.store.everybody
	return p.Partial.Write(b)
}

// TestUploadsTakeTurns: however many uploads there are, few of them keep processors
// busy, and all come to their end.
func TestUploadsTakeTurns(t *testing.T) {
	store := &gated{all: int64(2 * runtime.GOMAXPROCS(0)), everybody: make(chan struct{})}
	b := newBench(t, func(b *bench, _ *registry.Options) { store.Store, b.store = b.store, store })
	ctx := context.Background()
	var wg sync.WaitGroup
	for range 4 * store.all {
		wg.Go(func() {
			up, err := b.as("alice", "").Upload(ctx, formats.UploadOptions{Package: "p", Size: -1})
			if err != nil {
				t.Error(err)
				return
			}
			defer up.Close()
			for range 10 {
				if _, err := up.Write(text(1000)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if most := store.most.Load(); most != store.all {
		t.Errorf("%d writes at once, want %d", most, store.all)
	}
}
