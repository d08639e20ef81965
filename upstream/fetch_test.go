package upstream_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"larder/upstream"
	"larder/upstream/upstreamtest"
)

// world is a scripted upstream, a client of it, and a clock and pauses that
// the test owns.
type world struct {
	*upstreamtest.Server
	client *upstream.Client
	clock  *clock
	events *events
}

func newWorld(t *testing.T, change ...func(*upstream.Config)) *world {
	t.Helper()
	s := upstreamtest.New(t)
	w := &world{Server: s, clock: newClock(), events: &events{}}
	w.client = newClient(t, w, s.URL, change...)
	return w
}

func newClient(t *testing.T, w *world, url string, change ...func(*upstream.Config)) *upstream.Client {
	t.Helper()
	cfg := upstream.Config{ID: "up", URL: url}
	for _, f := range change {
		f(&cfg)
	}
	tr := upstream.NewTransport(upstream.Options{
		Now: w.clock.now, Wait: w.clock.wait, Hooks: w.events.hooks(), Proxy: noProxy,
	})
	c, err := upstream.New(cfg, tr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.CloseIdle(); tr.CloseIdle() })
	return c
}

func get(t *testing.T, c *upstream.Client, req upstream.Request) (string, *upstream.Response) {
	t.Helper()
	resp, err := c.Fetch(t.Context(), req)
	if err != nil {
		t.Fatalf("fetch %q: %v", req.Ref, err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("read %q: %v", req.Ref, err)
	}
	return string(data), resp
}

func fails(t *testing.T, c *upstream.Client, req upstream.Request, want error) *upstream.Error {
	t.Helper()
	resp, err := c.Fetch(t.Context(), req)
	if err == nil {
		resp.Body.Close()
		t.Fatalf("fetch %q: status %d, want %v", req.Ref, resp.Status, want)
	}
	var e *upstream.Error
	if !errors.Is(err, want) || !errors.As(err, &e) {
		t.Fatalf("fetch %q: %v, want an *Error that is %v", req.Ref, err, want)
	}
	return e
}

func TestFetchTellsAllOfAResponse(t *testing.T) {
	w := newWorld(t)
	modified := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	w.Serve("/pkg/a", upstreamtest.Answer{
		Body: []byte("hello"), ETag: `"e1"`, LastModified: modified, ContentType: "text/x",
		Header: http.Header{"Set-Cookie": {"a=b"}, "X-Kept": {"1"}, "Keep-Alive": {"x"}, "Connection": {"X-Dropped"}, "X-Dropped": {"1"}},
	})
	body, r := get(t, w.client, upstream.Request{Ref: "pkg/a", Accept: "application/json"})
	if body != "hello" || r.Status != 200 || r.Size != 5 || r.ETag != `"e1"` || !r.Modified.Equal(modified) ||
		r.Encoding != "" || r.Date.IsZero() || r.URL != w.URL+"/pkg/a" || r.Header.Get("X-Kept") != "1" {
		t.Errorf("got %q and %+v", body, r)
	}
	for _, name := range []string{"Set-Cookie", "Keep-Alive", "Connection", "X-Dropped"} {
		if v := r.Header.Get(name); v != "" {
			t.Errorf("%s: %q was kept", name, v)
		}
	}
	sent := w.Log()[0].Header
	for name, want := range map[string]string{
		"Accept": "application/json", "Accept-Encoding": "identity", "User-Agent": "larder",
		"Referer": "", "Authorization": "", "Cookie": "", "Range": "", "If-None-Match": "",
	} {
		if got := sent.Get(name); got != want {
			t.Errorf("sent %s: %q, want %q", name, got, want)
		}
	}
}

func TestFetchConditionsRangesAndMethods(t *testing.T) {
	w := newWorld(t)
	modified := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	w.Serve("/a", upstreamtest.Answer{Body: []byte("0123456789"), ETag: `"e1"`, LastModified: modified, Gzip: true})
	tests := []struct {
		name   string
		req    upstream.Request
		status int
		body   string
		size   int64
	}{
		{"etag known", upstream.Request{IfNoneMatch: `"e1"`}, 304, "", -2},
		{"etag changed", upstream.Request{IfNoneMatch: `"e0"`}, 200, "0123456789", 10},
		{"date known", upstream.Request{IfModifiedSince: modified}, 304, "", -2},
		{"date older", upstream.Request{IfModifiedSince: modified.Add(-time.Hour)}, 200, "0123456789", 10},
		{"range", upstream.Request{Range: "bytes=4-"}, 206, "456789", 6},
		{"range of the same", upstream.Request{Range: "bytes=4-5", IfRange: `"e1"`}, 206, "45", 2},
		{"range of another", upstream.Request{Range: "bytes=4-5", IfRange: `"e0"`}, 200, "0123456789", 10},
		{"head", upstream.Request{Method: "HEAD"}, 200, "", 10},
		{"post", upstream.Request{Method: "POST", Body: []byte("{}"), ContentType: "application/json"}, 200, "0123456789", 10},
	}
	for _, tt := range tests {
		tt.req.Ref = "a"
		body, r := get(t, w.client, tt.req)
		if r.Status != tt.status || body != tt.body || (tt.size != -2 && r.Size != tt.size) {
			t.Errorf("%s: status %d, size %d, %q", tt.name, r.Status, r.Size, body)
		}
	}
	log := w.Log()
	last := log[len(log)-1]
	if last.Method != "POST" || string(last.Body) != "{}" || last.Header.Get("Content-Type") != "application/json" {
		t.Errorf("post arrived as %+v", last)
	}
	body, r := get(t, w.client, upstream.Request{Ref: "a", AcceptEncoding: "gzip"})
	if r.Encoding != "gzip" || !strings.HasPrefix(body, "\x1f\x8b") {
		t.Errorf("encoding %q, body %q: want the bytes as they came", r.Encoding, body)
	}
	w.Serve("/chunked", upstreamtest.Answer{Body: []byte("abc"), Chunked: true})
	if _, r := get(t, w.client, upstream.Request{Ref: "chunked"}); r.Size != -1 {
		t.Errorf("size %d of an unannounced length, want -1", r.Size)
	}
}

func TestFetchErrors(t *testing.T) {
	w := newWorld(t)
	tests := []struct {
		status int
		want   error
		asked  int
	}{
		{404, upstream.ErrNotExist, 1}, {410, upstream.ErrNotExist, 1},
		{400, upstream.ErrUnavailable, 1}, {401, upstream.ErrUnavailable, 1}, {403, upstream.ErrUnavailable, 1},
		{416, upstream.ErrUnavailable, 1}, {500, upstream.ErrUnavailable, 1}, {429, upstream.ErrThrottled, 1},
		{204, upstream.ErrUnavailable, 1}, {206, upstream.ErrUnavailable, 1}, {304, upstream.ErrUnavailable, 1},
		{301, upstream.ErrUnavailable, 1}, // without a Location
		{502, upstream.ErrUnavailable, 3}, {503, upstream.ErrUnavailable, 3}, {504, upstream.ErrUnavailable, 3},
	}
	for _, tt := range tests {
		w.Forget()
		w.Serve("/a", upstreamtest.Answer{Status: tt.status, Body: []byte("x"), Header: http.Header{"Www-Authenticate": {`Bearer realm="r"`}}})
		w.Serve("/ok", upstreamtest.Answer{})
		e := fails(t, w.client, upstream.Request{Ref: "a"}, tt.want)
		if e.Status != tt.status || e.Upstream != "up" || e.Host != w.Host() {
			t.Errorf("%d: %+v", tt.status, e)
		}
		if n := w.Requests("/a"); n != tt.asked {
			t.Errorf("%d: asked %d times, want %d", tt.status, n, tt.asked)
		}
		if !strings.Contains(e.Public(), `"up"`) || strings.Contains(e.Public(), w.Host()) {
			t.Errorf("%d: public sentence %q", tt.status, e.Public())
		}
		if got := e.Challenge != ""; got != (tt.status == 401) {
			t.Errorf("%d: challenge %q", tt.status, e.Challenge)
		}
		get(t, w.client, upstream.Request{Ref: "ok"})
	}
}

func TestRetriesPauseLongerEachTime(t *testing.T) {
	w := newWorld(t)
	w.Serve("/a", upstreamtest.Answer{Status: 503}, upstreamtest.Answer{Status: 504}, upstreamtest.Answer{Body: []byte("late")})
	if body, _ := get(t, w.client, upstream.Request{Ref: "a"}); body != "late" {
		t.Errorf("got %q", body)
	}
	p := w.clock.pauses()
	if len(p) != 2 || p[0] < 50*time.Millisecond || p[0] >= 100*time.Millisecond || p[1] < 100*time.Millisecond || p[1] >= 200*time.Millisecond {
		t.Errorf("paused %v, want [50,100) and [100,200) ms", p)
	}
	w.Serve("/p", upstreamtest.Answer{Status: 503})
	fails(t, w.client, upstream.Request{Method: "POST", Ref: "p"}, upstream.ErrUnavailable)
	if n := w.Requests("/p"); n != 1 {
		t.Errorf("a POST went out %d times", n)
	}
}

func TestRetryAfter(t *testing.T) {
	after := func(status int, v string) upstreamtest.Answer {
		return upstreamtest.Answer{Status: status, Header: http.Header{"Retry-After": {v}}}
	}
	t.Run("a short one is waited for", func(t *testing.T) {
		w := newWorld(t)
		w.Serve("/a", after(429, "3"), after(503, "0"), upstreamtest.Answer{Body: []byte("ok")})
		get(t, w.client, upstream.Request{Ref: "a"})
		if p := w.clock.pauses(); len(p) != 2 || p[0] != 3*time.Second || p[1] != 100*time.Millisecond {
			t.Errorf("paused %v", p)
		}
	})
	t.Run("a long one is told, and kept", func(t *testing.T) {
		w := newWorld(t)
		w.Serve("/a", after(429, "60"), upstreamtest.Answer{Body: []byte("ok")})
		e := fails(t, w.client, upstream.Request{Ref: "a"}, upstream.ErrThrottled)
		if e.RetryAfter != time.Minute || e.Seconds() != 60 || e.Status != 429 {
			t.Errorf("got %+v", e)
		}
		w.clock.advance(20 * time.Second)
		e = fails(t, w.client, upstream.Request{Ref: "b"}, upstream.ErrThrottled)
		if e.RetryAfter != 40*time.Second || len(w.Log()) != 1 {
			t.Errorf("got %+v after %d requests", e, len(w.Log()))
		}
		if s := w.client.State(); s.State != "throttled" || s.Throttled != 1 {
			t.Errorf("state %+v", s)
		}
		w.clock.advance(40 * time.Second)
		get(t, w.client, upstream.Request{Ref: "a"})
		if s := w.client.State().State; s != "ok" {
			t.Errorf("state %q after the pause", s)
		}
	})
	t.Run("a date is read by the sender's clock", func(t *testing.T) {
		w := newWorld(t)
		a := after(503, "Wed, 04 Mar 2026 05:08:07 GMT")
		a.Header.Set("Date", "Wed, 04 Mar 2026 05:06:07 GMT")
		w.Serve("/a", a)
		if e := fails(t, w.client, upstream.Request{Ref: "a"}, upstream.ErrThrottled); e.RetryAfter != 2*time.Minute {
			t.Errorf("got %v", e.RetryAfter)
		}
	})
	t.Run("an endless one is not believed", func(t *testing.T) {
		w := newWorld(t)
		w.Serve("/a", after(429, "2147483647"))
		if e := fails(t, w.client, upstream.Request{Ref: "a"}, upstream.ErrThrottled); e.RetryAfter != 10*time.Minute {
			t.Errorf("got %v", e.RetryAfter)
		}
	})
}

func TestBreaker(t *testing.T) {
	w := newWorld(t)
	w.Serve("/bad", upstreamtest.Answer{Status: 500})
	w.Serve("/good", upstreamtest.Answer{Body: []byte("ok")})
	bad, good := upstream.Request{Ref: "bad"}, upstream.Request{Ref: "good"}
	for range 4 {
		fails(t, w.client, bad, upstream.ErrUnavailable)
	}
	get(t, w.client, good) // not in a row
	for range 5 {
		fails(t, w.client, bad, upstream.ErrUnavailable)
	}
	w.Forget()
	if e := fails(t, w.client, good, upstream.ErrThrottled); e.RetryAfter != 10*time.Second || e.Status != 0 {
		t.Errorf("open: %+v", e)
	}
	if s := w.client.State(); s.State != "open" || s.Failures != 9 || s.Requests != 10 || s.LastSuccess.IsZero() || s.LastError == "" {
		t.Errorf("state %+v", s)
	}
	w.clock.advance(10 * time.Second)
	fails(t, w.client, bad, upstream.ErrUnavailable) // the probe
	fails(t, w.client, good, upstream.ErrThrottled)
	if n := len(w.Log()); n != 1 {
		t.Errorf("%d requests through an open breaker, want the probe only", n)
	}
	w.clock.advance(10 * time.Second)
	get(t, w.client, good)
	fails(t, w.client, bad, upstream.ErrUnavailable)
	get(t, w.client, good)
	if got := w.events.breaker(); got != "up open, up closed" {
		t.Errorf("breaker events: %s", got)
	}
}

func TestBreakerLetsOneProbeThrough(t *testing.T) {
	w := newWorld(t)
	w.Serve("/bad", upstreamtest.Answer{Status: 500})
	for range 5 {
		fails(t, w.client, upstream.Request{Ref: "bad"}, upstream.ErrUnavailable)
	}
	w.clock.advance(time.Minute)
	hold := make(chan struct{})
	w.Serve("/slow", upstreamtest.Answer{Wait: hold})
	probe := make(chan error, 1)
	go func() {
		resp, err := w.client.Fetch(context.Background(), upstream.Request{Ref: "slow"})
		if err == nil {
			err = resp.Body.Close()
		}
		probe <- err
	}()
	eventually(t, func() bool { return w.Requests("/slow") == 1 })
	fails(t, w.client, upstream.Request{Ref: "slow"}, upstream.ErrThrottled)
	close(hold)
	if err := <-probe; err != nil {
		t.Fatal(err)
	}
	get(t, w.client, upstream.Request{Ref: "slow"})
}

func TestAProbeThatWasGivenUpLeavesAnother(t *testing.T) {
	w := newWorld(t)
	w.Serve("/bad", upstreamtest.Answer{Status: 500})
	for range 5 {
		fails(t, w.client, upstream.Request{Ref: "bad"}, upstream.ErrUnavailable)
	}
	w.clock.advance(time.Minute)
	w.Serve("/slow", upstreamtest.Answer{Wait: make(chan struct{})})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		_, err := w.client.Fetch(ctx, upstream.Request{Ref: "slow"})
		done <- err
	}()
	eventually(t, func() bool { return w.Requests("/slow") == 1 })
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v, want context.Canceled", err)
	}
	w.Serve("/ok", upstreamtest.Answer{})
	get(t, w.client, upstream.Request{Ref: "ok"})
}

