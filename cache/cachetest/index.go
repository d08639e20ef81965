package cachetest

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"

	"larder/cache"
)

// OpenIndex opens the Index kept in dir, an empty folder at first. The suite
// closes what it opens.
type OpenIndex func(t *testing.T, dir string) cache.Index

// Index runs the contract of cache.Index.
func Index(t *testing.T, open OpenIndex) {
	for name, check := range map[string]func(*testing.T, cache.Index){
		"a missing record":                 indexMissing,
		"writes are seen within":           indexReadYourWrites,
		"a failing update leaves nothing":  indexFailure,
		"a panicking update":               indexPanic,
		"rows in byte order":               indexScanOrder,
		"scan merges pending writes":       indexScanPending,
		"write while scanning":             indexScanWriting,
		"a scan stops when asked":          indexScanStops,
		"a view is a snapshot":             indexSnapshot,
		"slices belong to the caller":      indexCopies,
		"limits of keys and values":        indexLimits,
		"updates run one after the other":  indexSerial,
		"many records deleted in pages":    indexPages,
		"a cancelled context":              indexCancelled,
		"cancelled at any time, yet whole": indexAtomic,
		"closed":                           indexClosed,
	} {
		t.Run(name, func(t *testing.T) {
			ix := open(t, t.TempDir())
			t.Cleanup(func() { _ = ix.Close() })
			check(t, ix)
		})
	}
}

// IndexReopen runs, beside Index, what backends owe that outlive a Close.
func IndexReopen(t *testing.T, open OpenIndex) {
	dir := t.TempDir()
	ix := open(t, dir)
	put(t, ix, "kept", "1")
	put(t, ix, "gone", "1")
	update(t, ix, func(w cache.Writer) error { return w.Delete([]byte("gone")) })
	for range 3 {
		if err := ix.Close(); err != nil {
			t.Fatal(err)
		}
		ix = open(t, dir)
		want(t, ix, "", "kept=1")
	}
	put(t, ix, "more", "2")
	want(t, ix, "", "kept=1", "more=2")
	if err := ix.Close(); err != nil {
		t.Fatal(err)
	}
}

func update(t *testing.T, ix cache.Index, fn func(cache.Writer) error) {
	t.Helper()
	if err := ix.Update(t.Context(), fn); err != nil {
		t.Fatalf("update: %v", err)
	}
}

func put(t *testing.T, ix cache.Index, key, value string) {
	t.Helper()
	update(t, ix, func(w cache.Writer) error { return w.Put([]byte(key), []byte(value)) })
}

// rows returns "key=value" of each row.
func rows(r cache.Reader, prefix, after string) ([]string, error) {
	var all []string
	for row, err := range r.Scan([]byte(prefix), []byte(after)) {
		if err != nil {
			return nil, err
		}
		all = append(all, string(row.Key)+"="+string(row.Value))
	}
	return all, nil
}

func want(t *testing.T, ix cache.Index, prefix string, expect ...string) {
	t.Helper()
	if err := ix.View(t.Context(), func(r cache.Reader) error {
		return same(r, prefix, "", expect...)
	}); err != nil {
		t.Fatal(err)
	}
}

func same(r cache.Reader, prefix, after string, expect ...string) error {
	got, err := rows(r, prefix, after)
	if err == nil && !slices.Equal(got, expect) {
		err = fmt.Errorf("rows of %q after %q: got %q, want %q", prefix, after, got, expect)
	}
	return err
}

func expectMissing(r cache.Reader, key string) error {
	if v, err := r.Get([]byte(key)); !errors.Is(err, cache.ErrNotExist) {
		return fmt.Errorf("get %q: got %q, %v, want ErrNotExist", key, v, err)
	}
	return nil
}

func indexMissing(t *testing.T, ix cache.Index) {
	update(t, ix, func(w cache.Writer) error {
		return errors.Join(expectMissing(w, "a"), w.Delete([]byte("a")), expectMissing(w, "a"))
	})
	want(t, ix, "")
}

