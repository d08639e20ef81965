package registry_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"larder/formats"
	"larder/policy"
	"larder/policy/audit"
	"larder/proxy/registry"
)

// tag points tags at a version.
func (b *bench) tag(pkg, version string, names ...string) error {
	return b.edit(pkg, func(tx formats.Tx) error {
		for _, n := range names {
			if err := tx.SetTag(n, version); err != nil {
				return err
			}
		}
		return nil
	})
}

// tags lists tags as "name=version" after one.
func (b *bench) tags(r formats.Registry, pkg, after string) []string {
	b.t.Helper()
	var list []string
	for tag, err := range r.Tags(context.Background(), pkg, after) {
		if err != nil {
			b.t.Fatal(err)
		}
		if tag.Moved.IsZero() {
			b.t.Errorf("%s was never moved", tag.Name)
		}
		list = append(list, tag.Name+"="+tag.Version)
	}
	return list
}

// pointer is a tag of a hosted package.
func pointer(pkg, tag string) formats.Pointer {
	return formats.Pointer{Package: pkg, Name: tag, File: func(version string) formats.File {
		return formats.File{Package: pkg, Name: pkg + "/" + version}
	}}
}

// hostedTags is a package p of two versions: 1 has a and c, 2 has b.
func hostedTags(t *testing.T, settings ...setting) *bench {
	t.Helper()
	b := newBench(t, settings...)
	for _, err := range []error{b.put("p", "1", nil), b.put("p", "2", nil), b.tag("p", "1", "c", "a"), b.tag("p", "2", "b")} {
		if err != nil {
			t.Fatal(err)
		}
	}
	return b
}

