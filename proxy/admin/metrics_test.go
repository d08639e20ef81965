package admin

import (
	"bufio"
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"larder/cache"
	"larder/formats"
	"larder/policy"
	"larder/policy/directory"
	"larder/proxy"
	"larder/upstream"
)

// scrape returns the samples by name and labels.
func scrape(t *testing.T, m *Metrics) map[string]string {
	t.Helper()
	rec := httptest.NewRecorder()
	m.handler.ServeHTTP(rec, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	samples := map[string]string{}
	for scan := bufio.NewScanner(rec.Body); scan.Scan(); {
		if i := strings.LastIndexByte(scan.Text(), ' '); i > 0 && !strings.HasPrefix(scan.Text(), "#") {
			samples[scan.Text()[:i]] = scan.Text()[i+1:]
		}
	}
	return samples
}

func wantSamples(t *testing.T, m *Metrics, want map[string]string) {
	t.Helper()
	got := scrape(t, m)
	for name, value := range want {
		if got[name] != value {
			t.Errorf("%s is %q, want %q", name, got[name], value)
		}
	}
}

func TestRequestMetrics(t *testing.T) {
	m := NewMetrics("1.2.3")
	for _, o := range []proxy.Observation{
		{Format: "npm", Op: "tarball", Method: "GET", Status: 200, Bytes: 100, Result: formats.Hit, Took: time.Millisecond},
		{Format: "npm", Op: "tarball", Method: "GET", Status: 200, Bytes: 50, Result: formats.Miss},
		{Format: "npm", Op: "put", Method: "PUT", Status: 201, Bytes: 5, Result: formats.Hosted},
		{Format: "npm", Op: "put", Method: "PUT", Status: 409},
		{Format: "npm", Op: "put", Method: "PUT", Status: 403},
		{Format: "npm", Op: "put", Method: "PUT", Status: 507},
		{Op: "healthz", Method: "GET", Status: 200, Bytes: 7},
	} {
		m.Began()
		m.Ended(o)
	}
	m.Began()
	wantSamples(t, m, map[string]string{
		`larder_build_info{version="1.2.3"}`:                                                "1",
		`larder_http_requests_total{code="200",format="npm",method="GET"}`:                  "2",
		`larder_http_requests_total{code="200",format="none",method="GET"}`:                 "1",
		`larder_http_in_flight_requests`:                                                    "1",
		`larder_http_response_bytes_total{format="npm",source="hit"}`:                       "100",
		`larder_http_request_duration_seconds_count{format="npm",op="tarball"}`:             "2",
		`larder_http_request_duration_seconds_bucket{format="npm",op="tarball",le="0.001"}`: "2",
		`larder_cache_requests_total{format="npm",result="hit"}`:                            "1",
		`larder_cache_requests_total{format="npm",result="miss"}`:                           "1",
		`larder_cache_saved_bytes_total{format="npm"}`:                                      "100",
		`larder_publishes_total{format="npm",result="ok"}`:                                  "1",
		`larder_publishes_total{format="npm",result="exists"}`:                              "1",
		`larder_publishes_total{format="npm",result="refused"}`:                             "1",
		`larder_publishes_total{format="npm",result="failed"}`:                              "1",
	})
}

func TestHookMetrics(t *testing.T) {
	m := NewMetrics("x")
	h := m.Hooks()
	h.Attempt(upstream.Attempt{Upstream: "far", Status: 200, Bytes: 10, Latency: time.Second, Remaining: 76, Rated: true})
	h.Attempt(upstream.Attempt{Upstream: "far", Status: 429})
	h.Attempt(upstream.Attempt{Upstream: "far", Status: 599})
	h.Attempt(upstream.Attempt{Upstream: "near", Status: 200})
	h.Attempt(upstream.Attempt{Upstream: "near", Err: context.Canceled}) // which tells nothing of it
	h.Attempt(upstream.Attempt{Upstream: "gone", Err: errors.New("refused")})
	h.Breaker("gone", "a", true)
	h.Breaker("gone", "b", true)
	h.Breaker("gone", "a", false)
	m.Integrity("npm", "left", "fill", nil)
	m.Shared("npm")
	m.Evicted(2, 200)
	m.Evicted(1, 50)
	m.Collected(time.Unix(1000, 0), 7)
	m.Store(func(context.Context) (Usage, error) {
		return Usage{CachedBytes: 1, CachedBlobs: 2, HostedBytes: 3, HostedBlobs: 4, Limit: 5}, nil
	})
	m.Uploads(func(context.Context) (int, int64, error) { return 6, 7, nil })
	wantSamples(t, m, map[string]string{
		`larder_upload_sessions`:                                         "6",
		`larder_upload_session_bytes`:                                    "7",
		`larder_upstream_requests_total{code="200",upstream="far"}`:      "1",
		`larder_upstream_requests_total{code="other",upstream="far"}`:    "1",
		`larder_upstream_requests_total{code="0",upstream="gone"}`:       "1",
		`larder_upstream_bytes_total{upstream="far"}`:                    "10",
		`larder_upstream_throttled_total{upstream="far"}`:                "1",
		`larder_upstream_rate_remaining{upstream="far"}`:                 "76",
		`larder_upstream_up{upstream="far"}`:                             "0",
		`larder_upstream_up{upstream="near"}`:                            "1",
		`larder_upstream_up{upstream="gone"}`:                            "0",
		`larder_upstream_breaker_state{upstream="gone"}`:                 "1",
		`larder_upstream_request_duration_seconds_count{upstream="far"}`: "2",
		`larder_integrity_failures_total{format="npm",stage="fill"}`:     "1",
		`larder_singleflight_shared_total{format="npm"}`:                 "1",
		`larder_cache_evictions_total{reason="room"}`:                    "3",
		`larder_cache_evicted_bytes_total`:                               "250",
		`larder_gc_last_success_timestamp_seconds`:                       "1000",
		`larder_gc_freed_bytes_total`:                                    "7",
		`larder_store_bytes{kind="cached"}`:                              "1",
		`larder_store_objects{kind="cached"}`:                            "2",
		`larder_store_bytes{kind="hosted"}`:                              "3",
		`larder_store_objects{kind="hosted"}`:                            "4",
		`larder_store_limit_bytes`:                                       "5",
	})
	for name := range scrape(t, m) {
		if strings.Contains(name, "left") {
			t.Errorf("the name of a package is a label: %s", name)
		}
	}
}

func TestUsageThatCannotBeReadIsAbsent(t *testing.T) {
	m := NewMetrics("x")
	m.Store(func(context.Context) (Usage, error) { return Usage{Limit: 5}, errBroken })
	m.Uploads(func(context.Context) (int, int64, error) { return 6, 7, errBroken })
	if got := scrape(t, m); got["larder_store_limit_bytes"] != "" || got["larder_upload_sessions"] != "" || got[`larder_build_info{version="x"}`] != "1" {
		t.Errorf("%v", got)
	}
}

type refusing struct{ err error }

func (r refusing) Identify(*http.Request, netip.Addr) (policy.Subject, error) {
	return policy.Subject{}, r.err
}

func TestRefusedCredentialsAreCounted(t *testing.T) {
	m := NewMetrics("x")
	for _, err := range []error{
		nil, formats.Refuse(policy.ErrUnauthenticated, "x"), formats.Refuse(formats.ErrBadRequest, "x"),
		&directory.ThrottledError{Wait: time.Second}, errBroken,
	} {
		if _, got := m.Identifier(refusing{err}).Identify(nil, netip.Addr{}); got != err {
			t.Errorf("%v became %v", err, got)
		}
	}
	want := map[string]string{}
	for _, reason := range []string{"invalid", "ambiguous", "throttled", "failed"} {
		want[`larder_auth_failures_total{reason="`+reason+`"}`] = "1"
	}
	wantSamples(t, m, want)
}

// logins is the Accounts whose every login fails in one way.
type logins struct {
	formats.Accounts
	err error
}

func (l logins) Login(context.Context, netip.Addr, string, string) (string, error) {
	return "", l.err
}

func (l logins) SignIn(context.Context, netip.Addr, string, string) (policy.Subject, error) {
	return policy.Subject{}, l.err
}

func TestRefusedSignInsAreCounted(t *testing.T) {
	m := NewMetrics("x")
	for _, err := range []error{nil, formats.Refuse(policy.ErrUnauthenticated, "x"), &directory.ThrottledError{Wait: time.Second}, formats.Refuse(formats.ErrBadRequest, "x")} {
		if _, got := m.Accounts(logins{err: err}).SignIn(t.Context(), netip.Addr{}, "ann", "no"); got != err {
			t.Errorf("%v became %v", err, got)
		}
	}
	wantSamples(t, m, map[string]string{
		`larder_auth_failures_total{reason="invalid"}`:   "1",
		`larder_auth_failures_total{reason="throttled"}`: "1",
		`larder_auth_failures_total{reason="ambiguous"}`: "1",
	})
}

func TestRefusedLoginsAreCounted(t *testing.T) {
	m := NewMetrics("x")
	for _, err := range []error{
		nil, formats.Refuse(policy.ErrUnauthenticated, "x"), &directory.ThrottledError{Wait: time.Second},
		formats.Refuse(policy.ErrDenied, "x"), formats.Refuse(formats.ErrConflict, "x"),
	} {
		if _, got := m.Accounts(logins{err: err}).Login(t.Context(), netip.Addr{}, "ann", "no"); got != err {
			t.Errorf("%v became %v", err, got)
		}
	}
	wantSamples(t, m, map[string]string{
		`larder_auth_failures_total{reason="invalid"}`:   "1",
		`larder_auth_failures_total{reason="throttled"}`: "1",
	})
}

// verdicts is an Authorizer that says what it is told to.
type verdicts struct{ d policy.Decision }

func (v verdicts) Authorize(context.Context, policy.Subject, policy.Action, policy.Resource) policy.Decision {
	return v.d
}

func TestDecisionsAreCounted(t *testing.T) {
	m := NewMetrics("x")
	for _, d := range []policy.Decision{{Verdict: policy.Allow}, {Verdict: policy.Deny}, {Verdict: policy.Deny, Rule: "cool"}, {Verdict: policy.Hide}, {Verdict: policy.Challenge}} {
		if got := m.Authorizer(verdicts{d}).Authorize(t.Context(), policy.Subject{}, policy.Read, policy.Resource{Format: "npm", Package: "left"}); got.Verdict != d.Verdict {
			t.Errorf("%v became %v", d, got)
		}
	}
	m.Warned("npm", "cool")
	wantSamples(t, m, map[string]string{
		`larder_policy_decisions_total{format="npm",rule="cool",verdict="warn"}`:        "1",
		`larder_policy_decisions_total{format="npm",rule="access",verdict="allow"}`:     "1",
		`larder_policy_decisions_total{format="npm",rule="access",verdict="deny"}`:      "1",
		`larder_policy_decisions_total{format="npm",rule="cool",verdict="deny"}`:        "1",
		`larder_policy_decisions_total{format="npm",rule="access",verdict="hide"}`:      "1",
		`larder_policy_decisions_total{format="npm",rule="access",verdict="challenge"}`: "1",
	})
}

func TestStorageAndJobsAreTimed(t *testing.T) {
	m := NewMetrics("x")
	m.Stored("open", time.Millisecond, nil)
	m.Stored("open", time.Millisecond, cache.ErrNotExist) // an answer
	m.Stored("update", time.Second, errBroken)
	m.Job("gc", time.Second)
	wantSamples(t, m, map[string]string{
		`larder_store_operation_duration_seconds_count{op="open"}`:   "2",
		`larder_store_operation_duration_seconds_count{op="update"}`: "1",
		`larder_store_errors_total{op="open"}`:                       "",
		`larder_store_errors_total{op="update"}`:                     "1",
		`larder_job_duration_seconds_count{job="gc"}`:                "1",
	})
}

// Every name follows the rules of the house: counters end in _total, units are
// base units, and each has a sentence of help.
func TestMetricNames(t *testing.T) {
	w := newWorld(t)
	text := w.want(200, "GET", "/metrics", "", "")
	ours := 0
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		if len(fields) < 4 || fields[0] != "#" || !strings.HasPrefix(fields[2], "larder_") {
			continue
		}
		ours++
		if fields[1] == "TYPE" && (fields[3] == "counter") != strings.HasSuffix(fields[2], "_total") {
			t.Errorf("%s is a %s", fields[2], fields[3])
		}
		if strings.Contains(fields[2], "_ms") || strings.Contains(fields[2], "milli") {
			t.Errorf("%s is not in base units", fields[2])
		}
	}
	if ours < 10 {
		t.Errorf("%d lines of ours", ours)
	}
}
