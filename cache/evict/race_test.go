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
	const bodies, rounds = 4, 60
	b := newBenchOn(t, 1<<20, memory.NewIndex(), memory.NewStore())
	body := func(i int) []byte { return bytes.Repeat(fmt.Appendf(nil, "body %d ", i%bodies), 400) }
	var all sync.WaitGroup
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
	var work sync.WaitGroup
	for g := range 3 {
		work.Go(func() {
			for i := range rounds {
				record := fmt.Appendf(nil, "fhosted %d", g)
				blob, err := b.commit(body(i), refs.Edge{Kind: refs.Hosted, Record: record})
				if err != nil {
					t.Error(err)
				}
				if !b.there(blob) {
					t.Errorf("published bytes are gone in round %d", i)
				}
				if _, err := b.commit(body(i+1), refs.Edge{Kind: refs.Cached, Record: fmt.Appendf(nil, "fcached %d", g)}); err != nil {
					t.Error(err)
				}
				err = b.index.Update(context.Background(), func(w cache.Writer) error {
					return errors.Join(w.Delete(record), refs.Unlink(w, blob.Digest, refs.Edge{Kind: refs.Hosted, Record: record}, b.now))
				})
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	work.Wait()
	close(stop)
	all.Wait()
	b.gc(false)
	err := b.index.View(context.Background(), func(r cache.Reader) error {
		for info, err := range refs.Blobs(r, nil) {
			if err != nil {
				return err
			}
			if !b.there(info.Blob) {
				t.Errorf("%s is recorded and not there", info.Blob.Digest)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for blob, err := range b.store.List(context.Background()) {
		if err != nil {
			t.Fatal(err)
		}
		err := b.index.View(context.Background(), func(r cache.Reader) error {
			_, err := refs.Lookup(r, blob.Digest)
			return err
		})
		if err != nil {
			t.Errorf("%s is there for nothing: %v", blob.Digest, err)
		}
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
