package admin

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"net/netip"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"larder/cache/timed"
	"larder/formats"
	"larder/policy"
	"larder/proxy"
	"larder/upstream"
)

// Metrics counts what happens, with labels from fixed sets only: never the
// name of a package or a user. It is what the edge (proxy.Metrics), the engine
// (registry.Observer), the eviction and the way out (Hooks) report to. All
// methods may be called concurrently and do not block.
type Metrics struct {
	registry *prometheus.Registry
	handler  http.Handler

	requests   *prometheus.CounterVec
	duration   *prometheus.HistogramVec
	sent       *prometheus.CounterVec
	inFlight   prometheus.Gauge
	results    *prometheus.CounterVec
	saved      *prometheus.CounterVec
	publishes  *prometheus.CounterVec
	shared     *prometheus.CounterVec
	integrity  *prometheus.CounterVec
	auth       *prometheus.CounterVec
	decisions  *prometheus.CounterVec
	operations *prometheus.HistogramVec
	troubles   *prometheus.CounterVec
	jobs       *prometheus.HistogramVec
	evictions  prometheus.Counter
	evicted    prometheus.Counter
	asked      *prometheus.CounterVec
	answered   *prometheus.HistogramVec
	received   *prometheus.CounterVec
	up         *prometheus.GaugeVec
	breakers   *prometheus.GaugeVec
	throttled  *prometheus.CounterVec
	budget     *prometheus.GaugeVec
	collected  prometheus.Gauge
	freedBytes prometheus.Counter
}

// NewMetrics returns counters at zero; version is a label of larder_build_info.
func NewMetrics(version string) *Metrics {
	m := &Metrics{registry: prometheus.NewRegistry()}
	m.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	info := m.gauges("larder_build_info", "What this program was built from; always 1.", "version")
	info.WithLabelValues(version).Set(1)
	m.requests = m.counters("larder_http_requests_total", "Requests answered.", "format", "method", "code")
	m.duration = m.times("larder_http_request_duration_seconds", "Time from a request to the end of its reply.", "format", "op")
	m.sent = m.counters("larder_http_response_bytes_total", "Bytes of bodies sent, by where they came from.", "format", "source")
	m.inFlight = m.gauges("larder_http_in_flight_requests", "Requests being answered now.").WithLabelValues()
	m.results = m.counters("larder_cache_requests_total", "Package requests by the way they were answered.", "format", "result")
	m.saved = m.counters("larder_cache_saved_bytes_total", "Bytes sent that no upstream had to send for it.", "format")
	m.publishes = m.counters("larder_publishes_total", "Publishes by outcome.", "format", "result")
	m.shared = m.counters("larder_singleflight_shared_total", "Requests that joined the fetch of another.", "format")
	m.integrity = m.counters("larder_integrity_failures_total", "Bytes that were not those announced.", "format", "stage")
	m.auth = m.counters("larder_auth_failures_total", "Credentials that were refused.", "reason")
	m.decisions = m.counters("larder_policy_decisions_total", "Requests for packages by what policy said; rule access: scopes and roles.", "format", "rule", "verdict")
	m.operations = m.times("larder_store_operation_duration_seconds", "Time taken by the blob store and the index.", "op")
	m.troubles = m.counters("larder_store_errors_total", "Operations of the blob store and the index that failed.", "op")
	m.jobs = m.times("larder_job_duration_seconds", "Time taken by work beside requests.", "job")
	m.evictions = m.counters("larder_cache_evictions_total", "Cached blobs evicted.", "reason").WithLabelValues("room")
	m.evicted = m.counters("larder_cache_evicted_bytes_total", "Bytes of cached blobs evicted.").WithLabelValues()
	m.asked = m.counters("larder_upstream_requests_total", "Requests that went out; code 0: no reply.", "upstream", "code")
	m.answered = m.times("larder_upstream_request_duration_seconds", "Time until an upstream's headers were in.", "upstream")
	m.received = m.counters("larder_upstream_bytes_total", "Bytes read from bodies of upstreams.", "upstream")
	m.up = m.gauges("larder_upstream_up", "Whether the last request to an upstream got an answer.", "upstream")
	m.breakers = m.gauges("larder_upstream_breaker_state", "Hosts of an upstream that are not asked for a while.", "upstream")
	m.throttled = m.counters("larder_upstream_throttled_total", "Replies 429 of upstreams.", "upstream")
	m.budget = m.gauges("larder_upstream_rate_remaining", "Requests that an upstream said it would still answer.", "upstream")
	m.collected = m.gauges("larder_gc_last_success_timestamp_seconds", "When a collection last ended well.").WithLabelValues()
	m.freedBytes = m.counters("larder_gc_freed_bytes_total", "Bytes freed by collections.").WithLabelValues()
	m.handler = promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{EnableOpenMetrics: true})
	return m
}

