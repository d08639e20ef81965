// Package formattest holds the checks that every format must pass. A format's
// own test hands over its value and a request of each kind:
//
//	formattest.Run(t, formattest.Suite{Format: New(), Samples: samples})
//
// The suite knows no protocol: what a format answers is tested beside it, and
// here that it asks, hides, refuses and words as the edge expects.
package formattest

import (
	"errors"
	"io"
	"net/http"
	"net/url"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"larder/formats"
	"larder/policy"
)

// Suite is a format with what is needed to try it.
type Suite struct {
	Format  formats.Format
	Samples []Sample
	// Registry answers the reads among the samples that have Serve set; nil
	// when there are none.
	Registry formats.Registry
}

// Sample is a request that a client of the format makes.
type Sample struct {
	Name   string
	Method string
	Target string // escaped path below the mount, with a leading slash, and query
	Header http.Header
	// Want holds what Parse must find; Detail is not compared.
	Want formats.Request
	// Serve says that Registry can answer it: GET and HEAD are then compared.
	Serve bool
}

// Run runs all checks.
func Run(t *testing.T, s Suite) {
	if len(s.Samples) == 0 {
		t.Fatal("no samples: nothing would be checked")
	}
	t.Run("parse", s.parse)
	t.Run("hostile paths", s.hostile)
	t.Run("methods", s.methods)
	t.Run("failures", s.failures)
	t.Run("refused", s.refused)
	t.Run("head", s.head)
}

// request builds the request as the edge would pass it on; its body fails the
// test when it is read.
func (s Suite) request(t *testing.T, method, target string, h http.Header) (*http.Request, []string, error) {
	t.Helper()
	u, err := url.ParseRequestURI(target)
	if err != nil {
		return nil, nil, err
	}
	r := &http.Request{
		Method: method, URL: u, Host: "larder.example", Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: h.Clone(), Body: sealed{t}, ContentLength: -1, RequestURI: target,
	}
	if r.Header == nil {
		r.Header = http.Header{}
	}
	path, _, err := formats.SplitPath(u)
	return r, path, err
}

// sealed is a body that nothing may read yet.
type sealed struct{ t *testing.T }

func (s sealed) Read([]byte) (int, error) {
	s.t.Error("Parse read the body: it must not, policy has not been asked")
	return 0, io.EOF
}

func (sealed) Close() error { return nil }

func (s Suite) must(t *testing.T, sample Sample, method string) (*http.Request, formats.Request) {
	t.Helper()
	r, path, err := s.request(t, method, sample.Target, sample.Header)
	if err != nil {
		t.Fatalf("%s: the sample's target %s is refused by SplitPath: %v", sample.Name, sample.Target, err)
	}
	req, err := s.Format.Parse(r, path)
	if err != nil {
		t.Fatalf("%s: Parse(%s %s): %v", sample.Name, method, sample.Target, err)
	}
	return r, req
}

var opName = regexp.MustCompile(`^[a-z][a-z0-9_.-]{0,40}$`)

var actions = map[policy.Action]bool{
	policy.Open: true, policy.Self: true, policy.Read: true, policy.Publish: true, policy.Delete: true,
	policy.Restore: true, policy.Settings: true, policy.Organize: true, policy.Administer: true,
}

// parse: every sample is understood, twice alike, has an action, and an op that
// can be a metric label.
func (s Suite) parse(t *testing.T) {
	for _, sample := range s.Samples {
		_, req := s.must(t, sample, sample.Method)
		_, again := s.must(t, sample, sample.Method)
		if !reflect.DeepEqual(req, again) {
			t.Errorf("%s: Parse is not pure: %+v, then %+v", sample.Name, req, again)
		}
		if !opName.MatchString(req.Op) {
			t.Errorf("%s: op %q cannot be a metric label (%s)", sample.Name, req.Op, opName)
		}
		if !actions[req.Action] {
			t.Errorf("%s: op %s has the action %q: policy does not know it", sample.Name, req.Op, req.Action)
		}
		if writes(sample.Method) && req.Action == policy.Read && req.Package != "" {
			t.Errorf("%s: %s of a package counts as a read", sample.Name, sample.Method)
		}
		got := formats.Request{Op: req.Op, Action: req.Action, Package: req.Package, Version: req.Version}
		want := sample.Want
		want.Detail = nil
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %s %s:\n got %+v\nwant %+v", sample.Name, sample.Method, sample.Target, got, want)
		}
	}
}

func writes(method string) bool { return method == http.MethodPut || method == http.MethodDelete }

// hostile puts every hostile segment at every place of every sample's path.
func (s Suite) hostile(t *testing.T) {
	for _, sample := range s.Samples {
		path, query, _ := strings.Cut(sample.Target, "?")
		segments := strings.Split(path[1:], "/")
		for _, bad := range Hostile() {
			for at := range segments {
				changed := append([]string(nil), segments...)
				changed[at] = bad
				s.mustRefuse(t, sample, "/"+strings.Join(changed, "/")+"?"+query)
				changed[at] = segments[at] + "/" + bad
				s.mustRefuse(t, sample, "/"+strings.Join(changed, "/")+"?"+query)
			}
		}
	}
}

func (s Suite) mustRefuse(t *testing.T, sample Sample, target string) {
	t.Helper()
	r, path, err := s.request(t, sample.Method, target, sample.Header)
	if err != nil {
		return // not even a request target, or refused for all formats alike
	}
	_, slashed := s.Format.(formats.Slashed)
	if _, trailing, _ := formats.SplitPath(r.URL); trailing && !slashed {
		return // the edge refuses it
	}
	req, err := s.Format.Parse(r, path)
	if err == nil {
		t.Errorf("%s: %s %s was taken as %+v", sample.Name, sample.Method, target, req)
		return
	}
	if !errors.Is(err, formats.ErrBadRequest) && !errors.Is(err, formats.ErrNotFound) && !errors.Is(err, formats.ErrUnsupported) {
		t.Errorf("%s: %s %s: %v is none of the errors of Parse", sample.Name, sample.Method, target, err)
	}
}

// methods: one that HTTP does not know is refused, and a refusal for the
// method alone says which would do.
func (s Suite) methods(t *testing.T) {
	for _, sample := range s.Samples {
		r, path, err := s.request(t, "BREW", sample.Target, sample.Header)
		if err != nil {
			t.Fatalf("%s: %v", sample.Name, err)
		}
		req, err := s.Format.Parse(r, path)
		if err == nil {
			t.Errorf("%s: BREW was taken as %+v", sample.Name, req)
			continue
		}
		var method *formats.MethodError
		if errors.Is(err, formats.ErrUnsupported) && (!errors.As(err, &method) || len(method.Allow) == 0) {
			t.Errorf("%s: the refusal of BREW does not name the methods to use: %v", sample.Name, err)
		}
	}
}
