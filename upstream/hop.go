package upstream

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// assumedRetryAfter stands in for a 429 that does not say how long to wait.
const assumedRetryAfter = 5 * time.Second

// hop sends one request to one host, with that host's leave. The body of the
// response holds the host's slot until it is closed.
func (k *call) hop(u *url.URL, method string, n int) (*http.Response, *body, *failure) {
	r, err := k.judge(u)
	if err != nil {
		return nil, nil, &failure{err: k.fault(u, ErrRefused, err), unasked: true}
	}
	if r == own {
		if f := k.queue(u); f != nil {
			return nil, nil, f
		}
	}
	now := k.transport.options.Now
	h := k.hostOf(u)
	pass, pause, err := h.admit(k.ctx, now)
	if err != nil {
		return nil, nil, k.ended(&failure{unasked: true}, err)
	}
	if pause > 0 {
		e := k.fault(u, ErrThrottled, nil)
		e.RetryAfter = pause
		return nil, nil, &failure{err: e, unasked: true}
	}
	ctx, cancel := context.WithCancelCause(k.ctx)
	timer := time.AfterFunc(k.config.Timeouts.Header, func() { cancel(errHeader) })
	b := &body{call: k, url: u, pass: pass, stop: cancel, start: now(),
		attempt: Attempt{Upstream: k.config.ID, Host: u.Host, Method: method}}
	resp, err := k.pools[r].RoundTrip(k.request(ctx, u, method, r, n))
	b.attempt.Latency = now().Sub(b.start)
	if !timer.Stop() && err == nil {
		resp.Body.Close()
		err = errHeader
	}
	if err != nil {
		f := k.unanswered(ctx, u, h, err)
		k.settle(pass, f.outcome())
		k.record.silent()
		b.finish(f.err)
		return nil, nil, f
	}
	b.attempt.Status = resp.StatusCode
	k.record.replied(b.attempt.Latency)
	if r == own {
		if b.attempt.Remaining, b.attempt.Rated = remaining(resp.Header); b.attempt.Rated {
			k.record.left(b.attempt.Remaining)
		}
	}
	k.settle(pass, statusOutcome(resp))
	b.raw, resp.Body = resp.Body, b
	return resp, b, nil
}

// queue waits for the turn that the configured rate gives.
func (k *call) queue(u *url.URL) *failure {
	pause := k.pacer.turn(k.transport.options.Now())
	if pause > maxPause {
		e := k.fault(u, ErrThrottled, errors.New("the configured rate is used up"))
		e.RetryAfter = pause
		return &failure{err: e, unasked: true}
	}
	if pause > 0 {
		if err := k.transport.options.Wait(k.ctx, pause); err != nil {
			return k.ended(&failure{unasked: true}, err)
		}
	}
	return nil
}

func (f *failure) outcome() outcome {
	if f.blame != nil {
		return failed
	}
	return neither
}

// statusOutcome says what a reply shows about its host's health.
func statusOutcome(r *http.Response) outcome {
	switch {
	case r.StatusCode < 500 || r.StatusCode == http.StatusNotImplemented:
		return succeeded
	case r.StatusCode == http.StatusServiceUnavailable && r.Header.Get("Retry-After") != "":
		return neither
	}
	return failed
}

func (k *call) settle(t *ticket, o outcome) {
	if t.settle(o, k.transport.options.Now()) {
		k.transport.options.Hooks.Breaker(k.config.ID, t.host.name, false)
	}
}

