package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"larder/cmd/larder/image"
	"larder/upstream/upstreamtest/ocitest"
)

// cutter stands before a server and cuts the bodies of uploads after so many bytes,
// as often as it is told.
type cutter struct {
	mu     sync.Mutex
	cuts   int
	ranges []string // of PATCH requests
	onCut  func()
}

const cutAt = 3 << 20

// cut is a body that breaks off.
type cut struct {
	io.Reader
	io.Closer
	then func()
}

func (c cut) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	if errors.Is(err, io.EOF) {
		c.then()
		return n, io.ErrUnexpectedEOF
	}
	return n, err
}

func (c *cutter) before(r *httputil.ProxyRequest) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if r.In.Method != http.MethodPatch {
		return
	}
	c.ranges = append(c.ranges, r.In.Header.Get("Content-Range"))
	if c.cuts > 0 {
		c.cuts--
		r.Out.Body = cut{io.LimitReader(r.Out.Body, cutAt), r.Out.Body, c.onCut}
	}
}

// carried exports the image acme/app:v1 of one layer, and returns the place and its
// manifest.
func (l *live) carried(layer []byte) (out string, d ocitest.Descriptor) {
	l.t.Helper()
	far, err := ocitest.Start(ocitest.Options{})
	l.must(err)
	l.t.Cleanup(far.Close)
	d, err = far.Push("acme/app", "v1", ocitest.Image{Layers: [][]byte{layer}})
	l.must(err)
	from := image.Source{Registry: &image.Registry{URL: far.URL, HTTP: http.DefaultClient}}
	from.Reference, err = image.ParseReference(strings.TrimPrefix(far.URL, "http://") + "/acme/app:v1")
	l.must(err)
	out = filepath.Join(l.t.TempDir(), "out.tar")
	_, err = (&image.Export{Out: out, Tell: func(string, ...any) {}}).Run(l.t.Context(), []image.Source{from})
	l.must(err)
	return out, d
}

// TestImportGoesOn: what the server has of a layer is not sent again, neither when a
// connection breaks nor when the command is given anew.
func TestImportGoesOn(t *testing.T) {
	l := liveServer(t, "upstreams: {oci: null}\n")
	l.api("POST", "users", map[string]any{"name": "acme", "org": true})
	layer := bytes.Repeat([]byte("0123456789abcdef"), 10<<20/16)
	out, d := l.carried(layer)
	to, err := url.Parse(l.url)
	l.must(err)
	c := &cutter{cuts: 1, onCut: func() {}}
	proxy := httptest.NewServer(&httputil.ReverseProxy{
		Rewrite:      func(r *httputil.ProxyRequest) { r.SetURL(to); c.before(r) },
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) { panic(http.ErrAbortHandler) },
	})
	t.Cleanup(proxy.Close)
	notes := filepath.Join(t.TempDir(), "notes", "uploads.json")
	run := func(ctx context.Context, into string) error {
		c.ranges = nil
		i := image.Import{From: out, Into: into, Tell: func(string, ...any) {}, Unfinished: &image.Unfinished{File: notes, Tell: t.Errorf}}
		_, err := i.Run(ctx, &image.Registry{URL: proxy.URL, Token: l.admin, HTTP: &http.Client{Transport: &http.Transport{}}})
		return err
	}
	whole := func(name string) {
		t.Helper()
		if got := l.want(200, l.admin, ask{method: "GET", path: "/v2/" + name + "/blobs/" + ocitest.Digest(layer)}); got.body != string(layer) {
			t.Errorf("%s has %d bytes", name, len(got.body))
		}
		l.want(200, l.admin, ask{method: "GET", path: "/v2/" + name + "/manifests/" + d.Digest})
		if _, err := os.Stat(notes); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("notes are left: %v", err)
		}
	}
	goesOn := func() {
		t.Helper()
		at := c.ranges[len(c.ranges)-1] // before it may be some that came before the server knew of the cut
		if strings.HasPrefix(at, "0-") || !strings.HasSuffix(at, "-10485759") {
			t.Errorf("the second half is %s", at)
		}
	}

	l.must(run(t.Context(), "acme/cut"))
	whole("acme/cut/app")
	goesOn()

	ctx, stop := context.WithCancel(t.Context())
	c.cuts, c.onCut = 1, stop
	if err := run(ctx, "acme/stopped"); err == nil {
		t.Fatal("a run that was stopped has ended well")
	}
	if _, err := os.Stat(notes); err != nil {
		t.Error(err)
	}
	l.must(run(t.Context(), "acme/stopped"))
	whole("acme/stopped/app")
	goesOn()
}
