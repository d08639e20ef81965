package registry_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"larder/cache"
	"larder/cache/disk"
	"larder/cache/disk/faultfs"
	"larder/cache/memory"
	"larder/formats"
	"larder/proxy/registry"
)

// powered is an index on the same power as a disk: each commit is a change of it.
type powered struct {
	cache.Index
	fs  *faultfs.FS
	dir string
}

func (p powered) Update(ctx context.Context, fn func(cache.Writer) error) error {
	if err := p.fs.SyncDir(p.dir); err != nil {
		return err
	}
	return p.Index.Update(ctx, fn)
}

// pushed is how far a client knows that its upload came.
type pushed struct {
	id       string
	saved    int
	kept     bool
	keepSent bool
}

const chunkOfPush = 60_000 // bytes

// pushInThree sends data in three requests, the last of which ends the upload.
func pushInThree(r formats.Registry, data []byte, p *pushed) error {
	ctx := context.Background()
	id, err := r.Begin(ctx, formats.UploadOptions{Package: "p", Size: -1})
	if err != nil {
		return err
	}
	p.id = id
	for piece := range slices.Chunk(data[:2*chunkOfPush], chunkOfPush) {
		s, err := r.Resume(ctx, "p", id)
		if err != nil {
			return err
		}
		if _, err = s.Write(piece); err == nil {
			err = s.Suspend(ctx)
		}
		if err := errors.Join(err, s.Close()); err != nil {
			return err
		}
		p.saved += len(piece)
	}
	p.keepSent = true
	return finishPush(r, data, p)
}

// finishPush sends what is missing, and ends the upload.
func finishPush(r formats.Registry, data []byte, p *pushed) error {
	ctx := context.Background()
	s, err := r.Resume(ctx, "p", p.id)
	if err != nil {
		return err
	}
	defer s.Close()
	if _, err := s.Write(data[s.Offset():]); err != nil {
		return err
	}
	if _, err := s.Verify(sumOf(data)); err != nil {
		return err
	}
	if err := s.Keep(ctx); err != nil {
		return err
	}
	p.kept = true
	return nil
}

// TestSessionPowerCut cuts the power before every change of the disk and of the
// index: what a client was told holds, and nothing else is left.
func TestSessionPowerCut(t *testing.T) {
	for _, loss := range []faultfs.Loss{faultfs.LoseNames, faultfs.KeepLengths} {
		over := false
		for n := 0; !over; n++ {
			over = cutPush(t, n, loss)
			if n > 200 {
				t.Fatal("the run never ends")
			}
		}
	}
}

func cutPush(t *testing.T, n int, loss faultfs.Loss) bool {
	dir, data := t.TempDir(), text(150_000)
	made, err := disk.Open(dir, disk.Options{Room: disk.RoomOptions{Floor: 1 << 20}})
	if err == nil {
		err = made.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	fs, rows := faultfs.New(), memory.NewIndex()
	w := newWorld(t, func(b *bench, _ *registry.Options) {
		store, err := disk.Open(dir, disk.Options{FS: fs, Room: disk.RoomOptions{Floor: 1 << 20}})
		b.ok(err)
		b.store, b.index = store, powered{rows, fs, dir}
	})
	fs.PowerOffAfter(n)
	var p pushed
	if err := pushInThree(w.as("alice", ""), data, &p); err != nil && !errors.Is(err, faultfs.ErrPower) {
		t.Fatalf("cut after %d changes: %v", n, err)
	}
	w.ok(errors.Join(w.store.(*disk.Store).Close(), fs.PowerCut(loss)))

	w.index = rows
	again, err := disk.Open(dir, disk.Options{Room: disk.RoomOptions{Floor: 1 << 20}})
	w.ok(err)
	defer func() { w.ok(again.Close()) }()
	w.store = again
	w.reopen()
	w.resumes(p, data)
	w.clock.advance(day + time.Second)
	for range 2 {
		w.ok(w.engine.SweepUploads(context.Background()))
		w.clock.advance(time.Hour + time.Second)
	}
	w.holds(0, 0)
	if left := w.ids(); len(left) != 0 || len(w.rows("u")) != 0 {
		t.Errorf("cut after %d changes: left %q, %q", n, left, w.rows("u"))
	}
	return p.kept
}

// resumes goes on with an upload that was cut by a power failure.
func (w *world) resumes(p pushed, data []byte) {
	w.t.Helper()
	if p.id == "" {
		return
	}
	s, err := w.as("alice", "").Resume(context.Background(), "p", p.id)
	if p.kept || p.keepSent && errors.Is(err, formats.ErrNoVersion) {
		if !errors.Is(err, formats.ErrNoVersion) {
			w.t.Fatalf("an upload that is over: %v", err)
		}
		if p.kept {
			w.kept(data)
		}
		return
	}
	w.ok(err)
	at := int(s.Offset())
	w.ok(s.Close())
	if at != p.saved && at != p.saved+chunkOfPush {
		w.t.Fatalf("it goes on at byte %d, and the client was told %d", at, p.saved)
	}
	w.ok(finishPush(w.as("alice", ""), data, &p))
	w.kept(data)
}
