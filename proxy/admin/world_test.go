package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"larder/cache"
	"larder/cache/clocktest"
	"larder/cache/evict"
	"larder/cache/memory"
	"larder/cache/refs"
	"larder/formats"
	"larder/formats/formattest"
	"larder/policy"
	"larder/policy/audit"
	"larder/policy/directory"
	"larder/policy/rulebook"
	"larder/policy/rules"
	"larder/proxy"
	"larder/proxy/accounts"
	"larder/proxy/registry"
)

// plainFormat is the smallest format, under a name that package URLs have.
type plainFormat struct{ formattest.Plain }

func (plainFormat) Name() string { return "npm" }

// room has no end and forgets what was used.
type room struct{}

func (room) Reserve(context.Context, int64) error { return nil }
func (room) Touch(cache.Digest)                   {}

// work stands for the long work on a store.
type work struct {
	mu     sync.Mutex
	calls  []string
	err    error
	report evict.Report
	kept   Retention
	found  Verification
}

func (w *work) GC(_ context.Context, dry bool, progress func(int)) (evict.Report, error) {
	w.note("gc", dry)
	progress(1)
	progress(2)
	return w.report, w.err
}

func (w *work) Retain(_ context.Context, dry bool) (Retention, error) {
	w.note("retain", dry)
	return w.kept, w.err
}

func (w *work) Verify(_ context.Context, repair bool, progress func(done, total int64)) (Verification, error) {
	w.note("verify", repair)
	progress(5, 10)
	return w.found, w.err
}

func (w *work) note(what string, flag bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if flag {
		what += "!"
	}
	w.calls = append(w.calls, what)
}

// world is a server of everything but upstreams: directory, engine and edge are
// the real ones, over memory.
type world struct {
	*clocktest.Clock
	t         testing.TB
	index     *brittle
	audit     *audit.Log
	directory *directory.Directory
	accounts  *accounts.Accounts
	rules     *rulebook.Book
	mount     *registry.Registry
	edge      http.Handler
	work      *work
	admin     string // token
	bob       string // token of a user without any role, to read and write packages
	published int    // versions made up so far

	// contract is what all that do sends and gets is held against.
	contract func() *contract
	secrets  []string // of tokens that were made
	// held, where it is set, are the scopes of every caller of the API.
	held *[]policy.Scope

	mu       sync.Mutex
	failures []error // told to Failed
	reload   error
	ready    error
	asked    int // Ready
	draining chan struct{}
}

func newWorld(t testing.TB) *world {
	t.Helper()
	return newWorldOf(t, plainFormat{})
}

// newWorldOf is a world whose packages are of a format called npm.
func newWorldOf(t testing.TB, format formats.Format) *world {
	t.Helper()
	w := &world{t: t, Clock: clocktest.New(0), work: &work{}, draining: make(chan struct{})}
	w.contract = sync.OnceValue(func() *contract { return newContract(t, documented(t)) })
	w.index = &brittle{Index: memory.NewIndex()}
	w.record()
	index := w.index
	var err error
	w.directory, err = directory.Open(t.Context(), index, directory.Options{
		Clock: w.Now, AnonymousRead: true, DefaultRepository: "admin/packages", Formats: []string{"npm"},
	})
	w.must(err)
	file := filepath.Join(t.TempDir(), "admin.token")
	_, err = w.directory.Bootstrap(t.Context(), file)
	w.must(err)
	text, err := os.ReadFile(file)
	w.must(err)
	w.admin = strings.TrimSpace(string(text))
	w.accounts = accounts.New(w.directory, w.Now)
	w.rules, err = rulebook.Open(t.Context(), index, rulebook.Options{Clock: w.Now})
	w.must(err)
	w.must(w.rules.Use([]rules.Rule{{ID: "cool", Kind: rules.Cooldown, MinAge: 7 * 24 * time.Hour}}, nil))
	engine, err := registry.New(registry.Options{
		Store: memory.NewStore(), Index: index, Locks: &refs.Locks{}, Room: room{}, Access: w.directory, Clock: w.Now, Rules: w.rules.Set,
	})
	w.must(err)
	t.Cleanup(func() {
		if err := engine.Close(); err != nil {
			t.Error(err)
		}
	})
	mount := engine.Registry(registry.Spec{Name: "npm", Format: format, Hosted: true})
	w.mount = mount
	metrics := NewMetrics("test")
	handlers, err := New(w.options(mount, metrics))
	w.must(err)
	w.edge, err = proxy.New(proxy.Options{
		Mounts: []proxy.Mount{mount}, Identifier: w.accounts, Authorizer: w.directory, Accounts: w.accounts,
		Handlers: handlers, Metrics: metrics, Refusals: w.audit,
	})
	w.must(err)
	w.want(201, "POST", "/api/v1/users", w.admin, `{"name":"bob","email":"bob@mail.example"}`)
	w.bob = w.token("bob", `["read:packages","write:packages"]`)
	return w
}

// record keeps refusals until the test ends.
func (w *world) record() {
	w.audit = audit.NewLog(w.index, audit.Chain{Clock: w.Now})
	ctx, end := context.WithCancel(w.t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		w.audit.Run(ctx, func(err error) {
			if !errors.Is(err, errBroken) {
				w.t.Error(err)
			}
		})
	}()
	w.t.Cleanup(func() { end(); <-done })
}

