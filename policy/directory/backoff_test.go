package directory

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"larder/policy"
	"larder/policy/token"
)

func TestBackoff(t *testing.T) {
	w, ctx := newWorld(t, Options{}), t.Context()
	try := func(remote netip.Addr) time.Duration {
		t.Helper()
		secret, err := token.New(token.Personal)
		must(t, err)
		_, err = w.Authenticate(ctx, secret.Reveal(), remote)
		wantKind(t, "a bad token", err, policy.ErrUnauthenticated)
		var throttled *ThrottledError
		if errors.As(err, &throttled) {
			return throttled.RetryAfter()
		}
		return 0
	}
	for i := range addressBurst {
		if wait := try(here); wait != 0 {
			t.Fatalf("failure %d has to wait %v", i, wait)
		}
	}
	for want := time.Second; want <= maxWait; want *= 2 {
		if got := try(here); got != want {
			t.Fatalf("wait %v, want %v", got, want)
		}
		if got := try(here); got != want {
			t.Fatalf("asking again lengthened the wait to %v", got)
		}
		// The count has fallen meanwhile: fill it up again.
		w.clock.Advance(want)
		for range int(want.Seconds()) - 1 {
			if got := try(here); got != 0 {
				t.Fatalf("wait %v after a pause", got)
			}
		}
	}
	w.signIn(w.token) // a valid token is never throttled
	if wait := try(netip.MustParseAddr("192.0.2.2")); wait != 0 {
		t.Errorf("another address has to wait %v", wait)
	}
	w.clock.Advance(time.Hour)
	for range addressBurst {
		if wait := try(here); wait != 0 {
			t.Fatalf("wait %v after an hour", wait)
		}
	}
	if wait := try(here); wait != time.Second {
		t.Errorf("after an hour the wait begins at %v", wait)
	}
}

// TestFarmBehindOneAddress: whatever is tried from an address, and with the
// first characters of a good token, that token and its neighbours pass at once,
// seen before or not.
func TestFarmBehindOneAddress(t *testing.T) {
	w := newWorld(t, Options{})
	known := w.token
	throttled := 0
	for range 20 {
		for range 2 * addressBurst {
			var wait *ThrottledError
			if _, err := w.Authenticate(t.Context(), known[:hintLength]+"x", here); errors.As(err, &wait) {
				throttled++
			} else if err == nil {
				t.Fatal("a guess was taken")
			}
		}
		w.signIn(known)
		_, fresh := w.mint(w.admin, Mint{Scopes: policy.AllScopes()})
		w.signIn(fresh)
		w.clock.Advance(maxWait / 4)
	}
	if throttled == 0 {
		t.Error("nothing was throttled: this shows nothing")
	}
}

// Guesses push no token that is in use out of memory: the index would be asked
// again for each.
func TestGuessesDoNotEvict(t *testing.T) {
	w := newWorld(t, Options{})
	w.signIn(w.token)
	for range cachedTokens + 1 {
		guess, err := token.New(token.Personal)
		must(t, err)
		if _, err := w.Authenticate(t.Context(), guess.Reveal(), here); err == nil {
			t.Fatal("a guess was taken")
		}
	}
	views := w.index.views
	w.signIn(w.token)
	if w.index.views != views {
		t.Error("a token in use was forgotten")
	}
	again, err := token.New(token.Personal)
	must(t, err)
	w.refusedSignIn(again.Reveal(), "")
	views = w.index.views
	w.refusedSignIn(again.Reveal(), "")
	if w.index.views != views {
		t.Error("the index was asked twice for one unknown token")
	}
}

// What has no checksum of ours is refused before anything is looked up.
func TestGarbageIsNotLookedUp(t *testing.T) {
	w := newWorld(t, Options{})
	views := w.index.views
	for _, garbage := range []string{"", "x", w.token[:40], w.token[:40] + "!", "ldrp_" + strings.Repeat("0", 35) + "1", strings.Repeat("a", 4<<10)} {
		w.refusedSignIn(garbage, "malformed")
	}
	if w.index.views != views {
		t.Error("the index was asked")
	}
}

// One bad token is counted over all addresses.
func TestBackoffPerToken(t *testing.T) {
	w, ctx := newWorld(t, Options{}), t.Context()
	secret, err := token.New(token.Robot)
	must(t, err)
	throttled := 0
	for i := range hintBurst + 5 {
		_, err := w.Authenticate(ctx, secret.Reveal(), netip.AddrFrom4([4]byte{198, 51, 100, byte(i)}))
		var wait *ThrottledError
		if errors.As(err, &wait) {
			throttled++
		}
	}
	if throttled != 5 {
		t.Errorf("%d of 5 were throttled", throttled)
	}
}
