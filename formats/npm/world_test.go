package npm_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"larder/cache"
	"larder/cache/memory"
	"larder/cache/refs"
	"larder/formats/npm"
	"larder/policy"
	"larder/policy/directory"
	"larder/proxy"
	"larder/proxy/accounts"
	"larder/proxy/registry"
	"larder/upstream"
	"larder/upstream/upstreamtest/npmtest"
)

// world is a server of one npm registry with one upstream: edge, engine,
// directory and format are the real ones.
//
// The organization acme has the private repository acme/packages, which holds
// all of @acme and of acme-*, and the public acme/open, which holds all of @open.
// admin administers the server, olga owns acme, rita may read acme/packages and
// wim write to it; bob stands outside. All else goes to the public admin/packages.
type world struct {
	t      testing.TB
	far    *npmtest.Registry
	farURL string // of the upstream; "" for none
	store  cache.Store
	index  cache.Index
	dir    *directory.Directory
	people *accounts.Accounts
	engine *registry.Engine
	mount  proxy.Mount
	edge   http.Handler
	bare   http.Handler // the same, for callers without scopes
	clock  *clock
	opt    npm.Options
	tokens map[string]string // by user
	admin  policy.Subject
	public string // public URL
	hosted bool
	closed bool // nobody reads without a token
}

// here is where all clients are.
var here = netip.MustParseAddr("192.0.2.1")

// setting changes a world before its parts are made.
type setting func(*world)

// clock moves a little whenever it is read.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(time.Millisecond)
	return c.at
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

// room has no end and forgets what was used.
type room struct{}

func (room) Reserve(context.Context, int64) error { return nil }
func (room) Touch(cache.Digest)                   {}

func newWorld(t testing.TB, settings ...setting) *world {
	t.Helper()
	far, err := npmtest.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(far.Close)
	w := &world{
		t: t, far: far, farURL: far.URL, store: memory.NewStore(), index: memory.NewIndex(), hosted: true,
		clock: &clock{at: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}, tokens: map[string]string{},
	}
	for _, set := range settings {
		set(w)
	}
	w.openDirectory()
	w.openRegistry()
	return w
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) openDirectory() {
	w.t.Helper()
	ctx := w.t.Context()
	var err error
	w.dir, err = directory.Open(ctx, w.index, directory.Options{
		Clock: w.clock.now, AnonymousRead: !w.closed, DefaultRepository: "admin/packages", Formats: []string{"npm"},
	})
	w.must(err)
	file := filepath.Join(w.t.TempDir(), "admin.token")
	_, err = w.dir.Bootstrap(ctx, file)
	w.must(err)
	secret, err := os.ReadFile(file)
	w.must(err)
	w.people = accounts.New(w.dir, w.clock.now)
	w.tokens["admin"] = strings.TrimSpace(string(secret))
	w.admin = w.subject("admin")
	w.must(w.dir.CreateUser(ctx, w.admin, directory.Account{Name: "acme", Org: true}))
	for _, name := range []string{"olga", "rita", "wim", "bob"} {
		w.must(w.dir.CreateUser(ctx, w.admin, directory.Account{Name: name, Email: name + "@mail.example"}))
		w.tokens[name] = w.token(name, policy.ReadPackages, policy.WritePackages, policy.DeletePackages)
	}
	w.must(w.dir.SetMember(ctx, w.admin, "acme", "olga", directory.Owner))
	w.must(w.dir.CreateRepository(ctx, w.admin, "acme/open", policy.Public))
	w.must(w.dir.Grant(ctx, w.admin, "acme/packages", "rita", policy.RoleRead))
	w.must(w.dir.Grant(ctx, w.admin, "acme/packages", "wim", policy.RoleWrite))
	w.claim("@acme/**", "acme/packages")
	w.claim("acme-*", "acme/packages")
	w.claim("@open/**", "acme/open")
}

func (w *world) claim(pattern, repository string) {
	w.t.Helper()
	_, err := w.dir.AddClaim(w.t.Context(), w.admin, policy.Claim{Formats: []string{"npm"}, Match: []string{pattern}, Repository: repository})
	w.must(err)
}

// token makes another token of a user.
func (w *world) token(user string, scopes ...policy.Scope) string {
	w.t.Helper()
	secret, _, err := w.dir.MintToken(w.t.Context(), w.admin, directory.Mint{User: user, Name: user, Scopes: scopes})
	w.must(err)
	return secret.Reveal()
}

func (w *world) subject(user string) policy.Subject {
	w.t.Helper()
	r := httptest.NewRequest("GET", "/", nil)
	r.Header.Set("Authorization", "Bearer "+w.tokens[user])
	s, err := w.people.Identify(r, here)
	w.must(err)
	return s
}

