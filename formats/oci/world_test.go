package oci_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"encoding/json"
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
	"sync/atomic"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"larder/cache"
	"larder/cache/memory"
	"larder/cache/refs"
	"larder/formats/oci"
	"larder/policy"
	"larder/policy/directory"
	"larder/policy/rules"
	"larder/proxy"
	"larder/proxy/accounts"
	"larder/proxy/registry"
	"larder/upstream"
	"larder/upstream/upstreamtest/ocitest"
)

// world is a server of containers: edge, engine, directory and format are the
// real ones.
//
// The organization acme has the private repository acme/packages, which holds
// all of acme/, but for acme/open/, which is in the public acme/open. admin
// administers the server, olga owns acme, rita may read acme/packages and wim
// write to it; bob stands outside. Names of one part go to the public
// admin/packages.
type world struct {
	t      testing.TB
	store  cache.Store
	index  cache.Index
	dir    *directory.Directory
	people *accounts.Accounts
	engine *registry.Engine
	hosted proxy.Mount
	edge   http.Handler
	clock  *clock
	tokens map[string]string // by user
	admin  policy.Subject
	opt    oci.Options
	rules  atomic.Pointer[rules.Set]
	limits registry.UploadLimits
	far    *ocitest.Registry // mirrored as "far", and as "lib" with one-word names under library/; nil: nothing is
}

// here is where all clients are.
var here = netip.MustParseAddr("192.0.2.1")

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

func newWorld(t testing.TB, settings ...func(*world)) *world {
	t.Helper()
	w := &world{
		t: t, store: memory.NewStore(), index: memory.NewIndex(), tokens: map[string]string{},
		clock: &clock{at: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)},
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
		Clock: w.clock.now, AnonymousRead: true, DefaultRepository: "admin/packages", Formats: []string{"oci"},
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
	w.must(w.dir.Grant(ctx, w.admin, "acme/open", "wim", policy.RoleWrite))
	_, err = w.dir.AddClaim(ctx, w.admin, policy.Claim{Formats: []string{"oci"}, Match: []string{"acme/open/**"}, Repository: "acme/open"})
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
		Rules: w.rules.Load, Uploads: w.limits,
	})
	w.must(err)
	w.t.Cleanup(func() {
		if err := w.engine.Close(); err != nil {
			w.t.Error(err)
		}
	})
	w.hosted = w.engine.Registry(registry.Spec{Name: "oci", Format: oci.New(w.opt), Hosted: true})
	places := &proxy.Containers{Hosted: w.hosted, Mirrors: map[string]proxy.Mount{}}
	if w.far != nil {
		for id, opt := range map[string]oci.Options{"far": {Mirror: true}, "lib": {Mirror: true, Library: func(context.Context) bool { return true }}} {
			places.Mirrors[id] = w.engine.Registry(registry.Spec{
				Name: "mirror/" + id, World: id, Negative: 10 * time.Second, Format: oci.New(opt), Upstreams: w.sources(id),
			})
		}
	}
	w.edge, err = proxy.New(proxy.Options{
		Containers: places, Identifier: w.people, Authorizer: w.dir, Accounts: w.people, Log: zerolog.Nop(),
	})
	w.must(err)
}

// mirrored lets the world mirror a registry of that kind.
func mirrored(opt ocitest.Options) func(*world) {
	return func(w *world) {
		w.t.Helper()
		far, err := ocitest.Start(opt)
		w.must(err)
		w.t.Cleanup(far.Close)
		w.far = far
	}
}

func (w *world) sources(id string) func(context.Context) ([]registry.Source, error) {
	w.t.Helper()
	way := upstream.NewTransport(upstream.Options{
		Proxy: func(*http.Request) (*url.URL, error) { return nil, nil }, Now: w.clock.now,
		Wait: func(ctx context.Context, _ time.Duration) error { return context.Cause(ctx) },
	})
	c, err := upstream.New(upstream.Config{ID: id, URL: w.far.URL, Concurrency: 256}, way)
	w.must(err)
	w.t.Cleanup(c.CloseIdle)
	return func(context.Context) ([]registry.Source, error) { return []registry.Source{{ID: id, Fetcher: c}}, nil }
}

// request builds a request below /v2. who is a user or "" for nobody; lines are
// header lines.
func (w *world) request(method, path, who string, body io.Reader, lines ...string) *http.Request {
	r := httptest.NewRequest(method, "/v2"+path, body)
	r.RemoteAddr = here.String() + ":1234"
	if secret := w.tokens[who]; secret != "" {
		r.Header.Set("Authorization", "Bearer "+secret)
	}
	for _, line := range lines {
		key, value, _ := strings.Cut(line, ": ")
		r.Header.Add(key, value)
	}
	return r
}

// reply is what came back.
type reply struct {
	*http.Response
	body []byte
	cut  bool
}

// send sends a request through a recorder.
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

// do sends a line, which is a method and a path below /v2.
func (w *world) do(line, who, body string, lines ...string) *reply {
	method, path, _ := strings.Cut(line, " ")
	return w.send(w.request(method, path, who, strings.NewReader(body), lines...))
}

