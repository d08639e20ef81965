package disk_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"larder/cache"
	"larder/cache/disk"
	"larder/cache/disk/faultfs"
)

// body is n bytes that begin with name.
func body(name string, n int) []byte {
	return append([]byte(name), bytes.Repeat([]byte{'.'}, max(0, n-len(name)))...)
}

func digestOf(b []byte) cache.Digest { return sha256.Sum256(b) }

func blobPath(root string, d cache.Digest) string {
	return filepath.Join(root, "blobs", d.String()[:2], d.String())
}

// put stores b, of announced length or in pieces of unknown length.
func put(ctx context.Context, s cache.Store, b []byte, announced bool) (cache.Blob, error) {
	if announced {
		return cache.Put(ctx, s, bytes.NewReader(b), int64(len(b)))
	}
	return cache.Put(ctx, s, struct{ io.Reader }{bytes.NewReader(b)}, -1)
}

func mustPut(t *testing.T, s cache.Store, b []byte) cache.Blob {
	t.Helper()
	blob, err := put(t.Context(), s, b, true)
	if err != nil {
		t.Fatal(err)
	}
	return blob
}

// wantBlobs fails unless exactly the blobs of these bytes are there, whole.
func wantBlobs(t *testing.T, s *disk.Store, want ...[]byte) {
	t.Helper()
	left := map[cache.Digest]bool{}
	for _, b := range want {
		left[digestOf(b)] = true
	}
	for blob, err := range s.List(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		if !left[blob.Digest] {
			t.Errorf("%s of %d bytes should not be there", blob.Digest, blob.Size)
		}
		delete(left, blob.Digest)
		if _, err := s.VerifyBlob(t.Context(), blob.Digest); err != nil {
			t.Error(err)
		}
	}
	for d := range left {
		t.Errorf("%s is missing", d)
	}
}

// steps are the recorded calls that matter for durability, with paths relative
// to root and random names replaced.
func steps(root string, calls []faultfs.Call) []string {
	short := func(path string) string {
		rel := strings.TrimPrefix(path, root+"/")
		if dir, name := filepath.Split(rel); dir == "tmp/" && name != "" {
			return "tmp/*"
		}
		return rel
	}
	var out []string
	for _, c := range calls {
		switch c.Op {
		case faultfs.Open, faultfs.Stat, faultfs.Statfs:
		case faultfs.Rename:
			out = append(out, "rename "+short(c.Path)+" "+short(c.To))
		default:
			out = append(out, string(c.Op)+" "+short(c.Path))
		}
	}
	return slices.CompactFunc(out, func(a, b string) bool { return a == b && a == "write tmp/*" })
}

// TestOrder holds the order that crash safety rests on: bytes are synced before
// they get their name, and the name before Commit returns.
func TestOrder(t *testing.T) {
	root, fsys := t.TempDir(), faultfs.New()
	s := open(t, root, fsys)
	b := body("order", 100_000)
	folder := "blobs/" + digestOf(b).String()[:2]
	final := folder + "/" + digestOf(b).String()
	for _, c := range []struct {
		name      string
		announced bool
		want      []string
	}{
		{"a new blob", true, []string{
			"create tmp/*", "allocate tmp/*", "write tmp/*", "truncate tmp/*",
			"sync tmp/*", "close tmp/*", "rename tmp/* " + final, "syncdir " + folder,
		}},
		// The bytes that are there may have gone bad since.
		{"one that is there", true, []string{
			"create tmp/*", "allocate tmp/*", "write tmp/*", "truncate tmp/*",
			"sync tmp/*", "close tmp/*", "rename tmp/* " + final, "syncdir " + folder,
		}},
		{"of unknown length", false, []string{
			"create tmp/*", "allocate tmp/*", "write tmp/*", "truncate tmp/*",
			"sync tmp/*", "close tmp/*", "rename tmp/* " + final, "syncdir " + folder,
		}},
	} {
		fsys.Forget()
		if _, err := put(t.Context(), s, b, c.announced); err != nil {
			t.Fatal(err)
		}
		if got := steps(root, fsys.Calls()); !slices.Equal(got, c.want) {
			t.Errorf("%s:\n got %q\nwant %q", c.name, got, c.want)
		}
	}
}

