package main

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"larder/cmd/larder/config"
	"larder/policy"
	"larder/upstream/discover"
	"larder/upstream/upstreamtest/ocitest"
)

// TestMirrorsOf: by which hosts clients know the upstreams, and which of them keep
// short names below library/.
func TestMirrorsOf(t *testing.T) {
	public := discover.HubNames()
	for what, tt := range map[string]struct {
		upstreams map[string]config.Upstream
		found     discover.Found
		names     map[string]string
		library   []string
	}{
		"an address": {
			map[string]config.Upstream{"corp": {URL: config.Hide("https://Corp.example/"), Format: "oci"}}, discover.Found{},
			map[string]string{"corp.example": "corp"}, nil,
		},
		"with ports": {
			map[string]config.Upstream{"a": {URL: config.Hide("https://a.example:443"), Format: "oci"}, "b": {URL: config.Hide("http://b.example"), Format: "oci"}, "c": {URL: config.Hide("http://u:p@c.example:5000/x"), Format: "oci"}},
			discover.Found{}, map[string]string{"a.example": "a", "b.example": "b", "b.example:80": "b", "c.example:5000": "c"}, nil,
		},
		"names beside it": {
			map[string]config.Upstream{"corp": {URL: config.Hide("https://corp.example"), Format: "oci", Namespaces: []string{"Old.example:443", "older.example:5000"}, Library: true}},
			discover.Found{}, map[string]string{"corp.example": "corp", "old.example": "corp", "older.example:5000": "corp"}, []string{"corp"},
		},
		"what is written goes first": {
			map[string]config.Upstream{"a": {URL: config.Hide("https://x.example"), Format: "oci"}, "b": {URL: config.Hide("https://b.example"), Format: "oci", Namespaces: []string{"x.example"}}},
			discover.Found{}, map[string]string{"x.example": "b", "b.example": "b"}, nil,
		},
		"the first of two": {
			map[string]config.Upstream{"a": {URL: config.Hide("https://x.example/a"), Format: "oci"}, "b": {URL: config.Hide("https://x.example/b"), Format: "oci"}},
			discover.Found{}, map[string]string{"x.example": "a"}, nil,
		},
		"the hub": {
			map[string]config.Upstream{"hub": {URL: config.Hide("https://" + public[2]), Format: "oci"}}, discover.Found{},
			map[string]string{public[0]: "hub", public[1]: "hub", public[2]: "hub"}, []string{"hub"},
		},
		"a mirror of the hub that was found": {
			map[string]config.Upstream{"oci": {URL: config.Hide(config.Auto), Format: "oci"}}, discover.Found{URL: "https://mirror.example/hub", Host: public[0]},
			map[string]string{"mirror.example": "oci", public[0]: "oci", public[1]: "oci", public[2]: "oci"}, []string{"oci"},
		},
		"another that was found": {
			map[string]config.Upstream{"oci": {URL: config.Hide(config.Auto), Format: "oci"}}, discover.Found{URL: "http://inner.example/b", Host: "b.example:5000"},
			map[string]string{"inner.example": "oci", "inner.example:80": "oci", "b.example:5000": "oci"}, nil,
		},
		"nothing was found, and others": {
			map[string]config.Upstream{"oci": {URL: config.Hide(config.Auto), Format: "oci"}, "npm": {URL: config.Hide("https://npm.example"), Format: "npm"}}, discover.Found{},
			map[string]string{}, nil,
		},
	} {
		cfg := &config.Loaded{Config: config.Config{Upstreams: tt.upstreams}}
		got := mirrorsOf(cfg, tt.found)
		if !maps.Equal(got.names, tt.names) {
			t.Errorf("%s: names %v, want %v", what, got.names, tt.names)
		}
		for id := range tt.upstreams {
			if got.library[id] != slices.Contains(tt.library, id) {
				t.Errorf("%s: library of %s: %v", what, id, got.library[id])
			}
		}
	}
}

