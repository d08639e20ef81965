package registry_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"larder/cache"
	"larder/formats"
)

// usedBy fails unless an error says that these versions use something.
func usedBy(t *testing.T, what string, err error, by ...string) {
	t.Helper()
	var e *formats.UsedError
	if !errors.As(err, &e) || !slices.Equal(e.By, by) || !errors.Is(err, formats.ErrUnsupported) {
		t.Errorf("%s: %v", what, err)
	}
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
		usedBy(t, "a blob", tx.Unlink("p/blobs/a"), "1", "2")
		usedBy(t, "a version's own file", tx.Unlink("p/2"), "2")
		usedBy(t, "a child", tx.Retract("1"), "index")
		if err := tx.Unlink("p/blobs/x"); !errors.Is(err, formats.ErrNoVersion) {
			t.Errorf("nothing: %v", err)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
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

// packageRows are the keys of all rows of p beside its versions' own, and those
// that say since when a version has no tag.
func (b *bench) packageRows() []string {
	return slices.DeleteFunc(b.rows("pplain\x00p\x00"), func(k string) bool {
		part := k[len("pplain\x00p\x00")]
		return part == 'v' || part == 'u'
	})
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

// TestRevivedVersion is held as one that was never away.
func TestRevivedVersion(t *testing.T) {
	b := newBench(t)
	b.link("p", "a", []byte("a"))
	held := func() (all []string) {
		t.Helper()
		if err := b.put("p", "1", nil, "p/blobs/a"); err != nil {
			t.Fatal(err)
		}
		b.clock.advance(2 * time.Hour) // ends the uploads
		b.sweep()
		for _, k := range b.rows("x") {
			all = append(all, k[33:34])
		}
		return all
	}
	first := held()
	if err := retract(b.as("alice", ""), "p", "1"); err != nil {
		t.Fatal(err)
	}
	if again := held(); !slices.Equal(first, []string{"h", "h"}) || !slices.Equal(again, first) {
		t.Errorf("edges %q, then %q", first, again)
	}
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
		{"terms", make([]string, formats.MaxTerms+1), nil, "257 terms, the limit is 256"},
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
