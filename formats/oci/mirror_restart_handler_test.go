package oci_test

import (
	"fmt"
	"testing"
	"time"

	"larder/policy/rules"
	"larder/upstream/upstreamtest/ocitest"
)

// TestRulesAfterARestart: what names a layer is known from the manifests that are
// held, so that a pull goes on where it was, by a client that has its manifest.
func TestRulesAfterARestart(t *testing.T) {
	cool := rules.Rule{ID: "cool", Kind: rules.Cooldown, MinAge: time.Hour, Exempt: []string{"pkg:oci/team/app@new"}}
	many := make([][]byte, 60) // more than are noted beside a manifest
	for i := range many {
		many[i] = fmt.Appendf(nil, "layer %d", i)
	}
	const at = "/mirror/far/team/app"
	started := func(t *testing.T, layers [][]byte, tag string) (*world, string) {
		w := newWorld(t, mirrored(ocitest.Options{}))
		child, err := w.far.Push("team/app", "", ocitest.Image{Layers: layers})
		w.Must(err)
		_, err = w.far.PushIndex("team/app", tag, child)
		w.Must(err)
		w.want("200", "GET "+at+"/manifests/"+tag, "", "")
		w.want("200", "GET "+at+"/manifests/"+child.Digest, "", "")
		w.far.PushBlob("team/app", typeLayer, []byte("unnamed"))
		return w, child.Digest
	}
	for name, layers := range map[string][][]byte{"few layers": {[]byte("one"), []byte("two")}, "many layers": many} {
		t.Run(name, func(t *testing.T) {
			w, child := started(t, layers, "v1")
			first, last := digestOf(string(layers[0])), digestOf(string(layers[len(layers)-1]))
			w.want("200", "GET "+at+"/blobs/"+first, "", "")
			w.Clock.Advance(2 * time.Hour)
			w.ruled(cool)
			w.openRegistry()
			w.want("200", "HEAD "+at+"/blobs/"+first, "", "")
			w.want("200", "GET "+at+"/blobs/"+first, "", "")
			w.want("200", "GET "+at+"/blobs/"+last, "", "") // which is not held yet
			w.want("403 DENIED", "GET "+at+"/blobs/"+digestOf("unnamed"), "", "")
			// What is forgotten names nothing any more.
			w.want("202", "DELETE "+at+"/manifests/"+child, "admin", "")
			w.want("403 DENIED", "GET "+at+"/blobs/"+first, "", "")
			w.openRegistry()
			w.want("403 DENIED", "GET "+at+"/blobs/"+first, "", "")
		})
	}
	t.Run("a tag that is exempt", func(t *testing.T) {
		w, child := started(t, [][]byte{[]byte("one")}, "new")
		w.ruled(cool)
		w.openRegistry()
		w.want("200", "GET "+at+"/blobs/"+digestOf("one"), "", "")
		w.openRegistry()
		w.want("200", "GET "+at+"/manifests/"+child, "", "")
		w.want("403 DENIED", "GET "+at+"/blobs/"+digestOf("unnamed"), "", "")
		w.want("202", "DELETE "+at+"/manifests/new", "admin", "")
		w.want("403 DENIED", "GET "+at+"/manifests/"+child, "", "")
	})
	t.Run("a manifest that is denied", func(t *testing.T) {
		w, child := started(t, [][]byte{[]byte("one")}, "v1")
		w.ruled(rules.Rule{ID: "bad", Kind: rules.Deny, Match: []string{"pkg:oci/team/app@" + child}})
		w.openRegistry()
		w.want("403 DENIED", "GET "+at+"/blobs/"+digestOf("one"), "", "")
	})
}