// mirrored is a server with mirrors of two registries, of which one keeps short
// names below library/.
func mirrored(t *testing.T, more string) (l *live, hub, corp *ocitest.Registry) {
	t.Helper()
	registry := func() *ocitest.Registry {
		r, err := ocitest.Start(ocitest.Options{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(r.Close)
		return r
	}
	hub, corp = registry(), registry()
	for name, r := range map[string]*ocitest.Registry{"library/app": hub, "acme/app": hub, "app": corp, "acme/tool": corp} {
		if _, err := r.Push(name, "1", ocitest.Image{}); err != nil {
			t.Fatal(err)
		}
	}
	return liveServer(t, "upstreams:\n  oci: null\n  hub: {format: oci, url: "+hub.URL+", library: true, hosts: [hub.larder.example], namespaces: [hub.example]}\n"+
		"  corp: {format: oci, url: "+corp.URL+", deny: [acme/secret]}\n"+more), hub, corp
}

func manifest(at, name string) ask { return ask{method: "GET", path: at + name + "/manifests/1"} }

// TestOneHostForManyRegistries: the way to a mirror, and what is one image there.
func TestOneHostForManyRegistries(t *testing.T) {
	l, hub, corp := mirrored(t, "")
	first := l.want(200, "", manifest("/v2/mirror/hub/", "app"))
	asked := len(hub.Log(""))
	corpHost := strings.TrimPrefix(corp.URL, "http://")
	other := l.want(200, "", manifest("/v2/mirror/corp/", "app"))
	for _, tt := range []struct {
		a    ask
		want answer
		ns   string
	}{
		{manifest("/v2/mirror/hub/", "library/app"), first, ""},
		{ask{method: "GET", path: "/v2/app/manifests/1?ns=hub.example"}, first, "hub.example"},
		{ask{method: "GET", path: "/v2/library/app/manifests/1?ns=HUB.example:443"}, first, "HUB.example:443"},
		{manifest("/v2/", "app").with("Host: hub.larder.example"), first, ""},
		{manifest("/v2/", "library/app").with("Host: hub.larder.example:8443"), first, ""},
		{ask{method: "GET", path: "/v2/app/manifests/1?ns=" + corpHost}, other, corpHost},
		{manifest("/v2/mirror/corp/", "app").with("Host: hub.larder.example"), other, ""},
	} {
		got := l.want(200, "", tt.a)
		if got.body != tt.want.body || got.header.Get("OCI-Namespace") != tt.ns {
			t.Errorf("%s: OCI-Namespace %q, %s", tt.a, got.header.Get("OCI-Namespace"), got.body)
		}
	}
	if n := len(hub.Log("")); n != asked {
		t.Errorf("the same image by other spellings: %d more requests", n-asked)
	}
	got := l.ask(ask{method: "GET", path: "/v2/library/app/manifests/1?ns=nobody.example"})
	if got.status != 404 || !strings.Contains(got.body, "NAME_UNKNOWN") || got.header.Get("OCI-Namespace") != "" {
		t.Errorf("a registry that is not mirrored: %d %v %s", got.status, got.header, got.body)
	}
	for path, code := range map[string]string{"/v2/mirror/nosuch/app/manifests/1": "NAME_UNKNOWN", "/v2/mirror/corp/acme/secret/manifests/1": "_UNKNOWN"} {
		if got := l.ask(ask{method: "GET", path: path}); got.status != 404 || !strings.Contains(got.body, code) {
			t.Errorf("%s: %d %s", path, got.status, got.body)
		}
	}
	l.want(404, "", ask{method: "GET", path: "/v1/search?q=app"})
	for at, want := range map[string]string{"/v2/mirror/hub/": `{"repositories":["library/app"]}`, "/v2/mirror/corp/": `{"repositories":["app"]}`, "/v2/": `{"repositories":[]}`} {
		if got := l.want(200, l.admin, ask{method: "GET", path: at + "_catalog"}); strings.TrimSpace(got.body) != want {
			t.Errorf("the list at %s: %s, want %s", at, got.body, want)
		}
	}
	if log := corp.Log("/v2/acme/secret"); len(log) != 0 {
		t.Errorf("asked for what is denied: %+v", log)
	}
}

// TestAccessToMirrors: who may read may read them, nobody writes, and only
// operators evict.
func TestAccessToMirrors(t *testing.T) {
	l, _, _ := mirrored(t, "")
	l.api("POST", "users", fields{"name": "bob"})
	bob, _ := l.mint("bob", policy.Limits{}, policy.AllScopes()...)
	row := containerMatrix()
	for _, token := range []string{"", bob, l.admin} {
		l.want(200, token, manifest("/v2/mirror/hub/", "app"))
		for _, a := range append(row.writes("/v2/mirror/hub/", "library/app"), row.publish(t, "/v2/mirror/hub/", "library/app", "2")) {
			if got := l.as(token, a); got.status != 405 || !strings.Contains(got.body, "UNSUPPORTED") || !strings.Contains(got.body, "read-only mirror") {
				t.Errorf("%s: %d %s", a, got.status, got.body)
			}
		}
		for _, a := range row.removes("/v2/mirror/hub/", "library/app") {
			want := map[string]int{"": 401, bob: 403, l.admin: 202}[token]
			if got := l.as(token, a); got.status != want {
				t.Errorf("%s: %d, want %d: %s", a, got.status, want, got.body)
			}
		}
	}
}

// TestClaimsShutMirrors: a name that is ours is told to no upstream, whichever way
// it is asked for. That somebody here is called as an owner there shuts nothing.
func TestClaimsShutMirrors(t *testing.T) {
	l, hub, corp := mirrored(t, "")
	l.api("POST", "users", fields{"name": "acme", "org": true})
	l.want(200, "", manifest("/v2/mirror/hub/", "acme/app"))
	l.api("POST", "claims", fields{"formats": []string{"oci"}, "match": []string{"acme/**"}, "repository": "acme/packages"})
	hub.Forget()
	for _, a := range []ask{
		manifest("/v2/mirror/hub/", "acme/app"), manifest("/v2/mirror/corp/", "acme/tool"), {method: "GET", path: "/v2/acme/app/manifests/1?ns=hub.example"},
		manifest("/v2/", "acme/app").with("Host: hub.larder.example"), {method: "GET", path: "/v2/mirror/hub/acme/app/tags/list"},
	} {
		l.want(401, "", a)
		if got := l.as(l.admin, a); got.status != 404 {
			t.Errorf("%s: %d %s", a, got.status, got.body)
		}
	}
	if log := append(hub.Log(""), corp.Log("")...); len(log) != 0 {
		t.Errorf("upstreams were told: %+v", log)
	}
	if got := l.as(l.admin, ask{method: "POST", path: "/api/v1/users", body: `{"name":"mirror"}`}); got.status != 400 && got.status != 422 {
		t.Errorf("an owner called mirror: %d %s", got.status, got.body)
	}
}

// TestNamesThatNobodyHasHere are those of the default upstream, where there is one.
func TestNamesThatNobodyHasHere(t *testing.T) {
	l, hub, _ := mirrored(t, "registries: {oci: {default_upstream: hub}}\n")
	l.want(200, "", manifest("/v2/", "app"))
	l.want(200, "", manifest("/v2/", "acme/app"))
	hub.Forget()
	l.api("POST", "users", fields{"name": "acme", "org": true})
	l.want(401, "", manifest("/v2/", "acme/app"))
	l.want(404, l.admin, manifest("/v2/", "acme/app"))
	l.want(401, "", containerMatrix().publish(t, "/v2/", "app", "2"))
	if log := hub.Log(""); len(log) != 0 {
		t.Errorf("the upstream was told of a name of ours: %+v", log)
	}
}
