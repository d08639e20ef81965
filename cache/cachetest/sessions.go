package cachetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"larder/cache"
)

// SessionStore is a Store with sessions.
type SessionStore interface {
	cache.Store
	cache.Sessions
}

// OpenSessions opens an empty Store. restart ends the process that uses it
// without any farewell to open sessions, and returns what the next one finds.
// In the suite nobody uses an earlier Store after that but to end its writes.
type OpenSessions func(t *testing.T) (s SessionStore, restart func() SessionStore)

// life is a Store and the restarts that it goes through.
type life struct {
	t *testing.T
	SessionStore
	restart func() SessionStore
}

// next goes on in another process.
func (l *life) next() { l.SessionStore = l.restart() }

// Sessions runs the contract of cache.Sessions.
func Sessions(t *testing.T, open OpenSessions) {
	for name, check := range map[string]func(*life){
		"left and taken up anywhere":     sessionAnywhere,
		"what was not saved":             sessionUnsaved,
		"never saved":                    sessionNeverSaved,
		"only the newest state":          sessionNewest,
		"an older state after a restart": sessionOlder,
		"more state than bytes":          sessionTooShort,
		"a state of something else":      sessionWrongState,
		"one writer":                     sessionBusy,
		"one of many who resume":         sessionRace,
		"names":                          sessionNames,
		"committed":                      sessionCommit,
		"wrong bytes":                    sessionCorrupt,
		"dropped":                        sessionDrop,
		"the order of calls":             sessionOrder,
		"followers":                      sessionFollow,
		"a cancelled context":            sessionCancelled,
		"a list":                         sessionList,
		"a hundred at once":              sessionCrowd,
	} {
		t.Run(name, func(t *testing.T) {
			s, restart := open(t)
			check(&life{t, s, restart})
		})
	}
}

func (l *life) begin(id string, also ...cache.Algorithm) cache.Session {
	l.t.Helper()
	x, err := l.BeginSession(l.t.Context(), id, also...)
	if err != nil {
		l.t.Fatalf("begin session %s: %v", id, err)
	}
	l.t.Cleanup(func() { x.Abort(nil) })
	return x
}

func (l *life) resume(id string, state []byte) cache.Session {
	l.t.Helper()
	x, err := l.ResumeSession(l.t.Context(), id, state)
	if err != nil {
		l.t.Fatalf("resume session %s: %v", id, err)
	}
	l.t.Cleanup(func() { x.Abort(nil) })
	return x
}

func (l *life) save(x cache.Session) []byte {
	l.t.Helper()
	state, err := x.Save(l.t.Context())
	if err != nil || len(state) == 0 || len(state) >= 1<<10 {
		l.t.Fatalf("save: %d bytes of state, %v", len(state), err)
	}
	return state
}

func (l *life) close(x cache.Session) {
	l.t.Helper()
	if err := x.Close(); err != nil {
		l.t.Fatalf("close: %v", err)
	}
}

// left leaves a session of b that is closed.
func (l *life) left(id string, b []byte) []byte {
	l.t.Helper()
	x := l.begin(id)
	write(l.t, x, b)
	state := l.save(x)
	l.close(x)
	return state
}

// finish commits the session and wants it to hold exactly b.
func (l *life) finish(x cache.Session, b []byte) {
	l.t.Helper()
	if blob := verify(l.t, x); blob.Digest != digestOf(b) || blob.Size != int64(len(b)) {
		l.t.Fatalf("%s of %d bytes, want %s of %d", blob.Digest, blob.Size, digestOf(b), len(b))
	}
	commit(l.t, x)
	wantBytes(l.t, l, digestOf(b), b)
}

// wantGone wants no session, whatever state is presented.
func (l *life) wantGone(id string, states ...[]byte) {
	l.t.Helper()
	for i, state := range states {
		if x, err := l.ResumeSession(l.t.Context(), id, state); !errors.Is(err, cache.ErrNotExist) {
			l.t.Errorf("resume from state %d of what is gone: %v, %v", i, x, err)
		}
	}
	l.wantIDs()
}

