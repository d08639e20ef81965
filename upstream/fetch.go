package upstream

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"time"
)

const (
	firstBackOff = 100 * time.Millisecond // doubles with each attempt, jittered
	maxDrain     = 4 << 10                // bytes read of an unwanted body, to keep its connection
)

var (
	errTotal  = errors.New("no reply within the total time")
	errHeader = errors.New("no reply within the time of one attempt")
)

// Fetch asks the upstream. The context bounds the reading of the body too.
// Errors: ErrNotExist, ErrUnavailable, ErrTimeout, ErrThrottled, ErrRefused,
// ErrOffline, each in an *Error; context.Canceled when the caller gave up.
func (c *Client) Fetch(ctx context.Context, req Request) (*Response, error) {
	if c.config.Offline {
		return nil, c.fault(nil, ErrOffline, nil)
	}
	if err := req.check(); err != nil {
		return nil, c.fault(nil, ErrRefused, err)
	}
	u, err := c.resolve(req.Ref)
	if err != nil {
		return nil, c.fault(nil, ErrRefused, err)
	}
	life, cancel := context.WithCancelCause(ctx)
	k := &call{Client: c, req: req, method: req.method(), first: u, ctx: life, cancel: cancel}
	timer := time.AfterFunc(c.config.Timeouts.Total, func() { cancel(errTotal) })
	resp, err := k.attempts()
	if !timer.Stop() && err == nil {
		resp.Body.Close()
		err = c.fault(u, ErrTimeout, errTotal)
	}
	if err != nil {
		cancel(err)
		return nil, err
	}
	return resp, nil
}

func (c *Client) fault(u *url.URL, kind, cause error) *Error {
	e := &Error{Upstream: c.config.ID, kind: kind, cause: cause}
	if u != nil {
		e.Host = u.Host
	}
	return e
}

// call is one Fetch on its way.
type call struct {
	*Client
	req    Request
	method string
	first  *url.URL
	ctx    context.Context // ends with the caller's, with Body.Close, or with the total time
	cancel context.CancelCauseFunc
}

// failure is how a try ended, and what follows from it.
type failure struct {
	err     error
	blame   *host         // counts it in its breaker; nil: nobody's fault
	again   bool          // another try may help
	pause   time.Duration // before that; 0: back-off
	unasked bool          // no request went out
}

// attempts tries until something is worth returning. The breaker counts the
// whole as one failure: else one bad file could shut a good upstream.
func (k *call) attempts() (*Response, error) {
	var last *failure
	for n := 1; ; n++ {
		resp, f := k.follow()
		if f == nil {
			return resp, nil
		}
		if last != nil && f.unasked && errors.Is(f.err, ErrThrottled) {
			break // the breaker opened meanwhile; what opened it says more
		}
		last = f
		if !f.again || n == maxAttempts || k.method == http.MethodPost {
			break
		}
		pause := f.pause
		if pause == 0 {
			pause = backOff(n)
		}
		if err := k.transport.options.Wait(k.ctx, pause); err != nil {
			last = k.ended(last, err)
			break
		}
	}
	k.note(last)
	return nil, last.err
}

// backOff returns the pause after the n-th try: half of it fixed, half random.
func backOff(n int) time.Duration {
	d := firstBackOff << (n - 1)
	return d/2 + rand.N(d/2)
}

// note draws the consequences of a failed fetch.
func (k *call) note(f *failure) {
	now := k.transport.options.Now()
	var e *Error
	if !errors.As(f.err, &e) {
		return
	}
	if e.kind == ErrThrottled && !f.unasked && f.blame != nil {
		f.blame.throttle(e.RetryAfter, now)
		return
	}
	if f.blame != nil && f.blame.fail(now) {
		k.transport.options.Hooks.Breaker(k.config.ID, f.blame.name, true)
	}
}

// follow is one try with all its redirects.
func (k *call) follow() (*Response, *failure) {
	u, method := k.first, k.method
	for hops := 0; ; hops++ {
		resp, b, f := k.hop(u, method, hops)
		if f != nil {
			return nil, f
		}
		if !isRedirect(resp) {
			if f := k.judgeStatus(resp, u, b.pass.host); f != nil {
				discard(resp.Body)
				return nil, f
			}
			b.final = true
			return newResponse(resp, u, resp.Body), nil
		}
		discard(resp.Body)
		if hops == maxHops {
			return nil, &failure{err: k.fault(u, ErrUnavailable, fmt.Errorf("more than %d redirects", maxHops))}
		}
		next, err := u.Parse(resp.Header.Get("Location"))
		if err != nil {
			return nil, &failure{err: k.fault(u, ErrUnavailable, errors.New("a redirect to no URL"))}
		}
		next = clean(next)
		if method == http.MethodPost {
			if origin(next) != origin(u) {
				return nil, &failure{err: k.fault(next, ErrRefused, errors.New("a POST is not taken to another origin"))}
			}
			if resp.StatusCode < http.StatusTemporaryRedirect {
				method = http.MethodGet
			}
		}
		u = next
	}
}

func isRedirect(r *http.Response) bool {
	switch r.StatusCode {
	case http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther,
		http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
		return r.Header.Get("Location") != ""
	}
	return false
}

// discard reads a little, so that the connection can be used again.
func discard(body io.ReadCloser) {
	// What the bytes are does not matter, nor whether they come.
	_, _ = io.CopyN(io.Discard, body, maxDrain)
	body.Close()
}

// request writes the HTTP request of one hop. Credentials and the caller's
// own fields are bound to origins; conditions and ranges go along.
func (k *call) request(ctx context.Context, u *url.URL, method string, r reach, hop int) *http.Request {
	out := (&http.Request{Method: method, URL: u, Host: u.Host, Header: http.Header{},
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1}).WithContext(ctx)
	if r != foreign && origin(u) == origin(k.first) {
		for name, values := range k.req.Header {
			out.Header[http.CanonicalHeaderKey(name)] = append([]string(nil), values...)
		}
	}
	if (r == own || (r == allowed && k.req.Login && hop == 0)) && out.Header.Get("Authorization") == "" {
		k.auth.apply(out)
	}
	set := func(name, value string) {
		if value != "" {
			out.Header.Set(name, value)
		}
	}
	set("User-Agent", k.transport.options.UserAgent)
	set("Accept", k.req.Accept)
	set("Accept-Encoding", k.req.AcceptEncoding)
	if k.req.AcceptEncoding == "" {
		set("Accept-Encoding", "identity")
	}
	set("If-None-Match", k.req.IfNoneMatch)
	if !k.req.IfModifiedSince.IsZero() {
		set("If-Modified-Since", k.req.IfModifiedSince.UTC().Format(http.TimeFormat))
	}
	set("Range", k.req.Range)
	set("If-Range", k.req.IfRange)
	if method == http.MethodPost {
		set("Content-Type", k.req.ContentType)
		out.Body = io.NopCloser(bytes.NewReader(k.req.Body))
		out.ContentLength = int64(len(k.req.Body))
	}
	return out
}
