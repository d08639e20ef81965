package proxy

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"larder/cache"
	"larder/formats"
	"larder/policy"
	"larder/policy/token"
	"larder/upstream"
)

// Errors of the edge itself.
var (
	errHost     = errors.New("misdirected request")
	errSlowBody = errors.New("the request body came too slowly")
	errGone     = errors.New("the client went away")
)

// statusGone is logged, never sent: the client went away before its reply.
const statusGone = 499

// fault says what an error comes to.
type fault struct {
	kind     error
	status   int
	sentence string        // for clients, where the error brings none
	retry    time.Duration // Retry-After, where the error brings none
}

// faults is the one table from errors to statuses. The first row that an error
// unwraps to counts; what is in no row is ours (500).
var faults = [...]fault{
	{errSlowBody, 408, "the request body came too slowly: at least 1 KiB/s over 30 s is needed", 0},
	{formats.ErrTooMany, 429, "this is too much at once: try again later", time.Second},
	{errHost, 421, "", 0},
	{formats.ErrBadRequest, 400, "the request does not make sense", 0},
	{policy.ErrUnauthenticated, 401, "this needs a valid token", 0},
	{policy.ErrDenied, 403, "this caller may not do that", 0},
	{policy.ErrHidden, 404, "not found", 0},
	{formats.ErrNotFound, 404, "not found", 0},
	{upstream.ErrNotExist, 404, "not found", 0},
	{formats.ErrUnsupported, 405, "this method is not allowed here", 0},
	{formats.ErrExists, 409, "this version is here already, and a version never changes: publish a new one", 0},
	{formats.ErrConflict, 409, "the document has changed meanwhile: fetch it and try again", 0},
	{formats.ErrPrecondition, 412, "a condition of the request does not hold", 0},
	{formats.ErrTooLarge, 413, "the request is larger than the limit", 0},
	{formats.ErrMediaType, 415, "this content type or encoding is not accepted here", 0},
	{formats.ErrRange, 416, "the range holds nothing of the file", 0},
	{upstream.ErrThrottled, 503, "the upstream must not be asked now: try again later", 10 * time.Second},
	{upstream.ErrTimeout, 504, "the upstream took too long, and nothing is cached", 0},
	{upstream.ErrCorrupt, 502, "the upstream sent other bytes than its own index announces; they were not stored", 0},
	{upstream.ErrOffline, 502, "this server is offline, and nothing is cached", 0},
	{upstream.ErrRefused, 502, "the upstream points to an address that is not allowed: see allow_hosts", 0},
	{upstream.ErrUnavailable, 502, "the upstream is not available, and nothing is cached", 0},
	{cache.ErrNotExist, 404, "not found", 0},
	{cache.ErrCorrupt, 400, "the bytes do not have the checksum announced for them", 0},
	{cache.ErrFull, 507, "there is no room left on this server: its operator must make some", time.Minute},
	{cache.ErrUnhealthy, 503, "this server takes no writes after a failed one: its operator must look at it", time.Minute},
	{context.DeadlineExceeded, 504, "this took too long", 0},
	{formats.ErrDamaged, 500, "the stored bytes are damaged and were not sent: its operator must look at this server", 0},
}

var internal = fault{status: 500, sentence: "something went wrong on this server; its log has the reason under the request id"}

// classify finds the fault of err.
func classify(err error, action policy.Action) fault {
	for _, f := range faults {
		if errors.Is(err, f.kind) {
			if f.kind == cache.ErrCorrupt && action == policy.Read {
				// Nobody sent these bytes now: what we hold is damaged.
				return fault{f.kind, 502, "the stored bytes are damaged and were not sent", 0}
			}
			return f
		}
	}
	return internal
}

// fail answers with err, or cuts a reply that has begun.
func (x *exchange) fail(err error) {
	gone, known := x.body.failed(err)
	if known != nil {
		err = known
	}
	var wait interface {
		error
		RetryAfter() time.Duration
	}
	if errors.As(err, &wait) {
		err = errors.Join(formats.ErrTooMany, err)
	}
	x.err = err
	// A read that fails ends the request's context too, whatever the reason.
	if x.status == 0 && (gone || known == nil && x.r.Context().Err() != nil) {
		x.status, x.err = statusGone, errors.Join(errGone, err)
	}
	if x.status != 0 {
		panic(http.ErrAbortHandler)
	}
	f := x.failure(err)
	if wait != nil {
		f.RetryAfter, f.Sentence = wait.RetryAfter(), wait.Error()
	}
	x.refuse(f)
}

// failure describes err for the client.
func (x *exchange) failure(err error) *formats.Failure {
	fl := classify(err, x.req.Action)
	f := &formats.Failure{
		Status: fl.status, Err: err, Sentence: fl.sentence, Request: x.req,
		Challenge: fl.status == http.StatusUnauthorized, RetryAfter: fl.retry, RequestID: x.id,
	}
	if x.format != nil {
		f.Base = x.root + x.prefix
	}
	if x.wanted.Op != "" {
		f.Request = x.wanted
	}
	if fl.status == http.StatusNotFound && x.gated && !errors.Is(err, formats.ErrNoVersion) {
		// What is hidden and what is missing must not differ in one byte, so
		// neither error is shown.
		f.Err, f.Sentence = formats.ErrNotFound, x.missing()
		return f
	}
	var own *formats.Error
	var refusal *policy.Refusal
	var far *upstream.Error
	var beyond *formats.RangeError
	switch {
	case fl.status == http.StatusInternalServerError:
	case errors.As(err, &own):
		f.Sentence = own.Sentence
	case errors.As(err, &refusal) && refusal.Decision.Reason != "":
		f.Sentence, f.Narrow = refusal.Decision.Reason, refusal.Decision.Narrow
	case errors.As(err, &beyond):
		f.Sentence = beyond.Error()
	case errors.As(err, &far):
		f.Sentence = far.Public()
		if far.RetryAfter > 0 {
			f.RetryAfter = far.RetryAfter
		}
	}
	return f
}

