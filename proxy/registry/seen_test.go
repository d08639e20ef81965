package registry_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"larder/policy"
	"larder/upstream/upstreamtest"
)

// TestAMirrorListsWhatWasAskedFor: names whose tags somebody asked for here, in
// order and from any of them on, and nothing of another mirror.
func TestAMirrorListsWhatWasAskedFor(t *testing.T) {
	b := newBench(t)
	one, two := upstreamtest.New(t), upstreamtest.New(t)
	r, other := b.apart("one", one).For(policy.Subject{}, "", base), b.apart("two", two).For(policy.Subject{}, "", base)
	names := []string{"a", "a-b", "a/b", "b", strings.Repeat("long/", 40) + "x", "z"}
	push(one, "t", "the same for all")
	for _, name := range names {
		for _, tag := range []string{"1", "2"} {
			p := tagOf("t")
			p.Package, p.Name = name, tag
			if _, err := r.Resolve(t.Context(), p); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
		}
	}
	want := slices.Clone(names)
	slices.Sort(want)
	for at := range len(want) + 1 {
		after := ""
		if at > 0 {
			after = want[at-1]
		}
		var got []string
		for p, err := range r.Packages(t.Context(), after) {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, p.Name)
		}
		if fmt.Sprint(got) != fmt.Sprint(want[at:]) {
			t.Errorf("after %q: %q, want %q", after, got, want[at:])
		}
	}
	for p, err := range other.Packages(t.Context(), "") {
		t.Errorf("the other mirror lists %v, %v", p, err)
	}
}
