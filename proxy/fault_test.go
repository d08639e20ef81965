package proxy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"larder/cache"
	"larder/formats"
	"larder/policy"
	"larder/upstream"
)

// failing makes every file fail with err.
func failing(err error) func(formats.File) (*formats.Content, error) {
	return func(formats.File) (*formats.Content, error) { return nil, err }
}

func TestEveryErrorHasOneStatus(t *testing.T) {
	tests := []struct {
		err    error
		status int
		field  string // header that must be there
		says   string
	}{
		{formats.Refuse(formats.ErrBadRequest, "the version is no version"), 400, "", "the version is no version"},
		{policy.ErrUnauthenticated, 401, "Www-Authenticate", "token"},
		{policy.Decision{Verdict: policy.Deny, Reason: "you need the role write"}.Err(), 403, "", "you need the role write"},
		{policy.ErrHidden, 404, "", "not in the registry"},
		{cache.ErrNotExist, 404, "", "not in the registry"},
		{upstream.ErrNotExist, 404, "", "not in the registry"},
		{&formats.MethodError{Allow: []string{"GET", "PUT"}}, 405, "Allow", "not allowed"},
		{formats.ErrExists, 409, "", "never changes"},
		{formats.ErrConflict, 409, "", "try again"},
		{formats.ErrPrecondition, 412, "", "condition"},
		{formats.ErrTooLarge, 413, "", "limit"},
		{formats.ErrMediaType, 415, "", "not accepted"},
		{&formats.RangeError{Size: 7}, 416, "Content-Range", "7 bytes"},
		{errHost, 421, "", ""},
		{upstream.ErrUnavailable, 502, "", "not available"},
		{upstream.ErrCorrupt, 502, "", "not stored"},
		{upstream.ErrOffline, 502, "", "offline"},
		{upstream.ErrRefused, 502, "", "allow_hosts"},
		{cache.ErrCorrupt, 502, "", "damaged"}, // of a read
		{upstream.ErrThrottled, 503, "Retry-After", "later"},
		{cache.ErrUnhealthy, 503, "Retry-After", "operator"},
		{upstream.ErrTimeout, 504, "", "too long"},
		{context.DeadlineExceeded, 504, "", "too long"},
		{cache.ErrFull, 507, "Retry-After", "room"},
		{formats.ErrDamaged, 500, "", "damaged"},
		{errors.New("secret path /var/x"), 500, "", "request id"},
	}
	for _, tt := range tests {
		w := newWorld(t, nil)
		w.serve = failing(fmt.Errorf("engine: %w", tt.err))
		resp := w.do("GET", "/pad/a/1", nil)
		body := text(t, resp)
		if resp.StatusCode != tt.status || !strings.Contains(body, tt.says) {
			t.Errorf("%v: %d %q, want %d with %q", tt.err, resp.StatusCode, body, tt.status, tt.says)
		}
		if tt.field != "" && resp.Header.Get(tt.field) == "" {
			t.Errorf("%v: no %s field", tt.err, tt.field)
		}
		if resp.Header.Get("Cache-Control") != "no-store" || resp.Header.Get("X-Request-Id") == "" {
			t.Errorf("%v: header %v", tt.err, resp.Header)
		}
		if strings.Contains(body, "engine:") || strings.Contains(body, "/var/x") {
			t.Errorf("%v: internals in the body: %s", tt.err, body)
		}
		head := w.do("HEAD", "/pad/a/1", nil)
		if head.StatusCode != tt.status || text(t, head) != "" || head.Header.Get("Content-Length") != resp.Header.Get("Content-Length") {
			t.Errorf("%v: HEAD is %d with %v", tt.err, head.StatusCode, head.Header)
		}
		if got := w.metrics.ended[0].Status; got != tt.status {
			t.Errorf("%v: counted as %d", tt.err, got)
		}
	}
}

func TestCorruptBytesOfAPublisherAreHisFault(t *testing.T) {
	if f := classify(cache.ErrCorrupt, policy.Publish); f.status != 400 {
		t.Errorf("publish: %d, want 400", f.status)
	}
}

