package admin

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"larder/cache"
	"larder/cache/evict"
	"larder/formats"
	"larder/policy"
	"larder/policy/directory"
	"larder/upstream"
)

// lines reads the answer of a stream.
func (w *world) lines(target string) (all []Line) {
	w.t.Helper()
	rec := w.do("POST", target, w.admin, "")
	if rec.Code != 200 || rec.Header().Get("Content-Type") != "application/x-ndjson" {
		w.t.Errorf("%s: %d %v", target, rec.Code, rec.Header())
	}
	for scan := bufio.NewScanner(rec.Body); scan.Scan(); {
		var l Line
		w.must(json.Unmarshal(scan.Bytes(), &l))
		all = append(all, l)
	}
	return all
}

func TestMaintenance(t *testing.T) {
	w := newWorld(t)
	w.work.report = evict.Report{Blobs: 3, Bytes: 30}
	w.work.kept = Retention{Versions: 2, Named: []string{"a 1", "a 2"}}
	w.work.found = Verification{Blobs: 10, Hosted: 1, Findings: []string{"x"}}
	all := w.lines("/api/v1/gc?dry_run=true")
	// The clock stands still, so that of two reports of progress one is told.
	if len(all) != 2 || all[0].Progress == nil || all[0].Progress.Done != 1 || all[1].Collection == nil || all[1].Collection.Bytes != 30 || all[1].Retention.Versions != 2 {
		t.Errorf("gc: %+v", all)
	}
	all = w.lines("/api/v1/verify?repair=true")
	if len(all) != 2 || *all[0].Progress != (Progress{5, 10}) || all[1].Verification.Hosted != 1 {
		t.Errorf("verify: %+v", all)
	}
	w.lines("/api/v1/gc")
	w.lines("/api/v1/verify")
	if want := []string{"retain!", "gc!", "verify!", "retain", "gc", "verify"}; !slices.Equal(w.work.calls, want) {
		t.Errorf("called %q", w.work.calls)
	}
	w.want(400, "POST", "/api/v1/gc?dry_run=x", w.admin, "")
	w.want(400, "POST", "/api/v1/verify?repair=x", w.admin, "")
	w.work.err = errBroken
	for _, target := range []string{"/api/v1/gc", "/api/v1/verify"} {
		all := w.lines(target)
		if p := all[len(all)-1].Problem; p == nil || p.Status != 500 || p.Detail != internal {
			t.Errorf("%s: %+v", target, all)
		}
	}
	if !errors.Is(errors.Join(w.failures...), errBroken) {
		t.Errorf("told %v", w.failures)
	}
}

func TestReloadAndUpstreams(t *testing.T) {
	w := newWorld(t)
	w.want(204, "POST", "/api/v1/reload", w.admin, "")
	w.reload = errors.New("line 3: unknown key")
	if text := w.want(400, "POST", "/api/v1/reload", w.admin, ""); !strings.Contains(text, "line 3") || !strings.Contains(text, "the old one holds") {
		t.Errorf("%s", text)
	}
	var list UpstreamList
	if w.get("/api/v1/upstreams", w.admin, &list); len(list.Upstreams) != 2 || list.Upstreams[0].ID != "far" {
		t.Errorf("%+v", list)
	}
}

func TestProbes(t *testing.T) {
	w := newWorld(t)
	w.want(200, "GET", "/healthz", "", "")
	for range 5 {
		w.want(200, "GET", "/readyz", "", "")
	}
	if w.asked != 1 {
		t.Errorf("asked %d times within a second", w.asked)
	}
	w.ready = errBroken
	w.Advance(readyFor)
	for token, told := range map[string]bool{"": false, w.bob: false, "ldrp_wrong": false, w.admin: true} {
		rec := w.do("GET", "/readyz", token, "")
		if rec.Code != 503 || !strings.Contains(rec.Body.String(), "unavailable") || strings.Contains(rec.Body.String(), "/secret/path") != told {
			t.Errorf("%d %s", rec.Code, rec.Body)
		}
	}
	close(w.draining)
	if rec := w.do("GET", "/readyz", "", ""); rec.Code != 503 || !strings.Contains(rec.Body.String(), "draining") {
		t.Errorf("%d %s", rec.Code, rec.Body)
	}
	w.want(200, "GET", "/healthz", "", "")
	for _, path := range []string{"/healthz", "/readyz", "/metrics"} {
		if rec := w.do("POST", path, "", ""); rec.Code != 405 || rec.Header().Get("Allow") != "GET, HEAD" {
			t.Errorf("POST %s: %d", path, rec.Code)
		}
	}
}

// TestStatuses holds the table of errors, and that what is ours is not shown.
func TestStatuses(t *testing.T) {
	a := &api{Options: Options{Failed: func(string, error) {}}}
	for _, c := range []struct {
		err    error
		status int
		detail string
	}{
		{formats.Refuse(formats.ErrBadRequest, "a sentence"), 400, "a sentence"},
		{&directory.Error{Kind: directory.ErrInvalid, Sentence: "a sentence"}, 400, "a sentence"},
		{policy.Decision{Verdict: policy.Challenge, Reason: "a sentence"}.Err(), 401, "a sentence"},
		{policy.Decision{Reason: "a sentence"}.Err(), 403, "a sentence"},
		{policy.Decision{Verdict: policy.Hide}.Err(), 404, notFound},
		{fmt.Errorf("read row x: %w", cache.ErrNotExist), 404, notFound},
		{formats.ErrUnsupported, 405, "this method is not allowed here"},
		{&directory.Error{Kind: directory.ErrExists, Sentence: "a sentence"}, 409, "a sentence"},
		{&directory.Error{Kind: directory.ErrConflict, Sentence: "a sentence"}, 409, "a sentence"},
		{formats.ErrConflict, 409, "the thing has changed meanwhile: look at it and try again"},
		{formats.ErrTooLarge, 413, "a limit was passed"},
		{&directory.ThrottledError{Wait: 90 * time.Second}, 429, "too many failed sign-ins: wait 90 s, then use a valid token"},
		{upstream.ErrUnavailable, 502, "the upstream is not available"},
		{upstream.ErrTimeout, 504, "the upstream took too long"},
		{fmt.Errorf("disk /secret: %w", cache.ErrFull), 507, "there is no room left on this server: its operator must make some"},
		{cache.ErrUnhealthy, 503, "this server takes no writes after a failed one: its operator must look at it"},
		{context.DeadlineExceeded, 504, "this took too long"},
		{errBroken, 500, internal},
	} {
		if p := (&call{api: a}).problem(c.err); p.Status != c.status || p.Detail != c.detail || p.Title == "" {
			t.Errorf("%v: %+v", c.err, p)
		}
	}
}
