package cachetest

import (
	"bytes"
	"crypto/sha512"
	"errors"
	"testing"

	"larder/cache"
)

func sessionCommit(l *life) {
	b := content(100_000, 1)
	sum := sha512.Sum512(b)
	state := l.left("a", b[:60_000])
	l.next()
	x := l.resume("a", state)
	write(l.t, x, b[60_000:])
	// The checksum is named only now, and the first bytes came in another process.
	if _, err := x.Verify(cache.Sum{Algorithm: cache.SHA512, Value: sum[:]}); err != nil {
		l.t.Fatal(err)
	}
	l.finish(x, b)
	l.close(x)
	x.Abort(errors.New("too late"))
	commit(l.t, x)
	l.wantGone("a", state)
	again := l.left("a", b) // the name is free, and the old session does not touch it
	l.close(x)
	x.Abort(nil)
	l.finish(l.resume("a", again), b)
	wantList(l.t, l, cache.Blob{Digest: digestOf(b), Size: int64(len(b))})
}

func sessionCorrupt(l *life) {
	b := content(100_000, 1)
	for _, wrong := range []cache.Sum{
		{Algorithm: cache.SHA256, Value: make([]byte, 32)},
		{Algorithm: cache.SHA512, Value: make([]byte, 64)},
	} {
		state := l.left("a", b[:60_000])
		x := l.resume("a", state)
		write(l.t, x, b[60_000:])
		if _, err := x.Verify(wrong); !errors.Is(err, cache.ErrCorrupt) {
			l.t.Errorf("verify: %v", err)
		}
		if _, err := x.Save(l.t.Context()); err == nil {
			l.t.Error("saved what failed to verify")
		}
		x.Abort(nil)
		l.wantGone("a", state)
	}
	wantList(l.t, l)
}

func sessionDrop(l *life) {
	for _, how := range []func(state []byte){
		func([]byte) {
			for range 2 { // the second time it is not there, which is no error
				if err := l.DropSession(l.t.Context(), "a"); err != nil {
					l.t.Errorf("drop: %v", err)
				}
			}
		},
		func(state []byte) { l.resume("a", state).Abort(nil) },
		func(state []byte) {
			x := l.resume("a", state)
			if err := x.Commit(l.t.Context()); err == nil {
				l.t.Error("committed what was not verified")
			}
			l.close(x)
		},
	} {
		state := l.left("a", content(1000, 1))
		how(state)
		l.wantGone("a", state)
		l.next()
		l.wantGone("a", state)
	}
	wantList(l.t, l)
}

func sessionOrder(l *life) {
	x := l.begin("a")
	write(l.t, x, []byte("abc"))
	state := l.save(x)
	l.close(x)
	if n, err := x.Write([]byte("d")); err == nil || n != 0 {
		l.t.Errorf("wrote %d bytes after Close: %v", n, err)
	}
	_, saveErr := x.Save(l.t.Context())
	_, verifyErr := x.Verify()
	for name, err := range map[string]error{"save": saveErr, "verify": verifyErr, "commit": x.Commit(l.t.Context())} {
		if err == nil {
			l.t.Errorf("%s after Close", name)
		}
	}
	l.close(x)
	x.Abort(nil) // it is no longer its own
	l.wantIDs("a")
	x = l.resume("a", state)
	verify(l.t, x)
	if _, err := x.Save(l.t.Context()); err == nil {
		l.t.Error("saved after Verify")
	}
	l.close(x) // verified, and left all the same
	x = l.resume("a", state)
	write(l.t, x, []byte("d"))
	l.finish(x, []byte("abcd"))
}

