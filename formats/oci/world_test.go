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
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"larder/formats/oci"
	"larder/policy"
	"larder/policy/directory"
	"larder/policy/rules"
	"larder/proxy"
	"larder/proxy/proxytest"
	"larder/proxy/registry"
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
	*proxytest.World
	hosted proxy.Mount
	opt    oci.Options
	rules  atomic.Pointer[rules.Set]
	limits registry.UploadLimits
	watch  registry.Observer
	ahead  []string          // platforms that mirrors fetch ahead
	far    *ocitest.Registry // mirrored as "far", and as "lib" with one-word names under library/; nil: nothing is
}

func newWorld(t testing.TB, settings ...func(*world)) *world {
	t.Helper()
	w := &world{World: proxytest.New(t)}
	for _, set := range settings {
		set(w)
	}
	w.OpenDirectory(directory.Options{AnonymousRead: true, Formats: []string{"oci"}})
	w.Populate()
	w.Must(w.Directory.Grant(t.Context(), w.Admin, "acme/open", "wim", policy.RoleWrite))
	w.Claim("oci", "acme/open/**", "acme/open")
	w.openRegistry()
	return w
}

func (w *world) openRegistry() {
	w.T.Helper()
	w.OpenEngine(registry.Options{Rules: w.rules.Load, Uploads: w.limits, Observer: w.watch})
	w.hosted = w.Engine.Registry(registry.Spec{Name: "oci", Format: oci.New(w.opt), Hosted: true})
	places := &proxy.Containers{Hosted: w.hosted, Mirrors: map[string]proxy.Mount{}}
	if w.far != nil {
		prefetch := func() []string { return w.ahead }
		for id, opt := range map[string]oci.Options{"far": {Mirror: true, Prefetch: prefetch, MaxBlob: w.opt.MaxBlob}, "lib": {Mirror: true, Library: func(context.Context) bool { return true }}} {
			places.Mirrors[id] = w.Engine.Registry(registry.Spec{
				Name: "mirror/" + id, World: id, Negative: 10 * time.Second, Format: oci.New(opt), Upstreams: w.Source(id, w.far.URL),
			})
		}
	}
	w.Edge = w.OpenEdge(proxy.Options{Containers: places})
}

// mirrored lets the world mirror a registry of that kind.
func mirrored(opt ocitest.Options) func(*world) {
	return func(w *world) {
		w.T.Helper()
		far, err := ocitest.Start(opt)
		w.Must(err)
		w.T.Cleanup(far.Close)
		w.far = far
	}
}

// request builds a request below /v2, as proxytest does.
func (w *world) request(method, path, who string, body io.Reader, lines ...string) *http.Request {
	return w.Request(method, "/v2"+path, who, body, lines...)
}

// reply is what came back.
type reply struct {
	*http.Response
	body []byte
	cut  bool
}

func (w *world) send(r *http.Request) *reply {
	got := w.Send(r)
	return &reply{got.Response, got.Bytes, got.Cut}
}

// do sends a line, which is a method and a path below /v2.
func (w *world) do(line, who, body string, lines ...string) *reply {
	method, path, _ := strings.Cut(line, " ")
	return w.send(w.request(method, path, who, strings.NewReader(body), lines...))
}

// want fails unless status and, in a refusal, code and part of the message are
// as said: "404 BLOB_UNKNOWN acme/app has no blob".
func (w *world) want(result, line, who, body string, lines ...string) *reply {
	w.T.Helper()
	got := w.do(line, who, body, lines...)
	w.is(result, line+" by "+who, got)
	return got
}

func (w *world) is(result, what string, got *reply) {
	w.T.Helper()
	status, rest, _ := strings.Cut(result, " ")
	code, part, _ := strings.Cut(rest, " ")
	if fmt.Sprint(got.StatusCode) != status || got.cut {
		w.T.Errorf("%s: %d, want %s: %.600s", what, got.StatusCode, result, got.body)
	}
	if v := got.Header.Get("Docker-Distribution-Api-Version"); v != "registry/2.0" {
		w.T.Errorf("%s: API version %q", what, v)
	}
	if got.StatusCode >= 400 && len(got.body) > 0 {
		f := w.failure(got)
		if code != "" && f.Code != code || !strings.Contains(f.Message, part) {
			w.T.Errorf("%s: %s %q, want %s", what, f.Code, f.Message, result)
		}
	}
}

// failure is the error in a reply.
type failure struct {
	Code, Message string
	Detail        any
}

func (w *world) failure(r *reply) failure {
	w.T.Helper()
	var doc struct{ Errors []failure }
	if err := json.Unmarshal(r.body, &doc); err != nil || len(doc.Errors) != 1 || r.Header.Get("Content-Type") != "application/json" {
		w.T.Errorf("no list of one error: %v: %.300s", err, r.body)
		return failure{}
	}
	return doc.Errors[0]
}

// object reads a JSON body.
func (w *world) object(r *reply, v any) {
	w.T.Helper()
	if err := json.Unmarshal(r.body, v); err != nil {
		w.T.Fatalf("%v: %.300s", err, r.body)
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
	w.T.Helper()
	d := digestOf(body)
	w.want("201", "POST /"+name+"/blobs/uploads/?digest="+d, who, body)
	return d
}

// begin begins an upload and returns the path of its session below /v2.
func (w *world) begin(who, name string) string {
	w.T.Helper()
	got := w.want("202", "POST /"+name+"/blobs/uploads/", who, "")
	at, ok := strings.CutPrefix(got.Header.Get("Location"), "/v2")
	if !ok || !strings.HasPrefix(at, "/"+name+"/blobs/uploads/") || got.Header.Get("Docker-Upload-Uuid") == "" {
		w.T.Fatalf("session %v", got.Header)
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
	w.T.Helper()
	w.blob(who, name, "{}")
	w.blob(who, name, layer)
	m := written("{}", []string{layer}, change...)
	w.want("201", "PUT /"+name+"/manifests/"+tag, who, m, "Content-Type: "+typeImage)
	return m
}