func (l *life) wantIDs(want ...string) {
	l.t.Helper()
	got := map[string]bool{}
	for id, err := range l.SessionIDs(l.t.Context()) {
		if err != nil {
			l.t.Fatalf("list sessions: %v", err)
		}
		if got[id] {
			l.t.Errorf("session %s is listed twice", id)
		}
		got[id] = true
	}
	for _, id := range want {
		if !got[id] {
			l.t.Errorf("session %s is not listed", id)
		}
		delete(got, id)
	}
	for id := range got {
		l.t.Errorf("session %s is listed", id)
	}
}

// sessionAnywhere cuts writes at all places where something may go wrong, by
// closing and by restarts, and wants what one write gives.
func sessionAnywhere(l *life) {
	for i, n := range sizes() {
		b := content(n, uint64(i))
		for j, cut := range []int{0, n / 3, n} {
			x := l.begin("a", cache.SHA512)
			write(l.t, x, b[:cut])
			state := l.save(x)
			write(l.t, x, b[cut:]) // the writing goes on after Save
			state2 := l.save(x)
			if j%2 == 0 {
				l.close(x)
				l.next()
			} else {
				l.next()
				state2 = state // as if the record of the newer one was not written
			}
			x = l.resume("a", state2)
			if want := []int{n, cut}[j%2]; x.Size() != int64(want) {
				l.t.Fatalf("resumed at %d, want %d", x.Size(), want)
			}
			write(l.t, x, b[x.Size():])
			blob := verify(l.t, x)
			if _, ok := blob.Sum(cache.SHA512); !ok {
				l.t.Error("the further checksum was forgotten")
			}
			l.finish(x, b)
			if err := l.Delete(l.t.Context(), digestOf(b)); err != nil {
				l.t.Fatal(err)
			}
			l.wantGone("a", state, state2)
		}
	}
}

// sessionUnsaved writes other bytes in place of those that were not saved.
func sessionUnsaved(l *life) {
	good, bad, rest := content(100_000, 1), content(50_000, 2), content(30_000, 3)
	x := l.begin("a")
	write(l.t, x, good)
	state := l.save(x)
	write(l.t, x, bad)
	l.close(x)
	for range 3 {
		x = l.resume("a", state)
		if x.Size() != int64(len(good)) {
			l.t.Fatalf("resumed at %d", x.Size())
		}
		write(l.t, x, bad)
		l.next() // killed
	}
	x = l.resume("a", state)
	write(l.t, x, rest)
	l.finish(x, append(bytes.Clone(good), rest...))
	wantList(l.t, l, cache.Blob{Digest: digestOf(append(good, rest...)), Size: 130_000})
}

func sessionNeverSaved(l *life) {
	x := l.begin("a")
	write(l.t, x, content(100_000, 1))
	l.wantIDs("a")
	l.close(x)
	l.wantIDs()
	x = l.begin("a")
	write(l.t, x, content(1000, 1))
	l.next() // somebody has to sweep it
	l.wantIDs("a")
	if x, err := l.BeginSession(l.t.Context(), "a"); err == nil {
		x.Abort(nil)
		l.t.Error("began a session whose name is taken")
	}
	if err := l.DropSession(l.t.Context(), "a"); err != nil {
		l.t.Error(err)
	}
	l.wantIDs()
	l.close(l.begin("a"))
}

// sessionNewest presents a state that was overtaken: whoever went on from it
// would change bytes that the newer one vouches for.
func sessionNewest(l *life) {
	b := content(200_000, 1)
	x := l.begin("a")
	empty := l.save(x)
	write(l.t, x, b[:50_000])
	first := l.save(x)
	write(l.t, x, b[50_000:150_000])
	second := l.save(x)
	l.close(x)
	for _, old := range [][]byte{empty, first} {
		if x, err := l.ResumeSession(l.t.Context(), "a", old); !errors.Is(err, cache.ErrNotExist) {
			l.t.Errorf("resumed from a state that was overtaken: %v, %v", x, err)
		}
	}
	x = l.resume("a", second)
	l.close(x)
	x = l.resume("a", second) // nothing newer was given out
	write(l.t, x, b[150_000:])
	l.finish(x, b)
}

