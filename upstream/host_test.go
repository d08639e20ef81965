package upstream

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"
)

func TestTheTableOfHostsIsBounded(t *testing.T) {
	hs := &hosts{slots: 1, known: make(map[string]*host)}
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	clock := func() time.Time { return now }
	busy := hs.get("busy", "busy", now)
	pass, pause, err := busy.admit(t.Context(), clock)
	if err != nil || pause != 0 {
		t.Fatal(pause, err)
	}
	hs.get("resting", "resting", now).throttle(time.Minute, now)
	for i := range 3 * maxHosts {
		name := fmt.Sprint(i)
		hs.get(name, name, now)
		if len(hs.known) > maxHosts {
			t.Fatalf("%d hosts remembered", len(hs.known))
		}
	}
	if hs.get("busy", "", now) != busy || !hs.get("resting", "", now).isThrottled(now) {
		t.Error("a host that matters was forgotten")
	}
	for _, h := range hs.known {
		h.throttle(time.Minute, now)
	}
	for i := range 2 * maxHosts { // nothing can be forgotten now
		name := fmt.Sprint("more", i)
		hs.get(name, name, now).throttle(time.Minute, now)
	}
	if len(hs.known) > maxHosts {
		t.Errorf("%d hosts remembered", len(hs.known))
	}
	pass.release()
	pass.release()
	if busy.users != 0 || len(busy.slots) != 0 {
		t.Errorf("%d users, %d slots after the release", busy.users, len(busy.slots))
	}
}

func TestWaitEndsWithTheContext(t *testing.T) {
	if err := wait(t.Context(), time.Microsecond); err != nil {
		t.Error(err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	cause := errors.New("enough")
	cancel(cause)
	if err := wait(ctx, time.Hour); err != cause {
		t.Errorf("got %v", err)
	}
}

func TestTheZeroOptionsAreComplete(t *testing.T) {
	tr := NewTransport(Options{})
	o := tr.options
	if o.Now == nil || o.Wait == nil || o.Proxy == nil || o.Hooks.Attempt == nil || o.Hooks.Breaker == nil || o.UserAgent == "" {
		t.Errorf("%+v", o)
	}
	if tr.public.Proxy != nil {
		t.Error("public hosts go by a proxy that the guard cannot see through")
	}
	c, err := New(Config{URL: "https://upstream.example/x"}, tr)
	if err != nil {
		t.Fatal(err)
	}
	cfg := c.Config()
	if cfg.ID != "upstream.example" || cfg.Concurrency != 64 || cfg.Timeouts != (Timeouts{10 * time.Second, 30 * time.Second, time.Minute}) {
		t.Errorf("%+v", cfg)
	}
}
