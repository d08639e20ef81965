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

// TestUses: a version keeps what it uses, names all that it lacks, and lets
// nobody take away what it needs.
func TestUses(t *testing.T) {
	b := newBench(t)
	b.link("p", "a", []byte("a"))
	b.link("p", "b", []byte("b"))
	b.link("q", "c", []byte("c"))
	before := b.state()
	err := b.put("p", "1", nil, "p/blobs/x", "p/blobs/a", "q/blobs/c", "p/blobs/y")
	var missing *formats.MissingError
	if !errors.As(err, &missing) || !slices.Equal(missing.Names, []string{"p/blobs/x", "q/blobs/c", "p/blobs/y"}) {
		t.Fatalf("missing: %v", err)
	}
	if err := b.put("p", "1", nil, "p/1"); !errors.Is(err, formats.ErrBadRequest) {
		t.Errorf("itself: %v", err)
	}
	b.clock.advance(2 * time.Hour) // ends the uploads
	b.sweep()
	if strings.Count(b.state(), "\n") > strings.Count(before, "\n") {
		t.Error("a refused version left rows")
	}
	for _, version := range []string{"1", "2"} {
		if err := b.put("p", version, nil, "p/blobs/a", "p/blobs/b", "p/blobs/a"); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.put("p", "index", nil, "p/1"); err != nil {
		t.Fatal(err)
	}
	b.clock.advance(400 * day)
	b.sweep()
	b.want(blobFile("p", "a"), []byte("a"), formats.Hosted)
	err = b.edit("p", func(tx formats.Tx) error {
		by, err := tx.Users("p/blobs/a")
		if err != nil || !slices.Equal(by, []string{"1", "2"}) {
			t.Errorf("users %q, %v", by, err)
		}
		f, err := tx.File("p/blobs/a")
		if err != nil || f.Blob.Size != 1 || f.MediaType != "application/octet-stream" || f.Blob.Digest != cache.Digest(sumOf([]byte("a")).Value) {
			t.Errorf("file %+v, %v", f, err)
		}
		for _, name := range []string{"p/blobs/x", "q/blobs/c"} {
			if _, err := tx.File(name); !errors.Is(err, formats.ErrNoVersion) {
				t.Errorf("%s: %v", name, err)
			}
		}
		if r, err := tx.Release("1"); err != nil || len(r.Uses) != 2 {
			t.Errorf("%+v, %v", r, err)
		}
		used := func(what string, err error, by ...string) {
			var e *formats.UsedError
			if !errors.As(err, &e) || !slices.Equal(e.By, by) || !errors.Is(err, formats.ErrUnsupported) {
				t.Errorf("%s: %v", what, err)
			}
		}
		used("a blob", tx.Unlink("p/blobs/a"), "1", "2")
		used("a version's own file", tx.Unlink("p/2"), "2")
		used("a child", tx.Retract("1"), "index")
		if err := tx.Unlink("p/blobs/x"); !errors.Is(err, formats.ErrNoVersion) {
			t.Errorf("nothing: %v", err)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
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

// TestRetractUses: what a deleted version used can be read and restored for a
// month, unless it is deleted too.
func TestRetractUses(t *testing.T) {
	b := newBench(t)
	alice := b.as("alice", "")
	for _, name := range []string{"a", "b", "shared"} {
		b.link("p", name, []byte(name))
	}
	for version, uses := range map[string][]string{"1": {"p/blobs/a", "p/blobs/b", "p/blobs/shared"}, "2": {"p/blobs/shared"}} {
		if err := b.put("p", version, []string{"term"}, uses...); err != nil {
			t.Fatal(err)
		}
	}
	restore := func() error { return b.restore(alice, "p", "1") }
	whole := b.packageRows()
	if err := retract(alice, "p", "1"); err != nil {
		t.Fatal(err)
	}
	b.gone(formats.File{Package: "p", Name: "p/1"})
	b.clock.advance(29 * day)
	b.sweep()
	b.want(blobFile("p", "a"), []byte("a"), formats.Hosted)
	if err := restore(); err != nil {
		t.Fatal(err)
	}
	if is := b.packageRows(); !slices.Equal(is, whole) {
		t.Errorf("rows of the package %q, were %q", is, whole)
	}
	b.clock.advance(400 * day)
	b.sweep()
	b.want(blobFile("p", "a"), []byte("a"), formats.Hosted)

	if err := retract(alice, "p", "1"); err != nil {
		t.Fatal(err)
	}
	err := b.edit("p", func(tx formats.Tx) error { return errors.Join(tx.Unlink("p/blobs/a"), tx.Unlink("p/blobs/b")) })
	if err != nil {
		t.Fatal(err)
	}
	b.gone(blobFile("p", "a"))
	err = restore()
	if !errors.Is(err, formats.ErrConflict) || !strings.Contains(err.Error(), "p/blobs/a, p/blobs/b") || strings.Contains(err.Error(), "shared") {
		t.Errorf("restored without its parts: %v", err)
	}
	b.clock.advance(31 * day)
	b.sweep()
	b.want(blobFile("p", "shared"), []byte("shared"), formats.Hosted)
}

// packageRows are the keys of all rows of p beside its versions' own.
func (b *bench) packageRows() []string {
	return slices.DeleteFunc(b.rows("pplain\x00p\x00"), func(k string) bool { return k[len("pplain\x00p\x00")] == 'v' })
}

// TestPutAgain: the same version describes itself anew, and one that was
// deleted comes back with the bytes that were sent, which the audit log says.
func TestPutAgain(t *testing.T) {
	b := newBench(t)
	b.link("p", "a", []byte("a"))
	if err := b.put("p", "1", []string{"x"}, "p/blobs/a"); err != nil {
		t.Fatal(err)
	}
	if err := b.put("p", "1", []string{"y"}, "p/blobs/a"); err != nil {
		t.Fatal(err)
	}
	b.shows(b.reader, "p", "1")
	blob, err := upload(b.as("alice", ""), "p", []byte("other"))
	if err != nil {
		t.Fatal(err)
	}
	other := &formats.Release{Version: "1", Files: []formats.ReleaseFile{{Name: "p/1", Blob: blob}}}
	for range 2 {
		if err := b.edit("p", func(tx formats.Tx) error { return tx.Put(other) }); !errors.Is(err, formats.ErrExists) {
			t.Errorf("other bytes: %v", err)
		}
		if err := retract(b.as("alice", ""), "p", "1"); err != nil {
			t.Fatal(err)
		}
	}
	b.clock.advance(60 * day)
	b.sweep()
	if err := b.put("p", "1", nil, "p/blobs/a"); !errors.As(err, new(*formats.MissingError)) {
		t.Errorf("without its parts: %v", err)
	}
	b.link("p", "a", []byte("a"))
	if err := b.put("p", "2", nil); err != nil {
		t.Fatal(err)
	}
	if err := b.put("p", "1", nil, "p/blobs/a"); err != nil {
		t.Fatal(err)
	}
	b.shows(b.reader, "p", "2", "1")
	b.want(formats.File{Package: "p", Name: "p/1"}, []byte("manifest 1"), formats.Hosted)
	if n := strings.Count(b.state(), "package.restore"); n != 1 {
		t.Errorf("%d restorations in the audit log", n)
	}
	b.clock.advance(60 * day)
	b.sweep()
	b.want(formats.File{Package: "p", Name: "p/1"}, []byte("manifest 1"), formats.Hosted)
	b.want(blobFile("p", "a"), []byte("a"), formats.Hosted)
}

// TestReferenceLimits are named.
func TestReferenceLimits(t *testing.T) {
	b := newBench(t)
	many := make([]string, formats.MaxUses+1)
	for i := range many {
		many[i] = fmt.Sprint("p/blobs/", i)
	}
	long := strings.Repeat("x", formats.MaxTerm+1)
	for _, tt := range []struct {
		name        string
		terms, uses []string
		want        string
	}{
		{"files", nil, many, "1001 different files, the limit is 1000"},
		{"terms", make([]string, formats.MaxTerms+1), nil, "9 terms, the limit is 8"},
		{"a term", []string{long}, nil, "513 bytes, the limit is 512"},
		{"a zero byte", []string{"a\x00b"}, nil, "zero byte"},
	} {
		err := b.put("p", "1", tt.terms, tt.uses...)
		if !errors.Is(err, formats.ErrBadRequest) || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
	same := slices.Repeat([]string{"p/blobs/a"}, 5000)
	b.link("p", "a", []byte("a"))
	if err := b.put("p", "1", []string{long[1:]}, same...); err != nil {
		t.Errorf("one file many times: %v", err)
	}
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

// TestDeletedPackage comes back with its first new file.
func TestDeletedPackage(t *testing.T) {
	b := newBench(t)
	b.link("p", "a", []byte("a"))
	b.unpublish(b.as("alice", ""), "p")
	if err := b.head(blobFile("p", "a")); !errors.Is(err, formats.ErrNotFound) {
		t.Errorf("deleted: %v", err)
	}
	b.link("p", "b", []byte("b"))
	b.want(blobFile("p", "b"), []byte("b"), formats.Hosted)
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