func indexReadYourWrites(t *testing.T, ix cache.Index) {
	put(t, ix, "old", "1")
	update(t, ix, func(w cache.Writer) error {
		if err := errors.Join(
			w.Put([]byte("new"), []byte("1")), w.Put([]byte("new"), []byte("2")),
			w.Delete([]byte("old")), expectMissing(w, "old"),
			w.Put([]byte("brief"), nil), w.Delete([]byte("brief")), expectMissing(w, "brief"),
			w.Delete([]byte("back")), w.Put([]byte("back"), []byte("3")),
		); err != nil {
			return err
		}
		return same(w, "", "", "back=3", "new=2")
	})
	want(t, ix, "", "back=3", "new=2")
}

func indexFailure(t *testing.T, ix cache.Index) {
	put(t, ix, "a", "1")
	cause := errors.New("no")
	err := ix.Update(t.Context(), func(w cache.Writer) error {
		return errors.Join(w.Put([]byte("a"), []byte("2")), w.Put([]byte("b"), nil), w.Delete([]byte("a")), cause)
	})
	if !errors.Is(err, cause) {
		t.Fatalf("got %v, want the function's own error", err)
	}
	if err := ix.View(t.Context(), func(cache.Reader) error { return cause }); !errors.Is(err, cause) {
		t.Fatalf("view: got %v, want the function's own error", err)
	}
	want(t, ix, "", "a=1")
}

func indexPanic(t *testing.T, ix cache.Index) {
	func() {
		defer func() { _ = recover() }()
		err := ix.Update(context.Background(), func(w cache.Writer) error {
			_ = w.Put([]byte("a"), []byte("1"))
			panic("out of luck")
		})
		if err == nil {
			t.Error("a panicking update was reported as done")
		}
	}()
	want(t, ix, "")
	put(t, ix, "a", "2")
	want(t, ix, "", "a=2")
}

func indexSnapshot(t *testing.T, ix cache.Index) {
	put(t, ix, "a", "1")
	put(t, ix, "b", "1")
	if err := ix.View(t.Context(), func(r cache.Reader) error {
		put(t, ix, "a", "2")
		put(t, ix, "c", "2")
		update(t, ix, func(w cache.Writer) error { return w.Delete([]byte("b")) })
		return errors.Join(same(r, "", "", "a=1", "b=1"), expectMissing(r, "c"))
	}); err != nil {
		t.Error(err)
	}
	want(t, ix, "", "a=2", "c=2")
}

func indexCopies(t *testing.T, ix cache.Index) {
	key, value := []byte("key"), []byte("value")
	update(t, ix, func(w cache.Writer) error {
		if err := w.Put(key, value); err != nil {
			return err
		}
		key[0], value[0] = 'X', 'X'
		return same(w, "", "", "key=value")
	})
	spoil := func(r cache.Reader) error {
		for row, err := range r.Scan(nil, nil) {
			if err != nil {
				return err
			}
			clear(row.Key)
			clear(row.Value)
		}
		got, err := r.Get([]byte("key"))
		clear(got)
		return errors.Join(err, same(r, "", "", "key=value"))
	}
	if err := ix.View(t.Context(), spoil); err != nil {
		t.Error(err)
	}
	update(t, ix, func(w cache.Writer) error {
		return errors.Join(w.Put([]byte("key"), []byte("value")), spoil(w))
	})
	want(t, ix, "", "key=value")
}