func TestThrottledUpstreamSaysWhen(t *testing.T) {
	x := exchange{edge: &edge{}, r: httptest.NewRequest("GET", "/", nil)}
	f := x.failure(fmt.Errorf("fetch: %w", upstream.ErrThrottled))
	if f.RetryAfter <= 0 {
		t.Errorf("no Retry-After: %+v", f)
	}
}

func TestThreat08HiddenLooksMissing(t *testing.T) {
	ask := func(path string, verdict policy.Decision, err error) (*http.Response, string) {
		w := newWorld(t, nil)
		w.verdict = verdict
		w.serve = failing(err)
		resp := w.do("GET", path, nil, "X-Request-Id: same-for-both", "Authorization: Bearer bob-token")
		return resp, text(t, resp)
	}
	hide := policy.Decision{Verdict: policy.Hide, Reason: "acme/secret is private", Rule: "r", Accepted: []policy.Scope{policy.Repo}}
	allow := policy.Decision{Verdict: policy.Allow}
	hidden, hiddenBody := ask("/pad/lava/1", hide, nil)
	for name, missing := range map[string]error{
		"engine": formats.Refuse(formats.ErrNotFound, "there is no lava in this engine"), "store": cache.ErrNotExist,
		"upstream": upstream.ErrNotExist, "found inside": hide.Err(),
	} {
		resp, body := ask("/pad/lava/1", allow, missing)
		if resp.StatusCode != hidden.StatusCode || body != hiddenBody || fmt.Sprint(resp.Header) != fmt.Sprint(hidden.Header) {
			t.Errorf("%s: %d %q %v\nhidden: %d %q %v", name, resp.StatusCode, body, resp.Header, hidden.StatusCode, hiddenBody, hidden.Header)
		}
	}
	if hidden.Header.Get("X-Cache") != "negative" {
		t.Errorf("X-Cache of what is hidden: %q", hidden.Header.Get("X-Cache"))
	}
	if down, _ := ask("/pad/lava/1", allow, upstream.ErrUnavailable); down.Header.Get("X-Cache") != "" {
		t.Errorf("X-Cache of an outage: %q", down.Header.Get("X-Cache"))
	}
	// The same when the name is not even resolved.
	lost, lostBody := ask("/pad/lost/1", allow, nil)
	hidden, hiddenBody = ask("/pad/lost/1", hide, nil)
	if lostBody == hiddenBody && lost.StatusCode == hidden.StatusCode && !strings.Contains(lostBody, "engine") {
		return
	}
	t.Errorf("unresolved: %q, hidden: %q", lostBody, hiddenBody)
}

func TestBadCredentialsAreNeverAnonymous(t *testing.T) {
	w := newWorld(t, nil)
	resp := w.do("GET", "/pad/a/1", nil, "Authorization: Bearer mallory-token")
	if resp.StatusCode != 401 || !strings.Contains(text(t, resp), "unknown or revoked") || len(w.asked) != 0 {
		t.Errorf("%d, policy asked %d times", resp.StatusCode, len(w.asked))
	}
	resp = w.do("GET", "/pad/a/1", nil, "Authorization: Bearer hasty-token")
	if resp.StatusCode != 429 || resp.Header.Get("Retry-After") != "2" {
		t.Errorf("%d, Retry-After %q; want 429 and 2", resp.StatusCode, resp.Header.Get("Retry-After"))
	}
	if body := text(t, resp); !strings.Contains(body, hurried{}.Error()) {
		t.Errorf("nobody is told what there was too much of: %q", body)
	}
}

func TestRefusalsCarryNoEntityFields(t *testing.T) {
	w := newWorld(t, nil)
	resp := w.do("GET", "/pad/a/1", nil, "Range: bytes=99-")
	if resp.StatusCode != 416 || resp.Header.Get("Content-Range") != "bytes */3" || resp.Header.Get("Etag") != "" {
		t.Errorf("%d %v", resp.StatusCode, resp.Header)
	}
}

