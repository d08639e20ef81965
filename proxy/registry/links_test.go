package registry_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"larder/cache"
	"larder/cache/refs"
	"larder/formats"
	"larder/policy"
)

// blobFile is a file of a package that belongs to no version.
func blobFile(pkg, name string) formats.File {
	return formats.File{Package: pkg, Name: pkg + "/blobs/" + name}
}

// edit is a change by alice that may create the package.
func (b *bench) edit(pkg string, fn func(formats.Tx) error) error {
	c := formats.Change{Package: pkg, Action: policy.Publish, Create: true}
	return b.as("alice", "").Change(context.Background(), c, fn)
}

// link uploads bytes and links them.
func (b *bench) link(pkg, name string, data []byte) {
	b.t.Helper()
	blob, err := upload(b.as("alice", ""), pkg, data)
	if err == nil {
		err = b.edit(pkg, func(tx formats.Tx) error {
			return tx.Link(formats.ReleaseFile{Name: blobFile(pkg, name).Name, MediaType: "application/octet-stream", Blob: blob})
		})
	}
	if err != nil {
		b.t.Fatal(err)
	}
}

// put publishes a version with one file of its own that uses others.
func (b *bench) put(pkg, version string, terms []string, uses ...string) error {
	blob, err := upload(b.as("alice", ""), pkg, []byte("manifest "+version))
	if err != nil {
		return err
	}
	r := &formats.Release{
		Version: version, Meta: []byte("meta " + version), Uses: uses, Terms: terms,
		Files: []formats.ReleaseFile{{Name: pkg + "/" + version, Blob: blob}},
	}
	return b.edit(pkg, func(tx formats.Tx) error {
		if err := tx.Put(r); err != nil {
			return err
		}
		p, err := tx.Package()
		if err != nil {
			return err
		}
		return tx.Save(p)
	})
}

// head asks for a file by HEAD.
func (b *bench) head(f formats.File) error {
	f.Head = true
	_, err := b.as("alice", "").File(context.Background(), f)
	return err
}

// gone insists that a file is not there, by HEAD and by GET.
func (b *bench) gone(f formats.File) {
	b.t.Helper()
	if err := b.head(f); !errors.Is(err, formats.ErrNoVersion) {
		b.t.Errorf("HEAD of %s: %v", f.Name, err)
	}
	b.refuse(f, formats.ErrNoVersion)
}

// TestLink: what was uploaded is there at once, in its package alone, which has
// no version yet and is in no list.
func TestLink(t *testing.T) {
	b := newBench(t)
	data := text(100 << 10)
	b.link("p", "a", data)
	b.want(blobFile("p", "a"), data, formats.Hosted)
	if err := b.head(blobFile("p", "a")); err != nil {
		t.Error(err)
	}
	b.link("q", "b", []byte("other"))
	b.gone(blobFile("q", "a"))
	other := blobFile("p", "a")
	other.Package = "q"
	b.gone(other)
	for p, err := range b.reader.Packages(context.Background(), "") {
		t.Errorf("listed: %v, %v", p, err)
	}
	if p, err := b.reader.Package(context.Background(), "p"); err != nil || p.Revision != 1 {
		t.Errorf("%+v, %v", p, err)
	}
	b.link("p", "c", []byte("more")) // changes nothing that a document shows
	if p, err := b.reader.Package(context.Background(), "p"); err != nil || p.Revision != 1 {
		t.Errorf("%+v, %v", p, err)
	}
	if err := b.put("p", "1", nil, "p/blobs/a"); err != nil {
		t.Fatal(err)
	}
	var names []string
	for p, err := range b.reader.Packages(context.Background(), "") {
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, p.Name)
	}
	if !slices.Equal(names, []string{"p"}) {
		t.Errorf("listed: %q", names)
	}
}

// TestLinkRefuses what would make a file two things, or name bytes that go.
func TestLinkRefuses(t *testing.T) {
	b := newBench(t)
	b.link("p", "a", []byte("a"))
	other, err := upload(b.as("alice", ""), "p", []byte("other"))
	if err != nil {
		t.Fatal(err)
	}
	link := func(pkg, name string, blob cache.Blob) error {
		return b.edit(pkg, func(tx formats.Tx) error { return tx.Link(formats.ReleaseFile{Name: name, Blob: blob}) })
	}
	if err := link("p", "p/blobs/a", other); !errors.Is(err, formats.ErrExists) {
		t.Errorf("other bytes: %v", err)
	}
	if err := link("q", "p/blobs/a", other); !errors.Is(err, formats.ErrExists) {
		t.Errorf("another package's: %v", err)
	}
	if err := link("p", "p/blobs/b", cache.Blob{Digest: cache.Digest{1}, Size: 3}); !errors.Is(err, formats.ErrConflict) {
		t.Errorf("bytes that are gone: %v", err)
	}
	b.gone(blobFile("p", "b"))
}

