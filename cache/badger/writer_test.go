package badger

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"larder/cache"
)

func openHere(t testing.TB, o Options) *Index {
	t.Helper()
	ix, err := Open(t.TempDir(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := ix.Close(); err != nil {
			t.Error(err)
		}
	})
	return ix
}

func putOne(key string) func(cache.Writer) error {
	return func(w cache.Writer) error { return w.Put([]byte(key), []byte(key)) }
}

func has(t *testing.T, ix *Index, key string) bool {
	t.Helper()
	var found error
	if err := ix.View(t.Context(), func(r cache.Reader) error {
		_, found = r.Get([]byte(key))
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return found == nil
}

// gate holds the writer back, so that calls queue up behind it.
func gate(ix *Index) (open func()) {
	running, release := make(chan struct{}), make(chan struct{})
	done := make(chan error)
	go func() {
		done <- ix.Update(context.Background(), func(cache.Writer) error {
			close(running)
			<-release
			return nil
		})
	}()
	<-running
	return func() {
		close(release)
		<-done
	}
}

// queued starts the calls and waits until all of them are in the queue.
func queued(ix *Index, fns ...func(cache.Writer) error) (outcome func() []error) {
	errs := make([]error, len(fns))
	var all sync.WaitGroup
	for i, fn := range fns {
		before := len(ix.queue)
		all.Go(func() { errs[i] = ix.Update(context.Background(), fn) })
		for len(ix.queue) == before {
			runtime.Gosched()
		}
	}
	return func() []error {
		all.Wait()
		return errs
	}
}

func TestOneCommitForAllThatWait(t *testing.T) {
	ix := openHere(t, Options{})
	var commits atomic.Int32
	ix.commit = func(o *overlay) error {
		commits.Add(1)
		return ix.apply(o)
	}
	release := gate(ix)
	outcome := queued(ix,
		putOne("a"),
		func(w cache.Writer) error { return errors.Join(w.Put([]byte("b"), nil), errors.New("no")) },
		func(w cache.Writer) error {
			_ = w.Put([]byte("a"), []byte("spoilt"))
			panic("bad caller")
		},
		func(w cache.Writer) error {
			got, err := w.Get([]byte("a"))
			if err != nil || string(got) != "a" {
				return fmt.Errorf("got %q, %v: a failed update left something", got, err)
			}
			return w.Put([]byte("c"), nil)
		},
		func(cache.Writer) error { return errors.New("failed before it wrote") },
	)
	release()
	errs := outcome()
	for i, fails := range []bool{false, true, true, false, true} {
		if (errs[i] != nil) != fails {
			t.Errorf("update %d: %v", i, errs[i])
		}
	}
	if n := commits.Load(); n != 1 {
		t.Errorf("%d commits, want 1", n)
	}
	if !has(t, ix, "a") || has(t, ix, "b") || !has(t, ix, "c") {
		t.Errorf("a, b, c present: %v %v %v, want all but b", has(t, ix, "a"), has(t, ix, "b"), has(t, ix, "c"))
	}
	if err := ix.Healthy(); err != nil {
		t.Error(err)
	}
}

func TestAFullBatchEnds(t *testing.T) {
	ix := openHere(t, Options{})
	var commits atomic.Int32
	ix.commit = func(o *overlay) error {
		commits.Add(1)
		return ix.apply(o)
	}
	large := func(name string) func(cache.Writer) error {
		return func(w cache.Writer) error {
			for i := range 10 {
				if err := w.Put(fmt.Appendf(nil, "%s%d", name, i), make([]byte, cache.MaxValue)); err != nil {
					return err
				}
			}
			return nil
		}
	}
	release := gate(ix)
	outcome := queued(ix, large("a"), large("b"), large("c"))
	release()
	for i, err := range outcome() {
		if err != nil {
			t.Errorf("update %d: %v", i, err)
		}
	}
	if n := commits.Load(); n != 2 {
		t.Errorf("%d commits, want 2: two functions pass 512 KiB, the third is alone", n)
	}
}

func TestBatchesFitBadger(t *testing.T) {
	ix := openHere(t, Options{})
	if most := int64(maxBatchBytes + maxUpdateBytes); most > ix.db.MaxBatchSize() {
		t.Errorf("a batch may reach %d bytes, the database takes %d", most, ix.db.MaxBatchSize())
	}
	if most := int64(maxBatchRows + maxUpdateRows); most > ix.db.MaxBatchCount() {
		t.Errorf("a batch may reach %d records, the database takes %d", most, ix.db.MaxBatchCount())
	}
}

func TestTooBig(t *testing.T) {
	ix := openHere(t, Options{})
	for name, fn := range map[string]func(cache.Writer, int) error{
		"bytes": func(w cache.Writer, i int) error {
			return w.Put([]byte{byte(i), byte(i >> 8)}, make([]byte, cache.MaxValue))
		},
		"records": func(w cache.Writer, i int) error { return w.Delete(fmt.Appendf(nil, "%d", i)) },
		"one key": func(w cache.Writer, i int) error { return w.Put([]byte("same"), nil) },
	} {
		err := ix.Update(t.Context(), func(w cache.Writer) error {
			for i := range maxUpdateRows + 1 {
				if err := fn(w, i); err != nil {
					return err
				}
			}
			return nil
		})
		if !errors.Is(err, errTooBig) {
			t.Errorf("%s: got %v, want %v", name, err, errTooBig)
		}
	}
	if err := ix.Update(t.Context(), putOne("after")); err != nil {
		t.Error(err)
	}
}

func TestAFailedCommitStopsWrites(t *testing.T) {
	ix := openHere(t, Options{})
	if err := ix.Update(t.Context(), putOne("before")); err != nil {
		t.Fatal(err)
	}
	disk := errors.New("input/output error")
	ix.commit = func(*overlay) error { return disk }
	release := gate(ix)
	errs := queued(ix, putOne("a"), func(cache.Writer) error { return errors.New("exists") })
	release()
	for i, err := range errs() {
		if !errors.Is(err, cache.ErrUnhealthy) || !errors.Is(err, disk) {
			t.Errorf("update %d: got %v, want ErrUnhealthy and the cause", i, err)
		}
	}
	ix.commit = ix.apply
	if err := ix.Update(t.Context(), putOne("b")); !errors.Is(err, cache.ErrUnhealthy) {
		t.Errorf("a later update: got %v, want ErrUnhealthy", err)
	}
	if !errors.Is(ix.Healthy(), cache.ErrUnhealthy) {
		t.Error("the index calls itself healthy")
	}
	if !has(t, ix, "before") || has(t, ix, "a") || has(t, ix, "b") {
		t.Error("reads must go on and show what was committed, nothing more")
	}
}

func TestCriticalRefusesWrites(t *testing.T) {
	var critical atomic.Bool
	ix := openHere(t, Options{Critical: critical.Load})
	if err := ix.Update(t.Context(), putOne("a")); err != nil {
		t.Fatal(err)
	}
	critical.Store(true)
	if err := ix.Update(t.Context(), putOne("b")); !errors.Is(err, cache.ErrFull) {
		t.Errorf("got %v, want ErrFull", err)
	}
	if !has(t, ix, "a") {
		t.Error("reads must go on")
	}
	critical.Store(false)
	if err := ix.Update(t.Context(), putOne("b")); err != nil {
		t.Error(err)
	}
}

func TestAFunctionThatExits(t *testing.T) {
	ix := openHere(t, Options{})
	err := ix.Update(t.Context(), func(w cache.Writer) error {
		_ = w.Put([]byte("a"), nil)
		runtime.Goexit()
		return nil
	})
	if !errors.Is(err, errExited) {
		t.Fatalf("got %v, want %v", err, errExited)
	}
	if err := ix.Update(t.Context(), putOne("b")); err != nil {
		t.Fatal(err)
	}
	if has(t, ix, "a") || !has(t, ix, "b") {
		t.Error("want b alone")
	}
}

func TestGivingUpInTheQueue(t *testing.T) {
	ix := openHere(t, Options{})
	release := gate(ix)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- ix.Update(ctx, putOne("a")) }()
	for len(ix.queue) == 0 {
		runtime.Gosched()
	}
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context.Canceled before the writer is free", err)
	}
	release()
	if err := ix.Update(t.Context(), putOne("b")); err != nil {
		t.Fatal(err)
	}
	if has(t, ix, "a") {
		t.Error("what was given up was written")
	}
}

