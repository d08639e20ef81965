package upstream_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"larder/upstream"
	"larder/upstream/upstreamtest"
)

func TestRate(t *testing.T) {
	w := newWorld(t, func(c *upstream.Config) { c.Rate = upstream.Rate{Requests: 4, Per: 8 * time.Second} })
	w.Serve("/a", upstreamtest.Answer{})
	for range 4 {
		get(t, w.client, upstream.Request{Ref: "a"})
	}
	if p := w.clock.pauses(); len(p) != 0 {
		t.Errorf("the first ones paused %v", p)
	}
	get(t, w.client, upstream.Request{Ref: "a"}) // the clock stands still: 2 s for each
	get(t, w.client, upstream.Request{Ref: "a"})
	if p := w.clock.pauses(); len(p) != 2 || p[0] != 2*time.Second || p[1] != 4*time.Second {
		t.Errorf("paused %v", p)
	}
	w.Forget()
	for range 3 {
		if e := fails(t, w.client, upstream.Request{Ref: "a"}, upstream.ErrThrottled); e.RetryAfter != 6*time.Second || len(w.Log()) != 0 {
			t.Errorf("got %+v after %d requests", e, len(w.Log()))
		}
	}
	w.clock.advance(-time.Hour)
	get(t, w.client, upstream.Request{Ref: "a"})
	w.clock.advance(10 * time.Hour)
	for range 4 {
		get(t, w.client, upstream.Request{Ref: "a"})
	}
	if p := w.clock.pauses(); len(p) != 2 {
		t.Errorf("paused %v", p)
	}
	gone, leave := context.WithCancel(t.Context())
	leave()
	if _, err := w.client.Fetch(gone, upstream.Request{Ref: "a"}); !errors.Is(err, context.Canceled) {
		t.Errorf("the one who left: %v", err)
	}
}

func TestTheRateIsOfOneOrigin(t *testing.T) {
	other := upstreamtest.New(t)
	w := newWorld(t, func(c *upstream.Config) {
		c.Rate, c.AllowHosts = upstream.Rate{Requests: 1, Per: time.Hour}, []string{other.Host()}
	})
	other.Serve("/b", upstreamtest.Answer{})
	w.Serve("/a", upstreamtest.Answer{Redirect: other.URL + "/b"})
	get(t, w.client, upstream.Request{Ref: "a"})
	get(t, w.client, upstream.Request{Ref: other.URL + "/b"})
	fails(t, w.client, upstream.Request{Ref: "a"}, upstream.ErrThrottled)
	for _, r := range []upstream.Rate{{Requests: 1}, {Per: time.Second}, {Requests: -1, Per: time.Second}, {Requests: 1, Per: -time.Second}, {Requests: 2, Per: 1}} {
		if _, err := upstream.New(upstream.Config{URL: w.URL, Rate: r}, upstream.NewTransport(upstream.Options{})); err == nil || !strings.Contains(err.Error(), "rate") {
			t.Errorf("%s: %v", r, err)
		}
	}
}

// TestTheRateBudgetIsNotPassedOn: it is ours, and what a CDN says of its own is not.
func TestTheRateBudgetIsNotPassedOn(t *testing.T) {
	other := upstreamtest.New(t)
	w := newWorld(t, func(c *upstream.Config) { c.AllowHosts = []string{other.Host()} })
	w.Serve("/a", upstreamtest.Answer{Header: http.Header{
		"Ratelimit-Limit": {"100;w=21600"}, "Ratelimit-Remaining": {"76;w=21600"}, "X-Ratelimit-Reset": {"5"}, "Docker-Ratelimit-Source": {"192.0.2.1"}, "X-Kept": {"x"},
	}})
	_, r := get(t, w.client, upstream.Request{Ref: "a"})
	for name := range r.Header {
		if strings.Contains(name, "Ratelimit") {
			t.Errorf("passed on %s", name)
		}
	}
	if r.Header.Get("X-Kept") != "x" {
		t.Error("another field is lost")
	}
	other.Serve("/b", upstreamtest.Answer{Header: http.Header{"X-Ratelimit-Remaining": {"5"}}})
	get(t, w.client, upstream.Request{Ref: other.URL + "/b"})
	if s := w.client.State(); s.Remaining != 76 {
		t.Errorf("state %+v", s)
	}
	if at := w.events.attempts(); !at[0].Rated || at[0].Remaining != 76 || at[1].Rated {
		t.Errorf("attempts %+v", at)
	}
}