func indexLimits(t *testing.T, ix cache.Index) {
	long := bytes.Repeat([]byte{'k'}, cache.MaxKey)
	big := bytes.Repeat([]byte{'v'}, cache.MaxValue)
	update(t, ix, func(w cache.Writer) error {
		return errors.Join(w.Put(long, big), w.Put([]byte("empty"), []byte{}), w.Put([]byte("nil"), nil))
	})
	if err := ix.View(t.Context(), func(r cache.Reader) error {
		got, err := r.Get(long)
		if err != nil || !bytes.Equal(got, big) {
			return fmt.Errorf("largest record: %d bytes, %v", len(got), err)
		}
		for _, key := range []string{"empty", "nil"} {
			if got, err := r.Get([]byte(key)); err != nil || len(got) != 0 {
				return fmt.Errorf("record %q: %q, %v", key, got, err)
			}
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
	for name, fn := range map[string]func(cache.Writer) error{
		"long key":        func(w cache.Writer) error { return w.Put(append(long, 'k'), nil) },
		"long key, gone":  func(w cache.Writer) error { return w.Delete(append(long, 'k')) },
		"no key":          func(w cache.Writer) error { return w.Put(nil, []byte("v")) },
		"big value":       func(w cache.Writer) error { return w.Put([]byte("k"), append(big, 'v')) },
		"error swallowed": func(w cache.Writer) error { _ = w.Put([]byte("k"), append(big, 'v')); return nil },
	} {
		err := ix.Update(t.Context(), func(w cache.Writer) error {
			return errors.Join(w.Put([]byte("beside"), nil), fn(w))
		})
		if err == nil {
			t.Errorf("%s: taken", name)
		}
	}
	want(t, ix, "beside")
}

func indexSerial(t *testing.T, ix cache.Index) {
	const writers, total = 16, 10_000
	errs := make(chan error, writers)
	for range writers {
		go func() {
			for range total / writers {
				if err := ix.Update(context.Background(), addOne); err != nil {
					errs <- err
					return
				}
			}
			errs <- nil
		}()
	}
	for range writers {
		if err := <-errs; err != nil {
			t.Fatal(err)
		}
	}
	if err := ix.View(t.Context(), func(r cache.Reader) error {
		got, err := r.Get([]byte("counter"))
		if err == nil && binary.BigEndian.Uint64(got) != total {
			err = fmt.Errorf("counter is %d, want %d", binary.BigEndian.Uint64(got), total)
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
}

func addOne(w cache.Writer) error {
	var n uint64
	got, err := w.Get([]byte("counter"))
	switch {
	case err == nil:
		n = binary.BigEndian.Uint64(got)
	case !errors.Is(err, cache.ErrNotExist):
		return err
	}
	return w.Put([]byte("counter"), binary.BigEndian.AppendUint64(nil, n+1))
}

func indexCancelled(t *testing.T, ix cache.Index) {
	ctx, cancel := context.WithCancel(t.Context())
	err := ix.Update(ctx, func(w cache.Writer) error {
		return w.Put([]byte("a"), []byte("1"))
	})
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	ran := false
	err = ix.Update(ctx, func(w cache.Writer) error {
		ran = true
		return w.Put([]byte("b"), []byte("1"))
	})
	if !errors.Is(err, context.Canceled) || ran {
		t.Errorf("update: got %v, ran %v, want context.Canceled and nothing run", err, ran)
	}
	if err := ix.View(ctx, func(cache.Reader) error { return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("view: got %v, want context.Canceled", err)
	}
	want(t, ix, "", "a=1")
}

// indexAtomic cancels updates of two records at any moment; whatever comes of
// each, it came of both.
func indexAtomic(t *testing.T, ix cache.Index) {
	var all sync.WaitGroup
	for i := range 64 {
		all.Go(func() {
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			if i%2 == 0 {
				go cancel()
			}
			err := ix.Update(ctx, func(w cache.Writer) error {
				value := fmt.Appendf(nil, "%d", i)
				return errors.Join(w.Put(fmt.Appendf(nil, "l%d", i), value), w.Put(fmt.Appendf(nil, "r%d", i), value))
			})
			if err != nil && (!errors.Is(err, context.Canceled) || i%2 == 1) {
				t.Errorf("update %d: %v", i, err)
			}
		})
	}
	all.Wait()
	if err := ix.View(t.Context(), func(r cache.Reader) error {
		for i := range 64 {
			_, left := r.Get(fmt.Appendf(nil, "l%d", i))
			_, right := r.Get(fmt.Appendf(nil, "r%d", i))
			if (left == nil) != (right == nil) || i%2 == 1 && left != nil {
				return fmt.Errorf("update %d: left %v, right %v", i, left, right)
			}
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
}
