package proxy

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"larder/cache"
	"larder/formats"
	"larder/formats/formattest"
	"larder/policy"
)

// world is an edge over fakes, with what it did.
type world struct {
	t       *testing.T
	handler http.Handler
	log     *lockedBuffer
	metrics *counter

	mu       sync.Mutex
	asked    []policy.Resource // by Authorize
	remotes  []netip.Addr
	serve    func(f formats.File) (*formats.Content, error)
	received []byte // by Upload
	verdict  policy.Decision
}

// newWorld mounts the plain format as "pad"; change adjusts the options.
func newWorld(t *testing.T, change func(*Options)) *world {
	t.Helper()
	w := &world{t: t, log: &lockedBuffer{}, metrics: &counter{}, verdict: policy.Decision{Verdict: policy.Allow}}
	w.serve = func(f formats.File) (*formats.Content, error) {
		return &formats.Content{
			Bytes: []byte(f.Name), Size: int64(len(f.Name)), MediaType: "application/octet-stream", ETag: `"tag"`,
			Result: formats.Hit, Immutable: true, Private: true,
		}, nil
	}
	o := Options{
		Mounts: []Mount{fakeMount{w, "pad"}}, Identifier: w, Authorizer: w, Metrics: w.metrics,
		Log: zerolog.New(w.log),
	}
	if change != nil {
		change(&o)
	}
	handler, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	w.handler = handler
	return w
}

// Identify knows the tokens "<user>-token" of all users but mallory.
func (w *world) Identify(r *http.Request, remote netip.Addr) (policy.Subject, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.remotes = append(w.remotes, remote)
	switch user, ok := strings.CutSuffix(strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "), "-token"); {
	case user == "":
		return policy.Subject{}, nil
	case user == "twice":
		return policy.Subject{}, formats.Refuse(formats.ErrBadRequest, "two credentials")
	case user == "hasty":
		return policy.Subject{}, hurried{}
	case !ok || user == "mallory":
		return policy.Subject{}, formats.Refuse(policy.ErrUnauthenticated, "the token is unknown or revoked")
	default:
		return policy.Subject{User: user, TokenID: "id-" + user, Scopes: []policy.Scope{policy.ReadPackages, policy.WritePackages}}, nil
	}
}

// Authorize notes the question and answers with verdict.
func (w *world) Authorize(_ context.Context, _ policy.Subject, _ policy.Action, res policy.Resource) policy.Decision {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.asked = append(w.asked, res)
	return w.verdict
}

// do sends one request through a recorder. lines are header lines.
func (w *world) do(method, target string, body io.Reader, lines ...string) *http.Response {
	w.t.Helper()
	r := httptest.NewRequest(method, target, body)
	for _, line := range lines {
		key, value, _ := strings.Cut(line, ": ")
		if key == "Host" {
			r.Host = value
			continue
		}
		r.Header.Add(key, value)
	}
	rec := httptest.NewRecorder()
	w.handler.ServeHTTP(rec, r)
	return rec.Result()
}

// fakeMount is the registry behind the edge.
type fakeMount struct {
	w    *world
	name string
}

func (m fakeMount) Name() string           { return m.name }
func (m fakeMount) Format() formats.Format { return formattest.Plain{} }

func (m fakeMount) Resource(_ context.Context, repository string, req formats.Request) (policy.Resource, error) {
	if req.Package == "lost" {
		return policy.Resource{}, formats.Refuse(formats.ErrNotFound, "the engine says that lost is not here")
	}
	return policy.Resource{Registry: m.name, Package: req.Package, Version: req.Version, Repository: repository}, nil
}

func (m fakeMount) For(caller policy.Subject, _, _ string) formats.Registry {
	return fakeRegistry{formattest.Refusing{Err: errors.New("not part of this fake")}, m.w}
}

type fakeRegistry struct {
	formattest.Refusing
	w *world
}

func (r fakeRegistry) File(_ context.Context, f formats.File) (*formats.Content, error) {
	return r.w.serve(f)
}

func (r fakeRegistry) Document(_ context.Context, d formats.Document) (*formats.Content, error) {
	return r.w.serve(formats.File{Name: d.Name})
}

func (r fakeRegistry) Upload(context.Context, formats.UploadOptions) (formats.Upload, error) {
	return &fakeUpload{w: r.w}, nil
}

// fakeUpload keeps what is written, and then fails, for no test goes further.
type fakeUpload struct {
	formats.Upload
	w *world
}

func (u *fakeUpload) Write(p []byte) (int, error) {
	u.w.mu.Lock()
	defer u.w.mu.Unlock()
	u.w.received = append(u.w.received, p...)
	return len(p), nil
}

func (u *fakeUpload) Close() error                            { return nil }
func (u *fakeUpload) Verify(...cache.Sum) (cache.Blob, error) { return cache.Blob{}, nil }
func (u *fakeUpload) Keep(context.Context) error              { return formats.ErrExists }

// hurried is the error of a caller who tries too often.
type hurried struct{}

func (hurried) RetryAfter() time.Duration { return 1500 * time.Millisecond }

func (hurried) Unwrap() error { return policy.ErrUnauthenticated }

func (hurried) Error() string { return "too many failed attempts from this address" }

// counter counts what the edge observes.
type counter struct {
	mu    sync.Mutex
	began int
	ended []Observation
}

func (c *counter) Began() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.began++
}

func (c *counter) Ended(o Observation) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ended = append(c.ended, o)
}

// lockedBuffer is a log that tests read while the server writes.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func text(t *testing.T, resp *http.Response) string {
	t.Helper()
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func rawRequest(s string) *bufio.Reader { return bufio.NewReader(strings.NewReader(s)) }

// status sends a request as it was read from a connection.
func (w *world) status(r *http.Request) int {
	r.RemoteAddr = "192.0.2.1:1234"
	rec := httptest.NewRecorder()
	w.handler.ServeHTTP(rec, r)
	return rec.Code
}

// open lets everyone do everything, at no cost.
type open struct{}

func (open) Identify(*http.Request, netip.Addr) (policy.Subject, error) { return policy.Subject{}, nil }

func (open) Authorize(context.Context, policy.Subject, policy.Action, policy.Resource) policy.Decision {
	return policy.Decision{Verdict: policy.Allow}
}
