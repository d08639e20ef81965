package directory

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"larder/policy"
)

func TestSparseIndexes(t *testing.T) {
	w, ctx := newWorld(t, Options{}), t.Context()
	ann, bob := w.user("ann"), w.user("bob")
	sparse := func(repository string, want bool) {
		t.Helper()
		if got, err := w.SparseIndexes(ctx, repository); err != nil || got != want {
			t.Errorf("%s: %v, %v", repository, got, err)
		}
	}
	sparse("ann/packages", false)
	must(t, w.SetRepository(ctx, ann, "ann/packages", RepositorySettings{SparseIndexes: new(true)}))
	sparse("ann/packages", true)
	sparse("ann/none", false)
	must(t, w.SetRepository(ctx, ann, "ann/packages", RepositorySettings{ImmutableTags: []string{"v*"}}))
	sparse("ann/packages", true)
	wantKind(t, "by another", w.SetRepository(ctx, bob, "ann/packages", RepositorySettings{SparseIndexes: new(false)}), policy.ErrDenied)
	must(t, w.SetRepository(ctx, ann, "ann/packages", RepositorySettings{SparseIndexes: new(false)}))
	sparse("ann/packages", false)
}

func TestImmutableTags(t *testing.T) {
	w, ctx := newWorld(t, Options{}), t.Context()
	ann, bob := w.user("ann"), w.user("bob")
	set := func(tags ...string) error {
		return w.SetRepository(ctx, ann, "ann/packages", RepositorySettings{ImmutableTags: append([]string{}, tags...)})
	}
	fixed := func(want ...string) {
		t.Helper()
		var got []string
		for _, tag := range []string{"latest", "v1", "v1.2", "1.0", "V1"} {
			ok, err := w.Immutable(ctx, "ann/packages", tag)
			must(t, err)
			if ok {
				got = append(got, tag)
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("%q are fixed, want %q", got, want)
		}
	}
	fixed()
	must(t, set("v*", "1.*", "v*"))
	fixed("v1", "v1.2", "1.0")
	r, err := w.Repository(ctx, "ann/packages")
	if err != nil || !slices.Equal(r.ImmutableTags, []string{"1.*", "v*"}) || r.Visibility != policy.Private {
		t.Errorf("%+v, %v", r, err)
	}
	must(t, w.SetRepository(ctx, ann, "ann/packages", RepositorySettings{Visibility: policy.Public}))
	fixed("v1", "v1.2", "1.0")
	must(t, set("*"))
	fixed("latest", "v1", "v1.2", "1.0", "V1")
	must(t, set())
	fixed()
	for name, tags := range map[string][]string{
		"slash": {"a/b"}, "below": {"a/**"}, "empty": {""}, "blank": {"a b"}, "stars": {"*a*b*c*d*e*"}, "many": many(MaxTagPatterns + 1),
	} {
		wantKind(t, name, set(tags...), ErrInvalid)
	}
	fixed()
	wantKind(t, "by another", w.SetRepository(ctx, bob, "ann/packages", RepositorySettings{ImmutableTags: []string{"*"}}), policy.ErrDenied)
	wantKind(t, "nothing", w.SetRepository(ctx, ann, "ann/packages", RepositorySettings{}), ErrInvalid)
	// Of two settings in one change neither counts where one is refused.
	wantKind(t, "half", w.SetRepository(ctx, ann, "ann/packages", RepositorySettings{Visibility: policy.Private, ImmutableTags: []string{"*"}}), ErrConflict)
	fixed()
	if ok, err := w.Immutable(ctx, "ann/none", "v1"); ok || err != nil {
		t.Errorf("of no repository: %v, %v", ok, err)
	}
	must(t, set("v*"))
	w.clock.Advance(MaxAge)
	broken := errors.New("broken")
	w.index.fail(broken)
	if _, err := w.Immutable(ctx, "ann/packages", "v1"); !errors.Is(err, broken) {
		t.Errorf("while rows cannot be read: %v", err)
	}
}

// many is n different words.
func many(n int) []string {
	words := make([]string, n)
	for i := range words {
		words[i] = fmt.Sprint("t", i)
	}
	return words
}