func (w *world) openRegistry() {
	w.t.Helper()
	var err error
	w.engine, err = registry.New(registry.Options{
		Store: w.store, Index: w.index, Locks: &refs.Locks{}, Room: room{}, Access: w.dir, Clock: w.clock.now,
		PrivateReads: w.closed,
	})
	w.must(err)
	w.t.Cleanup(func() {
		w.far.Close()
		if err := w.engine.Close(); err != nil {
			w.t.Error(err)
		}
	})
	w.opt.Clock = w.clock.now
	w.mount = w.engine.Registry(registry.Spec{Name: "npm", Format: npm.New(w.opt), Hosted: w.hosted, Upstreams: w.sources()})
	w.edge = w.edgeFor(w.people)
}

// edgeFor is an edge whose callers are found by who.
func (w *world) edgeFor(who proxy.Identifier) http.Handler {
	w.t.Helper()
	edge, err := proxy.New(proxy.Options{
		Mounts: []proxy.Mount{w.mount}, Identifier: who, Authorizer: w.dir, Accounts: w.people,
		PublicURL: w.public, Log: zerolog.Nop(),
	})
	w.must(err)
	return edge
}

func (w *world) sources() func(context.Context) ([]registry.Source, error) {
	w.t.Helper()
	if w.farURL == "" {
		return nil
	}
	way := upstream.NewTransport(upstream.Options{
		Proxy: func(*http.Request) (*url.URL, error) { return nil, nil }, Now: w.clock.now,
		Wait: func(ctx context.Context, _ time.Duration) error { return context.Cause(ctx) },
	})
	c, err := upstream.New(upstream.Config{ID: "far", URL: w.farURL, Concurrency: 256}, way)
	w.must(err)
	w.t.Cleanup(c.CloseIdle)
	return func(context.Context) ([]registry.Source, error) {
		return []registry.Source{{ID: "far", Fetcher: c}}, nil
	}
}

// request builds a request below the mount. who is a user, "" for nobody, or a
// token itself; lines are header lines.
func (w *world) request(method, path, who string, body io.Reader, lines ...string) *http.Request {
	prefix := "/npm"
	if strings.HasPrefix(path, "/r/") {
		prefix = ""
	}
	r := httptest.NewRequest(method, prefix+path, body)
	r.RemoteAddr = here.String() + ":1234"
	if secret, ok := w.tokens[who]; ok {
		who = secret
	}
	if who != "" {
		r.Header.Set("Authorization", "Bearer "+who)
	}
	for _, line := range lines {
		key, value, _ := strings.Cut(line, ": ")
		r.Header.Set(key, value)
	}
	return r
}

// do sends a request through a recorder.
func (w *world) do(method, path, who, body string, lines ...string) *reply {
	return w.send(w.request(method, path, who, strings.NewReader(body), lines...))
}

func (w *world) send(r *http.Request) *reply {
	rec := httptest.NewRecorder()
	cut := false
	func() {
		defer func() {
			if v := recover(); v != nil && v != http.ErrAbortHandler {
				panic(v)
			} else if v != nil {
				cut = true
			}
		}()
		w.edge.ServeHTTP(rec, r)
	}()
	return &reply{rec.Result(), rec.Body.Bytes(), cut}
}

// reply is what came back.
type reply struct {
	*http.Response
	raw []byte
	cut bool
}

// text is the body, decoded.
func (r *reply) text() string {
	if r.Header.Get("Content-Encoding") != "gzip" {
		return string(r.raw)
	}
	z, err := gzip.NewReader(bytes.NewReader(r.raw))
	if err != nil {
		return err.Error()
	}
	plain, err := io.ReadAll(z)
	if err != nil {
		return err.Error()
	}
	return string(plain)
}

// want fails unless the status is as said, and returns the reply. A line is a
// method and a path.
func (w *world) want(status int, line, who, body string, lines ...string) *reply {
	w.t.Helper()
	method, path, _ := strings.Cut(line, " ")
	got := w.do(method, path, who, body, lines...)
	if got.StatusCode != status || got.cut {
		w.t.Errorf("%s %s by %q: %d, want %d: %.300s", method, path, who, got.StatusCode, status, got.text())
	}
	return got
}

// object is a JSON object of a reply.
func (w *world) object(r *reply) map[string]any {
	w.t.Helper()
	var v map[string]any
	if err := json.Unmarshal([]byte(r.text()), &v); err != nil {
		w.t.Fatalf("no object: %v: %.300s", err, r.text())
	}
	return v
}