func TestBodyLimit(t *testing.T) {
	w := newWorld(t, func(o *Options) { o.MaxBody = 4 })
	resp := w.do("PUT", "/pad/a/1", strings.NewReader("12345"))
	if resp.StatusCode != 413 || resp.Header.Get("Connection") != "close" || len(w.asked) != 0 {
		t.Errorf("announced: %d %v", resp.StatusCode, resp.Header)
	}
	resp = w.do("PUT", "/pad/a/1", struct{ io.Reader }{strings.NewReader("12345")})
	if resp.StatusCode != 413 || !strings.Contains(text(t, resp), "4 bytes") {
		t.Errorf("not announced: %d", resp.StatusCode)
	}
	if resp = w.do("PUT", "/pad/a/1", strings.NewReader("1234")); resp.StatusCode != 409 || string(w.received) != "1234" {
		t.Errorf("within: %d, received %q", resp.StatusCode, w.received)
	}
}

// broken is a body that fails.
type broken struct{ err error }

func (b broken) Read([]byte) (int, error) { return 0, b.err }

func TestBrokenBodies(t *testing.T) {
	for err, want := range map[error]int{
		os.ErrDeadlineExceeded:                     408,
		errors.New("malformed chunk"):              400,
		fmt.Errorf("x: %w", errors.ErrUnsupported): 400,
	} {
		w := newWorld(t, nil)
		resp := w.do("PUT", "/pad/a/1", broken{err})
		if resp.StatusCode != want || resp.Header.Get("Connection") != "close" {
			t.Errorf("%v: %d %v, want %d", err, resp.StatusCode, resp.Header, want)
		}
	}
	w := newWorld(t, nil)
	mustAbort(t, func() { w.do("PUT", "/pad/a/1", broken{io.ErrUnexpectedEOF}) })
	if got := w.metrics.ended[0].Status; got != statusGone {
		t.Errorf("a client that went away in its body: %d, want 499", got)
	}
}

// mustAbort wants the panic that makes net/http cut the connection.
func mustAbort(t *testing.T, f func()) {
	t.Helper()
	defer func() {
		if v := recover(); v != http.ErrAbortHandler {
			t.Errorf("recovered %v, want http.ErrAbortHandler", v)
		}
	}()
	f()
}

func TestAClientThatIsGoneGetsNoReply(t *testing.T) {
	w := newWorld(t, nil)
	w.serve = failing(context.Canceled)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	rec := httptest.NewRecorder()
	mustAbort(t, func() { w.handler.ServeHTTP(rec, httptest.NewRequestWithContext(ctx, "GET", "/pad/a/1", nil)) })
	if rec.Body.Len() > 0 || !strings.Contains(w.log.String(), `"status":499`) {
		t.Errorf("body %q, log %s", rec.Body, w.log)
	}
}

func TestPanics(t *testing.T) {
	w := newWorld(t, nil)
	w.serve = func(formats.File) (*formats.Content, error) { panic("a bug with ldrp_0123456789 in it") }
	resp := w.do("GET", "/pad/a/1", nil)
	if resp.StatusCode != 500 || strings.Contains(text(t, resp), "bug") {
		t.Errorf("%d: the text must be fixed", resp.StatusCode)
	}
	log := w.log.String()
	if !strings.Contains(log, "a bug with ldrp_redacted") || !strings.Contains(log, `"stack"`) || !strings.Contains(log, `"level":"error"`) {
		t.Errorf("log: %s", log)
	}
	w = newWorld(t, nil)
	w.serve = func(formats.File) (*formats.Content, error) {
		return &formats.Content{Size: 9, Follow: func(context.Context, int64, int64) (io.ReadCloser, error) {
			return io.NopCloser(broken{errors.New("cut in the middle")}), nil
		}}, nil
	}
	mustAbort(t, func() { w.do("GET", "/pad/a/1", nil) })
	if log := w.log.String(); !strings.Contains(log, "cut in the middle") || !strings.Contains(log, `"cut":true`) || strings.Count(log, "\n") != 1 {
		t.Errorf("log: %s", log)
	}
}