func (m *Metrics) counters(name, help string, labels ...string) *prometheus.CounterVec {
	v := prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	m.registry.MustRegister(v)
	return v
}

func (m *Metrics) gauges(name, help string, labels ...string) *prometheus.GaugeVec {
	v := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: name, Help: help}, labels)
	m.registry.MustRegister(v)
	return v
}

func (m *Metrics) times(name, help string, labels ...string) *prometheus.HistogramVec {
	v := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: name, Help: help,
		Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 120},
	}, labels)
	m.registry.MustRegister(v)
	return v
}

// serve answers a scrape.
func (m *Metrics) serve(c *call) error {
	m.handler.ServeHTTP(c.w, c.r)
	return nil
}

// Began counts a request that is being answered.
func (m *Metrics) Began() { m.inFlight.Inc() }

// Ended counts a request that was answered.
func (m *Metrics) Ended(o proxy.Observation) {
	m.inFlight.Dec()
	format := orNone(o.Format)
	m.requests.WithLabelValues(format, o.Method, strconv.Itoa(o.Status)).Inc()
	m.duration.WithLabelValues(format, o.Op).Observe(o.Took.Seconds())
	m.sent.WithLabelValues(format, orNone(string(o.Result))).Add(float64(o.Bytes))
	if o.Format == "" {
		return
	}
	if o.Result != "" {
		m.results.WithLabelValues(format, string(o.Result)).Inc()
	}
	switch o.Result {
	case formats.Hit, formats.Stale, formats.Revalidated, formats.Join:
		m.saved.WithLabelValues(format).Add(float64(o.Bytes))
	}
	if publishes(o.Op) {
		m.publishes.WithLabelValues(format, outcome(o.Status)).Inc()
	}
}

// publishes reports whether an operation is a write of a package's versions. In
// npm's protocol one operation (put) publishes and deprecates.
func publishes(op string) bool { return op == "publish" || op == "put" }

func orNone(s string) string {
	if s == "" {
		return "none"
	}
	return s
}

// outcome is a status as a word for publishes.
func outcome(status int) string {
	switch {
	case status < 400:
		return "ok"
	case status == http.StatusConflict:
		return "exists"
	case status < 500:
		return "refused"
	}
	return "failed"
}

// Integrity counts bytes that were not those announced; stage is "fill" or "read".
func (m *Metrics) Integrity(format, _, stage string, _ error) {
	m.integrity.WithLabelValues(orNone(format), stage).Inc()
}

// Shared counts a client that joined a running fetch.
func (m *Metrics) Shared(format string) { m.shared.WithLabelValues(orNone(format)).Inc() }

// Evicted counts cached blobs that were evicted.
func (m *Metrics) Evicted(blobs int, bytes int64) {
	m.evictions.Add(float64(blobs))
	m.evicted.Add(float64(bytes))
}

// Collected notes a collection that ended well.
func (m *Metrics) Collected(at time.Time, freed int64) {
	m.collected.Set(float64(at.Unix()))
	m.freedBytes.Add(float64(freed))
}

// Hooks returns what counts the requests that go out.
func (m *Metrics) Hooks() upstream.Hooks {
	return upstream.Hooks{Attempt: m.attempt, Breaker: m.breaker}
}