// unanswered judges an attempt that brought no reply.
func (k *call) unanswered(ctx context.Context, u *url.URL, h *host, err error) *failure {
	if errors.Is(err, ErrRefused) {
		return &failure{err: k.fault(u, ErrRefused, err)}
	}
	if k.ctx.Err() != nil {
		f := k.ended(&failure{blame: h}, context.Cause(k.ctx))
		if f.blame != nil {
			k.record.failed(k.transport.options.Now(), k.fault(u, ErrTimeout, nil).Public())
		}
		return f
	}
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	f := &failure{blame: h}
	var timeout net.Error
	var dns *net.DNSError
	var cert *tls.CertificateVerificationError
	switch {
	case err == errHeader || (errors.As(err, &timeout) && timeout.Timeout()):
		f.err = k.fault(u, ErrTimeout, err)
	case errors.As(err, &dns) && dns.IsNotFound, errors.As(err, &cert):
		f.err = k.fault(u, ErrUnavailable, err)
	default:
		f.err, f.again = k.fault(u, ErrUnavailable, err), true
	}
	k.record.failed(k.transport.options.Now(), f.err.(*Error).Public())
	return f
}

// ended words the end of the call's context: the caller went away, which is
// nobody's fault, or a time ran out.
func (k *call) ended(f *failure, cause error) *failure {
	if errors.Is(cause, errTotal) || errors.Is(cause, context.DeadlineExceeded) {
		// The caller's own deadline may be short: only ours is a host's fault.
		if !errors.Is(cause, errTotal) {
			f.blame = nil
		}
		return &failure{err: k.fault(k.first, ErrTimeout, cause), blame: f.blame}
	}
	if !errors.Is(cause, context.Canceled) {
		cause = errors.Join(context.Canceled, cause)
	}
	return &failure{err: &gone{upstream: k.config.ID, cause: cause}}
}

// gone is the error of a call whose caller went away.
type gone struct {
	upstream string
	cause    error
}

func (g *gone) Error() string { return "upstream " + g.upstream + ": given up by the caller" }
func (g *gone) Unwrap() error { return g.cause }

// judgeStatus returns nil where the reply answers the question.
func (k *call) judgeStatus(r *http.Response, u *url.URL, h *host) *failure {
	now := k.transport.options.Now()
	e := k.fault(u, ErrUnavailable, nil)
	e.Status = r.StatusCode
	f := &failure{err: e}
	switch s := r.StatusCode; {
	case s == 200, s == 206 && k.req.Range != "", s == 304 && k.req.conditional():
		k.record.succeeded(now)
		return nil
	case s == 404 || s == 410:
		k.record.succeeded(now)
		e.kind = ErrNotExist
		return f
	case s == 429, s == 503 && r.Header.Get("Retry-After") != "":
		k.throttled(r, h, f, e)
		return f
	case s == 401:
		e.Challenge = strings.Join(r.Header.Values("WWW-Authenticate"), ", ")
		return f
	case s < 500:
		return f
	case s == 502 || s == 503 || s == 504:
		f.again = true
	}
	f.blame = h
	k.record.failed(now, e.Public())
	return f
}

// throttled reads how long the upstream wants to be left alone. A short time
// is waited for; a long one is kept in mind for every later fetch.
func (k *call) throttled(r *http.Response, h *host, f *failure, e *Error) {
	k.record.throttled()
	e.kind, e.RetryAfter = ErrThrottled, assumedRetryAfter
	d, ok := retryAfter(r.Header, k.transport.options.Now())
	if !ok {
		return
	}
	e.RetryAfter, f.blame = d, h
	if d <= maxRetryAfter {
		f.again, f.pause = true, max(d, firstBackOff)
	}
}

// retryAfter reads RFC 9110 section 10.2.3: seconds, or a date, which is
// compared with the sender's own clock when it tells it.
func retryAfter(h http.Header, now time.Time) (time.Duration, bool) {
	v := strings.TrimSpace(h.Get("Retry-After"))
	if n, err := strconv.ParseUint(v, 10, 31); err == nil {
		return min(time.Duration(n)*time.Second, maxThrottle), true
	}
	t, err := http.ParseTime(v)
	if err != nil {
		return 0, false
	}
	if sent := httpTime(h.Get("Date")); !sent.IsZero() {
		now = sent
	}
	return min(max(t.Sub(now), 0), maxThrottle), true
}