func TestOfflineOpensNothing(t *testing.T) {
	w := newWorld(t, func(c *upstream.Config) { c.Offline = true })
	fails(t, w.client, upstream.Request{Ref: "a"}, upstream.ErrOffline)
	fails(t, w.client, upstream.Request{Ref: w.URL + "/a"}, upstream.ErrOffline)
	if n := w.Connections(); n != 0 {
		t.Errorf("%d connections", n)
	}
	if s := w.client.State().State; s != "offline" {
		t.Errorf("state %q", s)
	}
}

func TestRefusedConnection(t *testing.T) {
	w := newWorld(t)
	w.Server.Close()
	e := fails(t, w.client, upstream.Request{Ref: "a"}, upstream.ErrUnavailable)
	if e.Status != 0 || len(w.clock.pauses()) != 2 {
		t.Errorf("%+v after pauses %v", e, w.clock.pauses())
	}
	if at := w.events.attempts(); len(at) != 3 || at[0].Err == nil || at[0].Status != 0 {
		t.Errorf("attempts %+v", at)
	}
}

func TestHealth(t *testing.T) {
	w := newWorld(t)
	if s := w.client.State(); s.State != "ok" || s.Remaining != -1 || !s.LastSuccess.IsZero() {
		t.Errorf("new: %+v", s)
	}
	w.Serve("/a", upstreamtest.Answer{Body: []byte("abc"), Header: http.Header{"Ratelimit-Remaining": {"76;w=21600"}}})
	w.clock.step(3 * time.Second) // each look at the clock takes that long
	for range 8 {
		get(t, w.client, upstream.Request{Ref: "a"})
	}
	s := w.client.State()
	if s.State != "slow" || s.Requests != 8 || s.Bytes != 24 || s.Remaining != 76 || s.P50 < 2*time.Second || s.P95 < s.P50 {
		t.Errorf("after slow replies: %+v", s)
	}
}
