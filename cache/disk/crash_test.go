package disk_test

import (
	"context"
	"errors"
	"slices"
	"testing"

	"larder/cache"
	"larder/cache/disk"
	"larder/cache/disk/faultfs"
)

// history is what a run before the power cut was told.
type history struct {
	stored  [][]byte // acknowledged, and nobody tried to remove them
	removed [][]byte // somebody tried to
}

func (h *history) forget(b []byte) {
	h.stored = slices.DeleteFunc(h.stored, func(x []byte) bool { return digestOf(x) == digestOf(b) })
	h.removed = append(h.removed, b)
}

// life is a short run of a store: new, equal and unannounced blobs, one given
// up, one deleted, one put in quarantine. It ends with the first error.
func life(ctx context.Context, s *disk.Store, h *history) error {
	a, b, c := body("a", 1000), body("b", 200_000), body("c", 70_000)
	for _, step := range []struct {
		bytes     []byte
		announced bool
	}{{a, true}, {b, false}, {a, true}, {c, true}} {
		if _, err := put(ctx, s, step.bytes, step.announced); err != nil {
			return err
		}
		h.stored = append(h.stored, step.bytes)
	}
	p, err := s.Begin(ctx, 100)
	if err != nil {
		return err
	}
	if _, err := p.Write(make([]byte, 50)); err != nil {
		p.Abort(err)
		return err
	}
	p.Abort(nil)
	h.forget(a)
	if err := s.Delete(ctx, digestOf(a)); err != nil {
		return err
	}
	h.forget(c)
	if err := s.Quarantine(ctx, digestOf(c)); err != nil {
		return err
	}
	if _, err := put(ctx, s, c, true); err != nil {
		return err
	}
	h.stored = append(h.stored, c)
	return nil
}

// TestPowerCut cuts the power before every single change of the disk, from the
// first start on, with and without the names that were not yet synced. What
// was acknowledged must be there, all that is there must be whole, and nothing
// unfinished may be left.
func TestPowerCut(t *testing.T) {
	for _, loss := range []faultfs.Loss{faultfs.LoseNames, faultfs.KeepNames, faultfs.KeepLengths} {
		for n := 0; ; n++ {
			if cutAfter(t, n, loss) {
				break // the run came to its end
			}
			if n > 200 {
				t.Fatal("the run never ends")
			}
		}
	}
}

// cutAfter reports whether the life was over before the power went.
func cutAfter(t *testing.T, n int, loss faultfs.Loss) bool {
	root, fsys := t.TempDir(), faultfs.New()
	var h history
	fsys.PowerOffAfter(n)
	s, err := openSmall(root, fsys)
	if err == nil {
		err = life(t.Context(), s, &h)
	}
	if err != nil && !errors.Is(err, faultfs.ErrPower) {
		t.Fatalf("cut after %d changes: %v", n, err)
	}
	over := err == nil
	if s != nil {
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if err := fsys.PowerCut(loss); err != nil {
		t.Fatal(err)
	}
	wantRecovered(t, root, n, h)
	return over
}

// wantRecovered opens what a cut left and holds it to the invariants.
func wantRecovered(t *testing.T, root string, n int, h history) {
	t.Helper()
	s, err := openSmall(root, nil)
	if err != nil {
		t.Fatalf("cut after %d changes, and it does not open: %v", n, err)
	}
	defer s.Close()
	wantNoTmp(t, root)
	for blob, err := range s.List(t.Context()) {
		if err == nil {
			_, err = s.VerifyBlob(t.Context(), blob.Digest)
		}
		if err != nil {
			t.Errorf("cut after %d changes: %v", n, err)
		}
	}
	for _, b := range h.stored {
		if _, err := s.Stat(t.Context(), digestOf(b)); err != nil {
			t.Errorf("cut after %d changes, and an acknowledged blob is gone: %v", n, err)
		}
	}
	for _, b := range slices.Concat(h.stored, h.removed) {
		mustPut(t, s, b)
	}
}

// TestCrashTable has one row for each step of a write: what a power cut right
// after it leaves.
func TestCrashTable(t *testing.T) {
	b := body("crash", 100_000)
	for _, c := range []struct {
		after faultfs.Op // the last call that came through
		loss  faultfs.Loss
		kept  bool // the blob is there
	}{
		{faultfs.Create, faultfs.KeepNames, false},
		{faultfs.Allocate, faultfs.KeepNames, false},
		{faultfs.Write, faultfs.KeepNames, false},
		{faultfs.Truncate, faultfs.KeepNames, false},
		{faultfs.Sync, faultfs.LoseNames, false},
		{faultfs.Sync, faultfs.KeepNames, false},
		{faultfs.Rename, faultfs.LoseNames, false},
		{faultfs.Rename, faultfs.KeepNames, true}, // an orphan: whole, without a record
		{faultfs.SyncDir, faultfs.LoseNames, true},
		{faultfs.SyncDir, faultfs.KeepNames, true},
	} {
		root, fsys := t.TempDir(), faultfs.New()
		s := open(t, root, fsys)
		changes := []faultfs.Op{
			faultfs.Create, faultfs.Allocate, faultfs.Write, faultfs.Truncate,
			faultfs.Sync, faultfs.Rename, faultfs.SyncDir,
		}
		fsys.PowerOffAfter(slices.Index(changes, c.after) + 1)
		_, err := put(t.Context(), s, b, true)
		if last := c.after == faultfs.SyncDir; (err == nil) != last || !last && !errors.Is(err, faultfs.ErrPower) {
			t.Errorf("after %s: %v", c.after, err)
		}
		if err := errors.Join(s.Close(), fsys.PowerCut(c.loss)); err != nil {
			t.Fatal(err)
		}
		again, err := openSmall(root, nil)
		if err != nil {
			t.Fatal(err)
		}
		wantNoTmp(t, root)
		if _, err := again.VerifyBlob(t.Context(), digestOf(b)); (err == nil) != c.kept || err != nil && !errors.Is(err, cache.ErrNotExist) {
			t.Errorf("after %s, loss %d: %v", c.after, c.loss, err)
		}
		mustPut(t, again, b) // the client tries again
		wantBlobs(t, again, b)
		if err := again.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
