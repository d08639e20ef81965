package disk

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"larder/cache"
)

// Bounds of the watch over free space.
const (
	// DefaultFloor is the free space kept where nothing is configured, in bytes.
	DefaultFloor = 2 << 30
	// floorShare bounds the floor to this part of the volume, so that a small
	// volume can be used too.
	floorShare = 10
	// watchEvery and watchBytes say how often the volume is measured: free
	// space can go without us, and fast because of us.
	watchEvery = time.Second
	watchBytes = 64 << 20
)

// State says how much room is left, in four steps.
type State int32

// The states, from best to worst. What each asks of the rest of larder:
const (
	// Normal: at least the floor and a quarter of it are free.
	Normal State = iota
	// Tight: still above the floor; cached blobs should be evicted.
	Tight
	// Full: below the floor; Begin answers cache.ErrFull, deletes go on.
	Full
	// Critical: below half the floor; the Index must take no writes, since it
	// cannot survive a volume without any room.
	Critical
)

// String returns the name of the state in lower case.
func (s State) String() string {
	names := [...]string{"normal", "tight", "full", "critical"}
	if s < 0 || int(s) >= len(names) {
		return fmt.Sprintf("state %d", int32(s))
	}
	return names[s]
}

// RoomOptions configures a Room. The zero value works.
type RoomOptions struct {
	// Floor is the free space to keep, in bytes; 0 means DefaultFloor. Never
	// more than a tenth of the volume is kept.
	Floor int64
	// Every is the time between two measurements; 0 means a second.
	Every time.Duration
	// Changed is called after each change of state, Failed when the volume
	// cannot be measured or the ballast cannot be made for another reason than
	// room. Both may be nil, must be quick and may be called from several
	// goroutines at once: State, not the order of calls, says what holds now.
	Changed func(State)
	Failed  func(error)
}

// Room watches the free space of one volume and keeps a reserve on it: the
// ballast, half the floor, given up at a start that finds the volume full so
// that the Index can open and eviction can write. While it is given up it is
// owed: it counts as used, so the room it left is not filled again.
type Room struct {
	fs      FS
	dir     string
	options RoomOptions
	floor   int64 // bytes
	reserve int64 // size of the ballast, bytes

	state   atomic.Int32
	written atomic.Int64 // bytes since the last measurement

	refresh sync.Mutex // held over a whole Refresh: one makes the ballast

	mu      sync.Mutex
	free    int64 // bytes, as last measured
	pending int64 // bytes promised to writes and not yet taken from the volume
	owed    int64 // bytes of ballast that are not there
}

// PrepareRoom measures the volume of the folder dir and makes the ballast in
// it, or removes it when less than half the floor is free. It must run before
// an Index on that volume is opened. Open does it for the Store's own folder;
// call it for the folder of an Index on another volume.
func PrepareRoom(fsys FS, dir string, o RoomOptions) (*Room, error) {
	if o.Floor < 0 {
		return nil, fmt.Errorf("room in %s: a floor of %d bytes makes no sense", dir, o.Floor)
	}
	space, err := fsys.Statfs(dir)
	if err != nil {
		return nil, fmt.Errorf("room in %s: %w", dir, err)
	}
	if o.Floor == 0 {
		o.Floor = DefaultFloor
	}
	if o.Every <= 0 {
		o.Every = watchEvery
	}
	r := &Room{fs: fsys, dir: dir, options: o, floor: min(o.Floor, space.Total/floorShare)}
	r.reserve = r.floor / 2
	r.owed = r.reserve
	if err := r.prepareBallast(space.Free); err != nil {
		return nil, fmt.Errorf("room in %s: %w", dir, err)
	}
	if err := r.Refresh(); err != nil {
		return nil, fmt.Errorf("room in %s: %w", dir, err)
	}
	return r, nil
}

// Floor returns the free space that is kept, in bytes.
func (r *Room) Floor() int64 { return r.floor }

// State returns the state at the last measurement.
func (r *Room) State() State { return State(r.state.Load()) }

// Critical reports whether the Index must refuse writes now. It costs one
// atomic load.
func (r *Room) Critical() bool { return r.State() == Critical }

// Free returns the free bytes of the volume at the last measurement.
func (r *Room) Free() int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.free
}

// Run measures until ctx ends, and makes owed ballast again once there is room.
func (r *Room) Run(ctx context.Context) {
	tick := time.NewTicker(r.options.Every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			r.report(r.Refresh())
		}
	}
}

// Refresh measures now: for who has just freed room. Run does it by itself.
func (r *Room) Refresh() error {
	r.refresh.Lock()
	defer r.refresh.Unlock()
	if err := r.measure(); err != nil {
		return err
	}
	if !r.roomForBallast() {
		return nil
	}
	if err := r.makeBallast(); err != nil {
		return err
	}
	return r.measure()
}

// take promises n bytes, rounded up to what is returned, to a write, or answers
// cache.ErrFull. The write calls settle or release for each byte of the promise.
func (r *Room) take(n int64) (int64, error) {
	if err := r.measure(); err != nil {
		return 0, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	left := r.free - r.owed - r.pending - r.floor
	// Compared before it is rounded up: what upstreams announce may be near the
	// largest number there is.
	if n > left || roundUp(n) > left {
		return 0, fmt.Errorf("%w: %d bytes wanted, %d left above the floor of %d", cache.ErrFull, n, max(left, 0), r.floor)
	}
	n = roundUp(n)
	r.pending += n
	return n, nil
}

// settle says that n promised bytes are on the volume now.
func (r *Room) settle(n int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.pending -= n
	r.free -= n // until it is measured again
}

// release says that n promised bytes are not wanted any more.
func (r *Room) release(n int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.pending -= n
}

// wrote counts bytes written and measures after each watchBytes of them.
func (r *Room) wrote(n int64) {
	if r.written.Add(n) >= watchBytes {
		r.report(r.measure())
	}
}

// measure asks the volume and moves to the state that follows.
func (r *Room) measure() error {
	r.written.Store(0) // also if it fails: not every Write need try again
	space, err := r.fs.Statfs(r.dir)
	if err != nil {
		return err
	}
	r.mu.Lock()
	r.free = space.Free
	next := r.judge()
	before := State(r.state.Swap(int32(next)))
	r.mu.Unlock()
	if before != next && r.options.Changed != nil {
		r.options.Changed(next)
	}
	return nil
}

// judge is the state of the last measurement. What is owed to the ballast
// counts as used. Below half the floor the Index stops writing, but while the
// ballast is given up only below a quarter: eviction must write to free room,
// and the ballast was given up for just that. The caller holds mu.
func (r *Room) judge() State {
	usable := r.free - r.owed
	switch {
	case r.free < (r.floor-r.owed)/2:
		return Critical
	case usable < r.floor:
		return Full
	case usable < r.floor+r.floor/4:
		return Tight
	}
	return Normal
}

func (r *Room) report(err error) {
	if err != nil && r.options.Failed != nil {
		r.options.Failed(err)
	}
}

// blockSize is what files are rounded up to on a volume, in bytes.
const blockSize = 4 << 10

func roundUp(n int64) int64 { return (n + blockSize - 1) / blockSize * blockSize }