// at follows a path of member names into a document.
func at(v any, path ...string) any {
	for _, name := range path {
		m, ok := v.(map[string]any)
		if !ok {
			return nil
		}
		v = m[name]
	}
	return v
}

// body is what npm sends to publish a package of one small file.
func body(t testing.TB, name, version string, change ...func(map[string]any)) string {
	t.Helper()
	doc, err := publication(name, version, "latest")
	for _, fn := range change {
		fn(doc)
	}
	raw, marshalErr := json.Marshal(doc)
	if err := errors.Join(err, marshalErr); err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// publication makes the document as a tree.
func publication(name, version, tag string) (map[string]any, error) {
	manifest := map[string]any{"name": name, "version": version, "description": "about " + name}
	raw, err := json.Marshal(manifest)
	if err != nil {
		return nil, err
	}
	tarball, err := npmtest.Pack(map[string][]byte{"package.json": raw, "index.js": []byte("// " + version)})
	if err != nil {
		return nil, err
	}
	sent, err := npmtest.PublishBody(manifest, tarball, tag)
	if err != nil {
		return nil, err
	}
	doc := map[string]any{}
	return doc, json.Unmarshal(sent, &doc)
}

// path is a package's path as npm writes it.
func path(name string) string { return "/" + strings.Replace(name, "/", "%2f", 1) }

// publish puts a version up.
func (w *world) publish(who, name, version string, change ...func(map[string]any)) {
	w.t.Helper()
	w.want(201, "PUT "+path(name), who, body(w.t, name, version, change...))
}

// upstream makes the upstream have a version, and returns its tarball.
func (w *world) upstream(name, version string, members ...string) []byte {
	w.t.Helper()
	manifest := map[string]any{"name": name, "version": version}
	for i := 0; i+1 < len(members); i += 2 {
		manifest[members[i]] = members[i+1]
	}
	raw, err := json.Marshal(manifest)
	w.must(err)
	tarball, err := npmtest.Pack(map[string][]byte{"package.json": raw})
	w.must(err)
	w.must(w.far.Add(manifest, tarball))
	return tarball
}

// call is one request of a table with what must come of it.
type call struct {
	name, method, path, who, body string
	header                        []string
	status                        int
	has, lacks                    []string // parts of head or body
}

// run makes the calls in their order.
func (w *world) run(calls []call) {
	w.t.Helper()
	for _, c := range calls {
		got := w.do(c.method, c.path, c.who, c.body, c.header...)
		var head bytes.Buffer
		w.must(got.Header.Write(&head))
		all := head.String() + "\r\n" + got.text()
		if got.StatusCode != c.status || got.cut {
			w.t.Errorf("%s: %s %s by %q: %d, want %d\n%.600s", c.name, c.method, c.path, c.who, got.StatusCode, c.status, all)
		}
		if got.StatusCode >= 400 && c.method != "HEAD" && !strings.HasPrefix(got.text(), `{"error":"`) {
			w.t.Errorf("%s: a refusal without the field error: %s", c.name, all)
		}
		for _, want := range c.has {
			if !strings.Contains(all, want) {
				w.t.Errorf("%s: %s %s by %q: lacks %q\n%.1500s", c.name, c.method, c.path, c.who, want, all)
			}
		}
		for _, bad := range c.lacks {
			if strings.Contains(all, bad) {
				w.t.Errorf("%s: %s %s by %q: holds %q\n%.1500s", c.name, c.method, c.path, c.who, bad, all)
			}
		}
	}
}

// document reads a package's full document.
func (w *world) document(name, who string) map[string]any {
	w.t.Helper()
	return w.object(w.want(200, "GET "+path(name), who, ""))
}

// file is the path of a tarball.
func file(name, version string) string {
	return "/" + name + "/-/" + name[strings.LastIndexByte(name, '/')+1:] + "-" + version + ".tgz"
}

// rev is the revision that clients send back.
func (w *world) rev(name, who string) string {
	w.t.Helper()
	rev, _ := at(w.object(w.want(200, "GET "+path(name)+"?write=true", who, "")), "_rev").(string)
	return rev
}

// silent fails if the upstream heard any of the words, anywhere in a request.
func (w *world) silent(words ...string) {
	w.t.Helper()
	for _, q := range w.far.Log("") {
		all := q.Method + " " + q.Path + "?" + q.Query + " " + fmt.Sprint(q.Header) + " " + string(q.Body)
		if plain, err := url.QueryUnescape(q.Path + "?" + q.Query); err == nil {
			all += plain
		}
		for _, word := range words {
			if strings.Contains(strings.ToLower(all), word) {
				w.t.Errorf("the upstream heard of %q: %.300s", word, all)
			}
		}
	}
}
