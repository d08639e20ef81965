package proxy

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"larder/formats"
	"larder/policy"
)

// fleet is a registry of our own and two mirrors, of which one has a host name.
func fleet(w *world) *Containers {
	hosted, hub, corp := fakeMount{w, "oci"}, fakeMount{w, "mirror/hub"}, fakeMount{w, "mirror/corp"}
	return &Containers{
		Hosted: hosted, Mirrors: map[string]Mount{"hub": hub, "corp": corp},
		Hosts: map[string]Mount{"hub.larder.example": hub, "images.larder.example": hosted},
		Upstream: func(_ context.Context, host string) (string, error) {
			return map[string]string{
				"hub.example": "hub", "index.hub.example": "hub", "corp.example:5000": "corp", "[2001:db8::1]": "corp", "gone.example": "gone",
			}[host], nil
		},
	}
}

func TestPlace(t *testing.T) {
	const here = "larder.example:8080"
	tests := []struct {
		host, path string
		ns         []string
		mount      string // "" for not found
		prefix     string
		rest       string
		namespace  string
	}{
		// 1 the path
		{here, "mirror/hub/library/x/tags/list", nil, "mirror/hub", "/v2/mirror/hub/", "library/x/tags/list", ""},
		{here, "mirror/hub/x/manifests/1", []string{"corp.example:5000"}, "mirror/hub", "/v2/mirror/hub/", "x/manifests/1", ""},
		{here, "mirror/hub/x/manifests/1", []string{"nobody.example"}, "mirror/hub", "/v2/mirror/hub/", "x/manifests/1", ""},
		{"hub.larder.example", "mirror/corp/x/manifests/1", nil, "mirror/corp", "/v2/mirror/corp/", "x/manifests/1", ""},
		{here, "mirror/hub", nil, "mirror/hub", "/v2/mirror/hub/", "", ""},
		{here, "mirror/corp/mirror/hub/x/manifests/1", nil, "mirror/corp", "/v2/mirror/corp/", "mirror/hub/x/manifests/1", ""},
		{here, "mirror", nil, "", "", "", ""},
		{here, "mirror/manifests/latest", nil, "", "", "", ""},
		{here, "mirror/nosuch/x/manifests/1", nil, "", "", "", ""},
		{here, "mirror/HUB/x/manifests/1", nil, "", "", "", ""},
		{here, "mirror/hub.example/x/manifests/1", nil, "", "", "", ""},
		{"hub.larder.example", "mirror/nosuch/x/manifests/1", []string{"hub.example"}, "", "", "", ""},
		{here, "mirrors/hub/x/manifests/1", nil, "oci", "/v2/", "mirrors/hub/x/manifests/1", ""},
		{here, "acme/mirror/hub/manifests/1", nil, "oci", "/v2/", "acme/mirror/hub/manifests/1", ""},
		// 2 the host name
		{"hub.larder.example", "x/manifests/1", nil, "mirror/hub", "/v2/", "x/manifests/1", ""},
		{"hub.larder.example:443", "x/manifests/1", []string{"corp.example:5000"}, "mirror/hub", "/v2/", "x/manifests/1", ""},
		{"hub.larder.example:5001", "x/manifests/1", []string{"a", "b"}, "mirror/hub", "/v2/", "x/manifests/1", ""},
		{"images.larder.example", "x/manifests/1", []string{"hub.example"}, "oci", "/v2/", "x/manifests/1", ""},
		{"hub.larder.example", "", nil, "mirror/hub", "/v2/", "", ""},
		// 3 the parameter
		{here, "library/x/manifests/1", []string{"hub.example"}, "mirror/hub", "/v2/", "library/x/manifests/1", "hub.example"},
		{here, "x/manifests/1", []string{"HUB.Example:443"}, "mirror/hub", "/v2/", "x/manifests/1", "HUB.Example:443"},
		{here, "x/manifests/1", []string{"index.hub.example"}, "mirror/hub", "/v2/", "x/manifests/1", "index.hub.example"},
		{here, "x/manifests/1", []string{"corp.example:5000"}, "mirror/corp", "/v2/", "x/manifests/1", "corp.example:5000"},
		{here, "x/manifests/1", []string{"[2001:db8::1]:443"}, "mirror/corp", "/v2/", "x/manifests/1", "[2001:db8::1]:443"},
		{here, "a/x/manifests/1", []string{here}, "oci", "/v2/", "a/x/manifests/1", here},
		{"larder.example", "a/x/manifests/1", []string{"Larder.example:443"}, "oci", "/v2/", "a/x/manifests/1", "Larder.example:443"},
		{here, "a/x/manifests/1", []string{"images.larder.example"}, "oci", "/v2/", "a/x/manifests/1", "images.larder.example"},
		{here, "x/manifests/1", []string{"hub.larder.example:443"}, "mirror/hub", "/v2/", "x/manifests/1", "hub.larder.example:443"},
		// 3 and nothing but what is in the table
		{here, "x/manifests/1", []string{""}, "", "", "", ""},
		{here, "x/manifests/1", []string{"nobody.example"}, "", "", "", ""},
		{here, "x/manifests/1", []string{"gone.example"}, "", "", "", ""}, // an upstream without a mirror
		{here, "x/manifests/1", []string{"hub"}, "", "", "", ""},          // its id is no host
		{here, "x/manifests/1", []string{"https://hub.example"}, "", "", "", ""},
		{here, "x/manifests/1", []string{"hub.example/"}, "", "", "", ""},
		{here, "x/manifests/1", []string{"user@hub.example"}, "", "", "", ""},
		{here, "x/manifests/1", []string{"hub.example:0"}, "", "", "", ""},
		{here, "x/manifests/1", []string{"hub.example:80"}, "", "", "", ""},
		{here, "x/manifests/1", []string{"hub.example:"}, "", "", "", ""},
		{here, "x/manifests/1", []string{"hub.example."}, "", "", "", ""},
		{here, "x/manifests/1", []string{"hub.example:443:443"}, "", "", "", ""},
		{here, "x/manifests/1", []string{"corp.example"}, "", "", "", ""}, // another port, another registry
		{here, "x/manifests/1", []string{"192.0.2.1"}, "", "", "", ""},
		{here, "x/manifests/1", []string{"169.254.169.254"}, "", "", "", ""},
		{here, "x/manifests/1", []string{"127.0.0.1:8080"}, "", "", "", ""},
		{here, "x/manifests/1", []string{"larder.example"}, "", "", "", ""}, // not the port that was asked
		{here, "x/manifests/1", []string{"hub.example\r\nX: y"}, "", "", "", ""},
		{here, "x/manifests/1", []string{"hub.example\x00"}, "", "", "", ""},
		{here, "x/manifests/1", []string{strings.Repeat("a", 300)}, "", "", "", ""},
		// 4 our own
		{here, "", nil, "oci", "/v2/", "", ""},
		{here, "acme/x/manifests/1", nil, "oci", "/v2/", "acme/x/manifests/1", ""},
		{"", "acme/x/manifests/1", nil, "oci", "/v2/", "acme/x/manifests/1", ""},
		{"nobody.example", "acme/x/manifests/1", nil, "oci", "/v2/", "acme/x/manifests/1", ""},
	}
	c := fleet(newWorld(t, nil))
	for _, tt := range tests {
		var path []string
		if tt.path != "" {
			path = strings.Split(tt.path, "/")
		}
		got, err := c.Place(t.Context(), tt.host, tt.ns, path)
		if tt.mount == "" {
			if !errors.Is(err, formats.ErrNotFound) || got.Mount.Name() != "oci" || got.Namespace != "" {
				t.Errorf("%s %s ns %q: %s, %v; want it not found", tt.host, tt.path, tt.ns, got.Mount.Name(), err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s %s ns %q: %v", tt.host, tt.path, tt.ns, err)
			continue
		}
		if got.Mount.Name() != tt.mount || got.Prefix != tt.prefix || strings.Join(got.Path, "/") != tt.rest || got.Namespace != tt.namespace {
			t.Errorf("%s %s ns %q: %s at %s, path %q, namespace %q; want %s at %s, %q, %q",
				tt.host, tt.path, tt.ns, got.Mount.Name(), got.Prefix, got.Path, got.Namespace, tt.mount, tt.prefix, tt.rest, tt.namespace)
		}
	}
	if _, err := c.Place(t.Context(), here, []string{"hub.example", "corp.example:5000"}, nil); !errors.Is(err, formats.ErrBadRequest) {
		t.Errorf("two values of ns: %v, want a bad request", err)
	}
}

// TestPlaceWithoutUpstreams: nobody has named any, or nobody could say yet.
func TestPlaceWithoutUpstreams(t *testing.T) {
	c := &Containers{Hosted: fakeMount{nil, "oci"}}
	if _, err := c.Place(t.Context(), "larder.example", []string{"hub.example"}, nil); !errors.Is(err, formats.ErrNotFound) {
		t.Errorf("without upstreams: %v", err)
	}
	late := errors.New("not known in time")
	c.Upstream = func(context.Context, string) (string, error) { return "", late }
	if _, err := c.Place(t.Context(), "larder.example", []string{"hub.example"}, nil); !errors.Is(err, late) {
		t.Errorf("while the upstreams are not known: %v", err)
	}
}

func TestContainersAtTheEdge(t *testing.T) {
	w := newWorld(t, func(o *Options) {
		o.PublicURL = "https://larder.example"
		o.Containers = fleet(o.Identifier.(*world))
	})
	tests := []struct {
		target, host string
		status       int
		body         string
	}{
		{"/v2/a/1", "", 200, "a/1"},
		{"/v2/mirror/hub/a/1", "", 200, "a/1"},
		{"/v2/a/1?ns=hub.example", "", 200, "a/1"},
		{"/v2/a/1?ns=nobody.example", "", 404, "no mirror of a registry"},
		{"/v2/a/1?ns=hub.example&ns=hub.example", "", 400, "given 2 times"},
		{"/v2/mirror/nosuch/a/1", "", 404, "no mirror of an upstream"},
		{"/v2/a/1", "hub.larder.example", 200, "a/1"}, // although it is not the public URL's host
		{"/v2/a/1", "nobody.example", 421, ""},
		{"/pad/a/1", "hub.larder.example", 404, "nothing outside /v2/"},
		{"/v1/search?q=a", "", 404, "no registry"},
		{"/oci/a/1", "", 404, "no registry"},
		{"/mirror/hub/a/1", "", 404, "no registry"},
		{"/r/acme/tools/oci/a/1", "", 404, "no registry"},
		{"/", "", 200, `{"name":"mirror/hub","format":"plain","url":"https://larder.example/v2/mirror/hub/"}`},
		{"/", "", 200, `{"name":"oci","format":"plain","url":"https://larder.example/v2/"}`},
	}
	for _, tt := range tests {
		if tt.host == "" {
			tt.host = "larder.example"
		}
		resp := w.do("GET", tt.target, nil, "Host: "+tt.host)
		if body := text(t, resp); resp.StatusCode != tt.status || !strings.Contains(body, tt.body) {
			t.Errorf("GET %s (%s): %d %q, want %d with %q", tt.target, tt.host, resp.StatusCode, body, tt.status, tt.body)
		}
	}
	// Clients look for the registry that they named in every answer.
	for target, ns := range map[string]string{
		"/v2/a/1": "", "/v2/a/1?ns=HUB.example:443": "HUB.example:443", "/v2/a?ns=hub.example": "hub.example",
		"/v2/mirror/hub/a/1?ns=hub.example": "", "/v2/a/1?ns=nobody.example": "", "/v2/a/1?ns=larder.example": "larder.example",
	} {
		if got := w.do("GET", target, nil, "Host: larder.example").Header.Get("OCI-Namespace"); got != ns {
			t.Errorf("GET %s: OCI-Namespace %q, want %q", target, got, ns)
		}
	}
	w.do("GET", "/v2/mirror/hub/b/1", nil, "Host: larder.example")
	if got := w.asked[len(w.asked)-1]; got.Registry != "mirror/hub" || got.Package != "b" {
		t.Errorf("policy was asked about %+v", got)
	}
}

func TestContainersThatCannotBe(t *testing.T) {
	pad := fakeMount{nil, "pad"}
	for name, c := range map[string]*Containers{
		"no registry for /v2/": {Mirrors: map[string]Mount{"hub": pad}},
		"an id of two parts":   {Hosted: pad, Mirrors: map[string]Mount{"a/b": pad}},
		"a host with a port":   {Hosted: pad, Hosts: map[string]Mount{"a.example:80": pad}},
		"a host in capitals":   {Hosted: pad, Hosts: map[string]Mount{"A.example": pad}},
		"a host taken twice":   {Hosted: pad, Hosts: map[string]Mount{"pad.example": pad}},
	} {
		w := &world{t: t}
		o := Options{Mounts: []Mount{pad}, Identifier: w, Authorizer: w, Hosts: map[string]string{"pad.example": "pad"}, Containers: c}
		if _, err := New(o); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
}

// owningMount is a registry to which some names belong.
type owningMount struct {
	fakeMount
	names *[]string
}

func (m owningMount) For(policy.Subject, string, string) formats.Registry {
	return owningRegistry{fakeRegistry{w: m.w}, *m.names}
}

type owningRegistry struct {
	fakeRegistry
	names []string
}

func (r owningRegistry) Ours(_ context.Context, names []string) ([]bool, error) {
	if names[0] == "lost" {
		return nil, errors.New("the index is gone")
	}
	return []bool{slices.Contains(r.names, names[0])}, nil
}

// TestTheDefaultUpstream is read for what nobody has here, and for nothing else.
func TestTheDefaultUpstream(t *testing.T) {
	names := []string{"ours"}
	w := newWorld(t, func(o *Options) {
		o.Containers = fleet(o.Identifier.(*world))
		o.Containers.Hosted = owningMount{fakeMount{o.Identifier.(*world), "oci"}, &names}
		o.Containers.Default = o.Containers.Mirrors["hub"]
	})
	for _, tt := range []struct{ method, target, host, registry string }{
		{"GET", "/v2/ours/1", "larder.example", "oci"},
		{"GET", "/v2/other/1", "larder.example", "mirror/hub"},
		{"HEAD", "/v2/other/1", "larder.example", "mirror/hub"},
		{"GET", "/v2/other/1?ns=larder.example", "larder.example", "mirror/hub"},
		{"PUT", "/v2/other/1", "larder.example", "oci"},
		{"DELETE", "/v2/other/1", "larder.example", "oci"},
		{"GET", "/v2/other/1?ns=corp.example:5000", "larder.example", "mirror/corp"},
		{"GET", "/v2/mirror/corp/other/1", "larder.example", "mirror/corp"},
		{"GET", "/pad/other/1", "larder.example", "pad"},
	} {
		w.asked = nil
		w.do(tt.method, tt.target, strings.NewReader("x"), "Host: "+tt.host)
		if len(w.asked) != 1 || w.asked[0].Registry != tt.registry {
			t.Errorf("%s %s: policy was asked about %+v, want the registry %s", tt.method, tt.target, w.asked, tt.registry)
		}
	}
	if resp := w.do("GET", "/v2/lost/1", nil); resp.StatusCode != 500 {
		t.Errorf("while nobody knows whose a name is: %d", resp.StatusCode)
	}
}