func (m *Metrics) attempt(a upstream.Attempt) {
	m.asked.WithLabelValues(a.Upstream, codeOf(a.Status)).Inc()
	m.received.WithLabelValues(a.Upstream).Add(float64(a.Bytes))
	if a.Status == http.StatusTooManyRequests {
		m.throttled.WithLabelValues(a.Upstream).Inc()
	}
	if a.Rated {
		m.budget.WithLabelValues(a.Upstream).Set(float64(a.Remaining))
	}
	up := 0.0
	if a.Status > 0 && a.Status < 500 {
		up = 1
		m.answered.WithLabelValues(a.Upstream).Observe(a.Latency.Seconds())
	}
	if !errors.Is(a.Err, context.Canceled) {
		m.up.WithLabelValues(a.Upstream).Set(up)
	}
}

// codeOf bounds what an upstream can make of a label.
func codeOf(status int) string {
	if status == 0 || http.StatusText(status) != "" {
		return strconv.Itoa(status)
	}
	return "other"
}

func (m *Metrics) breaker(id, _ string, open bool) {
	change := -1.0
	if open {
		change = 1
	}
	m.breakers.WithLabelValues(id).Add(change)
}

// Stored notes an operation of the store or the index; see timed.Observe.
func (m *Metrics) Stored(op string, took time.Duration, err error) {
	m.operations.WithLabelValues(op).Observe(took.Seconds())
	if timed.Failed(err) {
		m.troubles.WithLabelValues(op).Inc()
	}
}

// Job notes work beside requests that ended; name is a word such as "gc".
func (m *Metrics) Job(name string, took time.Duration) {
	m.jobs.WithLabelValues(name).Observe(took.Seconds())
}

// Warned counts what a rule in mode warn would have refused.
func (m *Metrics) Warned(format, rule string) {
	m.decisions.WithLabelValues(orNone(format), rule, "warn").Inc()
}

// Authorizer wraps one so that its decisions are counted.
func (m *Metrics) Authorizer(inner proxy.Authorizer) proxy.Authorizer {
	return countingAuthorizer{inner, m.decisions}
}

type countingAuthorizer struct {
	inner proxy.Authorizer
	count *prometheus.CounterVec
}

func (a countingAuthorizer) Authorize(ctx context.Context, s policy.Subject, action policy.Action, res policy.Resource) policy.Decision {
	d := a.inner.Authorize(ctx, s, action, res)
	a.count.WithLabelValues(orNone(res.Format), cmp.Or(d.Rule, "access"), d.Verdict.String()).Inc()
	return d
}

// Identifier wraps one so that refused credentials are counted.
func (m *Metrics) Identifier(inner proxy.Identifier) proxy.Identifier {
	return countingIdentifier{inner, m.auth}
}

type countingIdentifier struct {
	inner proxy.Identifier
	count *prometheus.CounterVec
}

func (i countingIdentifier) Identify(r *http.Request, remote netip.Addr) (policy.Subject, error) {
	caller, err := i.inner.Identify(r, remote)
	if err != nil {
		i.count.WithLabelValues(refusedBy(err)).Inc()
	}
	return caller, err
}

// Accounts wraps those that formats use, so that refused logins are counted with
// the other credentials.
func (m *Metrics) Accounts(inner formats.Accounts) formats.Accounts {
	return countingAccounts{inner, m.auth}
}

type countingAccounts struct {
	formats.Accounts
	count *prometheus.CounterVec
}

func (a countingAccounts) Login(ctx context.Context, from netip.Addr, name, password string) (string, error) {
	secret, err := a.Accounts.Login(ctx, from, name, password)
	// A good credential that may make no session is none that was refused.
	if reason := refusedBy(err); reason == "invalid" || reason == "throttled" {
		a.count.WithLabelValues(reason).Inc()
	}
	return secret, err
}

func (a countingAccounts) SignIn(ctx context.Context, from netip.Addr, name, password string) (policy.Subject, error) {
	caller, err := a.Accounts.SignIn(ctx, from, name, password)
	if err != nil {
		a.count.WithLabelValues(refusedBy(err)).Inc()
	}
	return caller, err
}

func refusedBy(err error) string {
	var wait interface{ RetryAfter() time.Duration }
	switch {
	case errors.As(err, &wait):
		return "throttled"
	case errors.Is(err, policy.ErrUnauthenticated):
		return "invalid"
	case errors.Is(err, formats.ErrBadRequest):
		return "ambiguous"
	}
	return "failed"
}
