package oci_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// pages follows the Link fields of a list from its first page and returns what
// pick finds on each.
func (w *world) pages(path, who string, pick func(r *reply) []string) (all [][]string) {
	w.T.Helper()
	for len(all) < 20 {
		got := w.want("200", "GET "+path, who, "")
		all = append(all, pick(got))
		link := got.Header.Get("Link")
		if link == "" {
			return all
		}
		target, ok := strings.CutSuffix(link, `>; rel="next"`)
		next, below := strings.CutPrefix(target, "</v2")
		if !ok || !below {
			w.T.Fatalf("link %q", link)
		}
		path = next
	}
	w.T.Fatalf("%s has no end", path)
	return nil
}

func tagsOf(t *testing.T) func(r *reply) []string {
	return func(r *reply) []string {
		var doc struct {
			Name string
			Tags []string
		}
		if err := json.Unmarshal(r.body, &doc); err != nil || doc.Tags == nil || r.Header.Get("Content-Type") != "application/json" {
			t.Errorf("no list: %v %s", r.Header, r.body)
		}
		return doc.Tags
	}
}

// TestTagPages: in the order of bytes, in pages of any size, whose ends need not
// be there.
func TestTagPages(t *testing.T) {
	w := newWorld(t)
	m := w.push("wim", "acme/app", "b", "layer")
	for _, tag := range []string{"a", "B", "a-1", "a.1", "_x", "10", "9"} {
		w.want("201", "PUT /acme/app/manifests/"+tag, "wim", m, "Content-Type: "+typeImage)
	}
	sorted := []string{"10", "9", "B", "_x", "a", "a-1", "a.1", "b"}
	for n := 1; n < 10; n++ {
		got := w.pages(fmt.Sprintf("/acme/app/tags/list?n=%d&x=1", n), "rita", tagsOf(t))
		if !slices.Equal(slices.Concat(got...), sorted) || len(got) != (len(sorted)+n-1)/n {
			t.Errorf("n=%d: %v", n, got)
		}
	}
	for query, want := range map[string]string{
		"": "10 9 B _x a a-1 a.1 b", "?n=0": "", "?n=99999999999": "10 9 B _x a a-1 a.1 b", "?last=a": "a-1 a.1 b", "?last=a0": "b", "?last=zzz": "",
		"?last=a&n=1": "a-1", "?last=": "10 9 B _x a a-1 a.1 b",
	} {
		got := w.want("200", "GET /acme/app/tags/list"+query, "rita", "")
		if list := strings.Join(tagsOf(t)(got), " "); list != want || (got.Header.Get("Link") != "") != (query == "?last=a&n=1") {
			t.Errorf("%s: %q %v", query, list, got.Header)
		}
	}
	w.want("404 NAME_UNKNOWN", "GET /acme/nix/tags/list", "rita", "")
	w.want("404 NAME_UNKNOWN", "GET /acme/nix/tags/list?n=0", "rita", "")
	w.want("200", "HEAD /acme/app/tags/list", "rita", "")
}

// TestManyTags: more than a page, with and without n.
func TestManyTags(t *testing.T) {
	w := newWorld(t)
	w.push("wim", "acme/app", "first", "layer")
	m := written("{}", []string{"layer"})
	for from := 0; from < 2500; from += 100 {
		query := "?"
		for i := from; i < from+100; i++ {
			query += fmt.Sprintf("tag=v%04d&", i)
		}
		w.want("201", "PUT /acme/app/manifests/"+digestOf(m)+query, "wim", m, "Content-Type: "+typeImage)
	}
	for _, path := range []string{"/acme/app/tags/list", "/acme/app/tags/list?n=1000", "/acme/app/tags/list?n=5000"} {
		got := w.pages(path, "rita", tagsOf(t))
		all := slices.Concat(got...)
		if len(got) != 3 || len(all) != 2501 || !slices.IsSorted(all) {
			t.Errorf("%s: %d pages, %d tags", path, len(got), len(all))
		}
	}
}

// TestCatalog: everybody sees what they may read, and nobody anything without
// a credential.
func TestCatalog(t *testing.T) {
	w := newWorld(t)
	w.push("wim", "acme/app", "v1", "layer")
	w.push("wim", "acme/open/tool", "v1", "layer")
	w.push("admin", "single", "v1", "layer")
	w.blob("wim", "acme/half", "no manifest yet")
	names := func(r *reply) []string {
		var doc struct{ Repositories []string }
		w.object(r, &doc)
		if doc.Repositories == nil {
			t.Errorf("no list: %s", r.body)
		}
		return doc.Repositories
	}
	for who, want := range map[string]string{
		"rita": "acme/app acme/open/tool single", "bob": "acme/open/tool single", "admin": "acme/app acme/open/tool single",
	} {
		for _, query := range []string{"", "?n=1", "?n=2"} {
			got := w.pages("/_catalog"+query, who, names)
			if strings.Join(slices.Concat(got...), " ") != want {
				t.Errorf("%s%s: %v", who, query, got)
			}
		}
	}
	if got := w.want("200", "GET /_catalog?n=0", "rita", ""); string(got.body) != `{"repositories":[]}` {
		t.Errorf("n=0: %s", got.body)
	}
	got := w.want("401 UNAUTHORIZED", "GET /_catalog", "", "")
	if !strings.Contains(got.Header.Get("Www-Authenticate"), `scope="registry:catalog:*"`) {
		t.Errorf("challenge %v", got.Header)
	}
}

