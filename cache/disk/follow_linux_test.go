package disk_test

import (
	"io"
	"os"
	"syscall"
	"testing"

	"larder/cache"
	"larder/cache/disk/faultfs"
)

// descriptors counts the open files of this process.
func descriptors(t *testing.T) int {
	t.Helper()
	names, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(names)
}

// TestGivesBackDescriptors counts before and after writes and followers that
// end in every way.
func TestGivesBackDescriptors(t *testing.T) {
	fsys := faultfs.New()
	s := open(t, t.TempDir(), fsys)
	b := body("descriptor", 2*cache.HoldBack)
	before := 0
	for round := range 3 {
		if round == 1 { // the first round opens what the runtime keeps
			before = descriptors(t)
		}
		for _, end := range []string{"abort", "never written", "no room is taken", "write fails", "rename fails", "commit", "commit"} {
			endOnce(t, fsys, s, b, end)
		}
		if f, err := s.Begin(t.Context(), 1<<62); err == nil {
			f.Abort(nil)
			t.Error("room for more than there is")
		}
		for _, err := range s.List(t.Context()) {
			if err != nil {
				t.Fatal(err)
			}
			break
		}
		if _, err := s.VerifyBlob(t.Context(), digestOf(b)); err != nil {
			t.Fatal(err)
		}
		if err := s.Delete(t.Context(), digestOf(b)); err != nil {
			t.Fatal(err)
		}
	}
	if after := descriptors(t); after != before {
		t.Errorf("%d descriptors are open, %d were before", after, before)
	}
}

// endOnce begins a write with followers and ends it as told.
func endOnce(t *testing.T, fsys *faultfs.FS, s cache.Store, b []byte, end string) {
	t.Helper()
	switch end {
	case "no room is taken":
		fsys.Fail(faultfs.Allocate, 1, syscall.EIO)
	case "write fails":
		fsys.Fail(faultfs.Write, 1, syscall.EIO)
	case "rename fails":
		if err := s.Delete(t.Context(), digestOf(b)); err != nil {
			t.Fatal(err)
		}
		fsys.Fail(faultfs.Rename, 1, syscall.EXDEV)
	}
	p, err := s.Begin(t.Context(), int64(len(b)))
	if err != nil {
		return
	}
	var followers []io.Closer
	for range 3 {
		f, err := p.Follow(t.Context(), 0, -1)
		if err != nil {
			t.Fatal(err)
		}
		followers = append(followers, f)
	}
	if end != "never written" {
		_, err = p.Write(b)
	}
	if err == nil && end != "never written" && end != "abort" {
		if _, err = p.Verify(); err == nil {
			err = p.Commit(t.Context())
		}
	}
	p.Abort(err)
	if late, err := p.Follow(t.Context(), 0, -1); err == nil {
		followers = append(followers, late)
	}
	for _, f := range followers {
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	}
}
