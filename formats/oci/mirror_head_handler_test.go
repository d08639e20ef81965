package oci_test

import (
	"strings"
	"testing"
	"time"

	"larder/upstream/upstreamtest/ocitest"
)

// TestMirrorWithoutHead: an upstream that does not answer HEAD is asked by GET,
// and by HEAD once an hour; what it has not is missing all the same.
func TestMirrorWithoutHead(t *testing.T) {
	for _, status := range []int{404, 405, 501} {
		w := newWorld(t, mirrored(ocitest.Options{NoHead: status}))
		layer := strings.Repeat("layer", 1000)
		d := w.farImage("team/app", "v1", layer)
		const at = "/mirror/far/team/app"
		for _, line := range []string{"HEAD " + at + "/blobs/" + digestOf(layer), "HEAD " + at + "/manifests/v1", "GET " + at + "/manifests/v1"} {
			got := w.want("200", line, "", "")
			if size := got.ContentLength; strings.Contains(line, "blobs") && size != int64(len(layer)) {
				t.Errorf("%d: %s: %d bytes", status, line, size)
			}
			if strings.Contains(line, "manifests") && got.Header.Get("Docker-Content-Digest") != d {
				t.Errorf("%d: %s: %v", status, line, got.Header)
			}
		}
		w.heard("the first requests", "HEAD /v2/team/app/blobs/"+digestOf(layer), "GET /v2/team/app/blobs/"+digestOf(layer), "GET /v2/team/app/manifests/v1")
		w.want("404", "GET "+at+"/manifests/v2", "", "")
		w.heard("what is not there", "GET /v2/team/app/manifests/v2")
		w.Clock.Advance(10 * time.Minute)
		if got := w.want("200", "GET "+at+"/manifests/v1", "", ""); got.Header.Get("X-Cache") != "revalidated" {
			t.Errorf("%d: after the window: %v", status, got.Header)
		}
		w.heard("after the window", "GET /v2/team/app/manifests/v1")
		w.Clock.Advance(time.Hour)
		w.want("200", "HEAD "+at+"/manifests/v1", "", "")
		w.heard("an hour after", "HEAD /v2/team/app/manifests/v1", "GET /v2/team/app/manifests/v1")
		next := w.farImage("team/app", "v1", "another")
		w.Clock.Advance(10 * time.Minute)
		if got := w.want("200", "HEAD "+at+"/manifests/v1", "", ""); got.Header.Get("Docker-Content-Digest") != next {
			t.Errorf("%d: the tag did not move: %v", status, got.Header)
		}
		w.far.Down()
		w.Clock.Advance(10 * time.Minute)
		if got := w.want("200", "GET "+at+"/manifests/v1", "", ""); got.Header.Get("Warning") == "" {
			t.Errorf("%d: an outage: %v", status, got.Header)
		}
	}
}

// TestMirrorMissingIsAskedOnce: an upstream that answers HEAD is believed that
// something is missing.
func TestMirrorMissingIsAskedOnce(t *testing.T) {
	w := newWorld(t, mirrored(ocitest.Options{}))
	w.farImage("team/app", "v1", "layer")
	const at = "/mirror/far/team/app/manifests/"
	w.want("404", "HEAD "+at+"v2", "", "")
	w.heard("of an upstream that is new", "HEAD /v2/team/app/manifests/v2", "GET /v2/team/app/manifests/v2")
	w.want("200", "HEAD "+at+"v1", "", "")
	w.asked()
	w.want("404", "HEAD "+at+"v3", "", "")
	w.heard("of one that is known", "HEAD /v2/team/app/manifests/v3")
}