// TestVerifiedBeforeSync shows that the tail may go to clients before the disk
// has anything: Verify syncs nothing.
func TestVerifiedBeforeSync(t *testing.T) {
	root, fsys := t.TempDir(), faultfs.New()
	s := open(t, root, fsys)
	p, err := s.Begin(t.Context(), 3)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Abort(nil)
	fsys.Forget()
	if _, err := p.Write([]byte("abc")); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Verify(); err != nil {
		t.Fatal(err)
	}
	if got, want := steps(root, fsys.Calls()), []string{"write tmp/*", "truncate tmp/*"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestWriteFails lets each step fail. Nothing may be left, the error must have
// its class, and the store must work on, since none of these is a failed sync.
func TestWriteFails(t *testing.T) {
	full, sick := cache.ErrFull, cache.ErrUnhealthy
	for _, c := range []struct {
		op   faultfs.Op
		n    int
		err  error
		want error
	}{
		{faultfs.Create, 1, syscall.ENOSPC, full},
		{faultfs.Create, 1, syscall.EDQUOT, full},
		{faultfs.Create, 1, syscall.EROFS, sick},
		{faultfs.Create, 1, syscall.EMFILE, syscall.EMFILE},
		{faultfs.Allocate, 1, syscall.ENOSPC, full},
		{faultfs.Allocate, 1, syscall.EFBIG, full},
		{faultfs.Allocate, 1, syscall.EIO, sick},
		{faultfs.Write, 1, syscall.ENOSPC, full},
		{faultfs.Write, 2, syscall.ENOSPC, full},
		{faultfs.Write, 2, syscall.EIO, sick},
		{faultfs.Truncate, 1, syscall.EIO, sick},
		{faultfs.Sync, 1, syscall.ENOSPC, full},
		{faultfs.Sync, 1, syscall.EDQUOT, full},
		{faultfs.Close, 1, syscall.EDQUOT, full},
		{faultfs.Rename, 1, syscall.ENOSPC, full},
		{faultfs.Rename, 1, syscall.EROFS, sick},
		{faultfs.Statfs, 1, syscall.EIO, syscall.EIO},
	} {
		for _, announced := range []bool{true, false} {
			root, fsys := t.TempDir(), faultfs.New()
			s := open(t, root, fsys)
			b := body("fails", 100_000)
			fsys.Fail(c.op, c.n, c.err)
			_, err := put(t.Context(), s, b, announced)
			if announced && c.op == faultfs.Write && c.n > 1 { // one piece only
				if err != nil {
					t.Errorf("one write: %v", err)
				}
				continue
			}
			retried := !announced && c.op == faultfs.Allocate && errors.Is(c.want, full) // with less
			if !errors.Is(err, c.want) && !retried {
				t.Errorf("%s %d: %v: got %v, want %v", c.op, c.n, c.err, err, c.want)
			}
			wantNoTmp(t, root)
			if !retried {
				wantBlobs(t, s)
			}
			if err := s.Health(); err != nil {
				t.Errorf("%s: %v", c.op, err)
			}
			mustPut(t, s, b)
			wantBlobs(t, s, b)
		}
	}
}

func TestShortWrite(t *testing.T) {
	for _, c := range []struct{ err, want error }{
		{nil, io.ErrShortWrite},
		{syscall.ENOSPC, cache.ErrFull},
	} {
		root, fsys := t.TempDir(), faultfs.New()
		s := open(t, root, fsys)
		b := body("short", 300_000)
		fsys.Short(1, 100_000, c.err)
		p, err := s.Begin(t.Context(), int64(len(b)))
		if err != nil {
			t.Fatal(err)
		}
		f, err := p.Follow(t.Context(), 0, -1)
		if err != nil {
			t.Fatal(err)
		}
		if n, err := p.Write(b); n != 100_000 || !errors.Is(err, c.want) {
			t.Errorf("wrote %d bytes, %v; want %v", n, err, c.want)
		}
		if _, err := p.Write(b[100_000:]); !errors.Is(err, c.want) {
			t.Errorf("a write after the failure: %v", err)
		}
		p.Abort(c.want)
		if got, err := io.ReadAll(f); len(got) != 0 || !errors.Is(err, c.want) {
			t.Errorf("a follower got %d bytes of a failed write, %v", len(got), err)
		}
		if err := f.Close(); err != nil {
			t.Error(err)
		}
		wantNoTmp(t, root)
		wantBlobs(t, s)
	}
}

// TestSyncFails is fault F8: the file is dropped and never synced again, and no
// later write is believed, since the kernel may have dropped its bytes.
func TestSyncFails(t *testing.T) {
	root, fsys := t.TempDir(), faultfs.New()
	s := open(t, root, fsys)
	before := body("before", 1000)
	mustPut(t, s, before)
	open, err := s.Begin(t.Context(), 3)
	if err != nil {
		t.Fatal(err)
	}
	fsys.Forget()
	fsys.Fail(faultfs.Sync, 1, syscall.EIO)
	if _, err := put(t.Context(), s, body("lost", 1000), true); !errors.Is(err, syscall.EIO) || errors.Is(err, cache.ErrUnhealthy) {
		t.Errorf("the failed put: %v", err)
	}
	syncs := 0
	for _, c := range fsys.Calls() {
		if c.Op == faultfs.Sync {
			syncs++
		}
	}
	if syncs != 1 {
		t.Errorf("%d syncs, want one", syncs)
	}
	if !errors.Is(s.Health(), syscall.EIO) {
		t.Errorf("health: %v", s.Health())
	}
	if _, err := s.Begin(t.Context(), 1); !errors.Is(err, cache.ErrUnhealthy) {
		t.Errorf("begin: %v", err)
	}
	if _, err := open.Write([]byte("abc")); err != nil {
		t.Fatal(err)
	}
	if _, err := open.Verify(); err != nil {
		t.Fatal(err)
	}
	if err := open.Commit(t.Context()); !errors.Is(err, cache.ErrUnhealthy) {
		t.Errorf("commit: %v", err)
	}
	open.Abort(nil)
	wantNoTmp(t, root)
	wantBlobs(t, s, before) // reads go on
	if err := s.Delete(t.Context(), digestOf(before)); err != nil {
		t.Errorf("delete: %v", err)
	}
}

// TestFolderSyncFails leaves the name: others may rely on it already.
func TestFolderSyncFails(t *testing.T) {
	root, fsys := t.TempDir(), faultfs.New()
	s := open(t, root, fsys)
	b := body("folder", 1000)
	fsys.Fail(faultfs.SyncDir, 1, syscall.EIO)
	if _, err := put(t.Context(), s, b, true); !errors.Is(err, syscall.EIO) {
		t.Errorf("put: %v", err)
	}
	if !errors.Is(s.Health(), syscall.EIO) {
		t.Errorf("health: %v", s.Health())
	}
	wantNoTmp(t, root)
	wantBlobs(t, s, b)
}

// TestNoDescriptorForTheFolder (F12): without one nothing was synced and
// nothing failed to be. The write is not acknowledged, and the store works on.
func TestNoDescriptorForTheFolder(t *testing.T) {
	for _, none := range []error{syscall.EMFILE, syscall.ENFILE} {
		root, fsys := t.TempDir(), faultfs.New()
		s := open(t, root, fsys)
		b := body("folder", 1000)
		fsys.Fail(faultfs.SyncDir, 1, none)
		if _, err := put(t.Context(), s, b, true); !errors.Is(err, none) {
			t.Errorf("put: %v", err)
		}
		wantNoTmp(t, root)
		mustPut(t, s, b)
		fsys.Fail(faultfs.SyncDir, 1, none)
		if err := s.Quarantine(t.Context(), digestOf(b)); !errors.Is(err, none) {
			t.Errorf("quarantine: %v", err)
		}
		if err := s.Health(); err != nil {
			t.Errorf("health: %v", err)
		}
		mustPut(t, s, b)
		wantBlobs(t, s, b)
	}
}

// TestFreesWhatWasReserved looks at the blocks of a small blob of unknown
// length, for which a large step was taken.
func TestFreesWhatWasReserved(t *testing.T) {
	root := t.TempDir()
	s := open(t, root, nil)
	b := body("small", 10)
	if _, err := put(t.Context(), s, b, false); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(blobPath(root, digestOf(b)))
	if err != nil {
		t.Fatal(err)
	}
	const unit = 512 // bytes, whatever the block size
	if used := info.Sys().(*syscall.Stat_t).Blocks * unit; used > 64<<10 {
		t.Errorf("%d bytes of the volume for a blob of %d", used, len(b))
	}
	if info.Mode().Perm()&0o222 != 0 {
		t.Errorf("a blob that can be written: %s", info.Mode())
	}
}

// TestWithoutAllocate runs on a file system that cannot take blocks ahead: room
// that one write was promised is not promised to another before it is used.
func TestWithoutAllocate(t *testing.T) {
	const size = 600 << 10
	fsys := faultfs.New()
	fsys.Volume(1500 << 10) // of which a tenth is kept, and half of that is ballast
	for n := range 20 {
		fsys.Fail(faultfs.Allocate, n+1, syscall.ENOTSUP)
	}
	s := open(t, t.TempDir(), fsys)
	first, err := s.Begin(t.Context(), 2*size)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Begin(t.Context(), size); !errors.Is(err, cache.ErrFull) {
		t.Errorf("promised twice: %v", err)
	}
	if _, err := first.Write(make([]byte, size)); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Begin(t.Context(), size); !errors.Is(err, cache.ErrFull) {
		t.Errorf("promised twice, half of it used: %v", err)
	}
	first.Abort(nil)
	b := body("second", 2*size)
	for _, announced := range []bool{true, false} {
		if _, err := put(t.Context(), s, b, announced); err != nil {
			t.Fatalf("after the first gave up: %v", err)
		}
		if err := s.Delete(t.Context(), digestOf(b)); err != nil {
			t.Fatal(err)
		}
	}
}