// want fails unless status and, in a refusal, code and part of the message are
// as said: "404 BLOB_UNKNOWN acme/app has no blob".
func (w *world) want(result, line, who, body string, lines ...string) *reply {
	w.t.Helper()
	got := w.do(line, who, body, lines...)
	w.is(result, line+" by "+who, got)
	return got
}

func (w *world) is(result, what string, got *reply) {
	w.t.Helper()
	status, rest, _ := strings.Cut(result, " ")
	code, part, _ := strings.Cut(rest, " ")
	if fmt.Sprint(got.StatusCode) != status || got.cut {
		w.t.Errorf("%s: %d, want %s: %.600s", what, got.StatusCode, result, got.body)
	}
	if v := got.Header.Get("Docker-Distribution-Api-Version"); v != "registry/2.0" {
		w.t.Errorf("%s: API version %q", what, v)
	}
	if got.StatusCode >= 400 && len(got.body) > 0 {
		f := w.failure(got)
		if code != "" && f.Code != code || !strings.Contains(f.Message, part) {
			w.t.Errorf("%s: %s %q, want %s", what, f.Code, f.Message, result)
		}
	}
}

// failure is the error in a reply.
type failure struct {
	Code, Message string
	Detail        any
}

func (w *world) failure(r *reply) failure {
	w.t.Helper()
	var doc struct{ Errors []failure }
	if err := json.Unmarshal(r.body, &doc); err != nil || len(doc.Errors) != 1 || r.Header.Get("Content-Type") != "application/json" {
		w.t.Errorf("no list of one error: %v: %.300s", err, r.body)
		return failure{}
	}
	return doc.Errors[0]
}

// object reads a JSON body.
func (w *world) object(r *reply, v any) {
	w.t.Helper()
	if err := json.Unmarshal(r.body, v); err != nil {
		w.t.Fatalf("%v: %.300s", err, r.body)
	}
}

// digestOf and digest512 name bytes.
func digestOf(body string) string {
	sum := sha256.Sum256([]byte(body))
	return "sha256:" + hex.EncodeToString(sum[:])
}

func digest512(body string) string {
	sum := sha512.Sum512([]byte(body))
	return "sha512:" + hex.EncodeToString(sum[:])
}

// blob pushes a blob at once and returns its digest.
func (w *world) blob(who, name, body string) string {
	w.t.Helper()
	d := digestOf(body)
	w.want("201", "POST /"+name+"/blobs/uploads/?digest="+d, who, body)
	return d
}

// begin begins an upload and returns the path of its session below /v2.
func (w *world) begin(who, name string) string {
	w.t.Helper()
	got := w.want("202", "POST /"+name+"/blobs/uploads/", who, "")
	at, ok := strings.CutPrefix(got.Header.Get("Location"), "/v2")
	if !ok || !strings.HasPrefix(at, "/"+name+"/blobs/uploads/") || got.Header.Get("Docker-Upload-Uuid") == "" {
		w.t.Fatalf("session %v", got.Header)
	}
	return at
}

const (
	typeImage  = "application/vnd.oci.image.manifest.v1+json"
	typeIndex  = "application/vnd.oci.image.index.v1+json"
	typeConfig = "application/vnd.oci.image.config.v1+json"
	typeLayer  = "application/vnd.oci.image.layer.v1.tar+gzip"
)

// descriptor describes bytes in a manifest.
func descriptor(mediaType, body string) map[string]any {
	return map[string]any{"mediaType": mediaType, "digest": digestOf(body), "size": len(body)}
}

// written is a manifest with a config and layers that are these bytes, changed
// as wanted.
func written(config string, layers []string, change ...func(map[string]any)) string {
	list := []any{}
	for _, l := range layers {
		list = append(list, descriptor(typeLayer, l))
	}
	doc := map[string]any{
		"schemaVersion": 2, "mediaType": typeImage, "config": descriptor(typeConfig, config), "layers": list,
	}
	for _, fn := range change {
		fn(doc)
	}
	return text(doc)
}

// index is an index of manifests.
func index(manifests ...string) string {
	list := []any{}
	for _, m := range manifests {
		list = append(list, descriptor(typeImage, m))
	}
	return text(map[string]any{"schemaVersion": 2, "mediaType": typeIndex, "manifests": list})
}

func text(doc any) string {
	var b bytes.Buffer
	if err := json.NewEncoder(&b).Encode(doc); err != nil {
		panic(err)
	}
	return b.String()
}

// push pushes an image of one layer under a tag, and returns its manifest.
func (w *world) push(who, name, tag, layer string, change ...func(map[string]any)) string {
	w.t.Helper()
	w.blob(who, name, "{}")
	w.blob(who, name, layer)
	m := written("{}", []string{layer}, change...)
	w.want("201", "PUT /"+name+"/manifests/"+tag, who, m, "Content-Type: "+typeImage)
	return m
}
