package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"larder/cmd/larder/config"
	"larder/proxy/admin"
	"larder/proxy/registry"
	"larder/upstream"
	"larder/upstream/upstreamtest/ocitest"
)

// sourcesOf returns the upstreams of a configuration by their names, and what
// they write to the log.
func sourcesOf(t *testing.T, configured map[string]config.Upstream) (map[string]registry.Source, *bytes.Buffer) {
	t.Helper()
	cfg := &config.Loaded{}
	cfg.Upstreams = configured
	var log bytes.Buffer
	u, err := newUpstreams(cfg, zerolog.New(&log), admin.NewMetrics("x"), time.Now)
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]registry.Source{}
	for id := range configured {
		list, err := u.sources(t.Context(), []string{id})
		if err != nil || len(list) != 1 {
			t.Fatalf("%s: %d sources, %v", id, len(list), err)
		}
		found[id] = list[0]
	}
	return found, &log
}

func newImage(t *testing.T, opt ocitest.Options) *ocitest.Registry {
	t.Helper()
	r, err := ocitest.Start(opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	if _, err := r.Push("acme/app", "v1", ocitest.Image{}); err != nil {
		t.Fatal(err)
	}
	return r
}

// TestContainerUpstreamsSignIn: with the credential of the configuration, and
// with a word to the operator where that does not do.
func TestContainerUpstreamsSignIn(t *testing.T) {
	const password = "s3cr3t-canary"
	r := newImage(t, ocitest.Options{Auth: ocitest.Bearer, User: "u", Password: password, Hides: true})
	login := config.UpstreamAuth{Type: "basic", Username: "u", Password: config.Hide(password)}
	wrong := login
	wrong.Username = "x"
	sources, log := sourcesOf(t, map[string]config.Upstream{
		"good":  {Format: "oci", URL: config.Hide(r.URL), Auth: login},
		"bad":   {Format: "oci", URL: config.Hide(r.URL), Auth: wrong},
		"guest": {Format: "oci", URL: config.Hide(r.URL)},
	})
	for _, id := range []string{"good", "bad", "guest"} {
		resp, err := sources[id].Fetcher.Fetch(t.Context(), upstream.Request{Ref: "v2/acme/app/manifests/v1"})
		switch {
		case err == nil && id == "good":
			resp.Body.Close()
		case id == "good" || !errors.Is(err, upstream.ErrNotExist):
			t.Errorf("%s: %v", id, err)
		}
	}
	if strings.Contains(log.String(), password) {
		t.Error("the log tells the credential")
	}
	var levels []string
	for dec := json.NewDecoder(log); dec.More(); {
		var line struct{ Level, Event, Upstream, Host, Scope string }
		if err := dec.Decode(&line); err != nil {
			t.Fatal(err)
		}
		levels = append(levels, line.Level+" "+line.Upstream)
		if line.Event != "upstream.refused" || line.Host == "" || line.Scope != "repository:acme/app:pull" {
			t.Errorf("logged %+v", line)
		}
	}
	if got := strings.Join(levels, ", "); got != "error bad, warn guest" {
		t.Errorf("logged %s", got)
	}
}

// TestUpstreamsAreSpared: names that an upstream is not asked for, and the rate.
func TestUpstreamsAreSpared(t *testing.T) {
	r := newImage(t, ocitest.Options{})
	sources, _ := sourcesOf(t, map[string]config.Upstream{
		"kept": {Format: "oci", URL: config.Hide(r.URL), Allow: []string{"acme/*"}, Deny: []string{"acme/app"}},
		"slow": {Format: "npm", URL: config.Hide(r.URL), Rate: config.Rate{Requests: 1, Per: time.Hour}},
	})
	for name, want := range map[string]bool{"acme/app": false, "other": false, "acme/other": true, "acme/other/deep": false} {
		if got := sources["kept"].Serves(name); got != want {
			t.Errorf("%s: %v", name, got)
		}
	}
	if sources["slow"].Serves != nil {
		t.Error("names are looked at where all may be had")
	}
	for _, c := range []struct {
		id, ref  string
		want     error
		requests int
	}{
		{"slow", "nosuch", upstream.ErrNotExist, 1},
		{"slow", "nosuch", upstream.ErrThrottled, 0},
	} {
		r.Forget()
		_, err := sources[c.id].Fetcher.Fetch(t.Context(), upstream.Request{Ref: c.ref})
		if n := len(r.Log("")); !errors.Is(err, c.want) || n != c.requests {
			t.Errorf("%s %s: %v after %d requests, want %v", c.id, c.ref, err, n, c.want)
		}
	}
}
