package disk_test

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"

	"larder/cache"
	"larder/cache/cachetest"
	"larder/cache/disk"
	"larder/cache/disk/faultfs"
)

// restarts opens a folder and lets it go through restarts: the lock is let go
// of, as the kernel does for a process that was killed.
func restarts(t *testing.T, root string, o disk.Options) (cachetest.SessionStore, func() cachetest.SessionStore) {
	var s *disk.Store
	next := func() cachetest.SessionStore {
		if s != nil {
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
		}
		var err error
		if s, err = disk.Open(root, o); err != nil {
			t.Fatal(err)
		}
		return s
	}
	t.Cleanup(func() {
		wantNoTmp(t, root)
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return next(), next
}

func TestSessions(t *testing.T) {
	cachetest.Sessions(t, func(t *testing.T) (cachetest.SessionStore, func() cachetest.SessionStore) {
		return restarts(t, t.TempDir(), disk.Options{Room: disk.RoomOptions{Floor: 64 << 10}})
	})
}

func TestSessionsRoom(t *testing.T) {
	cachetest.SessionsRoom(t, func(t *testing.T, room int64) (cachetest.SessionStore, func() cachetest.SessionStore) {
		fsys := faultfs.New()
		fsys.Volume(room*100/85 + 64<<10)
		return restarts(t, t.TempDir(), disk.Options{FS: fsys, Room: disk.RoomOptions{Floor: room}})
	})
}

func beginSession(t *testing.T, s *disk.Store, id string) cache.Session {
	t.Helper()
	x, err := s.BeginSession(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return x
}

// writeSave writes b and returns the state after it.
func writeSave(t *testing.T, x cache.Session, b []byte) []byte {
	t.Helper()
	if _, err := x.Write(b); err != nil {
		t.Fatal(err)
	}
	state, err := x.Save(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return state
}

// finish commits the session and wants it to hold exactly b.
func finish(t *testing.T, s *disk.Store, x cache.Session, b []byte) {
	t.Helper()
	blob, err := x.Verify()
	if err == nil {
		err = x.Commit(t.Context())
	}
	if err != nil || blob.Digest != digestOf(b) {
		t.Fatalf("%s of %d bytes, want %s: %v", blob.Digest, blob.Size, digestOf(b), err)
	}
	if _, err := s.VerifyBlob(t.Context(), blob.Digest); err != nil {
		t.Error(err)
	}
}

// TestSessionOrder holds what its safety rests on: bytes, and once their name,
// are synced before Save gives out a state, and who resumes cuts before it writes.
func TestSessionOrder(t *testing.T) {
	root, fsys := t.TempDir(), faultfs.New()
	s := open(t, root, fsys)
	want := func(what string, want ...string) {
		t.Helper()
		if got := steps(root, fsys.Calls()); !slices.Equal(got, want) {
			t.Errorf("%s:\n got %q\nwant %q", what, got, want)
		}
		fsys.Forget()
	}
	fsys.Forget()
	x := beginSession(t, s, "a")
	want("begin", "create tmp/*")
	writeSave(t, x, []byte("abc"))
	want("the first Save", "allocate tmp/*", "write tmp/*", "sync tmp/*", "syncdir tmp")
	state := writeSave(t, x, []byte("def"))
	want("the second", "write tmp/*", "sync tmp/*")
	if err := x.Close(); err != nil {
		t.Fatal(err)
	}
	want("close", "truncate tmp/*", "close tmp/*")
	x, err := s.ResumeSession(t.Context(), "a", state)
	if err != nil {
		t.Fatal(err)
	}
	want("resume", "append tmp/*", "truncate tmp/*")
	writeSave(t, x, []byte("g"))
	want("and on", "allocate tmp/*", "write tmp/*", "sync tmp/*")
	finish(t, s, x, []byte("abcdefg"))
	folder := "blobs/" + digestOf([]byte("abcdefg")).String()[:2]
	want("commit", "truncate tmp/*", "sync tmp/*", "close tmp/*",
		"rename tmp/* "+folder+"/"+digestOf([]byte("abcdefg")).String(), "syncdir "+folder)
	if err := s.DropSession(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(blobPath(root, digestOf([]byte("abcdefg"))))
	if err != nil || info.Mode() != 0o444 {
		t.Errorf("the blob can be written: %v, %v", info.Mode(), err)
	}
}

// TestSessionFails lets each step fail. What was saved before must resume, but
// for a failed sync of the bytes, after which the file is never trusted again.
func TestSessionFails(t *testing.T) {
	full, sick := cache.ErrFull, cache.ErrUnhealthy
	for _, c := range []struct {
		op   faultfs.Op
		n    int
		err  error
		want error
		sick bool // no more writes until a restart
		lost bool // the session is gone
	}{
		{faultfs.Append, 1, syscall.EROFS, sick, false, false},
		{faultfs.Append, 1, syscall.EMFILE, syscall.EMFILE, false, false},
		{faultfs.Append, 1, fs.ErrNotExist, cache.ErrNotExist, false, false},
		{faultfs.Truncate, 1, syscall.EIO, sick, false, false},
		{faultfs.Allocate, 1, syscall.EIO, sick, false, false},
		{faultfs.Write, 1, syscall.ENOSPC, full, false, false},
		{faultfs.Write, 1, syscall.EIO, sick, false, false},
		{faultfs.Statfs, 1, syscall.EIO, syscall.EIO, false, false},
		{faultfs.Sync, 1, syscall.ENOSPC, full, false, true},
		{faultfs.Sync, 1, syscall.EIO, syscall.EIO, true, true},
		{faultfs.Truncate, 2, syscall.EIO, syscall.EIO, false, false},
		{faultfs.Close, 1, syscall.EIO, syscall.EIO, false, false},
	} {
		root, fsys := t.TempDir(), faultfs.New()
		s := open(t, root, fsys)
		x := beginSession(t, s, "a")
		first, rest := body("first", 100_000), body("rest", 30_000)
		state := writeSave(t, x, first)
		if err := x.Close(); err != nil {
			t.Fatal(err)
		}
		fsys.Fail(c.op, c.n, c.err)
		if err := further(t, s, state, rest, c.op == faultfs.Sync); !errors.Is(err, c.want) {
			t.Errorf("%s %d: %v: got %v, want %v", c.op, c.n, c.err, err, c.want)
		}
		if err := s.Health(); (err != nil) != c.sick {
			t.Errorf("%s: %v", c.op, err)
		}
		if c.sick {
			if x, err := s.ResumeSession(t.Context(), "a", state); !errors.Is(err, sick) {
				t.Errorf("resumed in a store that cannot write: %v, %v", x, err)
			}
			wantNoTmp(t, root)
			continue
		}
		x, err := s.ResumeSession(t.Context(), "a", state)
		if c.lost {
			if !errors.Is(err, cache.ErrNotExist) {
				t.Errorf("%s: resumed what may be lost: %v, %v", c.op, x, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", c.op, err)
			continue
		}
		if _, err := x.Write(rest); err != nil {
			t.Fatal(err)
		}
		finish(t, s, x, slices.Concat(first, rest))
		wantNoTmp(t, root)
	}
}

// further resumes, writes, saves if asked to, closes, and returns the first error.
func further(t *testing.T, s *disk.Store, state, b []byte, save bool) error {
	x, err := s.ResumeSession(t.Context(), "a", state)
	if err != nil {
		return err
	}
	_, err = x.Write(b)
	if err == nil && save {
		_, err = x.Save(t.Context())
	}
	return errors.Join(err, x.Close())
}

// TestSessionNameFails syncs the folder of the names in vain: without a
// descriptor to do it with nothing was tried, else no state is given out.
func TestSessionNameFails(t *testing.T) {
	for _, none := range []error{syscall.EMFILE, syscall.EIO} {
		root, fsys := t.TempDir(), faultfs.New()
		s := open(t, root, fsys)
		x := beginSession(t, s, "a")
		if _, err := x.Write([]byte("abc")); err != nil {
			t.Fatal(err)
		}
		fsys.Fail(faultfs.SyncDir, 1, none)
		if state, err := x.Save(t.Context()); !errors.Is(err, none) || state != nil {
			t.Errorf("save: %v", err)
		}
		if none == syscall.EIO {
			if err := s.Health(); err == nil {
				t.Error("a failed sync of the folder is forgotten")
			}
			if err := x.Close(); err != nil {
				t.Error(err)
			}
			wantNoTmp(t, root) // nothing was saved
			continue
		}
		fsys.Forget()
		writeSave(t, x, []byte("d"))
		if got := steps(root, fsys.Calls()); !slices.Contains(got, "syncdir tmp") {
			t.Errorf("the name is not durable: %q", got)
		}
		finish(t, s, x, []byte("abcd"))
	}
}

// TestSessionAfterClose: a store that was closed has let go of its sessions, and
// another process may have them. However they end here, that one has its bytes.
func TestSessionAfterClose(t *testing.T) {
	for name, end := range map[string]func(x cache.Session) error{
		"close":  cache.Session.Close,
		"abort":  func(x cache.Session) error { x.Abort(nil); return nil },
		"verify": func(x cache.Session) error { _, err := x.Verify(); return errors.Join(err, x.Close()) },
		"commit": func(x cache.Session) error { return x.Commit(t.Context()) },
		"save":   func(x cache.Session) error { _, err := x.Save(t.Context()); return err },
	} {
		root := t.TempDir()
		s, err := openSmall(root, nil)
		if err != nil {
			t.Fatal(err)
		}
		x := beginSession(t, s, "a")
		b := body("first", 10_000)
		state := writeSave(t, x, b)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		next := open(t, root, nil)
		y, err := next.ResumeSession(t.Context(), "a", state)
		if err != nil {
			t.Fatal(err)
		}
		if name != "verify" { // which fails after a write that failed
			if n, err := x.Write([]byte("stray")); n != 0 || err == nil {
				t.Errorf("wrote %d bytes into the session of another process: %v", n, err)
			}
		}
		if err := end(x); err == nil && name != "close" && name != "abort" {
			t.Errorf("%s in a closed store", name)
		}
		x.Abort(nil)
		if !exists(t, filepath.Join(root, "tmp", "u-a")) {
			t.Errorf("%s removed the bytes of another process", name)
		}
		finish(t, next, y, b)
		_, beginErr := s.BeginSession(t.Context(), "b")
		_, resumeErr := s.ResumeSession(t.Context(), "a", state)
		for what, err := range map[string]error{"begin": beginErr, "resume": resumeErr, "drop": s.DropSession(t.Context(), "a")} {
			if !errors.Is(err, disk.ErrClosed) {
				t.Errorf("%s: %v", what, err)
			}
		}
	}
}

// TestSessionsAreNotSwept keeps sessions over a start, and files of other names
// are none.
func TestSessionsAreNotSwept(t *testing.T) {
	root := made(t)
	for _, name := range []string{"u-kept", "u-", "u-a.b", "other"} {
		writeFile(t, filepath.Join(root, "tmp", name), "x")
	}
	s := open(t, root, nil)
	var ids []string
	for id, err := range s.SessionIDs(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, id)
	}
	if !slices.Equal(ids, []string{"kept"}) {
		t.Errorf("sessions %q", ids)
	}
}

// TestKilledSession kills the process that writes a session after its Save: the
// next one goes on from there, and what came after it is not in the blob.
func TestKilledSession(t *testing.T) {
	root := t.TempDir()
	h := startHolder(t, root)
	if err := h.kill(); err != nil {
		t.Fatal(err)
	}
	s := open(t, root, nil)
	path := filepath.Join(root, "tmp", "u-"+heldSession)
	if info, err := os.Stat(path); err != nil || info.Size() <= int64(len(heldBytes())) {
		t.Fatalf("this test wants bytes after the Save: %v, %v", info, err)
	}
	x, err := s.ResumeSession(t.Context(), heldSession, h.state)
	if err != nil {
		t.Fatal(err)
	}
	rest := bytes.Repeat([]byte("rest"), 30_000)
	if _, err := x.Write(rest); err != nil {
		t.Fatal(err)
	}
	finish(t, s, x, slices.Concat(heldBytes(), rest))
	wantNoTmp(t, root)
}
