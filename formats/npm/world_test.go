package npm_test

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"larder/formats/npm"
	"larder/policy/directory"
	"larder/proxy"
	"larder/proxy/proxytest"
	"larder/proxy/registry"
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
	*proxytest.World
	far    *npmtest.Registry
	farURL string // of the upstream; "" for none
	mount  proxy.Mount
	bare   http.Handler // the same edge, for callers without scopes
	opt    npm.Options
	public string // public URL
	hosted bool
	closed bool // nobody reads without a token
}

// setting changes a world before its parts are made.
type setting func(*world)

func newWorld(t testing.TB, settings ...setting) *world {
	t.Helper()
	far, err := npmtest.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(far.Close)
	w := &world{World: proxytest.New(t), far: far, farURL: far.URL, hosted: true}
	for _, set := range settings {
		set(w)
	}
	w.OpenDirectory(directory.Options{AnonymousRead: !w.closed, Formats: []string{"npm"}})
	w.Populate()
	w.Claim("npm", "@acme/**", "acme/packages")
	w.Claim("npm", "acme-*", "acme/packages")
	w.Claim("npm", "@open/**", "acme/open")
	w.openRegistry()
	return w
}

func (w *world) openRegistry() {
	w.T.Helper()
	w.OpenEngine(registry.Options{PrivateReads: w.closed})
	w.T.Cleanup(w.far.Close) // before the engine, which waits for what it asks of it
	w.opt.Clock = w.Clock.Now
	spec := registry.Spec{Name: "npm", Format: npm.New(w.opt), Hosted: w.hosted}
	if w.farURL != "" {
		spec.Upstreams = w.Source("far", w.farURL)
	}
	w.mount = w.Engine.Registry(spec)
	w.Edge = w.edgeFor(w.Accounts)
}

// edgeFor is an edge whose callers are found by who.
func (w *world) edgeFor(who proxy.Identifier) http.Handler {
	w.T.Helper()
	return w.OpenEdge(proxy.Options{Mounts: []proxy.Mount{w.mount}, Identifier: who, PublicURL: w.public})
}

// request builds a request below the mount, as proxytest does.
func (w *world) request(method, path, who string, body io.Reader, lines ...string) *http.Request {
	if !strings.HasPrefix(path, "/r/") {
		path = "/npm" + path
	}
	return w.Request(method, path, who, body, lines...)
}

// do sends a request through a recorder.
func (w *world) do(method, path, who, body string, lines ...string) *reply {
	return w.send(w.request(method, path, who, strings.NewReader(body), lines...))
}

func (w *world) send(r *http.Request) *reply {
	got := w.Send(r)
	return &reply{got.Response, got.Bytes, got.Cut}
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
	w.T.Helper()
	method, path, _ := strings.Cut(line, " ")
	got := w.do(method, path, who, body, lines...)
	if got.StatusCode != status || got.cut {
		w.T.Errorf("%s %s by %q: %d, want %d: %.300s", method, path, who, got.StatusCode, status, got.text())
	}
	return got
}

// object is a JSON object of a reply.
func (w *world) object(r *reply) map[string]any {
	w.T.Helper()
	var v map[string]any
	if err := json.Unmarshal([]byte(r.text()), &v); err != nil {
		w.T.Fatalf("no object: %v: %.300s", err, r.text())
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
	w.T.Helper()
	w.want(201, "PUT "+path(name), who, body(w.T, name, version, change...))
}

// upstream makes the upstream have a version, and returns its tarball.
func (w *world) upstream(name, version string, members ...string) []byte {
	w.T.Helper()
	manifest := map[string]any{"name": name, "version": version}
	for i := 0; i+1 < len(members); i += 2 {
		manifest[members[i]] = members[i+1]
	}
	raw, err := json.Marshal(manifest)
	w.Must(err)
	tarball, err := npmtest.Pack(map[string][]byte{"package.json": raw})
	w.Must(err)
	w.Must(w.far.Add(manifest, tarball))
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
	w.T.Helper()
	for _, c := range calls {
		got := w.do(c.method, c.path, c.who, c.body, c.header...)
		var head bytes.Buffer
		w.Must(got.Header.Write(&head))
		all := head.String() + "\r\n" + got.text()
		if got.StatusCode != c.status || got.cut {
			w.T.Errorf("%s: %s %s by %q: %d, want %d\n%.600s", c.name, c.method, c.path, c.who, got.StatusCode, c.status, all)
		}
		if got.StatusCode >= 400 && c.method != "HEAD" && !strings.HasPrefix(got.text(), `{"error":"`) {
			w.T.Errorf("%s: a refusal without the field error: %s", c.name, all)
		}
		for _, want := range c.has {
			if !strings.Contains(all, want) {
				w.T.Errorf("%s: %s %s by %q: lacks %q\n%.1500s", c.name, c.method, c.path, c.who, want, all)
			}
		}
		for _, bad := range c.lacks {
			if strings.Contains(all, bad) {
				w.T.Errorf("%s: %s %s by %q: holds %q\n%.1500s", c.name, c.method, c.path, c.who, bad, all)
			}
		}
	}
}

// document reads a package's full document.
func (w *world) document(name, who string) map[string]any {
	w.T.Helper()
	return w.object(w.want(200, "GET "+path(name), who, ""))
}

// file is the path of a tarball.
func file(name, version string) string {
	return "/" + name + "/-/" + name[strings.LastIndexByte(name, '/')+1:] + "-" + version + ".tgz"
}

// rev is the revision that clients send back.
func (w *world) rev(name, who string) string {
	w.T.Helper()
	rev, _ := at(w.object(w.want(200, "GET "+path(name)+"?write=true", who, "")), "_rev").(string)
	return rev
}

// silent fails if the upstream heard any of the words, anywhere in a request.
func (w *world) silent(words ...string) {
	w.T.Helper()
	for _, q := range w.far.Log("") {
		all := q.Method + " " + q.Path + "?" + q.Query + " " + fmt.Sprint(q.Header) + " " + string(q.Body)
		if plain, err := url.QueryUnescape(q.Path + "?" + q.Query); err == nil {
			all += plain
		}
		for _, word := range words {
			if strings.Contains(strings.ToLower(all), word) {
				w.T.Errorf("the upstream heard of %q: %.300s", word, all)
			}
		}
	}
}
