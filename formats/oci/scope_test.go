package oci

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"larder/policy"
)

func TestScopes(t *testing.T) {
	const (
		pull, push, del = policy.Read, policy.Publish, policy.Delete
	)
	type acts = []policy.Action
	for _, c := range []struct {
		asked []string
		want  []scope
	}{
		// the forms of the clients
		{nil, nil}, // a login
		{[]string{"repository:a/b:pull"}, []scope{{"a/b", acts{pull}}}},
		{[]string{"repository:a/b:push,pull"}, []scope{{"a/b", acts{push, pull}}}},
		{[]string{"repository:a/b:pull,push", "repository:c:pull"}, []scope{{"a/b", acts{pull, push}}, {"c", acts{pull}}}},
		{[]string{"repository:a/b:pull repository:c:pull"}, []scope{{"a/b", acts{pull}}, {"c", acts{pull}}}},
		{[]string{" repository:a:pull  repository:c:pull ", "repository:d:pull"}, []scope{{"a", acts{pull}}, {"c", acts{pull}}, {"d", acts{pull}}}},
		{[]string{"repository:a/b:*"}, []scope{{"a/b", acts{pull, push, del}}}},
		{[]string{"repository:a/b:delete,pull,push"}, []scope{{"a/b", acts{del, pull, push}}}},
		{[]string{"registry:catalog:*"}, []scope{{"", acts{policy.Open}}}},
		{[]string{"repository:mirror/up/library/a:pull"}, []scope{{"mirror/up/library/a", acts{pull}}}},
		// the grammar
		{[]string{"repository(plugin):a/b:pull"}, []scope{{"a/b", acts{pull}}}},
		{[]string{"repository():a/b:pull"}, []scope{{"a/b", acts{pull}}}},
		{[]string{"repository:larder.example:8080/a/b:pull"}, []scope{{"a/b", acts{pull}}}},
		{[]string{"repository:a:pull", "repository:a:push,pull"}, []scope{{"a", acts{pull, push}}}},
		{[]string{"repository:a:pull,pull,,fly"}, []scope{{"a", acts{pull}}}},
		// what means nothing
		{[]string{"*"}, nil},
		{[]string{"repository:a/b:fly"}, nil},
		{[]string{"repository:a/b:"}, nil},
		{[]string{"repository:a/b"}, nil},
		{[]string{"repository::pull"}, nil},
		{[]string{"repository:a/../b:pull"}, nil},
		{[]string{"repository:..:pull"}, nil},
		{[]string{"repository:A:pull"}, nil},
		{[]string{"repository:a:8080:pull"}, nil},
		{[]string{"repository(x:a:pull"}, nil},
		{[]string{"registry:other:*", "registry:catalog:pull", "file:a:pull", "Repository:a:pull", ":::", "", "   "}, nil},
		{[]string{"repository:a:PULL"}, nil},
		{[]string{"repository:" + strings.Repeat("a", 256) + ":pull"}, nil},
		{[]string{"junk", "repository:a:pull", "junk:"}, []scope{{"a", acts{pull}}}},
	} {
		if got := parseScopes(c.asked); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%q:\n got %+v\nwant %+v", c.asked, got, c.want)
		}
	}
}

func TestScopesAreCapped(t *testing.T) {
	var asked []string
	for i := range 2000 {
		asked = append(asked, fmt.Sprintf("repository:a%d:pull", i))
	}
	if got := parseScopes(asked); len(got) != maxScopes || got[99].name != "a99" {
		t.Errorf("%d scopes", len(got))
	}
	if got := parseScopes([]string{strings.Join(asked, " ")}); len(got) != 0 {
		t.Errorf("%d scopes of a text of %d bytes", len(got), len(strings.Join(asked, " ")))
	}
	if got := parseScopes([]string{"repository:a:pull", strings.Repeat("x", maxScopeText), "repository:b:pull"}); len(got) != 1 {
		t.Errorf("past the room: %+v", got)
	}
}

func TestIntersection(t *testing.T) {
	asked := parseScopes([]string{"repository:a:*", "repository:b:pull,push", "repository:c:delete", "registry:catalog:*"})
	got := intersect(asked, func(name string, a policy.Action) bool {
		return name == "a" && a != policy.Delete || name == "b" && a == policy.Read
	})
	want := []scope{
		{"a", []policy.Action{policy.Read, policy.Publish}}, {"b", []policy.Action{policy.Read}}, {"", []policy.Action{policy.Open}},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v\nwant %+v", got, want)
	}
	nothing := intersect(asked[:3], func(string, policy.Action) bool { return false })
	if nothing != nil {
		t.Errorf("nobody may do anything, and got %+v", nothing)
	}
}

func FuzzScopes(f *testing.F) {
	for _, s := range []string{
		"repository:a/b:pull,push", "repository(plugin):a:*", "registry:catalog:*", "*", "repository:h:80/a:pull repository:b:pull", ":::",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got := parseScopes([]string{s, s})
		if once := parseScopes([]string{s}); len(s) < maxScopeText/2 && !reflect.DeepEqual(got, once) {
			t.Errorf("%q twice is %+v, once %+v", s, got, once)
		}
		for i, sc := range got {
			if len(sc.actions) == 0 || len(sc.actions) > 3 || sc.name != "" && !isName(sc.name) {
				t.Errorf("%q: %+v", s, sc)
			}
			if slices.ContainsFunc(got[:i], func(o scope) bool { return o.name == sc.name }) {
				t.Errorf("%q: %q twice", s, sc.name)
			}
		}
		if kept := intersect(got, func(string, policy.Action) bool { return true }); !reflect.DeepEqual(kept, got) {
			t.Errorf("%q: all that was asked is %+v, not %+v", s, kept, got)
		}
	})
}
