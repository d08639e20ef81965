package admin

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"testing"

	"larder/formats"
	"larder/policy"
)

// image publishes a version that uses others, with tags that are rows.
func (w *world) image(reg formats.Registry, version string, tags []string, uses ...string) {
	w.t.Helper()
	ctx := context.Background()
	up, err := reg.Upload(ctx, formats.UploadOptions{Package: "image", Size: -1})
	w.must(err)
	defer up.Close()
	_, err = io.WriteString(up, version)
	w.must(err)
	blob, err := up.Verify()
	w.must(err)
	w.must(up.Keep(ctx))
	for i, u := range uses {
		uses[i] = "image/" + u
	}
	r := &formats.Release{Version: version, Uses: uses, Files: []formats.ReleaseFile{{Name: "image/" + version, Blob: blob}}}
	w.must(reg.Change(ctx, formats.Change{Package: "image", Action: policy.Publish, Create: true}, func(tx formats.Tx) error {
		if err := tx.Put(r); err != nil {
			return err
		}
		for _, tag := range tags {
			if err := tx.SetTag(tag, version); err != nil {
				return err
			}
		}
		p, err := tx.Package()
		if err != nil {
			return err
		}
		return tx.Save(p)
	}))
}

// images are a version that another uses, and a deleted one whose part is gone.
func (w *world) images() {
	w.t.Helper()
	reg := w.mount.For(subject(w.t, w, w.admin), "", "")
	w.image(reg, "part", nil)
	w.image(reg, "whole", nil, "part")
	w.image(reg, "lost", nil)
	w.image(reg, "torn", nil, "lost")
	for _, gone := range []string{"torn", "lost"} {
		w.want(200, "DELETE", "/api/v1/package?purl=pkg:npm/image@"+gone, w.admin, "")
	}
}

// settled is a format whose tags are rows: there is nothing to put right.
type settled struct{ plainFormat }

func (settled) Settle(formats.Tx, *formats.Package) error { return nil }

// TestImages: packages whose versions use each other, with tags of their own, are
// shown with them, and deleted and restored in an order that works.
func TestImages(t *testing.T) {
	w := newWorldOf(t, settled{})
	reg := w.mount.For(subject(t, w, w.admin), "", "")
	w.image(reg, "child", nil)
	w.image(reg, "other", []string{"next"})
	w.image(reg, "index", []string{"latest", "1.0"}, "child", "other")
	const all, part = "/api/v1/package?purl=pkg:npm/image", "/api/v1/package?purl=pkg:npm/image@child"
	shown := func() Package {
		t.Helper()
		var p Package
		w.get(all, "", &p)
		return p
	}
	if p := shown(); !maps.Equal(p.Tags, map[string]string{"latest": "index", "1.0": "index", "next": "other"}) {
		t.Errorf("tags %v", p.Tags)
	}
	if text := w.want(409, "DELETE", part, w.admin, ""); !strings.Contains(text, "index") {
		t.Errorf("a part: %s", text)
	}
	var c Changed
	w.must(json.Unmarshal([]byte(w.want(200, "DELETE", all, w.admin, "")), &c))
	if !slices.Equal(c.Versions, []string{"child", "other", "index"}) || !c.Package {
		t.Errorf("%+v", c)
	}
	w.must(json.Unmarshal([]byte(w.want(200, "POST", strings.Replace(all, "?", "/restore?", 1), w.admin, "")), &c))
	if !slices.Equal(c.Versions, []string{"child", "other", "index"}) {
		t.Errorf("%+v", c)
	}
	if p := shown(); len(p.Versions) != 3 || len(p.Tags) != 3 {
		t.Errorf("%+v", p)
	}
}

// TestManyTagsAreCut where an answer would have no end.
func TestManyTagsAreCut(t *testing.T) {
	w := newWorldOf(t, settled{})
	reg := w.mount.For(subject(t, w, w.admin), "", "")
	var tags []string
	for i := range mostTags + 10 {
		tags = append(tags, fmt.Sprint("t", i))
	}
	w.image(reg, "1", tags)
	var p Package
	w.get("/api/v1/package?purl=pkg:npm/image", "", &p)
	if len(p.Tags) != mostTags {
		t.Errorf("%d tags", len(p.Tags))
	}
}

// TestManyVersionsGo in several transactions, and come back so: none has room
// for all.
func TestManyVersionsGo(t *testing.T) {
	w := newWorldOf(t, settled{})
	reg := w.mount.For(subject(t, w, w.admin), "", "")
	var want []string
	for i := range 300 {
		want = append(want, fmt.Sprintf("v%03d", i))
		w.image(reg, want[i], []string{"t" + want[i]})
	}
	const all = "/api/v1/package?purl=pkg:npm/image"
	changed := func(method, target string) (c Changed) {
		t.Helper()
		w.read(w.want(200, method, target, w.admin, ""), &c)
		if !slices.Equal(c.Versions, want) || !c.Package {
			t.Errorf("%s %s: %d versions, %v", method, target, len(c.Versions), c.Package)
		}
		return c
	}
	var p Package
	changed("DELETE", all+"&dry_run=true")
	if w.get(all, "", &p); len(p.Versions) != len(want) {
		t.Errorf("a dry run left %d", len(p.Versions))
	}
	changed("DELETE", all)
	w.want(404, "GET", all, w.admin, "")
	changed("POST", strings.Replace(all, "?", "/restore?", 1))
	if w.get(all, "", &p); len(p.Versions) != len(want) || len(p.Tags) != len(want) {
		t.Errorf("%d versions and %d tags are back", len(p.Versions), len(p.Tags))
	}
}