func sessionOlder(l *life) {
	b := content(200_000, 1)
	x := l.begin("a")
	write(l.t, x, b[:50_000])
	first := l.save(x)
	write(l.t, x, content(100_000, 2))
	l.save(x)
	l.close(x)
	l.next()
	x = l.resume("a", first)
	if x.Size() != 50_000 {
		l.t.Errorf("resumed at %d", x.Size())
	}
	write(l.t, x, b[50_000:])
	l.finish(x, b)
}

func sessionTooShort(l *life) {
	long := l.left("a", content(1000, 1))
	if err := l.DropSession(l.t.Context(), "a"); err != nil {
		l.t.Fatal(err)
	}
	short := l.left("a", content(999, 1))
	l.next()
	if x, err := l.ResumeSession(l.t.Context(), "a", long); !errors.Is(err, cache.ErrNotExist) {
		l.t.Errorf("resumed beyond the bytes: %v, %v", x, err)
	}
	l.finish(l.resume("a", short), content(999, 1))
}

func sessionWrongState(l *life) {
	b := content(1000, 1)
	state := l.left("a", b)
	other := l.left("b", content(1000, 2))
	for range 2 {
		for _, wrong := range [][]byte{nil, {}, other, state[1:], append(bytes.Clone(state), 0), bytes.Repeat([]byte{1}, len(state))} {
			x, err := l.ResumeSession(l.t.Context(), "a", wrong)
			if err == nil || errors.Is(err, cache.ErrNotExist) || errors.Is(err, cache.ErrBusy) {
				l.t.Errorf("resumed from %.20x: %v, %v", wrong, x, err)
			}
		}
		l.next()
	}
	l.finish(l.resume("a", state), b)
	l.finish(l.resume("b", other), content(1000, 2))
}

func sessionBusy(l *life) {
	x := l.begin("a")
	write(l.t, x, []byte("abc"))
	state := l.save(x)
	for range 2 {
		if y, err := l.ResumeSession(l.t.Context(), "a", state); !errors.Is(err, cache.ErrBusy) {
			l.t.Errorf("resumed what is open: %v, %v", y, err)
		}
		if y, err := l.BeginSession(l.t.Context(), "a"); err == nil {
			y.Abort(nil)
			l.t.Error("began what is open")
		}
		if err := l.DropSession(l.t.Context(), "a"); !errors.Is(err, cache.ErrBusy) {
			l.t.Errorf("dropped what is open: %v", err)
		}
		l.close(x)
		x = l.resume("a", state)
	}
	write(l.t, x, []byte("d"))
	l.finish(x, []byte("abcd"))
}

// sessionRace lets many resume at once: one gets it, the others are told.
func sessionRace(l *life) {
	state := l.left("a", content(1000, 1))
	won := make(chan cache.Session, 32)
	together(l.t, 32, func(int) error {
		x, err := l.ResumeSession(l.t.Context(), "a", state)
		if err == nil {
			won <- x
		} else if errors.Is(err, cache.ErrBusy) {
			err = nil
		}
		return err
	})
	if len(won) != 1 {
		l.t.Fatalf("%d writers of one session", len(won))
	}
	l.finish(<-won, content(1000, 1))
}

