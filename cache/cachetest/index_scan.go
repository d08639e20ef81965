package cachetest

import (
	"errors"
	"fmt"
	"testing"

	"larder/cache"
)

func indexScanOrder(t *testing.T, ix cache.Index) {
	for _, key := range []string{"b\x00", "a\xff", "c", "a", "b", "a\xff\xff", "ab", "b\xff", "a\x00"} {
		put(t, ix, key, "")
	}
	view := func(prefix, after string, expect ...string) {
		t.Helper()
		for i := range expect {
			expect[i] += "="
		}
		if err := ix.View(t.Context(), func(r cache.Reader) error { return same(r, prefix, after, expect...) }); err != nil {
			t.Error(err)
		}
	}
	view("", "", "a", "a\x00", "ab", "a\xff", "a\xff\xff", "b", "b\x00", "b\xff", "c")
	view("a", "", "a", "a\x00", "ab", "a\xff", "a\xff\xff")
	view("a\xff", "", "a\xff", "a\xff\xff")
	view("b", "b", "b\x00", "b\xff")
	view("b", "b\x00", "b\xff")
	view("b", "b\x7f", "b\xff")
	view("b", "a", "b", "b\x00", "b\xff")
	view("b", "b\xff")
	view("b", "c")
	view("d", "")
}

func indexScanPending(t *testing.T, ix cache.Index) {
	for _, key := range []string{"a", "c", "e", "g"} {
		put(t, ix, key, "old")
	}
	update(t, ix, func(w cache.Writer) error {
		for _, key := range []string{"0", "b", "c", "h", "i"} {
			if err := w.Put([]byte(key), []byte("new")); err != nil {
				return err
			}
		}
		if err := errors.Join(w.Delete([]byte("a")), w.Delete([]byte("g")), w.Delete([]byte("i"))); err != nil {
			return err
		}
		return errors.Join(
			same(w, "", "", "0=new", "b=new", "c=new", "e=old", "h=new"),
			same(w, "", "b", "c=new", "e=old", "h=new"),
			same(w, "", "bb", "c=new", "e=old", "h=new"),
			same(w, "a", ""), same(w, "c", "", "c=new"), same(w, "c", "c"), same(w, "h", "", "h=new"),
		)
	})
	want(t, ix, "", "0=new", "b=new", "c=new", "e=old", "h=new")
}

func indexScanWriting(t *testing.T, ix cache.Index) {
	for _, key := range []string{"a1", "a2", "a3", "a4"} {
		put(t, ix, key, "old")
	}
	update(t, ix, func(w cache.Writer) error {
		if err := w.Put([]byte("a5"), []byte("old")); err != nil {
			return err
		}
		seen := 0
		for row, err := range w.Scan([]byte("a"), nil) {
			if err == nil {
				seen++
				err = errors.Join(w.Delete(row.Key), w.Put(append([]byte("b"), row.Key...), row.Value))
			}
			if err != nil {
				return err
			}
		}
		if seen != 5 {
			return fmt.Errorf("the scan gave %d rows, want 5", seen)
		}
		return nil
	})
	want(t, ix, "", "ba1=old", "ba2=old", "ba3=old", "ba4=old", "ba5=old")
}

func indexScanStops(t *testing.T, ix cache.Index) {
	for _, key := range []string{"a", "b", "c"} {
		put(t, ix, key, "")
	}
	first := func(r cache.Reader) error {
		for row, err := range r.Scan(nil, nil) {
			if err != nil || string(row.Key) != "a" {
				return fmt.Errorf("first row: %q, %v", row.Key, err)
			}
			break
		}
		return nil
	}
	if err := ix.View(t.Context(), first); err != nil {
		t.Fatal(err)
	}
	update(t, ix, func(w cache.Writer) error {
		return errors.Join(w.Put([]byte("aa"), nil), first(w), first(w))
	})
}

func indexPages(t *testing.T, ix cache.Index) {
	const total, page = 100_000, 1_000
	for at := 0; at < total; at += page {
		update(t, ix, func(w cache.Writer) error {
			for i := at; i < at+page; i++ {
				if err := w.Put(fmt.Appendf(nil, "n%06d", i), []byte("x")); err != nil {
					return err
				}
			}
			return nil
		})
	}
	put(t, ix, "o", "")
	var after []byte
	for deleted := 0; deleted < total; {
		var keys [][]byte
		if err := ix.View(t.Context(), func(r cache.Reader) error {
			for row, err := range r.Scan([]byte("n"), after) {
				if err != nil || len(keys) == page {
					return err
				}
				keys = append(keys, row.Key)
			}
			return nil
		}); err != nil || len(keys) != page {
			t.Fatalf("after %d records: a page of %d, %v", deleted, len(keys), err)
		}
		update(t, ix, func(w cache.Writer) error {
			for _, key := range keys {
				if err := w.Delete(key); err != nil {
					return err
				}
			}
			return nil
		})
		deleted += len(keys)
		after = keys[len(keys)-1]
	}
	want(t, ix, "", "o=")
}
