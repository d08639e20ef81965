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

// savedAt is a state that was given out, and the bytes it vouches for.
type savedAt struct {
	state []byte
	bytes []byte
}

// sessionLife is a session that is left, taken up, cut back and committed. It
// keeps the states it was given and ends with the first error.
type sessionLife struct {
	store     *disk.Store
	written   []byte
	saved     []savedAt
	committed bool
}

func (l *sessionLife) run(ctx context.Context) error {
	x, err := l.store.BeginSession(ctx, "a")
	if err != nil {
		return err
	}
	for _, step := range []struct {
		bytes []byte
		save  bool // else they are dropped by the resumption
	}{
		{body("one", 70_000), true},
		{body("dropped", 150_000), false},
		{body("two", 5000), true},
		{nil, true},
		{body("dropped too", 100), false},
		{body("three", 200_000), true},
	} {
		if err := l.step(ctx, x, step.bytes, step.save); err != nil {
			return errors.Join(err, x.Close())
		}
		if err := x.Close(); err != nil {
			return err
		}
		if x, err = l.store.ResumeSession(ctx, "a", l.saved[len(l.saved)-1].state); err != nil {
			return err
		}
	}
	blob, err := x.Verify()
	if err == nil {
		err = x.Commit(ctx)
	}
	if err != nil {
		return errors.Join(err, x.Close())
	}
	l.committed = true
	if blob.Digest != digestOf(l.written) {
		return errors.New("the digest is that of other bytes")
	}
	return nil
}

func (l *sessionLife) step(ctx context.Context, x cache.Session, b []byte, save bool) error {
	for piece := range slices.Chunk(b, 60_000) {
		if _, err := x.Write(piece); err != nil {
			return err
		}
	}
	if !save {
		return nil
	}
	state, err := x.Save(ctx)
	if err != nil {
		return err
	}
	l.written = append(l.written, b...)
	l.saved = append(l.saved, savedAt{state, slices.Clone(l.written)})
	return nil
}

// TestSessionPowerCut cuts the power before every change of the disk. The
// newest state that was given out must resume, and so must the one before it,
// in case its record was not written: with the bytes it vouches for, whatever
// the disk made of those that came after it.
func TestSessionPowerCut(t *testing.T) {
	for _, loss := range []faultfs.Loss{faultfs.LoseNames, faultfs.KeepNames, faultfs.KeepLengths} {
		for _, back := range []int{1, 2} {
			over := false
			for n := 0; !over; n++ {
				over = cutSession(t, n, back, loss)
				if n > 200 {
					t.Fatal("the run never ends")
				}
			}
		}
	}
}

// cutSession reports whether the session was committed before the power went.
// Its record is of the state that is the back-th from the end.
func cutSession(t *testing.T, n, back int, loss faultfs.Loss) bool {
	root, fsys := made(t), faultfs.New()
	s := open(t, root, fsys)
	l := &sessionLife{store: s}
	fsys.PowerOffAfter(n)
	if err := l.run(t.Context()); err != nil && !errors.Is(err, faultfs.ErrPower) {
		t.Fatalf("cut after %d changes: %v", n, err)
	}
	if err := errors.Join(s.Close(), fsys.PowerCut(loss)); err != nil {
		t.Fatal(err)
	}
	again := open(t, root, nil)
	for blob, err := range again.List(t.Context()) {
		if err == nil {
			_, err = again.VerifyBlob(t.Context(), blob.Digest)
		}
		if err != nil {
			t.Errorf("cut after %d changes: %v", n, err)
		}
	}
	if l.committed {
		wantBlobs(t, again, l.written)
	}
	if len(l.saved) < back {
		for id, err := range again.SessionIDs(t.Context()) { // the sweep
			if err = errors.Join(err, again.DropSession(t.Context(), id)); err != nil {
				t.Error(err)
			}
		}
		wantNoTmp(t, root)
		return l.committed
	}
	wantResumed(t, again, l, l.saved[len(l.saved)-back])
	wantNoTmp(t, root)
	return l.committed
}

// wantResumed goes on from a state with new bytes. Only after the commit began
// may the session be gone, and then its blob is there, or was not yet acknowledged.
func wantResumed(t *testing.T, s *disk.Store, l *sessionLife, from savedAt) {
	t.Helper()
	x, err := s.ResumeSession(t.Context(), "a", from.state)
	if errors.Is(err, cache.ErrNotExist) && len(l.saved) == 4 {
		if _, err := s.Stat(t.Context(), digestOf(l.written)); err != nil {
			t.Errorf("neither the session nor its blob is there: %v", err)
		}
		return
	}
	if err != nil {
		t.Errorf("what was saved does not resume: %v", err)
		return
	}
	rest := body("other bytes than before", 90_000)
	if _, err := x.Write(rest); err != nil {
		t.Fatal(err)
	}
	finish(t, s, x, slices.Concat(from.bytes, rest))
}
