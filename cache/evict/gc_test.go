package evict

import (
	"context"
	"testing"
	"time"

	"larder/cache"
	"larder/cache/refs"
)

// The process dies between the transaction and the unlink, or just after it.
func TestCrashBeforeTheUnlink(t *testing.T) {
	for _, unlinked := range []bool{false, true} {
		b := newBench(t, 1<<20)
		blob := b.add("a", refs.Cached)
		err := b.index.Update(context.Background(), func(w cache.Writer) error {
			for c, err := range refs.Oldest(w, refs.Probation, nil) {
				if err != nil {
					return err
				}
				_, err = refs.Evict(w, c, b.now)
				return err
			}
			return nil
		})
		if err != nil || !b.there(blob) {
			t.Fatalf("the file must still be there (%v)", err)
		}
		if r := b.gc(true); r.Blobs != 1 || !b.there(blob) {
			t.Fatalf("dry run: %+v", r)
		}
		if unlinked {
			if err := b.store.Delete(context.Background(), blob.Digest); err != nil {
				t.Fatal(err)
			}
		}
		if err := b.keep(); err != nil || b.there(blob) { // the restart
			t.Fatalf("after the restart: %v", err)
		}
		if r := b.gc(false); r.Blobs != 0 {
			t.Fatalf("the intent is still there: %+v", r)
		}
	}
}

func TestLeasesEnd(t *testing.T) {
	b := newBench(t, 1<<20)
	blob, shared := b.add("a", refs.Upload), b.add("b", refs.Hosted)
	for _, blob := range []cache.Blob{blob, shared} {
		err := b.index.Update(context.Background(), func(w cache.Writer) error {
			return refs.Link(w, blob, refs.Edge{Kind: refs.Upload, Record: []byte("fa"), Expires: b.now.Add(time.Hour)}, b.now)
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if r := b.gc(false); r.Expired != 0 || !b.there(blob) {
		t.Fatalf("before the leases ended: %+v", r)
	}
	b.now = b.now.Add(2 * time.Hour)
	// The dry run says what the real one does.
	if r := b.gc(true); r.Expired != 2 || r.Blobs != 1 || r.Bytes != blob.Size || !b.there(blob) {
		t.Fatalf("dry run: %+v", r)
	}
	if r := b.gc(false); r.Expired != 2 || r.Blobs != 1 || r.Bytes != blob.Size || b.there(blob) || !b.there(shared) {
		t.Fatalf("after the leases ended: %+v", r)
	}
	if r := b.gc(false); r.Expired != 0 || r.Blobs != 0 {
		t.Fatalf("the second time: %+v", r)
	}
}

// A retracted file goes when its time has come and not before, and one that
// was published again meanwhile stays.
func TestRetractedFiles(t *testing.T) {
	b := newBench(t, 1<<20)
	gone, back := b.add("a", refs.Hosted), b.add("b", refs.Hosted)
	err := b.index.Update(context.Background(), func(w cache.Writer) error {
		for name, blob := range map[string]cache.Blob{"fa": gone, "fb": back} {
			if err := refs.Unlink(w, blob.Digest, refs.Edge{Kind: refs.Hosted, Record: []byte(name)}, b.now.Add(time.Hour)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := b.keep(); err != nil || !b.there(gone) {
		t.Fatalf("gone before its time (%v)", err)
	}
	b.add("b", refs.Hosted)
	b.now = b.now.Add(time.Hour)
	if err := b.keep(); err != nil || b.there(gone) || !b.there(back) {
		t.Errorf("there: %v and %v (%v)", b.there(gone), b.there(back), err)
	}
}

// More than a page is due.
func TestMuchIsDue(t *testing.T) {
	b := newBench(t, 1<<30)
	blobs := b.fill(2*batch + 3)
	err := b.index.Update(context.Background(), func(w cache.Writer) error {
		for _, blob := range blobs {
			if _, err := refs.DropCached(w, blob.Digest, b.now); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if r := b.gc(false); r.Blobs != len(blobs) || len(b.left(blobs)) != 0 {
		t.Errorf("%+v, %d left", r, len(b.left(blobs)))
	}
}
