package badger

import (
	"context"
	"strings"
	"sync"
	"testing"

	db "github.com/dgraph-io/badger/v4"

	"larder/cache"
)

// stuck is a log of the database that holds a commit where it is being written.
type stuck struct {
	db.Logger
	armed            chan struct{} // holds one token for each commit to hold
	reached, release chan struct{}
}

func (s *stuck) Debugf(format string, _ ...any) {
	if !strings.HasPrefix(format, "Writing to memtable") {
		return
	}
	select {
	case <-s.armed:
		close(s.reached)
		<-s.release
	default:
	}
}

// A reader does not wait for the disk of a writer: it sees what was there
// before. Whoever reads after the write was acknowledged sees it.
func TestReadsDoNotWaitForACommit(t *testing.T) {
	s := &stuck{Logger: logger{}, armed: make(chan struct{}, 1), reached: make(chan struct{}), release: make(chan struct{})}
	ix, err := open(Options{}.database(t.TempDir()).WithLogger(s), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer ix.Close()
	if err := ix.Update(t.Context(), putOne("before")); err != nil {
		t.Fatal(err)
	}
	s.armed <- struct{}{}
	written := make(chan error, 1)
	go func() { written <- ix.Update(context.Background(), putOne("meanwhile")) }()
	<-s.reached
	ctx, cancel := context.WithCancel(t.Context())
	read := make(chan struct{})
	go func() {
		defer close(read)
		if !has(t, ix, "before") || has(t, ix, "meanwhile") {
			t.Error("a reader saw something else than the last state that was acknowledged")
		}
		cancel()
	}()
	// The commit cannot end before it is released, so a reader who waits for it
	// never gets here.
	<-ctx.Done()
	close(s.release)
	if err := <-written; err != nil {
		t.Fatal(err)
	}
	<-read
	if !has(t, ix, "meanwhile") {
		t.Error("what was acknowledged is not seen")
	}
}

// A snapshot lives as long as its reader, however many commits pass over it.
func TestEpochsOutliveCommits(t *testing.T) {
	ix := openHere(t, Options{})
	if err := ix.Update(t.Context(), putOne("a")); err != nil {
		t.Fatal(err)
	}
	old := ix.latest
	var readers sync.WaitGroup
	if err := ix.View(t.Context(), func(r cache.Reader) error {
		for range 8 {
			readers.Go(func() {
				for range 50 {
					if !has(t, ix, "a") {
						t.Error("a is gone")
					}
				}
			})
		}
		for range 50 {
			if err := ix.Update(t.Context(), putOne("b")); err != nil {
				return err
			}
		}
		readers.Wait()
		if _, err := r.Get([]byte("b")); err == nil {
			t.Error("a snapshot moved")
		}
		if n := old.users.Load(); n != 1 {
			t.Errorf("the first epoch has %d users while one reads it", n)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if n := old.users.Load(); n != 0 {
		t.Errorf("the first epoch has %d users after all have left", n)
	}
	if n := ix.latest.users.Load(); n != 1 {
		t.Errorf("the latest epoch has %d users while nobody reads", n)
	}
}
