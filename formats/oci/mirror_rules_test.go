package oci_test

import (
	"strings"
	"testing"
	"time"

	"larder/policy/rules"
	"larder/upstream/upstreamtest/ocitest"
)

func (w *world) ruled(list ...rules.Rule) {
	w.T.Helper()
	set, err := rules.New(list, nil, nil)
	w.Must(err)
	w.rules.Store(set)
}

// TestMirrorRules: rules are asked about manifests by tag and by digest, and about
// blobs by the manifests that name them; the refusal names the rule.
func TestMirrorRules(t *testing.T) {
	const at = "/mirror/far/team/app"
	type step struct{ result, line string }
	for name, tt := range map[string]struct {
		rule  func(d string) rules.Rule
		steps func(d, layer string) []step
	}{
		"a digest": {
			func(d string) rules.Rule {
				return rules.Rule{ID: "bad", Kind: rules.Deny, Match: []string{"pkg:oci/team/app@" + d}}
			},
			func(d, layer string) []step {
				return []step{
					{"403 DENIED", "HEAD " + at + "/manifests/v1"}, {"403 DENIED", "GET " + at + "/manifests/v1"},
					{"403 DENIED", "GET " + at + "/manifests/" + d}, {"403 DENIED is denied by this registry", "GET " + at + "/blobs/" + layer},
				}
			},
		},
		"a tag": {
			func(string) rules.Rule {
				return rules.Rule{ID: "bad", Kind: rules.Deny, Match: []string{"pkg:oci/team/app@v1"}}
			},
			func(d, layer string) []step {
				return []step{
					{"403 DENIED", "GET " + at + "/manifests/v1"}, {"200", "GET " + at + "/manifests/" + d}, {"200", "GET " + at + "/blobs/" + layer},
				}
			},
		},
		"everything": {
			func(string) rules.Rule {
				return rules.Rule{ID: "bad", Kind: rules.Deny, Match: []string{"pkg:oci/team/*"}}
			},
			func(d, layer string) []step {
				return []step{
					{"403 DENIED", "GET " + at + "/manifests/v1"}, {"403 DENIED", "HEAD " + at + "/manifests/" + d}, {"403 DENIED", "HEAD " + at + "/blobs/" + layer},
				}
			},
		},
		"an exempt tag": {
			func(string) rules.Rule {
				return rules.Rule{ID: "cool", Kind: rules.Cooldown, MinAge: 7 * 24 * time.Hour, Exempt: []string{"pkg:oci/team/app@v1"}}
			},
			func(d, layer string) []step {
				return []step{
					{"403 DENIED", "GET " + at + "/manifests/" + d}, {"200", "HEAD " + at + "/manifests/v1"},
					{"200", "GET " + at + "/manifests/" + d}, {"200", "GET " + at + "/blobs/" + layer}, {"403 DENIED", "GET " + at + "/manifests/v2"},
				}
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, mirrored(ocitest.Options{}))
			layer := strings.Repeat("layer", 1000)
			d := w.farImage("team/app", "v1", layer)
			w.farImage("team/app", "v2", "another")
			w.ruled(tt.rule(d))
			for _, s := range tt.steps(d, digestOf(layer)) {
				got := w.want(s.result, s.line, "", "")
				if id := got.Header.Get("X-Larder-Policy"); strings.HasPrefix(s.result, "403") && id == "" {
					t.Errorf("%s: no rule is named: %v", s.line, got.Header)
				}
			}
		})
	}
}

// TestMirrorCooldown: what is new waits, by whatever name it is asked for, and
// opens by itself; a tag that moves to something new stands for what it was until
// that has waited.
func TestMirrorCooldown(t *testing.T) {
	w := newWorld(t, mirrored(ocitest.Options{}))
	w.ruled(rules.Rule{ID: "cool", Kind: rules.Cooldown, MinAge: time.Hour})
	const at = "/mirror/far/team/app"
	d := w.farImage("team/app", "v1", "one")
	w.want("403 DENIED", "GET "+at+"/manifests/v1", "", "")
	w.want("403 DENIED", "GET "+at+"/manifests/"+d, "", "")
	w.want("403 DENIED", "GET "+at+"/blobs/"+digestOf("one"), "", "")
	w.Clock.Advance(2 * time.Hour)
	w.want("200", "GET "+at+"/manifests/v1", "", "")
	w.want("200", "GET "+at+"/manifests/"+d, "", "")
	w.want("200", "GET "+at+"/blobs/"+digestOf("one"), "", "")
	next := w.farImage("team/app", "v1", "two")
	w.want("200", "GET "+at+"/manifests/v1", "", "")
	w.Clock.Advance(10 * time.Minute)
	for _, method := range []string{"HEAD", "GET"} {
		got := w.want("200", method+" "+at+"/manifests/v1", "", "")
		if got.Header.Get("Docker-Content-Digest") != d || got.Header.Get("X-Larder-Policy") != "cool" || !strings.HasPrefix(got.Header.Get("Warning"), `299 - "`) {
			t.Errorf("%s of a tag that moved: %v", method, got.Header)
		}
	}
	w.want("200", "GET "+at+"/manifests/"+d, "", "")
	w.want("403 DENIED", "GET "+at+"/manifests/"+next, "", "")
	w.want("403 DENIED", "GET "+at+"/blobs/"+digestOf("two"), "", "")
	w.Clock.Advance(2 * time.Hour)
	if got := w.want("200", "GET "+at+"/manifests/v1", "", ""); got.Header.Get("Docker-Content-Digest") != next || got.Header.Get("Warning") != "" {
		t.Errorf("of one that has waited: %v", got.Header)
	}
}

// TestMirrorSharesLayers: a layer of two images of an upstream is fetched once.
func TestMirrorSharesLayers(t *testing.T) {
	w := newWorld(t, mirrored(ocitest.Options{}))
	layer := strings.Repeat("layer", 1000)
	for _, name := range []string{"team/app", "team/other"} {
		w.farImage(name, "v1", layer)
		w.want("200", "GET /mirror/far/"+name+"/manifests/v1", "", "")
	}
	w.asked()
	w.want("200", "GET /mirror/far/team/app/blobs/"+digestOf(layer), "", "")
	w.heard("the first image", "GET /v2/team/app/blobs/"+digestOf(layer))
	if got := w.want("200", "GET /mirror/far/team/other/blobs/"+digestOf(layer), "", ""); string(got.body) != layer {
		t.Errorf("%d bytes", len(got.body))
	}
	w.heard("the second image")
	// An image that names no such layer has none here either, whatever is held.
	w.farImage("team/third", "v1", "another")
	w.want("200", "GET /mirror/far/team/third/manifests/v1", "", "")
	w.want("404 NAME_UNKNOWN", "GET /mirror/far/team/third/blobs/"+digestOf(layer), "", "")
	w.want("404 NAME_UNKNOWN", "GET /team/app/blobs/"+digestOf(layer), "", "")
}
