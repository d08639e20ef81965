package disk_test

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"larder/cache"
	"larder/cache/disk/faultfs"
)

// damage replaces the file of a blob by other bytes.
func damage(t *testing.T, root string, d cache.Digest, text []byte) {
	t.Helper()
	if err := os.Remove(blobPath(root, d)); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(blobPath(root, d), text, 0o444); err != nil {
		t.Fatal(err)
	}
}

// TestDamagedByHand is fault F10: what is gone is not there, what is cut shows
// by its size, and storing the bytes again mends both.
func TestDamagedByHand(t *testing.T) {
	root := t.TempDir()
	s := open(t, root, nil)
	b := body("damaged", 100_000)
	d := mustPut(t, s, b).Digest

	if err := os.Remove(blobPath(root, d)); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Open(t.Context(), d); !errors.Is(err, cache.ErrNotExist) {
		t.Errorf("open what was deleted by hand: %v", err)
	}
	if _, err := s.VerifyBlob(t.Context(), d); !errors.Is(err, cache.ErrNotExist) {
		t.Errorf("verify what was deleted by hand: %v", err)
	}
	wantBlobs(t, s)
	mustPut(t, s, b)
	wantBlobs(t, s, b)

	damage(t, root, d, b[:500])
	if blob, err := s.Stat(t.Context(), d); err != nil || blob.Size != 500 {
		t.Errorf("stat what was cut by hand: %d bytes, %v", blob.Size, err)
	}
	f, err := s.Open(t.Context(), d)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if end, err := f.Seek(0, io.SeekEnd); err != nil || end != 500 {
		t.Errorf("the open file ends at %d, %v", end, err)
	}
	if _, err := s.VerifyBlob(t.Context(), d); !errors.Is(err, cache.ErrCorrupt) {
		t.Errorf("verify what was cut by hand: %v", err)
	}
	mustPut(t, s, b)
	wantBlobs(t, s, b)
}

// As long as before, and other bytes: what is stored now was verified, and must
// not be given up for what rests there.
func TestRottenByHand(t *testing.T) {
	root := t.TempDir()
	s := open(t, root, nil)
	b := body("rotten", 100_000)
	d := mustPut(t, s, b).Digest
	damage(t, root, d, body("other", len(b)))
	old, err := s.Open(t.Context(), d)
	if err != nil {
		t.Fatal(err)
	}
	defer old.Close()
	mustPut(t, s, b)
	wantBlobs(t, s, b)
	if got, err := io.ReadAll(old); err != nil || len(got) != len(b) {
		t.Errorf("who had the old file open read %d bytes, %v", len(got), err)
	}
}

func TestFolderGone(t *testing.T) {
	root := t.TempDir()
	s := open(t, root, nil)
	b := body("folder", 1000)
	d := mustPut(t, s, b).Digest
	if err := os.RemoveAll(filepath.Dir(blobPath(root, d))); err != nil {
		t.Fatal(err)
	}
	var listErrs int
	for _, err := range s.List(t.Context()) {
		if err != nil {
			listErrs++
		}
	}
	if listErrs != 1 {
		t.Errorf("%d errors for one missing folder", listErrs)
	}
	if _, err := put(t.Context(), s, b, true); err == nil {
		t.Error("stored in a folder that is gone")
	}
	wantNoTmp(t, root)
	if err := s.Health(); err != nil {
		t.Error(err)
	}
}