// refers makes a manifest refer to another.
func refers(to, artifactType string, notes map[string]any) func(map[string]any) {
	return func(doc map[string]any) {
		doc["subject"] = descriptor(typeImage, to)
		if artifactType != "" {
			doc["artifactType"] = artifactType
		}
		if notes != nil {
			doc["annotations"] = notes
		}
	}
}

// entry is a line of an index.
type entry struct {
	MediaType, Digest, ArtifactType string
	Size                            int64
	Annotations                     map[string]string
}

// referring reads an index of referrers.
func referring(t *testing.T) func(*reply) []entry {
	return func(r *reply) []entry {
		var doc struct {
			SchemaVersion int
			MediaType     string
			Manifests     []entry
		}
		if err := json.Unmarshal(r.body, &doc); err != nil || doc.SchemaVersion != 2 || doc.MediaType != typeIndex ||
			doc.Manifests == nil || r.Header.Get("Content-Type") != typeIndex {
			t.Errorf("no index: %v %v %s", err, r.Header, r.body)
		}
		return doc.Manifests
	}
}

// TestReferrers: what refers to a manifest, which need not be there.
func TestReferrers(t *testing.T) {
	w := newWorld(t)
	subject := written("{}", []string{"layer"})
	at := "/acme/app/referrers/" + digestOf(subject)
	list := referring(t)
	w.blob("olga", "acme/app", "{}")
	if got := list(w.want("200", "GET "+at, "rita", "")); len(got) != 0 {
		t.Errorf("before all: %v", got)
	}
	signature := written("{}", nil, refers(subject, "application/x.sig", map[string]any{"by": "me"}))
	bare := written("{}", nil, refers(subject, "", nil))
	for _, m := range []string{signature, bare} {
		got := w.want("201", "PUT /acme/app/manifests/"+digestOf(m), "olga", m, "Content-Type: "+typeImage)
		if got.Header.Get("OCI-Subject") != digestOf(subject) {
			t.Errorf("no subject: %v", got.Header)
		}
	}
	w.push("olga", "acme/app", "v1", "layer")
	all := list(w.want("200", "GET "+at, "rita", ""))
	if len(all) != 2 || !slices.IsSortedFunc(all, func(a, b entry) int { return strings.Compare(a.Digest, b.Digest) }) {
		t.Errorf("all: %v", all)
	}
	for _, e := range all {
		want := entry{typeImage, digestOf(signature), "application/x.sig", int64(len(signature)), map[string]string{"by": "me"}}
		if e.Digest != want.Digest {
			want = entry{typeImage, digestOf(bare), typeConfig, int64(len(bare)), nil}
		}
		if fmt.Sprint(e) != fmt.Sprint(want) {
			t.Errorf("%v, want %v", e, want)
		}
	}
	got := w.want("200", "GET "+at+"?artifactType=application/x.sig", "rita", "")
	if one := list(got); len(one) != 1 || one[0].Digest != digestOf(signature) || got.Header.Get("OCI-Filters-Applied") != "artifactType" {
		t.Errorf("filtered: %v %v", one, got.Header)
	}
	if none := list(w.want("200", "GET "+at+"?artifactType=x/y", "rita", "")); len(none) != 0 {
		t.Errorf("of another type: %v", none)
	}
	w.want("202", "DELETE /acme/app/manifests/"+digestOf(signature), "olga", "")
	if left := list(w.want("200", "GET "+at, "rita", "")); len(left) != 1 || left[0].Digest != digestOf(bare) {
		t.Errorf("after a deletion: %v", left)
	}
	w.want("200", "GET /acme/app/referrers/"+digest512("x"), "rita", "")
	for _, who := range []string{"wim", "olga"} {
		if none := list(w.want("200", "GET /acme/nix/referrers/"+digestOf("x"), who, "")); len(none) != 0 {
			t.Errorf("of an image that %s could push: %v", who, none)
		}
	}
	for _, who := range []string{"rita", "bob"} {
		w.want("404 NAME_UNKNOWN", "GET /acme/nix/referrers/"+digestOf("x"), who, "")
	}
	w.want("404 NAME_UNKNOWN", "GET "+at, "bob", "")
}

// TestReferrerPages: lists that are too long, or too large, come in pages.
func TestReferrerPages(t *testing.T) {
	w := newWorld(t)
	w.blob("wim", "acme/app", "{}")
	subject := written("{}", nil)
	for i := range 6 {
		m := written("{}", nil, refers(subject, "", map[string]any{"n": fmt.Sprint(i), "fill": strings.Repeat("x", 1<<20-100)}))
		w.want("201", "PUT /acme/app/manifests/"+digestOf(m), "wim", m, "Content-Type: "+typeImage)
	}
	got := w.pages("/acme/app/referrers/"+digestOf(subject), "rita", func(r *reply) (list []string) {
		var doc struct{ Manifests []struct{ Digest string } }
		w.object(r, &doc)
		for _, m := range doc.Manifests {
			list = append(list, m.Digest)
		}
		if len(r.body) > 4<<20 {
			t.Errorf("a page of %d bytes", len(r.body))
		}
		return list
	})
	if all := slices.Concat(got...); len(got) != 2 || len(all) != 6 || len(slices.Compact(all)) != 6 {
		t.Errorf("pages %v", got)
	}
}
