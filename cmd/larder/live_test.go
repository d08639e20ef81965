package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"larder/policy"
	"larder/policy/directory"
	"larder/proxy"
	"larder/upstream/upstreamtest/npmtest"
)

// live is the program as serve builds it, in this process: real data folder,
// index and connections. Only its clock can be moved.
type live struct {
	*node
	t      *testing.T
	url    string // without a final slash
	client *http.Client
	far    *npmtest.Registry // behind the registry npm
	log    *safeBuffer
	admin  string // the first token
	// configFile can be written anew before a reload.
	configFile string
	forward    atomic.Int64
}

// safeBuffer is a log that can be read while it is written.
type safeBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *safeBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *safeBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// liveServer runs a server until the test ends. config is YAML; its data
// folder and its upstream npm are the test's own.
func liveServer(t *testing.T, config string) *live {
	t.Helper()
	l := &live{t: t, log: new(safeBuffer), client: plainClient()}
	var err error
	l.far, err = npmtest.Start()
	l.must(err)
	t.Cleanup(l.far.Close)
	file := filepath.Join(t.TempDir(), "larder.yaml")
	l.must(os.WriteFile(file, []byte(config), 0o600))
	l.configFile = file
	flags := &serveFlags{file: file, listen: "127.0.0.1:0", data: filepath.Join(t.TempDir(), "data"), upstreams: []string{"npm=" + l.far.URL}}
	if !strings.Contains(config, "oci: null") {
		flags.upstreams = append(flags.upstreams, "oci="+nowhere)
	}
	cfg, err := flags.load()
	l.must(err)
	cfg.Log.Format = "text" // access lines then go where the others do
	d, err := openDoor(cfg)
	l.must(err)
	clock := func() time.Time { return time.Now().Add(time.Duration(l.forward.Load())) }
	l.node, err = openNode(t.Context(), cfg, zerolog.New(l.log), clock)
	l.must(err)
	secret, err := os.ReadFile(filepath.Join(cfg.Data, "admin.token"))
	l.must(err)
	l.admin = strings.TrimSpace(string(secret))
	l.url = "http://" + d.listener.Addr().String()
	l.run(flags, d)
	return l
}

// nowhere is an upstream that does not answer.
const nowhere = "http://127.0.0.1:9"

// plainClient follows no redirect, reuses connections and asks for no coding.
func plainClient() *http.Client {
	return &http.Client{
		Timeout:       replyLimit,
		Transport:     &http.Transport{DisableCompression: true, Proxy: nil, MaxIdleConnsPerHost: 8},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

func (l *live) run(flags *serveFlags, d *door) {
	l.t.Helper()
	ctx, end := context.WithCancel(context.Background()) // the test's own ends before its cleanup
	handler, err := l.edge(func(ctx context.Context) error { return flags.reload(ctx, l.node, nil) })
	l.must(err)
	l.start(ctx, d.listener.Addr().String())
	served := make(chan error, 1)
	go func() {
		served <- proxy.Serve(ctx, d.listener, handler, proxy.ServerOptions{Draining: l.drain, Log: l.node.log})
	}()
	l.t.Cleanup(func() {
		l.client.CloseIdleConnections()
		end()
		if err := errors.Join(<-served, l.close()); err != nil {
			l.t.Error(err)
		}
		if l.t.Failed() {
			l.t.Log("the log of larder, its end:\n" + tail(l.log.String(), 20))
		}
	})
}

func (l *live) must(err error) {
	l.t.Helper()
	if err != nil {
		l.t.Fatal(err)
	}
}

// later moves the clock.
func (l *live) later(d time.Duration) { l.forward.Add(int64(d)) }

// ask is one request.
type ask struct {
	method, path string
	header       []string // "Name: value"
	body         string
}

func (a ask) String() string {
	return strings.TrimSpace(a.method + " " + a.path + " " + strings.Join(a.header, ", "))
}

// with adds header lines.
func (a ask) with(lines ...string) ask {
	a.header = append(append([]string(nil), a.header...), lines...)
	return a
}

// answer is a whole reply.
type answer struct {
	status int
	header http.Header
	body   string
}

func (l *live) ask(a ask) answer {
	l.t.Helper()
	r, err := http.NewRequest(a.method, l.url+a.path, strings.NewReader(a.body))
	l.must(err)
	if strings.HasPrefix(a.body, "{") {
		r.Header.Set("Content-Type", "application/json")
	}
	for _, line := range a.header {
		name, value, _ := strings.Cut(line, ": ")
		switch name {
		case "Host":
			r.Host = value
		case "Content-Type":
			r.Header.Del(name)
		}
		r.Header.Add(name, value)
	}
	w, err := l.client.Do(r)
	l.must(err)
	defer w.Body.Close()
	body, err := io.ReadAll(w.Body)
	l.must(err)
	return answer{w.StatusCode, w.Header, string(body)}
}

// as asks with a token; "" is nobody's.
func (l *live) as(token string, a ask) answer {
	l.t.Helper()
	if token != "" {
		a = a.with(bearer(token))
	}
	return l.ask(a)
}

func bearer(token string) string { return "Authorization: Bearer " + token }

// want asks and fails unless the status is as said.
func (l *live) want(status int, token string, a ask) answer {
	l.t.Helper()
	w := l.as(token, a)
	if w.status != status {
		l.t.Errorf("%s: %d, want %d: %.300s", a, w.status, status, w.body)
	}
	return w
}

// api makes a call that must succeed, as the first administrator.
func (l *live) api(method, path string, body any) answer {
	l.t.Helper()
	text := ""
	if body != nil {
		text = string(encoded(l.t, body))
	}
	w := l.as(l.admin, ask{method: method, path: "/api/v1/" + path, body: text})
	if w.status >= 300 {
		l.t.Fatalf("%s %s %s: %d %s", method, path, text, w.status, w.body)
	}
	return w
}

// fields is a body of the API.
type fields map[string]any

func encoded(t *testing.T, v any) []byte {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// upstreamHas adds a version of a package to the upstream.
func (l *live) upstreamHas(pkg, version string) (tarball []byte) {
	l.t.Helper()
	tarball, err := npmtest.Pack(map[string][]byte{"package.json": fmt.Appendf(nil, `{"name":%q,"version":%q}`, pkg, version)})
	l.must(err)
	l.must(l.far.Add(map[string]any{"name": pkg, "version": version}, tarball))
	return tarball
}

// mint makes a token for a user.
func (l *live) mint(user string, limits policy.Limits, scopes ...policy.Scope) (secret string, made directory.Token) {
	l.t.Helper()
	s, made, err := l.directory.MintToken(l.t.Context(), l.subject(l.admin), directory.Mint{User: user, Scopes: scopes, Limits: limits})
	l.must(err)
	return s.Reveal(), made
}

// subject is who holds a token.
func (l *live) subject(token string) policy.Subject {
	l.t.Helper()
	s, err := l.directory.Authenticate(l.t.Context(), token, loopback())
	l.must(err)
	return s
}

// told is a reply as clients of two names compare it: without what differs by
// time and by request, and with one name for both.
func (w answer) told(name, stand string) string {
	h := w.header.Clone()
	h.Del("Date")
	h.Del("X-Request-Id")
	body := w.body
	if id := h.Get("X-Larder-Decision"); id != "" {
		h.Set("X-Larder-Decision", "ID")
		h.Set("Link", strings.ReplaceAll(h.Get("Link"), id, "ID"))
		body = strings.ReplaceAll(body, id, "ID")
	}
	return strings.ReplaceAll(fmt.Sprintf("%d %v %s", w.status, h, body), name, stand)
}