func TestLogHook(t *testing.T) {
	var mu sync.Mutex
	var lines []string
	ix, err := Open(t.TempDir(), Options{Log: func(level, message string) {
		mu.Lock()
		defer mu.Unlock()
		lines = append(lines, level+": "+message)
	}})
	if err != nil {
		t.Fatal(err)
	}
	if err := ix.Close(); err != nil {
		t.Fatal(err)
	}
	mu.Lock()
	defer mu.Unlock()
	if len(lines) == 0 || !strings.HasPrefix(lines[0], "info: ") {
		t.Errorf("got %q, want what the database says at open", lines)
	}
}

func TestOverlayRollback(t *testing.T) {
	var o overlay
	add := func(key, value string) { o.put(&write{key: []byte(key), value: []byte(value)}) }
	add("b", "1")
	add("d", "1")
	o.keep()
	size := o.size
	add("a", "new")
	add("b", "longer than before")
	add("b", "again")
	o.put(&write{key: []byte("d"), deleted: true})
	add("c", "x")
	o.rollback()
	var got bytes.Buffer
	for _, w := range o.writes {
		fmt.Fprintf(&got, "%s=%s %v;", w.key, w.value, w.deleted)
	}
	if got.String() != "b=1 false;d=1 false;" || o.size != size {
		t.Errorf("got %s and %d bytes, want what was there and %d", &got, o.size, size)
	}
}