// TestLease: a file that no version names is held for a day after the last
// answer that it is here, and then gone, whatever was remembered of it.
func TestLease(t *testing.T) {
	b := newBench(t)
	data := text(1000)
	b.link("p", "a", data)
	b.want(blobFile("p", "a"), data, formats.Hosted)
	before := b.state()
	b.clock.advance(11 * time.Hour)
	if err := b.head(blobFile("p", "a")); err != nil {
		t.Fatal(err)
	}
	if b.state() != before {
		t.Error("a HEAD wrote while more than half of the lease was left")
	}
	b.clock.advance(2 * time.Hour)
	b.want(blobFile("p", "a"), data, formats.Hosted)
	if b.state() != before {
		t.Error("a GET renewed the lease")
	}
	if err := b.head(blobFile("p", "a")); err != nil {
		t.Fatal(err)
	}
	b.clock.advance(23 * time.Hour) // 36 after the upload
	b.sweep()
	b.want(blobFile("p", "a"), data, formats.Hosted)
	b.clock.advance(time.Hour)
	b.sweep()
	b.gone(blobFile("p", "a"))
	if n := b.seen.integrity.Load(); n != 0 {
		t.Errorf("%d alarms", n)
	}
}

// state is all of the index.
func (b *bench) state() string {
	b.t.Helper()
	var all strings.Builder
	err := b.index.View(context.Background(), func(r cache.Reader) error {
		for row, err := range r.Scan(nil, nil) {
			if err != nil {
				return err
			}
			fmt.Fprintf(&all, "%q=%q\n", row.Key, row.Value)
		}
		return nil
	})
	if err != nil {
		b.t.Fatal(err)
	}
	return all.String()
}

// TestHeadAfterTheSweep never says that a file is here which a sweep took, also
// when the clock went back since.
func TestHeadAfterTheSweep(t *testing.T) {
	b := newBench(t)
	b.link("p", "a", []byte("a"))
	b.want(blobFile("p", "a"), []byte("a"), formats.Hosted)
	if err := b.head(blobFile("p", "a")); err != nil {
		t.Fatal(err)
	}
	b.clock.advance(25 * time.Hour)
	if err := b.head(blobFile("p", "a")); err != nil {
		t.Errorf("before the sweep a lease can still be renewed: %v", err)
	}
	b.clock.advance(25 * time.Hour)
	b.sweep()
	b.clock.advance(-4 * day)
	b.gone(blobFile("p", "a"))
	b.link("p", "a", []byte("a")) // a package is no younger than its clock
	b.want(blobFile("p", "a"), []byte("a"), formats.Hosted)
}

// TestUploadRenewsTheLease, and shortens none.
func TestUploadRenewsTheLease(t *testing.T) {
	b := newBench(t)
	b.link("p", "a", []byte("a"))
	b.clock.advance(20 * time.Hour)
	b.link("p", "a", []byte("a"))
	b.clock.advance(20 * time.Hour)
	b.sweep()
	b.want(blobFile("p", "a"), []byte("a"), formats.Hosted)
	if err := b.put("p", "1", nil, "p/blobs/a"); err != nil {
		t.Fatal(err)
	}
	if err := retract(b.as("alice", ""), "p", "1"); err != nil {
		t.Fatal(err)
	}
	b.link("p", "a", []byte("a"))
	b.clock.advance(20 * day)
	b.sweep()
	b.want(blobFile("p", "a"), []byte("a"), formats.Hosted)
}