func sessionNames(l *life) {
	for _, bad := range []string{"", ".", "..", "a/b", "../a", "a.b", "a b", "a\x00", "é", strings.Repeat("a", cache.MaxSessionID+1)} {
		if x, err := l.BeginSession(l.t.Context(), bad); err == nil {
			x.Abort(nil)
			l.t.Errorf("began %q", bad)
		}
		if x, err := l.ResumeSession(l.t.Context(), bad, nil); err == nil {
			x.Abort(nil)
			l.t.Errorf("resumed %q", bad)
		}
		if err := l.DropSession(l.t.Context(), bad); err == nil {
			l.t.Errorf("dropped %q", bad)
		}
	}
	l.wantIDs()
	for _, good := range []string{"a", "A2", "0-_Z", strings.Repeat("Z", cache.MaxSessionID)} {
		b := []byte("bytes of " + good)
		l.finish(l.resume(good, l.left(good, b)), b)
	}
	if x, err := l.BeginSession(l.t.Context(), "a", "crc7"); err == nil {
		x.Abort(nil)
		l.t.Error("a checksum that nobody can compute was accepted")
	}
	l.wantIDs()
}

func sessionCancelled(l *life) {
	state := l.left("a", []byte("abc"))
	x := l.begin("b")
	write(l.t, x, []byte("abc"))
	ctx, cancel := context.WithCancel(l.t.Context())
	cancel()
	_, beginErr := l.BeginSession(ctx, "c")
	_, resumeErr := l.ResumeSession(ctx, "a", state)
	_, saveErr := x.Save(ctx)
	var listErr error
	for _, err := range l.SessionIDs(ctx) {
		listErr = errors.Join(listErr, err)
	}
	for name, err := range map[string]error{
		"begin": beginErr, "resume": resumeErr, "save": saveErr, "drop": l.DropSession(ctx, "a"), "list": listErr,
	} {
		if !errors.Is(err, context.Canceled) {
			l.t.Errorf("%s: %v", name, err)
		}
	}
	l.save(x) // nothing was tried, and nothing is lost
	l.finish(x, []byte("abc"))
	l.finish(l.resume("a", state), []byte("abc"))
}

func sessionList(l *life) {
	var want []string
	for i := range 30 {
		id := fmt.Sprintf("s%d", i)
		l.left(id, content(i, uint64(i)))
		want = append(want, id)
	}
	open := l.begin("open")
	write(l.t, open, []byte("abc"))
	l.wantIDs(append(want, "open")...)
	wantList(l.t, l) // no session is a blob
	seen := 0
	for range l.SessionIDs(l.t.Context()) {
		if seen++; seen == 7 {
			break
		}
	}
	l.close(open)
	l.next()
	l.wantIDs(want...)
	wantList(l.t, l)
	for id, err := range l.SessionIDs(l.t.Context()) { // dropping while listing
		if err == nil {
			err = l.DropSession(l.t.Context(), id)
		}
		if err != nil {
			l.t.Fatal(err)
		}
	}
	l.wantIDs()
}

// sessionCrowd has a hundred sessions at once, each left and taken up often.
func sessionCrowd(l *life) {
	together(l.t, 100, func(i int) error {
		id, b := fmt.Sprintf("s%d", i), content(3*cache.HoldBack+i, uint64(i%10))
		x, err := l.BeginSession(l.t.Context(), id)
		for rest := b; err == nil && len(rest) > 0; {
			step := min(len(rest), 20_011)
			var state []byte
			if _, err = x.Write(rest[:step]); err == nil {
				state, err = x.Save(l.t.Context())
			}
			if err == nil {
				err = x.Close()
			}
			if err == nil {
				x, err = l.ResumeSession(l.t.Context(), id, state)
			}
			rest = rest[step:]
		}
		if err != nil {
			return err
		}
		if blob, err := x.Verify(); err != nil || blob.Digest != digestOf(b) {
			return fmt.Errorf("session %d: %s: %w", i, blob.Digest, err)
		}
		return x.Commit(l.t.Context())
	})
	l.wantIDs()
	for i := range 100 {
		b := content(3*cache.HoldBack+i, uint64(i%10))
		wantBytes(l.t, l, digestOf(b), b)
	}
}
