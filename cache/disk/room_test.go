package disk_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"larder/cache"
	"larder/cache/disk"
	"larder/cache/disk/faultfs"
)

const mib = 1 << 20

// volume is what a test of a full volume needs of one.
type volume struct {
	root string // of the data folder
	fs   disk.FS
	// leave lets somebody else take or give up blocks until so many bytes are free.
	leave func(t *testing.T, free int64)
}

// modelVolume is one of faultfs, of total bytes.
func modelVolume(t *testing.T, total int64) volume {
	root, fsys := t.TempDir(), faultfs.New()
	fsys.Volume(total)
	return volume{root, fsys, func(t *testing.T, want int64) {
		t.Helper()
		fsys.Occupy(0)
		space, err := fsys.Statfs(root)
		if err != nil {
			t.Fatal(err)
		}
		fsys.Occupy(space.Free - want)
	}}
}

func prepare(t *testing.T, v volume, o disk.RoomOptions) *disk.Room {
	t.Helper()
	r, err := disk.PrepareRoom(v.fs, v.root, o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func refresh(t *testing.T, r *disk.Room) {
	t.Helper()
	if err := r.Refresh(); err != nil {
		t.Fatal(err)
	}
}

func TestRoomStates(t *testing.T) {
	v := modelVolume(t, 1000*mib)
	r := prepare(t, v, disk.RoomOptions{Floor: 80 * mib})
	if r.Floor() != 80*mib || r.State() != disk.Normal {
		t.Fatalf("floor %d, %s", r.Floor(), r.State())
	}
	for _, c := range []struct {
		free int64
		want disk.State
	}{
		{900 * mib, disk.Normal}, {100 * mib, disk.Normal},
		{100*mib - 4096, disk.Tight}, {80 * mib, disk.Tight},
		{80*mib - 4096, disk.Full}, {40 * mib, disk.Full},
		{40*mib - 4096, disk.Critical}, {0, disk.Critical},
		{50 * mib, disk.Full}, {500 * mib, disk.Normal}, // and back
	} {
		v.leave(t, c.free)
		refresh(t, r)
		if r.State() != c.want || r.Critical() != (c.want == disk.Critical) || r.Free() != c.free {
			t.Errorf("%d bytes free: %s, critical %t, free %d; want %s", c.free, r.State(), r.Critical(), r.Free(), c.want)
		}
	}
	for s, want := range map[disk.State]string{
		disk.Normal: "normal", disk.Tight: "tight", disk.Full: "full", disk.Critical: "critical", -1: "state -1", 4: "state 4",
	} {
		if s.String() != want {
			t.Errorf("%s, want %s", s, want)
		}
	}
}

// TestRoomGivenUp starts with little room: the ballast goes, and what it left
// is for the Index, not for blobs.
func TestRoomGivenUp(t *testing.T) {
	for _, c := range []struct {
		free  int64 // at start, beside a ballast of 40 MiB
		gone  bool
		state disk.State
	}{
		{200 * mib, false, disk.Normal},
		{40 * mib, false, disk.Full},
		{40*mib - 4096, true, disk.Full},
		{0, true, disk.Full},
	} {
		v := modelVolume(t, 1000*mib)
		o := disk.RoomOptions{Floor: 80 * mib}
		prepare(t, v, o)
		v.leave(t, c.free)
		r := prepare(t, v, o)
		if exists(t, filepath.Join(v.root, "ballast")) == c.gone || r.State() != c.state {
			t.Errorf("started with %d bytes: ballast gone %t, %s; want %t, %s", c.free, !c.gone, r.State(), c.gone, c.state)
		}
		if !c.gone {
			continue
		}
		// Below a quarter of the floor not even eviction may write any more.
		v.leave(t, 20*mib-4096)
		refresh(t, r)
		if r.State() != disk.Critical {
			t.Errorf("%d bytes free without a ballast: %s", r.Free(), r.State())
		}
		// Room for the ballast, but not beside the floor: still owed.
		v.leave(t, 120*mib-4096)
		refresh(t, r)
		if r.State() != disk.Full || exists(t, filepath.Join(v.root, "ballast")) {
			t.Errorf("%d bytes free without a ballast: %s", r.Free(), r.State())
		}
		v.leave(t, 120*mib)
		refresh(t, r)
		if r.State() != disk.Tight || r.Free() != 80*mib || !exists(t, filepath.Join(v.root, "ballast")) {
			t.Errorf("%d bytes free with a ballast again: %s", r.Free(), r.State())
		}
	}
}

func TestRoomFloor(t *testing.T) {
	for _, c := range []struct{ total, floor, want int64 }{
		{1000 * mib, 0, 100 * mib}, // the default is more than a tenth
		{1 << 40, 0, disk.DefaultFloor},
		{1000 * mib, 10 * mib, 10 * mib},
		{1000 * mib, 500 * mib, 100 * mib},
		{1000 * mib, 1, 1},
	} {
		v := modelVolume(t, c.total)
		v.leave(t, c.want) // enough to know the floor, and too little for a ballast
		if got := prepare(t, v, disk.RoomOptions{Floor: c.floor}).Floor(); got != c.want {
			t.Errorf("floor %d of %d: got %d, want %d", c.floor, c.total, got, c.want)
		}
	}
	v := modelVolume(t, mib)
	if _, err := disk.PrepareRoom(v.fs, v.root, disk.RoomOptions{Floor: -1}); err == nil {
		t.Error("a negative floor")
	}
	if _, err := disk.PrepareRoom(disk.OS{}, filepath.Join(v.root, "missing"), disk.RoomOptions{}); err == nil {
		t.Error("the room of a folder that is not there")
	}
}

func TestBallast(t *testing.T) {
	const floor, size = 2 * mib, 1 * mib
	for name, c := range map[string]struct {
		before string // bytes of a ballast that is there; "": none
		op     faultfs.Op
		err    error
		made   bool
		fails  bool
	}{
		"made":                      {made: true},
		"of another size":           {before: "an older floor", made: true},
		"without allocation":        {op: faultfs.Allocate, err: syscall.ENOTSUP, made: true},
		"no room for it":            {op: faultfs.Allocate, err: syscall.ENOSPC},
		"no room for its name":      {op: faultfs.Create, err: syscall.ENOSPC},
		"the volume fails":          {op: faultfs.Allocate, err: syscall.EIO, fails: true},
		"the volume fails to close": {op: faultfs.Close, err: syscall.EIO, fails: true},
		"the old one cannot go":     {before: "x", op: faultfs.Remove, err: syscall.EIO, fails: true},
	} {
		root, fsys := t.TempDir(), faultfs.New()
		fsys.Volume(100 * mib)
		path := filepath.Join(root, "ballast")
		if c.before != "" {
			writeFile(t, path, c.before)
		}
		if c.err != nil {
			fsys.Fail(c.op, 1, c.err)
		}
		r, err := disk.PrepareRoom(fsys, root, disk.RoomOptions{Floor: floor})
		if c.fails {
			if !errors.Is(err, c.err) {
				t.Errorf("%s: %v", name, err)
			}
			if c.before == "" && exists(t, path) {
				t.Errorf("%s: half a ballast is left", name)
			}
			continue
		}
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if got := exists(t, path); got != c.made {
			t.Errorf("%s: there %t, want %t", name, got, c.made)
		}
		refresh(t, r) // what could not be made then is made now
		if info, err := os.Stat(path); err != nil || info.Size() != size {
			t.Errorf("%s: afterwards %v, %v", name, info, err)
		}
	}
}

// TestBeginNearFloor asks for all that is left above the floor, and for more.
func TestBeginNearFloor(t *testing.T) {
	v := modelVolume(t, 100*mib)
	s := openOn(t, v, 10*mib)
	v.leave(t, 30*mib)
	if _, err := s.Begin(t.Context(), 20*mib+1); !errors.Is(err, cache.ErrFull) {
		t.Errorf("a byte too much: %v", err)
	}
	p, err := s.Begin(t.Context(), 20*mib)
	if err != nil {
		t.Fatalf("just enough: %v", err)
	}
	if _, err := s.Begin(t.Context(), 1); !errors.Is(err, cache.ErrFull) {
		t.Errorf("one more byte: %v", err)
	}
	p.Abort(nil)
	v.leave(t, 10*mib-4096)
	for _, size := range []int64{-1, 0, 1} {
		if _, err := s.Begin(t.Context(), size); !errors.Is(err, cache.ErrFull) {
			t.Errorf("begin %d bytes below the floor: %v", size, err)
		}
	}
	v.leave(t, 20*mib)
	wantNoTmp(t, v.root)
	mustPut(t, s, body("room", 5*mib))
}

func openOn(t *testing.T, v volume, floor int64) *disk.Store {
	t.Helper()
	s, err := disk.Open(v.root, disk.Options{FS: v.fs, Room: disk.RoomOptions{Floor: floor}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// TestRoomWatches runs the watch and waits for what it must tell.
func TestRoomWatches(t *testing.T) {
	root, fsys := t.TempDir(), faultfs.New()
	fsys.Volume(1000 * mib)
	states, failures := make(chan disk.State, 100), make(chan error, 100)
	r, err := disk.PrepareRoom(fsys, root, disk.RoomOptions{
		Floor: 80 * mib, Every: time.Millisecond,
		Changed: func(s disk.State) { states <- s },
		Failed:  func(err error) { failures <- err },
	})
	if err != nil {
		t.Fatal(err)
	}
	for len(states) > 0 { // before the ballast was made it was owed
		<-states
	}
	ctx, cancel := context.WithCancel(t.Context())
	var run sync.WaitGroup
	run.Go(func() { r.Run(ctx) })
	fsys.Occupy(1000*mib - 40*mib - 60*mib) // the ballast has 40
	if s := <-states; s != disk.Full {
		t.Errorf("changed to %s", s)
	}
	fsys.Occupy(0)
	if s := <-states; s != disk.Normal {
		t.Errorf("changed to %s", s)
	}
	fsys.Fail(faultfs.Statfs, 1, syscall.EIO)
	if err := <-failures; !errors.Is(err, syscall.EIO) {
		t.Errorf("told %v", err)
	}
	cancel()
	run.Wait()
	if len(states) > 0 {
		t.Errorf("told %s without a change", <-states)
	}
}

// TestMeasuresWhileWriting counts the looks at the volume during one long write
// for which all room was taken before.
func TestMeasuresWhileWriting(t *testing.T) {
	fsys := faultfs.New()
	s := open(t, t.TempDir(), fsys)
	p, err := s.Begin(t.Context(), 130*mib)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Abort(nil)
	fsys.Forget()
	piece := make([]byte, mib)
	for range 130 {
		if _, err := p.Write(piece); err != nil {
			t.Fatal(err)
		}
	}
	looks := 0
	for _, c := range fsys.Calls() {
		if c.Op == faultfs.Statfs {
			looks++
		}
	}
	if looks != 2 {
		t.Errorf("%d looks while 130 MiB were written, want one per 64 MiB", looks)
	}
}

// TestFullVolume is the blob store's part of fault F7, on a model of a volume.
func TestFullVolume(t *testing.T) { fillUp(t, modelVolume(t, 64*mib)) }

// fillUp fills a volume of 64 MiB by blobs and by others, restarts on it, and
// frees it again: reads go on throughout, and in the end all is as before.
func fillUp(t *testing.T, v volume) {
	s, err := disk.Open(v.root, disk.Options{FS: v.fs})
	if err != nil {
		t.Fatal(err)
	}
	var kept [][]byte
	for i := 0; ; i++ {
		b := body("blob "+strings.Repeat("x", i), mib)
		if _, err := put(t.Context(), s, b, i%2 == 0); errors.Is(err, cache.ErrFull) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		kept = append(kept, b)
	}
	refresh(t, s.Room())
	if r := s.Room(); len(kept) < 50 || r.Free() < r.Floor() || r.State() != disk.Tight {
		t.Errorf("%d blobs of 1 MiB: %d bytes free, floor %d, %s", len(kept), r.Free(), r.Floor(), r.State())
	}
	v.leave(t, 0)
	refresh(t, s.Room())
	if !s.Room().Critical() {
		t.Errorf("nothing is free: %s", s.Room().State())
	}
	wantFull(t, v, s, kept)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s, err = disk.Open(v.root, disk.Options{FS: v.fs})
	if err != nil {
		t.Fatalf("restart on a full volume: %v", err)
	}
	defer s.Close()
	if r := s.Room(); r.State() != disk.Full || r.Free() < r.Floor()/2-4096 {
		t.Errorf("the index has %d bytes to start, floor %d, %s", r.Free(), r.Floor(), r.State())
	}
	wantFull(t, v, s, kept)
	for _, b := range kept[10:] { // what eviction does
		if err := s.Delete(t.Context(), digestOf(b)); err != nil {
			t.Fatal(err)
		}
	}
	refresh(t, s.Room())
	if r := s.Room(); r.State() != disk.Normal || !exists(t, filepath.Join(v.root, "ballast")) {
		t.Errorf("after eviction: %s, %d bytes free", r.State(), r.Free())
	}
	mustPut(t, s, kept[10])
	wantBlobs(t, s, kept[:11]...)
}

// wantFull holds what is owed on a full volume.
func wantFull(t *testing.T, v volume, s *disk.Store, kept [][]byte) {
	t.Helper()
	for _, announced := range []bool{true, false} {
		if _, err := put(t.Context(), s, body("no room", 1000), announced); !errors.Is(err, cache.ErrFull) {
			t.Errorf("stored on a full volume, announced %t: %v", announced, err)
		}
	}
	wantNoTmp(t, v.root)
	wantBlobs(t, s, kept...)
	if err := s.Health(); err != nil {
		t.Error(err)
	}
}
