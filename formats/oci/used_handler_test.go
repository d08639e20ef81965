package oci_test

import (
	"slices"
	"testing"
	"time"

	"larder/proxy/registry"
	"larder/upstream/upstreamtest/ocitest"
)

// TestUsed: pulls by tag and by digest are noted, also where a client only asks
// whether it has the image already, and no failures, pushes, layers or copies.
func TestUsed(t *testing.T) {
	w := newWorld(t, mirrored(ocitest.Options{}))
	_, err := w.far.Push("team/app", "v1", ocitest.Image{Layers: [][]byte{[]byte("layer")}})
	w.Must(err)
	d := digestOf(w.push("wim", "acme/app", "v1", "layer"))
	w.push("wim", "acme/app", "v2", "layer2")
	w.push("wim", "acme/other", "v1", "layer")
	w.want("404", "GET /acme/app/manifests/none", "rita", "")
	w.want("200", "GET /acme/app/blobs/"+digestOf("layer"), "rita", "")
	w.want("200", "GET /acme/other/manifests/v1", "rita", "", "X-Larder-Copy: true")
	w.want("200", "GET /acme/app/tags/list", "rita", "")
	w.want("200", "HEAD /acme/app/manifests/v1", "rita", "")
	w.want("304", "GET /acme/app/manifests/"+d, "rita", "", `If-None-Match: "`+d+`"`)
	w.want("200", "GET /mirror/far/team/app/manifests/v1", "rita", "")
	w.want("404", "GET /acme/app/manifests/v2", "bob", "")
	used := func(r *registry.Registry, who string) (list []string) {
		for u, err := range r.Used(t.Context(), w.Subject(who), time.Time{}, "") {
			w.Must(err)
			list = append(list, u.Package+":"+u.Tag+u.Version)
		}
		return list
	}
	if got, want := used(w.hosted.(*registry.Registry), "rita"), []string{"acme/app:v1", "acme/app:" + d}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	if got := used(w.hosted.(*registry.Registry), "bob"); len(got) != 0 {
		t.Errorf("an outsider is told %q", got)
	}
	far := w.Engine.Registry(registry.Spec{Name: "mirror/far", World: "far", Format: w.hosted.Format()})
	if got := used(far, "rita"); !slices.Equal(got, []string{"team/app:v1"}) {
		t.Errorf("of the mirror %q", got)
	}
}
