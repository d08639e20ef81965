package oci_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"larder/policy/rules"
	"larder/upstream/upstreamtest/ocitest"
)

// TestMirrorTags: an upstream's list is handed on page by page, asked for once
// in the window, and old while the upstream is away.
func TestMirrorTags(t *testing.T) {
	w := newWorld(t, mirrored(ocitest.Options{PageSize: 3}))
	d := w.farImage("library/app", "v0", "layer")
	var all []string
	for i := range 7 {
		w.far.Tag("library/app", fmt.Sprintf("v%d", i), d)
		all = append(all, fmt.Sprintf("v%d", i))
	}
	w.far.Forget()
	for path, pages := range map[string]int{
		"/mirror/far/library/app/tags/list": 3, "/mirror/far/library/app/tags/list?n=2": 4, "/mirror/lib/app/tags/list?n=1000": 3,
	} {
		spoken := strings.Join(strings.Split(path, "/")[3:], "/")
		spoken, _, _ = strings.Cut(spoken, "/tags/list")
		for range 2 {
			got := w.pages(path, "", func(r *reply) []string {
				var doc struct{ Name string }
				if w.object(r, &doc); doc.Name != spoken {
					t.Errorf("%s: the list is of %q, want %q", path, doc.Name, spoken)
				}
				return tagsOf(t)(r)
			})
			if len(got) != pages || !slices.Equal(slices.Concat(got...), all) {
				t.Errorf("%s: %v", path, got)
			}
		}
		if heard := w.asked(); len(heard) != pages {
			t.Errorf("%s: the upstream heard %q", path, heard)
		}
	}
	if got := w.want("200", "GET /mirror/far/library/app/tags/list?n=0", "", ""); string(got.body) != `{"name":"library/app","tags":[]}` || got.Header.Get("Link") != "" {
		t.Errorf("n=0: %v %s", got.Header, got.body)
	}
	w.want("404 NAME_UNKNOWN", "GET /mirror/far/nix/tags/list", "", "")
	w.far.Tag("library/app", "v9", d)
	w.Clock.Advance(10 * time.Minute)
	if got := w.want("200", "GET /mirror/far/library/app/tags/list?last=v5", "", ""); string(got.body) != `{"name":"library/app","tags":["v6","v9"]}` {
		t.Errorf("after the window: %s", got.body)
	}
	w.far.Down()
	w.Clock.Advance(10 * time.Minute)
	got := w.want("200", "GET /mirror/far/library/app/tags/list", "", "")
	if got.Header.Get("Warning") == "" || got.Header.Get("Link") == "" {
		t.Errorf("an outage: %v", got.Header)
	}
	w.want("502 UNKNOWN", "GET /mirror/far/library/other/tags/list", "", "")
}

// TestMirrorReferrers: signatures are found through the mirror, whether or not
// the upstream has lists of them.
func TestMirrorReferrers(t *testing.T) {
	for name, opt := range map[string]ocitest.Options{"a list": {}, "a tag": {NoReferrers: true}} {
		w := newWorld(t, mirrored(opt))
		subject, err := w.far.Push("team/app", "v1", ocitest.Image{Layers: [][]byte{[]byte("layer")}})
		w.Must(err)
		var digests []string
		for _, kind := range []string{"application/x.sig", "application/x.sbom"} {
			d, err := w.far.Push("team/app", "", ocitest.Image{ArtifactType: kind, Subject: &subject})
			w.Must(err)
			digests = append(digests, d.Digest)
		}
		at := "/mirror/far/team/app/referrers/"
		listed := func(r *reply) (list []string) {
			for _, m := range referring(t)(r) {
				list = append(list, m.Digest)
			}
			return list
		}
		all := listed(w.want("200", "GET "+at+subject.Digest, "", ""))
		if len(all) != 2 || !slices.Contains(all, digests[0]) || !slices.Contains(all, digests[1]) {
			t.Errorf("%s: %v, want %v", name, all, digests)
		}
		w.asked()
		got := w.want("200", "GET "+at+subject.Digest+"?artifactType=application/x.sig", "", "")
		if one := listed(got); !slices.Equal(one, digests[:1]) || got.Header.Get("OCI-Filters-Applied") != "artifactType" {
			t.Errorf("%s: filtered: %v %v", name, one, got.Header)
		}
		if heard := w.asked(); name == "a list" && len(heard) != 0 {
			t.Errorf("%s: another filter of a list that is held: %q", name, heard)
		}
		for _, none := range []string{at + digestOf("nothing"), "/mirror/far/nix/referrers/" + digestOf("nothing")} {
			if got := listed(w.want("200", "GET "+none, "", "")); len(got) != 0 {
				t.Errorf("%s: %s: %v", name, none, got)
			}
		}
		for _, d := range digests {
			w.want("200", "GET /mirror/far/team/app/manifests/"+d, "", "")
		}
		w.far.Down()
		w.Clock.Advance(10 * time.Minute)
		if got := listed(w.want("200", "GET "+at+subject.Digest, "", "")); len(got) != 2 {
			t.Errorf("%s: during an outage: %v", name, got)
		}
		w.want("502 UNKNOWN", "GET "+at+digestOf("other"), "", "")
	}
}

