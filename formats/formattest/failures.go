package formattest

import (
	"bytes"
	"encoding/json"
	"errors"
	"html"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"larder/cache"
	"larder/formats"
	"larder/policy"
)

// sentences must reach the person unchanged, whatever is in them.
var sentences = []string{
	"left-pad 1.4.0 is 2 h old: wait until 2026-08-04, or ask for a waiver",
	`a name with "quotes", a \ and <script>alert(1)</script> & more`,
	"two\nlines and a letter of its own: é",
}

// failures are the refusals that every format must word.
var failures = []struct {
	status    int
	err       error
	challenge bool
}{
	{400, formats.ErrBadRequest, false},
	{401, policy.ErrUnauthenticated, true},
	{403, policy.ErrDenied, false},
	{404, formats.ErrNotFound, false},
	{405, &formats.MethodError{Allow: []string{"GET"}}, false},
	{408, errors.New("too slow"), false},
	{409, formats.ErrExists, false},
	{409, formats.ErrConflict, false},
	{412, formats.ErrPrecondition, false},
	{413, formats.ErrTooLarge, false},
	{415, formats.ErrMediaType, false},
	{416, &formats.RangeError{Size: 3}, false},
	{429, errors.New("too many"), false},
	{500, errors.New("internal"), false},
	{500, formats.ErrDamaged, false},
	{502, errors.New("upstream"), false},
	{503, cache.ErrUnhealthy, false},
	{504, errors.New("timeout"), false},
	{507, cache.ErrFull, false},
}

// failures: each is worded for a request of every kind, and for one that could
// not even be parsed.
func (s Suite) failures(t *testing.T) {
	requests := []formats.Request{{}}
	for _, sample := range s.Samples {
		_, req := s.must(t, sample, sample.Method)
		requests = append(requests, req)
	}
	for _, req := range requests {
		for _, f := range failures {
			for _, sentence := range sentences {
				s.failure(t, formats.Failure{
					Status: f.status, Err: f.err, Sentence: sentence, Request: req, Challenge: f.challenge,
					RetryAfter: time.Minute, RequestID: "req-1",
				})
			}
		}
	}
}

func (s Suite) failure(t *testing.T, f formats.Failure) {
	t.Helper()
	what := func() string { return s.Format.Name() + ", op " + f.Request.Op + ", " + http.StatusText(f.Status) }
	first, h := f, http.Header{}
	body := s.Format.Describe(&first, h)
	second := f
	if again := s.Format.Describe(&second, http.Header{}); !bytes.Equal(body, again) {
		t.Errorf("%s: worded in two ways: %s, then %s", what(), body, again)
	}
	if first.Status < 400 || first.Status > 599 {
		t.Errorf("%s: a refusal became status %d", what(), first.Status)
	}
	kind, _, _ := strings.Cut(h.Get("Content-Type"), ";")
	switch {
	case kind == "text/html":
		t.Errorf("%s: worded as HTML, which package clients do not show", what())
	case strings.HasSuffix(kind, "json") && !json.Valid(body):
		t.Errorf("%s: not JSON: %s", what(), body)
	}
	if !tells(kind, body, h, f.Sentence) {
		t.Errorf("%s: the sentence does not reach the person\nsentence: %s\n  header: %v\n    body: %s", what(), f.Sentence, h, body)
	}
	for key, values := range h {
		if strings.ContainsAny(strings.Join(values, ""), "\r\n\x00") {
			t.Errorf("%s: the field %s holds a line break: %q", what(), key, values)
		}
	}
}

// tells reports whether the sentence is in the body as its media type writes it.
func tells(kind string, body []byte, h http.Header, sentence string) bool {
	switch {
	case strings.HasSuffix(kind, "json"):
		var v any
		return json.Unmarshal(body, &v) == nil && holds(v, sentence)
	case strings.HasSuffix(kind, "xml"):
		return strings.Contains(html.UnescapeString(string(body)), sentence)
	}
	return strings.Contains(string(body), sentence)
}

func holds(v any, sentence string) bool {
	switch v := v.(type) {
	case string:
		return strings.Contains(v, sentence)
	case []any:
		for _, e := range v {
			if holds(e, sentence) {
				return true
			}
		}
	case map[string]any:
		for _, e := range v {
			if holds(e, sentence) {
				return true
			}
		}
	}
	return false
}

// refused: when the registry refuses everything, Serve returns an error and
// has written nothing, so that the edge can still answer.
func (s Suite) refused(t *testing.T) {
	for _, sample := range s.Samples {
		r, req := s.must(t, sample, sample.Method)
		if req.Action == policy.Open || req.Action == policy.Self {
			continue
		}
		r.Body = http.NoBody
		w := httptest.NewRecorder()
		err := s.Format.Serve(w, r, call(req, Refusing{Err: policy.ErrDenied}))
		if err != nil && (w.Body.Len() > 0 || w.Code != http.StatusOK) {
			t.Errorf("%s: Serve returned %v after it had written", sample.Name, err)
		}
		if err == nil && w.Body.Len() == 0 && req.Package != "" {
			t.Errorf("%s: refused, and yet Serve neither failed nor answered", sample.Name)
		}
		if writes(sample.Method) && err == nil {
			t.Errorf("%s: a write was answered with %d although the registry refused", sample.Name, w.Code)
		}
	}
}

func call(req formats.Request, reg formats.Registry) *formats.Call {
	return &formats.Call{
		Request: req, Registry: reg, Base: "http://larder.example/sample/", Origin: "http://larder.example",
	}
}

// head: a HEAD is parsed as its GET is, and the samples that can be served
// get the same head.
func (s Suite) head(t *testing.T) {
	served := 0
	for _, sample := range s.Samples {
		if sample.Method != http.MethodGet || sample.Want.Action != policy.Read {
			continue
		}
		get, req := s.must(t, sample, http.MethodGet)
		head, same := s.must(t, sample, http.MethodHead)
		if same.Op != req.Op || same.Action != req.Action || same.Package != req.Package || same.Version != req.Version {
			t.Errorf("%s: HEAD is %+v, GET is %+v", sample.Name, same, req)
		}
		if sample.Serve {
			served++
			s.compare(t, sample, s.serve(t, sample, get, req), s.serve(t, sample, head, same))
		}
	}
	if s.Registry != nil && served == 0 {
		t.Error("a Registry is given, but no sample has Serve set")
	}
}

func (s Suite) serve(t *testing.T, sample Sample, r *http.Request, req formats.Request) *httptest.ResponseRecorder {
	t.Helper()
	w := httptest.NewRecorder()
	if err := s.Format.Serve(w, r, call(req, s.Registry)); err != nil {
		t.Fatalf("%s: %s: %v", sample.Name, r.Method, err)
	}
	return w
}

func (s Suite) compare(t *testing.T, sample Sample, get, head *httptest.ResponseRecorder) {
	t.Helper()
	if get.Code != head.Code {
		t.Errorf("%s: GET is %d, HEAD is %d", sample.Name, get.Code, head.Code)
	}
	if head.Body.Len() > 0 {
		t.Errorf("%s: HEAD has a body of %d bytes", sample.Name, head.Body.Len())
	}
	for key := range get.Header() {
		if a, b := get.Header().Get(key), head.Header().Get(key); a != b && key != "Date" {
			t.Errorf("%s: %s is %q on GET and %q on HEAD", sample.Name, key, a, b)
		}
	}
}
