package admin

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"larder/cache"
	"larder/formats"
	"larder/policy"
	"larder/policy/directory"
	"larder/policy/token"
	"larder/proxy"
	"larder/upstream"
)

// Problem is a failure as the API words it (RFC 9457).
type Problem struct {
	Type           string         `json:"type" doc:"about:blank, as the status says it all."`
	Title          string         `json:"title" doc:"What the status is called."`
	Status         int            `json:"status" min:"400" max:"599" doc:"The status."`
	Detail         string         `json:"detail" doc:"A sentence for the person who asked: why not, and what to do."`
	RequestID      string         `json:"request_id,omitempty" doc:"Id of the request, as the log has it."`
	AcceptedScopes []policy.Scope `json:"accepted_scopes,omitempty" doc:"The token in use needs one of these scopes, and has none."`

	retry time.Duration
}

// fault is what an error comes to: a status, and a sentence where it has none.
type fault struct {
	kind     error
	status   int
	sentence string
}

// faults is the one table from errors to statuses of the API; the first row
// that an error unwraps to counts.
func faults() []fault {
	return []fault{
		{formats.ErrBadRequest, 400, "the request does not make sense"},
		{directory.ErrInvalid, 400, "a name or value is not of the right form"},
		{policy.ErrUnauthenticated, 401, "this needs a valid token"},
		{policy.ErrDenied, 403, "this caller may not do that"},
		{policy.ErrHidden, 404, notFound},
		{formats.ErrNotFound, 404, notFound},
		{formats.ErrUnsupported, 405, "this method is not allowed here"},
		{directory.ErrExists, 409, "it is there already"},
		{formats.ErrExists, 409, "it is there already"},
		{directory.ErrConflict, 409, "the state of the thing does not allow this change"},
		{formats.ErrConflict, 409, "the thing has changed meanwhile: look at it and try again"},
		{formats.ErrPrecondition, 412, "a condition of the request does not hold"},
		{formats.ErrTooLarge, 413, "a limit was passed"},
		{formats.ErrMediaType, 415, "the body must be JSON"},
		{upstream.ErrThrottled, 503, "the upstream must not be asked now"},
		{upstream.ErrTimeout, 504, "the upstream took too long"},
		{upstream.ErrOffline, 502, "this server is offline"},
		{upstream.ErrUnavailable, 502, "the upstream is not available"},
		{cache.ErrNotExist, 404, notFound},
		{cache.ErrFull, 507, "there is no room left on this server: its operator must make some"},
		{cache.ErrUnhealthy, 503, "this server takes no writes after a failed one: its operator must look at it"},
		{context.DeadlineExceeded, 504, "this took too long"},
	}
}

const (
	notFound = "there is no such thing here, or you may not see it"
	internal = "something went wrong on this server; its log has the reason under the request id"
)

// problem describes err. What is ours is told to Failed, and not to the caller.
func (c *call) problem(err error) Problem {
	p := Problem{Type: "about:blank", Status: http.StatusInternalServerError, Detail: internal, RequestID: c.visit.RequestID}
	var wait interface{ RetryAfter() time.Duration }
	if errors.As(err, &wait) {
		p.Status, p.Detail, p.retry = http.StatusTooManyRequests, err.Error(), wait.RetryAfter()
	} else {
		for _, f := range faults() {
			if errors.Is(err, f.kind) {
				p.Status, p.Detail = f.status, sentence(err, f.sentence)
				break
			}
		}
	}
	var refusal *policy.Refusal
	if errors.As(err, &refusal) {
		p.AcceptedScopes = refusal.Decision.Accepted
	}
	if p.Status == http.StatusInternalServerError {
		c.Failed(c.visit.RequestID, err)
	}
	p.Title, p.Detail = http.StatusText(p.Status), token.Redact(p.Detail)
	return p
}

// sentence is the error's own, where it was made for people.
func sentence(err error, otherwise string) string {
	var own *formats.Error
	var known *directory.Error
	var refusal *policy.Refusal
	var method *formats.MethodError
	var far *upstream.Error
	switch {
	case errors.As(err, &own):
		return own.Sentence
	case errors.As(err, &known):
		return known.Sentence
	case errors.As(err, &refusal) && refusal.Decision.Reason != "":
		return refusal.Decision.Reason
	case errors.As(err, &method):
		return method.Error()
	case errors.As(err, &far):
		return far.Public()
	}
	return otherwise
}

// fail answers with an error.
func (c *call) fail(err error) {
	p := c.refused(err)
	text, encode := json.Marshal(p)
	if encode != nil {
		panic(encode) // strings and numbers always encode
	}
	_ = c.refuse(err, p, func() error { // nothing of it fails
		c.send(p.Status, "application/problem+json", append(text, '\n'))
		return nil
	})
}

// refused describes an error, and sets the fields that go with it.
func (c *call) refused(err error) Problem {
	p := c.problem(err)
	h := c.w.Header()
	var method *formats.MethodError
	if errors.As(err, &method) {
		h.Set("Allow", strings.Join(method.Allow, ", "))
	}
	if p.Status == http.StatusUnauthorized {
		h.Set("WWW-Authenticate", `Bearer realm="larder"`)
	}
	if p.Status == http.StatusForbidden && len(p.AcceptedScopes) > 0 {
		h.Set("X-Accepted-OAuth-Scopes", policy.JoinScopes(p.AcceptedScopes))
	}
	if p.retry > 0 {
		h.Set("Retry-After", strconv.FormatInt(int64((p.retry+time.Second-1)/time.Second), 10))
	}
	return p
}

// refuse records a refusal and sends it: behind the reply where that is to look
// like any other 404.
func (c *call) refuse(err error, p Problem, send func() error) error {
	if p.Status != http.StatusNotFound {
		c.visit.Refuse(c.denial(err, p))
		return send()
	}
	failed := send()
	c.visit.Refuse(c.denial(err, p))
	return failed
}

// denial is a refusal as it is recorded: what was asked for is the call.
func (c *call) denial(err error, p Problem) proxy.Denial {
	d := proxy.Denial{Err: err, Status: p.Status, Sentence: p.Detail, Action: c.row.action}
	if c.row.pattern != "" {
		d.Resource.ID = c.row.method + " " + c.row.pattern
	}
	d.Resource.Owner = cmp.Or(c.r.PathValue("owner"), c.r.PathValue("org"))
	if name := c.r.PathValue("name"); name != "" && d.Resource.Owner != "" {
		d.Resource.Repository, d.Resource.Owner = d.Resource.Owner+"/"+name, ""
	}
	if which, bad := c.purl(); bad == nil {
		d.Resource.Format, d.Resource.Package, d.Resource.Version = which.Format, which.Name, which.Version
	}
	return d
}