// TestMirrorListsAndRules: what rules refuse by its name is in no list, and of an
// image that is refused whole there is none.
func TestMirrorListsAndRules(t *testing.T) {
	w := newWorld(t, mirrored(ocitest.Options{}))
	for _, name := range []string{"team/app", "team/bad", "acme/open/tool"} {
		d := w.farImage(name, "v1", "layer")
		w.far.Tag(name, "v2", d)
	}
	const far = "/mirror/far"
	for _, name := range []string{"team/app", "team/bad"} {
		w.want("200", "GET "+far+"/"+name+"/manifests/v1", "", "")
	}
	lists := func(what, tags, names string) {
		t.Helper()
		if got := w.want("200", "GET "+far+"/team/app/tags/list", "", ""); string(got.body) != `{"name":"team/app","tags":[`+tags+`]}` {
			t.Errorf("%s: %s", what, got.body)
		}
		if got := w.want("200", "GET "+far+"/_catalog", "bob", ""); string(got.body) != `{"repositories":[`+names+`]}` {
			t.Errorf("%s: %s", what, got.body)
		}
	}
	lists("without rules", `"v1","v2"`, `"team/app","team/bad"`)
	w.ruled(
		rules.Rule{ID: "tag", Kind: rules.Deny, Match: []string{"pkg:oci/team/app@v2"}},
		rules.Rule{ID: "name", Kind: rules.Deny, Match: []string{"pkg:oci/team/bad"}},
	)
	lists("with rules", `"v1"`, `"team/app"`)
	w.asked()
	for _, path := range []string{"/tags/list", "/referrers/" + digestOf("x")} {
		w.want("403 DENIED", "GET "+far+"/team/bad"+path, "", "")
	}
	w.heard("lists of what is refused")
	w.rules.Store(nil)
	lists("without rules again", `"v1","v2"`, `"team/app","team/bad"`)
	// A name that was claimed since is ours.
	w.Claim("oci", "team/app", "acme/open")
	if got := w.want("200", "GET "+far+"/_catalog", "bob", ""); string(got.body) != `{"repositories":["team/bad"]}` {
		t.Errorf("with a claim: %s", got.body)
	}
}

// TestMirrorCatalogOfDigests: whoever pulls by digest alone has seen the image too.
func TestMirrorCatalogOfDigests(t *testing.T) {
	w := newWorld(t, mirrored(ocitest.Options{}))
	const far = "/mirror/far/"
	digests := map[string]string{}
	names := []string{"a", "a-b", "a.b", "a/b", "b"}
	for _, name := range names {
		digests[name] = w.farImage(name, "v1", "layer of "+name)
		ref := digests[name]
		if name == "a.b" {
			ref = "v1"
		}
		w.want("200", "GET "+far+name+"/manifests/"+ref, "", "")
		w.want("200", "GET "+far+name+"/blobs/"+digestOf("layer of "+name), "", "")
	}
	w.want("404", "GET "+far+"nix/manifests/"+digestOf("x"), "", "")
	catalog := func() []string {
		return slices.Concat(w.pages(far+"_catalog?n=2", "bob", func(r *reply) []string {
			var doc struct{ Repositories []string }
			w.object(r, &doc)
			return doc.Repositories
		})...)
	}
	if got := catalog(); !slices.Equal(got, names) {
		t.Errorf("%q, want %q", got, names)
	}
	w.want("202", "DELETE "+far+"a/b/manifests/"+digests["a/b"], "admin", "")
	if got := catalog(); !slices.Equal(got, []string{"a", "a-b", "a.b", "b"}) {
		t.Errorf("without what was dropped: %q", got)
	}
	w.want("200", "GET "+far+"a/b/manifests/"+digests["a/b"], "", "")
	if got := catalog(); !slices.Equal(got, names) {
		t.Errorf("with it again: %q", got)
	}
}
