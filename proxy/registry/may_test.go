package registry_test

import (
	"context"
	"slices"
	"strings"
	"testing"

	"larder/policy"
	"larder/proxy/registry"
)

// doubled has a second name for what is below library/.
type doubled struct{ *plain }

func (doubled) Alias(_ context.Context, pkg string) string {
	short, ok := strings.CutPrefix(pkg, "library/")
	if !ok {
		return ""
	}
	return short
}

func (doubled) Meant(_ context.Context, name string) string { return name }

// withMirror is a bench with hosted packages only, and a registry beside it that
// mirrors another one.
func withMirror(t *testing.T) (*bench, *registry.Registry) {
	t.Helper()
	b := newBench(t)
	spec := b.spec
	b.spec.Upstreams = nil
	b.reg = b.engine.Registry(b.spec)
	spec.Name, spec.World, spec.Hosted, spec.Format = "mirror/far", "mirror/far", false, doubled{b.format}
	return b, b.engine.Registry(spec)
}

func TestMay(t *testing.T) {
	b, _ := withMirror(t)
	b.access.claim("hidden", "acme/secret")
	b.access.claim("missing", "acme/secret")
	b.access.repositories["private/packages"] = policy.Private
	if err := publish(b.as("sam", ""), "hidden", "1", []byte("one")); err != nil {
		t.Fatal(err)
	}
	root := user("root")
	root.Admin = true
	reader := user("alice")
	reader.Scopes = []policy.Scope{policy.ReadPackages}
	nobody := policy.Subject{}
	for _, c := range []struct {
		who  policy.Subject
		name string
		want []policy.Action // of read, publish and delete
	}{
		{user("alice"), "p", []policy.Action{policy.Read, policy.Publish, policy.Delete}},
		{reader, "p", []policy.Action{policy.Read}},
		{user("bob"), "p", []policy.Action{policy.Read}},
		{nobody, "p", []policy.Action{policy.Read}},
		{user("sam"), "hidden", []policy.Action{policy.Read, policy.Publish, policy.Delete}},
		// Whoever may not read it gets the same as of a name that is not there.
		{user("bob"), "hidden", []policy.Action{policy.Read}},
		{user("bob"), "missing", []policy.Action{policy.Read}},
		{nobody, "hidden", nil},
		{nobody, "missing", nil},
		// of the mirror
		{user("alice"), "mirror/far/p", []policy.Action{policy.Read}},
		{root, "mirror/far/p", []policy.Action{policy.Read, policy.Delete}},
		{nobody, "mirror/far/library/p", []policy.Action{policy.Read}},
		{nobody, "mirror/far/hidden", nil}, // a claim shuts it there too
		{nobody, "@other/p", []policy.Action{policy.Read}},
		// An owner who is here has nothing to say of a mirror's names, which clients
		// that came by another host have without its prefix.
		{nobody, "@private/p", []policy.Action{policy.Read}},
		{nobody, "mirror/far/@private/p", []policy.Action{policy.Read}},
		{user("alice"), "mirror/none/p", []policy.Action{policy.Read, policy.Publish, policy.Delete}},
	} {
		var got []policy.Action
		for _, a := range []policy.Action{policy.Read, policy.Publish, policy.Delete} {
			// Who asks does not matter, who is asked about does.
			may, err := b.as("eve", "").May(context.Background(), c.who, a, c.name)
			if err != nil {
				t.Fatalf("%s of %s by %q: %v", a, c.name, c.who.User, err)
			}
			if may {
				got = append(got, a)
			}
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%q may %v with %s, want %v", c.who.User, got, c.name, c.want)
		}
	}
	b.access.down.Store(true)
	if may, err := b.reader.May(context.Background(), user("alice"), policy.Publish, "p"); may || err != nil {
		t.Errorf("while policy cannot decide: %v, %v", may, err)
	}
}

// A token that was made for one package reads that one alone, by each of its
// names, and lists as its grants say.
func TestNarrowedReads(t *testing.T) {
	b, mirror := withMirror(t)
	for _, name := range []string{"one", "two"} {
		if err := publish(b.as("alice", ""), name, "1", []byte(name)); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		name, granted string
		action        policy.Action
		reads         []string // of one and two, here
		lists         []string
		mirrored      []string // of library/p and q
	}{
		{"one", "one", policy.Read, []string{"one"}, []string{"one"}, nil},
		{"the list", "", policy.Open, nil, []string{"one", "two"}, nil},
		{"of the mirror", "mirror/far/library/p", policy.Read, nil, nil, []string{"library/p"}},
		{"its short name", "mirror/far/p", policy.Read, nil, nil, []string{"library/p"}},
		{"without the prefix", "p", policy.Read, nil, nil, []string{"library/p"}},
	} {
		who := user("alice")
		who.Grants = policy.NewGrants([]policy.Grant{{Format: "plain", Package: c.granted, Actions: []policy.Action{c.action}}})
		here, there := b.reg.For(who, "", base), mirror.For(who, "", base)
		var reads, lists, mirrored []string
		for _, name := range []string{"one", "two"} {
			if _, err := here.Package(t.Context(), name); err == nil {
				reads = append(reads, name)
			}
		}
		for p, err := range here.Packages(t.Context(), "") {
			if err != nil {
				t.Fatal(err)
			}
			lists = append(lists, p.Name)
		}
		for _, name := range []string{"library/p", "q"} {
			b.far.Serve("/"+name, answer(name+": x", `"1"`))
			if _, err := there.Document(t.Context(), b.format.document(name)); err == nil {
				mirrored = append(mirrored, name)
			}
		}
		if !slices.Equal(reads, c.reads) || !slices.Equal(lists, c.lists) || !slices.Equal(mirrored, c.mirrored) {
			t.Errorf("%s: reads %v, lists %v, of the mirror %v", c.name, reads, lists, mirrored)
		}
		if err := publish(here, "one", "2", []byte("x")); err == nil {
			t.Errorf("%s: publishes", c.name)
		}
	}
}