func TestTags(t *testing.T) {
	b := hostedTags(t)
	if got := b.tags(b.reader, "p", ""); !slices.Equal(got, []string{"a=1", "b=2", "c=1"}) {
		t.Errorf("tags %q", got)
	}
	if got := b.tags(b.reader, "p", "a"); !slices.Equal(got, []string{"b=2", "c=1"}) {
		t.Errorf("after a: %q", got)
	}
	if got := b.tags(b.reader, "p", "aa"); !slices.Equal(got, []string{"b=2", "c=1"}) {
		t.Errorf("after what is not there: %q", got)
	}
	at, err := b.reader.Resolve(context.Background(), pointer("p", "b"))
	if err != nil || at.Version != "2" || at.Size != int64(len("manifest 2")) || at.Result != formats.Hosted {
		t.Errorf("b stands for %+v, %v", at, err)
	}
	if err := b.tag("p", "2", "c"); err != nil {
		t.Fatal(err)
	}
	err = b.edit("p", func(tx formats.Tx) error {
		names, err := tx.TagsOf("2")
		if err != nil || !slices.Equal(names, []string{"b", "c"}) {
			t.Errorf("tags of 2: %q, %v", names, err)
		}
		if v, err := tx.Tag("c"); err != nil || v != "2" {
			t.Errorf("c stands for %q, %v", v, err)
		}
		if _, err := tx.Tag("x"); !errors.Is(err, formats.ErrNoVersion) {
			t.Errorf("no tag: %v", err)
		}
		if err := tx.DropTag("x"); !errors.Is(err, formats.ErrNoVersion) {
			t.Errorf("no tag dropped: %v", err)
		}
		if err := tx.SetTag("x", "9"); !errors.Is(err, formats.ErrNoVersion) {
			t.Errorf("no version: %v", err)
		}
		if err := tx.SetTag(strings.Repeat("x", 2000), "2"); !errors.Is(err, formats.ErrBadRequest) {
			t.Errorf("a tag without end: %v", err)
		}
		return tx.DropTag("b")
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := b.tags(b.reader, "p", ""); !slices.Equal(got, []string{"a=1", "c=2"}) {
		t.Errorf("tags %q", got)
	}
	if _, err := b.reader.Resolve(context.Background(), pointer("p", "b")); !errors.Is(err, formats.ErrNoVersion) {
		t.Errorf("a dropped tag: %v", err)
	}
	b.want(formats.File{Package: "p", Name: "p/2"}, []byte("manifest 2"), formats.Hosted)
}

// TestRetractTags: a version takes exactly its own tags with it, and no other
// version takes them over.
func TestRetractTags(t *testing.T) {
	b := hostedTags(t)
	before := b.packageRows()
	if err := retract(b.as("alice", ""), "p", "1"); err != nil {
		t.Fatal(err)
	}
	if got := b.tags(b.reader, "p", ""); !slices.Equal(got, []string{"b=2"}) {
		t.Errorf("tags %q", got)
	}
	if is := b.packageRows(); len(is) != len(before)-2 { // of each tag one row is left, for a restoration
		t.Errorf("rows %q", is)
	}
	if err := b.tag("p", "1", "d"); !errors.Is(err, formats.ErrNoVersion) {
		t.Errorf("a tag of a deleted version: %v", err)
	}
}

// TestRestoreTags: they come back with their version, unless they were given to
// another meanwhile, and not to one that is sent anew.
func TestRestoreTags(t *testing.T) {
	b := hostedTags(t)
	alice := b.as("alice", "")
	before := b.packageRows()
	for _, err := range []error{retract(alice, "p", "1"), b.tag("p", "2", "c"), b.restore(alice, "p", "1")} {
		if err != nil {
			t.Fatal(err)
		}
	}
	if got := b.tags(b.reader, "p", ""); !slices.Equal(got, []string{"a=1", "b=2", "c=2"}) {
		t.Errorf("tags %q", got)
	}
	if is := b.packageRows(); len(is) != len(before) {
		t.Errorf("rows %q", is)
	}
	for _, err := range []error{retract(alice, "p", "1"), b.put("p", "1", nil)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	if got := b.tags(b.reader, "p", ""); !slices.Equal(got, []string{"b=2", "c=2"}) {
		t.Errorf("tags %q", got)
	}
	if is := b.packageRows(); len(is) != len(before)-2 {
		t.Errorf("rows %q", is)
	}
}

// TestTagsAreAudited: which tag moved from where to where, and many as a number.
func TestTagsAreAudited(t *testing.T) {
	b := hostedTags(t)
	if err := b.tag("p", "2", "a"); err != nil {
		t.Fatal(err)
	}
	if err := b.tag("p", "2", "a"); err != nil { // where it is already
		t.Fatal(err)
	}
	if err := retract(b.as("alice", ""), "p", "2"); err != nil {
		t.Fatal(err)
	}
	var many []string
	for i := range 51 {
		many = append(many, fmt.Sprint("m", i))
	}
	if err := b.tag("p", "1", many...); err != nil {
		t.Fatal(err)
	}
	var got []string
	for r, err := range audit.Export(context.Background(), b.index, 0, audit.Filter{Action: "tag"}) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, fmt.Sprintln(r.Action, r.Resource.ID, r.Resource.Version, r.Before, r.After))
	}
	want := []string{
		"tag.set c 1 map[] map[version:1]\n", "tag.set a 1 map[] map[version:1]\n", "tag.set b 2 map[] map[version:2]\n",
		"tag.set a 2 map[version:1] map[version:2]\n",
		"tag.drop a  map[version:2] map[]\n", "tag.drop b  map[version:2] map[]\n",
		"tag.set   map[] map[tags:51]\n",
	}
	if !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
}

// TestHiddenTags are those of a package that is not there.
func TestHiddenTags(t *testing.T) {
	b := hostedTags(t)
	b.access.claim("hidden", "acme/secret")
	if err := publish(b.as("sam", ""), "hidden", "1", []byte("one")); err != nil {
		t.Fatal(err)
	}
	for _, pkg := range []string{"hidden", "missing"} {
		n := 0
		for _, err := range b.as("bob", "").Tags(context.Background(), pkg, "") {
			if n++; err == nil {
				t.Errorf("%s has tags", pkg)
			}
		}
		for _, err := range b.as("bob", "").Having(context.Background(), pkg, "x", "") {
			if n++; err == nil {
				t.Errorf("%s has versions", pkg)
			}
		}
		if n != 2 {
			t.Errorf("%s: %d errors", pkg, n)
		}
		if _, err := b.as("bob", "").Resolve(context.Background(), pointer(pkg, "latest")); errors.Is(err, formats.ErrNoVersion) || err == nil {
			t.Errorf("%s: %v", pkg, err)
		}
	}
	if got := b.tags(b.as("bob", "acme/packages"), "p", ""); len(got) != 3 {
		t.Errorf("tags %q", got)
	}
	for _, err := range b.as("bob", "other/packages").Tags(context.Background(), "p", "") {
		if !errors.Is(err, formats.ErrNotFound) {
			t.Errorf("under another repository: %v", err)
		}
	}
}

// fixed is an access under which tags that begin with v stay where they are.
type fixed struct{ *access }

func (f fixed) Immutable(_ context.Context, repository, tag string) (bool, error) {
	if tag == "vbroken" {
		return false, errors.New("the rules cannot be read")
	}
	return repository == "acme/packages" && strings.HasPrefix(tag, "v"), nil
}

// TestImmutableTags are set once and stay, also when their version is to go.
func TestImmutableTags(t *testing.T) {
	b := hostedTags(t, func(b *bench, o *registry.Options) { o.Access = fixed{b.access} })
	if err := b.tag("p", "1", "v1", "vbroken"); err != nil {
		t.Fatal(err)
	}
	if err := b.tag("p", "1", "v1"); err != nil {
		t.Errorf("where it is already: %v", err)
	}
	if err := b.tag("p", "2", "v1"); !errors.Is(err, formats.ErrExists) || !strings.Contains(err.Error(), "immutable") {
		t.Errorf("moved: %v", err)
	}
	if err := b.tag("p", "2", "vbroken"); err == nil || errors.Is(err, formats.ErrExists) {
		t.Errorf("moved while the rules are not known: %v", err)
	}
	if err := b.tag("p", "2", "a"); err != nil {
		t.Errorf("another tag: %v", err)
	}
	drop := func(name string) error {
		return b.edit("p", func(tx formats.Tx) error { return tx.DropTag(name) })
	}
	if err := drop("v1"); !errors.Is(err, policy.ErrDenied) {
		t.Errorf("dropped: %v", err)
	}
	if err := retract(b.as("alice", ""), "p", "1"); !errors.Is(err, policy.ErrDenied) {
		t.Errorf("its version deleted: %v", err)
	}
	if got := b.tags(b.reader, "p", ""); !slices.Equal(got, []string{"a=2", "b=2", "c=1", "v1=1", "vbroken=1"}) {
		t.Errorf("tags %q", got)
	}
}

// TestManyTags: more than a page, each once and in order, and a reader that
// stops hears no more.
func TestManyTags(t *testing.T) {
	b := newBench(t)
	names := b.manyTags(2500)
	if got := b.tags(b.reader, "p", ""); !slices.Equal(got, names) {
		t.Errorf("%d tags, want %d", len(got), len(names))
	}
	n := 0
	for range b.reader.Tags(context.Background(), "p", "") {
		if n++; n == 1001 {
			break
		}
	}
	if n != 1001 {
		t.Errorf("%d tags", n)
	}
}

func (b *bench) manyTags(n int) (list []string) {
	b.t.Helper()
	if err := b.put("p", "1", nil); err != nil {
		b.t.Fatal(err)
	}
	var names []string
	for i := range n {
		name := fmt.Sprintf("v1.%04d", i)
		names = append(names, name)
		list = append(list, name+"=1")
	}
	for part := range slices.Chunk(names, 500) {
		if err := b.tag("p", "1", part...); err != nil {
			b.t.Fatal(err)
		}
	}
	return list
}

// BenchmarkTags is a list of 2 500 tags on the index of a node.
func BenchmarkTags(bb *testing.B) {
	b := newBench(bb, onDisk(1<<30))
	names := b.manyTags(2500)
	bb.ResetTimer()
	for range bb.N {
		n := 0
		for _, err := range b.reader.Tags(context.Background(), "p", "") {
			if n++; err != nil {
				bb.Fatal(err)
			}
		}
		if n != len(names) {
			bb.Fatalf("%d tags", n)
		}
	}
}

// TestHaving finds versions by the terms they were published with last.
func TestHaving(t *testing.T) {
	b := newBench(t)
	having := func(term, after string) (list []string) {
		t.Helper()
		for r, err := range b.reader.Having(context.Background(), "p", term, after) {
			if err != nil {
				t.Fatal(err)
			}
			if string(r.Meta) != "meta "+r.Version || len(r.Files) != 1 {
				t.Errorf("%+v", r)
			}
			list = append(list, r.Version)
		}
		return list
	}
	for version, terms := range map[string][]string{"3": {"subject x", "signed"}, "1": {"subject x"}, "2": {"subject"}} {
		if err := b.put("p", version, terms); err != nil {
			t.Fatal(err)
		}
	}
	for _, tt := range []struct {
		term, after string
		want        []string
	}{
		{"subject x", "", []string{"1", "3"}}, {"subject x", "1", []string{"3"}}, {"subject x", "2", []string{"3"}},
		{"subject x", "3", nil}, {"subject", "", []string{"2"}}, {"signed", "", []string{"3"}}, {"sub", "", nil},
	} {
		if got := having(tt.term, tt.after); !slices.Equal(got, tt.want) {
			t.Errorf("%q after %q: %q", tt.term, tt.after, got)
		}
	}
	if err := b.put("p", "3", []string{"signed"}); err != nil {
		t.Fatal(err)
	}
	if got := having("subject x", ""); !slices.Equal(got, []string{"1"}) {
		t.Errorf("after 3 was described anew: %q", got)
	}
	if err := retract(b.as("alice", ""), "p", "1"); err != nil {
		t.Fatal(err)
	}
	if got := having("subject x", ""); got != nil {
		t.Errorf("after 1 was deleted: %q", got)
	}
	b.clock.advance(time.Hour)
	if err := b.restore(b.as("alice", ""), "p", "1"); err != nil {
		t.Fatal(err)
	}
	if got := having("subject x", ""); !slices.Equal(got, []string{"1"}) {
		t.Errorf("after 1 was restored: %q", got)
	}
	var want []string
	for i := range 250 { // more than a page
		want = append(want, fmt.Sprintf("m%03d", i))
		if err := b.put("p", want[i], []string{"many"}); err != nil {
			t.Fatal(err)
		}
	}
	if got := having("many", ""); !slices.Equal(got, want) {
		t.Errorf("%d versions, want %d", len(got), len(want))
	}
}