func sessionFollow(l *life) {
	b := content(4*cache.HoldBack, 1)
	x := l.begin("a")
	write(l.t, x, b[:3*cache.HoldBack])
	state := l.save(x)
	cut := drainLater(follow(l.t, x, 0, -1), true)
	l.close(x)
	if got := <-cut; !errors.Is(got.err, cache.ErrAborted) || len(got.bytes) > 2*cache.HoldBack || !bytes.HasPrefix(b, got.bytes) {
		l.t.Errorf("a follower of what was closed: %d bytes, %v", len(got.bytes), got.err)
	}
	if f, err := x.Follow(l.t.Context(), 0, -1); err == nil {
		if _, err = drain(f, true); err == nil {
			l.t.Error("followed what was closed")
		}
	}
	x = l.resume("a", state)
	whole, tail := drainLater(follow(l.t, x, 0, -1), false), drainLater(follow(l.t, x, cache.HoldBack/2, 10), true)
	write(l.t, x, b[3*cache.HoldBack:])
	l.finish(x, b)
	if got := <-tail; got.err != nil || !bytes.Equal(got.bytes, b[cache.HoldBack/2:cache.HoldBack/2+10]) {
		l.t.Errorf("bytes of before the resumption: %d, %v", len(got.bytes), got.err)
	}
	if got := <-whole; got.err != nil || !bytes.Equal(got.bytes, b) {
		l.t.Errorf("a follower of all: %d bytes, %v", len(got.bytes), got.err)
	}
	x = l.resume("b", l.left("b", b)) // nothing more comes
	whole = drainLater(follow(l.t, x, 0, -1), true)
	l.finish(x, b)
	if got := <-whole; got.err != nil || !bytes.Equal(got.bytes, b) {
		l.t.Errorf("a follower of what was resumed and ended: %d bytes, %v", len(got.bytes), got.err)
	}
}

// OpenSessionsOf is OpenStoreOf for a Store with sessions; see OpenSessions.
type OpenSessionsOf func(t *testing.T, room int64) (s SessionStore, restart func() SessionStore)

// SessionsRoom runs what sessions owe of a Store that can be full.
func SessionsRoom(t *testing.T, open OpenSessionsOf) {
	for name, check := range map[string]func(*life){
		"a full store":    roomSession,
		"room comes back": roomSessions,
	} {
		t.Run(name, func(t *testing.T) {
			s, restart := open(t, limit)
			l := &life{t, s, restart}
			check(l)
			l.wantIDs()
			b := content(limit, 99)
			wantBytes(t, l, store(t, l, b).Digest, b)
		})
	}
}

// roomSession fills the store in mid-session: what was saved stays, and goes on
// once there is room.
func roomSession(l *life) {
	b := content(limit/2, 1)
	other := store(l.t, l, content(limit/2-16384, 2))
	x := l.begin("a")
	write(l.t, x, b[:limit/4])
	state := l.save(x)
	piece := content(64<<10, 3)
	var err error
	for range 2 * limit / len(piece) {
		if _, err = x.Write(piece); err != nil {
			break
		}
	}
	if !errors.Is(err, cache.ErrFull) {
		l.t.Errorf("write: %v", err)
	}
	if _, err := x.Save(l.t.Context()); !errors.Is(err, cache.ErrFull) {
		l.t.Errorf("save after a write that failed: %v", err)
	}
	l.close(x)
	if err := l.Delete(l.t.Context(), other.Digest); err != nil {
		l.t.Fatal(err)
	}
	x = l.resume("a", state)
	write(l.t, x, b[limit/4:])
	l.finish(x, b)
	if err := l.Delete(l.t.Context(), digestOf(b)); err != nil {
		l.t.Fatal(err)
	}
}

// roomSessions ends sessions of half of all room in every way.
func roomSessions(l *life) {
	b := content(limit/2, 1)
	for range 3 {
		l.close(l.begin("a"))
		x := l.begin("a") // never saved
		write(l.t, x, b)
		l.close(x)
		x = l.begin("a") // given up
		write(l.t, x, b)
		l.save(x)
		x.Abort(nil)
		x = l.begin("a") // killed, and cut to what was saved
		write(l.t, x, b[:1000])
		state := l.save(x)
		write(l.t, x, b[1000:])
		l.next()
		x = l.resume("a", state)
		half := l.begin("b")
		write(l.t, half, b)
		half.Abort(nil)
		write(l.t, x, b)
		l.close(x)
		l.next()
		if err := l.DropSession(l.t.Context(), "a"); err != nil {
			l.t.Fatal(err)
		}
		l.finish(l.resume("c", l.left("c", b)), b)
		if err := l.Delete(l.t.Context(), digestOf(b)); err != nil {
			l.t.Fatal(err)
		}
	}
}