func TestVerifyBlob(t *testing.T) {
	root := t.TempDir()
	s := open(t, root, nil)
	b := body("verify", 9<<20) // enough to drop pages on the way
	stored := mustPut(t, s, b)
	got, err := s.VerifyBlob(t.Context(), stored.Digest)
	if err != nil || got.Digest != stored.Digest || got.Size != stored.Size || got.CRC32C != stored.CRC32C {
		t.Errorf("got %v, %v; want %v", got, err, stored)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.VerifyBlob(ctx, stored.Digest); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	b[5<<20] ^= 1
	damage(t, root, stored.Digest, b)
	if _, err := s.VerifyBlob(t.Context(), stored.Digest); !errors.Is(err, cache.ErrCorrupt) {
		t.Errorf("one bit: %v", err)
	}
}

func TestQuarantine(t *testing.T) {
	root, fsys := t.TempDir(), faultfs.New()
	s := open(t, root, fsys)
	b := body("bad", 1000)
	d := digestOf(b)
	kept := filepath.Join(root, "quarantine", d.String())
	for round, text := range []string{"first", "second"} {
		mustPut(t, s, b)
		damage(t, root, d, []byte(text))
		if err := s.Quarantine(t.Context(), d); err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		wantBlobs(t, s)
		if got, err := os.ReadFile(kept); err != nil || string(got) != text {
			t.Errorf("kept %q, %v; want %q", got, err, text)
		}
	}
	if err := s.Quarantine(t.Context(), d); !errors.Is(err, cache.ErrNotExist) {
		t.Errorf("quarantine what is not there: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Quarantine(ctx, d); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	mustPut(t, s, b)
	fsys.Fail(faultfs.SyncDir, 2, syscall.EIO)
	if err := s.Quarantine(t.Context(), d); !errors.Is(err, syscall.EIO) || !errors.Is(s.Health(), syscall.EIO) {
		t.Errorf("a sync that fails: %v, health %v", err, s.Health())
	}
}

// TestListsFilesOnly passes over what no Commit has made.
func TestListsFilesOnly(t *testing.T) {
	root := t.TempDir()
	s := open(t, root, nil)
	b := body("listed", 1000)
	d := mustPut(t, s, b).Digest
	folder := filepath.Dir(blobPath(root, d))
	other := d
	other[31]++
	if err := os.Mkdir(filepath.Join(folder, other.String()), 0o700); err != nil {
		t.Fatal(err)
	}
	other[0]++ // not of this folder
	for _, name := range []string{"note", other.String(), d.String() + "0"} {
		writeFile(t, filepath.Join(folder, name), "x")
	}
	writeFile(t, filepath.Join(root, "blobs", "note"), "x")
	wantBlobs(t, s, b)
}

// TestListIsLazy opens the folders as the walk comes to them, one at a time.
func TestListIsLazy(t *testing.T) {
	root, fsys := t.TempDir(), faultfs.New()
	s := open(t, root, fsys)
	for i := range 64 {
		mustPut(t, s, body("lazy", 10+i))
	}
	count := func() int {
		n := 0
		for _, c := range fsys.Calls() {
			if c.Op == faultfs.Open {
				n++
			}
		}
		return n
	}
	fsys.Forget()
	for blob, err := range s.List(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		if got, want := count(), int(blob.Digest[0])+1; got != want {
			t.Errorf("%d folders were opened up to %s, want %d", got, blob.Digest, want)
		}
	}
	if got := count(); got != 256 {
		t.Errorf("%d folders were opened in all", got)
	}
	fsys.Fail(faultfs.Open, 3, syscall.EMFILE)
	blobs, errs := 0, 0
	for _, err := range s.List(t.Context()) {
		if err != nil {
			errs++
		} else {
			blobs++
		}
	}
	if errs != 1 || blobs < 32 {
		t.Errorf("%d errors and %d blobs after one folder failed", errs, blobs)
	}
}

// TestReadErrors are those of the volume, told as they are and never as "not there".
func TestReadErrors(t *testing.T) {
	fsys := faultfs.New()
	s := open(t, t.TempDir(), fsys)
	d := mustPut(t, s, body("read", 1000)).Digest
	for name, c := range map[string]struct {
		op  faultfs.Op
		try func() error
	}{
		"open":   {faultfs.Open, func() error { _, err := s.Open(t.Context(), d); return err }},
		"verify": {faultfs.Open, func() error { _, err := s.VerifyBlob(t.Context(), d); return err }},
		"stat":   {faultfs.Stat, func() error { _, err := s.Stat(t.Context(), d); return err }},
		"age":    {faultfs.Stat, func() error { _, err := s.Modified(t.Context(), d); return err }},
		"delete": {faultfs.Remove, func() error { return s.Delete(t.Context(), d) }},
		"move":   {faultfs.Rename, func() error { return s.Quarantine(t.Context(), d) }},
	} {
		fsys.Fail(c.op, 1, syscall.EIO)
		if err := c.try(); !errors.Is(err, syscall.EIO) || errors.Is(err, cache.ErrNotExist) {
			t.Errorf("%s: %v", name, err)
		}
	}
	wantBlobs(t, s, body("read", 1000))
}