// hinter is implemented by mounts that know why so much may be missing.
type hinter interface {
	// Hint is a sentence for every 404 of the registry, "" for none.
	Hint() string
}

// missing is the sentence of every 404 behind the gate.
func (x *exchange) missing() string {
	s := x.missed()
	if h, ok := x.mount.(hinter); ok && h.Hint() != "" && x.repository == "" {
		s += " (" + h.Hint() + ")"
	}
	return s
}

func (x *exchange) missed() string {
	where := "the registry " + x.mount.Name()
	if x.repository != "" {
		where = "the repository " + quote(x.repository)
	}
	if x.req.Package == "" {
		return "there is no such thing in " + where + ", or you may not read it"
	}
	name := x.req.Package
	if x.req.Version != "" {
		name += " " + x.req.Version
	}
	return quote(name) + " is not in " + where + ", or you may not read it"
}

// refuse writes the reply.
func (x *exchange) refuse(f *formats.Failure) {
	h := x.Header()
	for _, key := range entityFields {
		delete(h, key)
	}
	// A token in the place of a name would go on into the logs of clients.
	f.Sentence = token.Redact(f.Sentence)
	x.explain(f, h)
	status := f.Status
	body := x.describe(f, h)
	if f.Status < 400 || f.Status > 599 {
		f.Status = status
	}
	if len(h["Content-Type"]) == 0 {
		h.Set("Content-Type", "text/plain; charset=utf-8")
	}
	if f.RetryAfter > 0 {
		seconds := (f.RetryAfter + time.Second - 1) / time.Second
		h.Set("Retry-After", strconv.FormatInt(int64(seconds), 10))
	}
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	x.WriteHeader(f.Status)
	var err error
	if x.r.Method != http.MethodHead {
		_, err = x.Write(body)
	}
	// Behind the reply, so that nobody tells what is hidden by the time it takes.
	if d := x.denial(f); d.hidden() {
		x.refused(d)
	}
	if err != nil {
		x.Abort(fmt.Errorf("send the refusal: %w", err))
	}
}

// entityFields describe a body that is not sent now.
var entityFields = [...]string{
	"Accept-Ranges", "Age", "Content-Disposition", "Content-Encoding", "Content-Length", "Content-Range", "Content-Type",
	"Etag", "Last-Modified", "Warning", "X-Cache",
}

// explain sets the fields that say why, in every format alike.
func (x *exchange) explain(f *formats.Failure, h http.Header) {
	var method *formats.MethodError
	if errors.As(f.Err, &method) {
		h.Set("Allow", strings.Join(method.Allow, ", "))
	}
	var beyond *formats.RangeError
	if errors.As(f.Err, &beyond) {
		h.Set("Content-Range", fmt.Sprintf("bytes */%d", beyond.Size))
	}
	if f.Status == http.StatusNotFound && x.gated && x.req.Action == policy.Read {
		// On every one alike: whether an upstream was asked, now or before, would
		// tell what is missing from what is hidden.
		h.Set("X-Cache", string(formats.Negative))
	}
	x.decided(f, h)
	var refusal *policy.Refusal
	if f.Status != http.StatusForbidden || !errors.As(f.Err, &refusal) {
		return
	}
	if accepted := refusal.Decision.Accepted; len(accepted) > 0 {
		h.Set("X-Accepted-OAuth-Scopes", policy.JoinScopes(accepted))
	}
}

// describe words f as the format does; outside registries, as programs and
// people can both read it.
func (x *exchange) describe(f *formats.Failure, h http.Header) []byte {
	if x.format != nil {
		return x.format.Describe(f, h)
	}
	if x.section == "v2" {
		h.Set("Content-Type", "application/json")
		return mustJSON(map[string]any{"errors": []map[string]string{{"code": "UNSUPPORTED", "message": f.Sentence}}})
	}
	h.Set("Content-Type", "application/problem+json")
	return mustJSON(struct {
		Type   string `json:"type"`
		Title  string `json:"title"`
		Status int    `json:"status"`
		Detail string `json:"detail"`
		Error  string `json:"error"` // the field that npm prints
	}{"about:blank", http.StatusText(f.Status), f.Status, f.Sentence, f.Sentence})
}

// mustJSON encodes strings and numbers, which cannot fail.
func mustJSON(v any) []byte {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false) // people read it in a terminal; no browser takes it for HTML
	if err := enc.Encode(v); err != nil {
		panic(err)
	}
	return b.Bytes()
}

func isNetwork(err error) bool {
	var n net.Error
	return errors.As(err, &n)
}