// TestCondemnedFile: a file whose lease ended is missing, and said to be.
func TestCondemnedFile(t *testing.T) {
	b := newBench(t)
	b.link("p", "a", []byte("a"))
	b.clock.advance(23 * time.Hour)
	b.link("p", "b", []byte("b"))
	b.clock.advance(2 * time.Hour)
	b.sweep()
	var missing *formats.MissingError
	if err := b.put("p", "1", nil, "p/blobs/a", "p/blobs/b"); !errors.As(err, &missing) || !slices.Equal(missing.Names, []string{"p/blobs/a"}) {
		t.Fatal(err)
	}
	// A record without an edge is damage: nothing holds the bytes.
	d := cache.Digest(sumOf([]byte("b")).Value)
	err := b.index.Update(context.Background(), func(w cache.Writer) error {
		for e, err := range refs.Edges(w, d) {
			if err != nil {
				return err
			}
			if e.Kind == refs.Lease {
				return refs.Unlink(w, d, e, b.clock.now())
			}
		}
		return errors.New("no lease")
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := b.put("p", "1", nil, "p/blobs/b"); !errors.As(err, &missing) || !slices.Equal(missing.Names, []string{"p/blobs/b"}) {
		t.Fatal(err)
	}
	b.link("p", "b", []byte("b"))
	if err := b.put("p", "1", nil, "p/blobs/b"); err != nil {
		t.Fatal(err)
	}
}

// TestUnlink: at once, and only what was named.
func TestUnlink(t *testing.T) {
	b := newBench(t)
	b.link("p", "a", []byte("same"))
	b.link("p", "b", []byte("same"))
	if err := b.head(blobFile("p", "a")); err != nil {
		t.Fatal(err)
	}
	if err := b.edit("p", func(tx formats.Tx) error { return tx.Unlink("p/blobs/a") }); err != nil {
		t.Fatal(err)
	}
	b.gone(blobFile("p", "a"))
	b.clock.advance(2 * time.Hour)
	b.sweep()
	b.want(blobFile("p", "b"), []byte("same"), formats.Hosted)
}

// TestLinksOfThePrevious owner of a name are none of the next one's business.
func TestLinksOfThePrevious(t *testing.T) {
	b := newBench(t)
	b.link("p", "a", []byte("a"))
	b.link("p", "b", []byte("b"))
	if err := b.put("p", "1", nil, "p/blobs/a"); err != nil {
		t.Fatal(err)
	}
	b.unpublish(b.as("alice", ""), "p")
	b.clock.advance(time.Minute)
	if _, err := b.reset("p"); err != nil {
		t.Fatal(err)
	}
	b.link("p", "c", []byte("c"))
	b.gone(blobFile("p", "a"))
	b.gone(blobFile("p", "b"))
	if err := b.put("p", "2", nil, "p/blobs/a"); !errors.As(err, new(*formats.MissingError)) {
		t.Errorf("a version on another's file: %v", err)
	}
	b.link("p", "a", []byte("a"))
	b.want(blobFile("p", "a"), []byte("a"), formats.Hosted)
	if err := b.put("p", "1", nil, "p/blobs/a"); err != nil {
		t.Errorf("the same bytes, sent anew: %v", err)
	}
}

// TestDeletedPackage comes back with its first new file or version.
func TestDeletedPackage(t *testing.T) {
	b := newBench(t)
	b.link("p", "a", []byte("a"))
	b.unpublish(b.as("alice", ""), "p")
	if err := b.head(blobFile("p", "a")); !errors.Is(err, formats.ErrNotFound) {
		t.Errorf("deleted: %v", err)
	}
	b.link("p", "b", []byte("b"))
	b.want(blobFile("p", "b"), []byte("b"), formats.Hosted)

	b.unpublish(b.as("alice", ""), "p")
	for _, pkg := range []string{"p", "new"} { // or with a version that needs none
		blob, err := upload(b.as("alice", ""), pkg, []byte("empty"))
		if err == nil {
			err = b.edit(pkg, func(tx formats.Tx) error {
				return tx.Put(&formats.Release{Version: "1", Files: []formats.ReleaseFile{{Name: pkg + "/1", Blob: blob}}})
			})
		}
		if err != nil {
			t.Fatal(err)
		}
		b.want(hostedFile(pkg, "1"), []byte("empty"), formats.Hosted)
	}
}

// TestPlainPublishWritesNoMore: formats whose versions share nothing have no row
// for it.
func TestPlainPublishWritesNoMore(t *testing.T) {
	b := newBench(t)
	if err := publish(b.as("alice", ""), "p", "1", []byte("one")); err != nil {
		t.Fatal(err)
	}
	want := []string{"a", "i1", "v\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00"}
	var parts []string
	for _, k := range b.rows("pplain\x00p\x00") {
		parts = append(parts, strings.TrimPrefix(k, "pplain\x00p\x00"))
	}
	if !slices.Equal(parts, want) {
		t.Errorf("rows %q", parts)
	}
	err := b.index.View(context.Background(), func(r cache.Reader) error {
		row, err := r.Get([]byte("pplain\x00p\x00" + want[2]))
		if bytes.Contains(row, []byte("Uses")) || bytes.Contains(row, []byte("Terms")) {
			t.Errorf("row %q", row)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}
