package registry_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"larder/cache"
	"larder/formats"
	"larder/policy"
	"larder/proxy/registry"
	"larder/upstream"
	"larder/upstream/bearer"
	"larder/upstream/upstreamtest/ocitest"
)

// signedIn is a mirror of a container registry that gives tokens.
type signedIn struct {
	formats.Registry
	t      *testing.T
	bench  *bench
	far    *ocitest.Registry
	alarms atomic.Int64
}

func newSignedIn(t *testing.T, password string, opt ocitest.Options) *signedIn {
	t.Helper()
	far, err := ocitest.Start(opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(far.Close)
	b := newBench(t)
	cfg := upstream.Config{ID: "hub", URL: far.URL}
	if password != "" {
		cfg.Auth = upstream.Auth{Type: "basic", Username: "u", Password: upstream.Hide(password)}
	}
	c, err := upstream.New(cfg, upstream.NewTransport(upstream.Options{
		Proxy: func(*http.Request) (*url.URL, error) { return nil, nil }, Now: b.clock.now,
		Wait: func(ctx context.Context, _ time.Duration) error { return context.Cause(ctx) },
	}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.CloseIdle)
	s := &signedIn{t: t, bench: b, far: far}
	fetcher, err := bearer.New(c, bearer.Options{Now: b.clock.now, Alarm: func(bearer.Alarm) { s.alarms.Add(1) }})
	if err != nil {
		t.Fatal(err)
	}
	s.Registry = b.engine.Registry(registry.Spec{
		Name: "mirror/hub", Format: images{b.format}, World: "mirror/hub",
		Upstreams: b.only(registry.Source{ID: "hub", Fetcher: fetcher, Private: password != ""}),
	}).For(policy.Subject{}, "", base)
	return s
}

// tag is a tag of an image as a container format asks for it.
func (s *signedIn) tag(name, tag string) formats.Pointer {
	return formats.Pointer{
		Package: name, Name: tag, Path: "v2/" + name + "/manifests/" + tag, Accept: ocitest.TypeIndex + ", " + ocitest.TypeImage,
		Read: func(h http.Header, size int64) (formats.Target, bool) {
			d := h.Get("Docker-Content-Digest")
			return formats.Target{Version: d, Size: size}, d != ""
		},
		File: func(version string) formats.File { return s.manifest(name, version) },
		Digest: func(body []byte, _ string) (string, error) {
			return ocitest.Digest(body), nil
		},
	}
}

func (s *signedIn) manifest(name, version string) formats.File {
	d, err := cache.ParseDigest(strings.TrimPrefix(version, "sha256:"))
	if err != nil {
		s.t.Fatal(err)
	}
	return formats.File{
		Package: name, Version: version, Name: name + "/manifests/" + version,
		Locate: func(context.Context) (formats.Location, error) {
			return formats.Location{
				Ref: "v2/" + name + "/manifests/" + version, Accept: ocitest.TypeIndex + ", " + ocitest.TypeImage,
				Want: []cache.Sum{{Algorithm: cache.SHA256, Value: d[:]}},
			}, nil
		},
		Check: func(src io.Reader, _ string) (formats.FileFacts, error) {
			_, err := io.Copy(io.Discard, src)
			return formats.FileFacts{}, err
		},
	}
}

// asked insists on the requests since the last look, those for tokens as "token".
func (s *signedIn) asked(want ...string) {
	s.t.Helper()
	got := []string{}
	for _, r := range s.far.Log("") {
		path, _, _ := strings.Cut(r.Path, "?")
		got = append(got, r.Method+" "+path[strings.LastIndex(path, "/")+1:])
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		s.t.Fatalf("asked %q, want %q", got, want)
	}
	s.far.Forget()
}

// TestPullSignedIn: a pull costs one token, one HEAD and one GET; the next one
// nothing, and after the window one HEAD. An upstream without a digest header is
// asked for the body.
func TestPullSignedIn(t *testing.T) {
	for _, bare := range []bool{false, true} {
		s := newSignedIn(t, "p", ocitest.Options{Auth: ocitest.Bearer, User: "u", Password: "p", NoDigest: bare})
		d, err := s.far.Push("acme/app", "v1", ocitest.Image{})
		if err != nil {
			t.Fatal(err)
		}
		pull := func(want formats.Result) {
			t.Helper()
			to, err := s.Resolve(context.Background(), s.tag("acme/app", "v1"))
			if err != nil || to.Version != d.Digest || to.Size != d.Size || to.MediaType != ocitest.TypeImage || to.Result != want {
				t.Fatalf("%+v, %v; want %+v, %s", to, err, d, want)
			}
			c, err := s.File(context.Background(), s.manifest("acme/app", to.Version))
			if err != nil || c.Result != formats.Hit {
				t.Fatalf("%+v, %v", c, err)
			}
			c.Close()
		}
		second := d.Digest
		if bare {
			second = "v1"
		}
		pull(formats.Miss)
		s.asked("HEAD v1", "GET token", "HEAD v1", "GET "+second)
		pull(formats.Hit)
		s.asked()
		s.bench.clock.advance(5*time.Minute - 1)
		pull(formats.Hit)
		s.bench.clock.advance(1)
		pull(formats.Revalidated)
		if s.alarms.Load() != 0 {
			t.Errorf("%d alarms", s.alarms.Load())
		}
	}
}

// TestPullRefused: who is refused hears that there is no such image, the operator
// hears why, and what came by the credential is not shown any more.
func TestPullRefused(t *testing.T) {
	s := newSignedIn(t, "wrong", ocitest.Options{Auth: ocitest.Bearer, User: "u", Password: "p"})
	if _, err := s.far.Push("acme/app", "v1", ocitest.Image{}); err != nil {
		t.Fatal(err)
	}
	fails := func() {
		t.Helper()
		if to, err := s.Resolve(context.Background(), s.tag("acme/app", "v1")); !errors.Is(err, formats.ErrNotFound) || strings.Contains(err.Error(), "wrong") {
			t.Errorf("%+v, %v", to, err)
		}
	}
	fails()
	s.far.Forget()
	fails()
	s.asked()
	if s.alarms.Load() != 1 {
		t.Errorf("%d alarms", s.alarms.Load())
	}

	for _, status := range []int{http.StatusUnauthorized, http.StatusForbidden} {
		s = newSignedIn(t, "p", ocitest.Options{Auth: ocitest.Bearer, User: "u", Password: "p"})
		d, err := s.far.Push("acme/app", "v1", ocitest.Image{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Resolve(context.Background(), s.tag("acme/app", "v1")); err != nil {
			t.Fatal(err)
		}
		s.bench.clock.advance(5 * time.Minute)
		s.far.ExpireTokens()
		s.far.Fail(ocitest.Fault{Status: status})
		fails()
		s.far.Heal()
		s.bench.clock.advance(time.Hour)
		if to, err := s.Resolve(context.Background(), s.tag("acme/app", "v1")); err != nil || to.Version != d.Digest {
			t.Errorf("let in again: %+v, %v", to, err)
		}
	}
}

// TestTokenServiceDown is an outage, and not a refusal.
func TestTokenServiceDown(t *testing.T) {
	s := newSignedIn(t, "p", ocitest.Options{Auth: ocitest.Bearer, User: "u", Password: "p"})
	d, err := s.far.Push("acme/app", "v1", ocitest.Image{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Resolve(context.Background(), s.tag("acme/app", "v1")); err != nil {
		t.Fatal(err)
	}
	s.bench.clock.advance(time.Hour)
	s.far.ExpireTokens()
	s.far.Fail(ocitest.Fault{Prefix: "/v2/token", Status: http.StatusInternalServerError})
	to, err := s.Resolve(context.Background(), s.tag("acme/app", "v1"))
	if err != nil || to.Version != d.Digest || to.Result != formats.Stale || to.Header.Get("Warning") == "" {
		t.Errorf("%+v, %v", to, err)
	}
	if to, err := s.Resolve(context.Background(), s.tag("acme/app", "v2")); err == nil || errors.Is(err, formats.ErrNotFound) {
		t.Errorf("%+v, %v", to, err)
	}
}
