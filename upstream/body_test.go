package upstream_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"testing"
	"time"

	"larder/upstream"
	"larder/upstream/upstreamtest"
)

func TestConcurrencyEndsWithClose(t *testing.T) {
	w := newWorld(t, func(c *upstream.Config) { c.Concurrency = 1; c.Timeouts.Total = time.Hour })
	w.Serve("/a", upstreamtest.Answer{Body: bytes.Repeat([]byte("x"), 1<<20)})
	first, err := w.client.Fetch(t.Context(), upstream.Request{Ref: "a"})
	if err != nil {
		t.Fatal(err)
	}
	second := make(chan error, 1)
	go func() {
		resp, err := w.client.Fetch(context.Background(), upstream.Request{Ref: "a"})
		if err == nil {
			err = resp.Body.Close()
		}
		second <- err
	}()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := w.client.Fetch(ctx, upstream.Request{Ref: "a"}); !errors.Is(err, context.Canceled) {
		t.Errorf("a queueing caller that left got %v", err)
	}
	if n := w.Requests("/a"); n != 1 {
		t.Errorf("%d requests at once, want 1", n)
	}
	first.Body.Close()
	first.Body.Close()
	if err := <-second; err != nil {
		t.Fatal(err)
	}
}

func TestBodyEndsWithTheContext(t *testing.T) {
	w := newWorld(t)
	w.Serve("/a", upstreamtest.Answer{Body: make([]byte, 1000), Stall: true, StallAfter: 10})
	for name, tt := range map[string]struct {
		cause error
		want  error
	}{
		"cancelled": {nil, context.Canceled},
		"stalled":   {errors.New("silent for 30 s"), context.Canceled},
		"deadline":  {context.DeadlineExceeded, upstream.ErrTimeout},
	} {
		ctx, cancel := context.WithCancelCause(t.Context())
		resp, err := w.client.Fetch(ctx, upstream.Request{Ref: "a"})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(resp.Body, make([]byte, 10)); err != nil {
			t.Fatal(err)
		}
		read := make(chan error, 1)
		go func() {
			_, err := io.ReadAll(resp.Body)
			read <- err
		}()
		cancel(tt.cause)
		if err := <-read; !errors.Is(err, tt.want) {
			t.Errorf("%s: read ended with %v, want %v", name, err, tt.want)
		}
		resp.Body.Close()
	}
	if f := w.client.State().Failures; f != 0 {
		t.Errorf("%d failures counted against the upstream for what callers did", f)
	}
}

func TestABodyThatBreaksOffNeverLooksWhole(t *testing.T) {
	for name, a := range map[string]upstreamtest.Answer{
		"with length": {Body: make([]byte, 1000), Cut: true, CutAfter: 500},
		"chunked":     {Body: make([]byte, 1000), Cut: true, CutAfter: 500, Chunked: true},
		"last chunk":  {Body: make([]byte, 1000), Cut: true, CutAfter: 1000, Chunked: true},
	} {
		w := newWorld(t)
		w.Serve("/a", a)
		resp, err := w.client.Fetch(t.Context(), upstream.Request{Ref: "a"})
		if err != nil {
			t.Fatal(err)
		}
		n, err := io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		if !errors.Is(err, upstream.ErrUnavailable) || n != int64(a.CutAfter) {
			t.Errorf("%s: %d bytes and %v", name, n, err)
		}
		at := w.events.attempts()
		if len(at) != 1 || at[0].Bytes != n || at[0].Err == nil || at[0].Status != 200 {
			t.Errorf("%s: attempts %+v", name, at)
		}
	}
}

func TestTimeouts(t *testing.T) {
	silent := upstreamtest.Answer{Wait: make(chan struct{})}
	for name, tt := range map[string]upstream.Timeouts{
		"of an attempt": {Header: 100 * time.Millisecond, Total: time.Hour},
		"of the whole":  {Header: time.Hour, Total: 100 * time.Millisecond},
	} {
		w := newWorld(t, func(c *upstream.Config) { c.Timeouts = tt })
		w.Serve("/a", silent)
		e := fails(t, w.client, upstream.Request{Ref: "a"}, upstream.ErrTimeout)
		if n := w.Requests("/a"); n > 1 {
			t.Errorf("%s: asked %d times", name, n)
		}
		if f := w.client.State().Failures; f != 1 || e.Host == "" {
			t.Errorf("%s: %d failures, host %q", name, f, e.Host)
		}
	}
	w := newWorld(t)
	w.Serve("/a", silent)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := w.client.Fetch(ctx, upstream.Request{Ref: "a"}); !errors.Is(err, upstream.ErrTimeout) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("the caller's deadline: %v", err)
	}
}

func TestASlowBodyOutlivesTheTimeouts(t *testing.T) {
	w := newWorld(t, func(c *upstream.Config) {
		c.Timeouts = upstream.Timeouts{Header: 500 * time.Millisecond, Total: 500 * time.Millisecond}
	})
	w.Serve("/a", upstreamtest.Answer{Body: make([]byte, 60), Drip: 5, DripEvery: 50 * time.Millisecond})
	if body, _ := get(t, w.client, upstream.Request{Ref: "a"}); len(body) != 60 {
		t.Errorf("%d bytes", len(body))
	}
}
