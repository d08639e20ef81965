package evict

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"larder/cache"
	"larder/cache/memory"
	"larder/cache/refs"
)

// commit stores and links as the engine does: one lock over both steps.
func (b *bench) commit(body []byte, e refs.Edge) (cache.Blob, error) {
	ctx := context.Background()
	p, err := b.store.Begin(ctx, int64(len(body)))
	if err != nil {
		return cache.Blob{}, err
	}
	defer p.Abort(nil)
	if _, err := p.Write(body); err != nil {
		return cache.Blob{}, err
	}
	blob, err := p.Verify()
	if err != nil {
		return blob, err
	}
	unlock := b.evict.opt.Locks.Lock(blob.Digest)
	defer unlock()
	if err := p.Commit(ctx); err != nil {
		return blob, err
	}
	return blob, b.index.Update(ctx, func(w cache.Writer) error {
		return errors.Join(w.Put(e.Record, []byte("record")), refs.Link(w, blob, e, b.now))
	})
}

// The same bytes are fetched, evicted, published, retracted and collected all
// at once: bytes that a record names are there, always.
func TestPublishAndEvictionRace(t *testing.T) {
	b := newBenchOn(t, 1<<20, memory.NewIndex(), memory.NewStore())
	var all, work sync.WaitGroup
	stop := make(chan struct{})
	for range 2 {
		all.Go(func() { // evicts everything cached, and deletes all that is due
			for {
				select {
				case <-stop:
					return
				default:
				}
				b.evict.SetBudget(0)
				if err := b.keep(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for g := range 3 {
		work.Go(func() { b.publishAndRetract(g) })
	}
	work.Wait()
	close(stop)
	all.Wait()
	b.gc(false)
	b.wantWhole()
}

// publishAndRetract commits bytes that the others commit too, hosted and
// cached, and takes the hosted ones back.
func (b *bench) publishAndRetract(g int) {
	const bodies, rounds = 4, 60
	body := func(i int) []byte { return bytes.Repeat(fmt.Appendf(nil, "body %d ", i%bodies), 400) }
	hosted := refs.Edge{Kind: refs.Hosted, Record: fmt.Appendf(nil, "fhosted %d", g)}
	cached := refs.Edge{Kind: refs.Cached, Record: fmt.Appendf(nil, "fcached %d", g)}
	for i := range rounds {
		blob, err := b.commit(body(i), hosted)
		if err != nil {
			b.t.Error(err)
		}
		if !b.there(blob) {
			b.t.Errorf("published bytes are gone in round %d", i)
		}
		if _, err := b.commit(body(i+1), cached); err != nil {
			b.t.Error(err)
		}
		err = b.index.Update(context.Background(), func(w cache.Writer) error {
			return errors.Join(w.Delete(hosted.Record), refs.Unlink(w, blob.Digest, hosted, b.now))
		})
		if err != nil {
			b.t.Error(err)
		}
	}
}

// wantWhole: what is recorded is there, and what is there is recorded.
func (b *bench) wantWhole() {
	b.t.Helper()
	err := b.index.View(context.Background(), func(r cache.Reader) error {
		for info, err := range refs.Blobs(r, nil) {
			if err != nil {
				return err
			}
			if !b.there(info.Blob) {
				b.t.Errorf("%s is recorded and not there", info.Blob.Digest)
			}
		}
		for blob, err := range b.store.List(context.Background()) {
			if err != nil {
				return err
			}
			if _, err := refs.Lookup(r, blob.Digest); err != nil {
				b.t.Errorf("%s is there for nothing: %v", blob.Digest, err)
			}
		}
		return nil
	})
	if err != nil {
		b.t.Fatal(err)
	}
}

// A lowered budget is reached by Run alone, which ends with its context.
func TestRun(t *testing.T) {
	b := newBench(t, 1<<20)
	blobs := b.fill(10)
	freed := make(chan int, 10)
	b.evict.opt.OnEvict = func(n int, _ int64) { freed <- n }
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		b.evict.Run(ctx, func(err error) { t.Error(err) })
		close(ended)
	}()
	b.evict.SetBudget(each)
	for gone := 0; gone < 9; {
		gone += <-freed
	}
	cancel()
	<-ended
	b.gc(false) // what the end of Run left: intents, which are as good as a deletion
	if left := b.left(blobs); len(left) > 1 {
		t.Errorf("left: %v", left)
	}
}