func (w *world) options(mount proxy.Mount, m *Metrics) Options {
	reg := Registry{Mount: mount, Hosted: true, Upstreams: []string{"far"}}
	if m, ok := mount.(*registry.Registry); ok {
		reg.ResetOrigin, reg.Approve = m.ResetOrigin, m.Approve
	}
	return Options{
		Directory: w.directory, Identifier: m.Identifier(scoped{w}), Pairing: w.accounts.Pairing(), Maintenance: w.work, Rules: w.rules, Audit: w.index,
		Registries: []Registry{reg},
		Upstreams: func(context.Context) []Upstream {
			return []Upstream{{ID: "near", Format: "npm", State: "open"}, {ID: "far", Format: "npm", State: "ok"}}
		},
		Reload: func(context.Context) error { return w.reload }, Metrics: m, Clock: w.Now, Draining: w.draining,
		Ready: func(context.Context) error { w.asked++; return w.ready },
		Failed: func(_ string, err error) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.failures = append(w.failures, err)
		},
	}
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// do sends one request; "" is no token and no body.
func (w *world) do(method, target, token, body string, lines ...string) *httptest.ResponseRecorder {
	w.t.Helper()
	r, rec := w.send(method, target, token, body, lines...)
	w.everyAnswer(r, rec)
	for _, complaint := range w.contract().broken(r, body, rec) {
		w.t.Errorf("%s %s with %.200q: %s: %s", method, target, body, complaint, rec.Body)
	}
	return rec
}

// send is do without the contract, which takes its time.
func (w *world) send(method, target, token, body string, lines ...string) (*http.Request, *httptest.ResponseRecorder) {
	w.t.Helper()
	var src io.Reader
	if body != "" {
		src = strings.NewReader(body)
	}
	r := httptest.NewRequest(method, target, src)
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	for _, line := range lines {
		key, value, _ := strings.Cut(line, ": ")
		r.Header.Set(key, value)
	}
	rec := httptest.NewRecorder()
	w.edge.ServeHTTP(rec, r)
	return r, rec
}

// everyAnswer holds what is so of all answers of the API: nobody keeps them, and
// no secret is in them but that of a token which was just made.
func (w *world) everyAnswer(r *http.Request, rec *httptest.ResponseRecorder) {
	w.t.Helper()
	if !strings.HasPrefix(r.URL.Path, "/api/") {
		return
	}
	h := rec.Header()
	if h.Get("Cache-Control") != "no-store" || h.Get("X-Request-Id") == "" || rec.Body.Len() > 0 && h.Get("X-Content-Type-Options") != "nosniff" {
		w.t.Errorf("%s %s: fields %v", r.Method, r.URL, h)
	}
	if r.Method == "POST" && r.URL.Path == "/api/v1/tokens" && rec.Code == 201 {
		var made MadeToken
		w.read(rec.Body.String(), &made)
		w.secrets = append(w.secrets, made.Secret)
		return
	}
	for _, secret := range append(w.secrets, w.admin) {
		if strings.Contains(rec.Body.String()+fmt.Sprint(h), secret) {
			w.t.Errorf("%s %s tells a secret: %v %s", r.Method, r.URL, h, rec.Body)
		}
	}
}

// want fails unless the status is as said, and returns the body.
func (w *world) want(status int, method, target, token, body string) string {
	w.t.Helper()
	rec := w.do(method, target, token, body)
	if rec.Code != status {
		w.t.Errorf("%s %s: %d, want %d: %s", method, target, rec.Code, status, rec.Body)
	}
	if rec.Code >= 400 {
		var p Problem
		if err := json.Unmarshal(rec.Body.Bytes(), &p); err != nil || p.Status != rec.Code || p.Detail == "" || p.Title == "" || p.RequestID == "" ||
			rec.Header().Get("Content-Type") != "application/problem+json" || rec.Header().Get("Cache-Control") != "no-store" {
			w.t.Errorf("%s %s: no problem: %v %s", method, target, rec.Header(), rec.Body)
		}
	}
	return rec.Body.String()
}

// get reads the answer of a GET into v.
func (w *world) get(target, token string, v any) {
	w.t.Helper()
	w.read(w.want(200, "GET", target, token, ""), v)
}

func (w *world) read(text string, v any) {
	w.t.Helper()
	w.must(json.Unmarshal([]byte(text), v))
}

func (w *world) token(user, scopes string) string {
	w.t.Helper()
	var made MadeToken
	text := w.want(201, "POST", "/api/v1/tokens", w.admin, `{"user":"`+user+`","scopes":`+scopes+`}`)
	w.must(json.Unmarshal([]byte(text), &made))
	return made.Secret
}

// publish puts a version up through the edge.
func (w *world) publish(name, version, token string) {
	w.t.Helper()
	r := httptest.NewRequest("PUT", "/npm/"+name+"/"+version, strings.NewReader(name+" "+version))
	r.Header.Set("Authorization", "Bearer "+token)
	rec := httptest.NewRecorder()
	w.edge.ServeHTTP(rec, r)
	if rec.Code >= 300 {
		w.t.Fatalf("publish %s %s: %d %s", name, version, rec.Code, rec.Body)
	}
}

func TestNewNeedsItsParts(t *testing.T) {
	if _, err := New(Options{}); err == nil {
		t.Error("an API without parts")
	}
}

func subject(t testing.TB, w *world, token string) policy.Subject {
	t.Helper()
	r := httptest.NewRequest("GET", "/", nil)
	r.Header.Set("Authorization", "Bearer "+token)
	s, err := w.accounts.Identify(r, netipOf("192.0.2.1"))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

var errBroken = errors.New("broken: /secret/path")
