package oci

import (
	"errors"
	"fmt"
	"iter"
	"net/url"
	"slices"
	"testing"
)

func names(list []string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for _, s := range list {
			if !yield(s, nil) {
				return
			}
		}
	}
}

func TestPages(t *testing.T) {
	all := []string{"Z", "a", "b", "b.1", "c"}
	for _, c := range []struct {
		page page
		want []string
		more bool
	}{
		{page{1000, ""}, all, false},
		{page{5, ""}, all, false},
		{page{4, ""}, all[:4], true},
		{page{2, "a"}, all[2:4], true},
		{page{2, "b.0"}, all[3:], false},
		{page{2, "c"}, nil, false},
		{page{2, "~"}, nil, false},
		{page{0, ""}, nil, false},
	} {
		got, more, err := c.page.take(names(all))
		if err != nil || !slices.Equal(got, c.want) || more != c.more {
			t.Errorf("%+v: %q, more %v, %v; want %q, %v", c.page, got, more, err, c.want, c.more)
		}
	}
}

// TestWalkingAllPages: following last from page to page gives every name once.
func TestWalkingAllPages(t *testing.T) {
	var all []string
	for i := range 2500 {
		all = append(all, fmt.Sprintf("v%04d", i))
	}
	var got []string
	pages, p := 0, page{size: maxPage}
	for more := true; more; pages++ {
		var part []string
		var err error
		if part, more, err = p.take(names(all)); err != nil {
			t.Fatal(err)
		}
		got = append(got, part...)
		p.last = part[len(part)-1]
	}
	if pages != 3 || !slices.Equal(got, all) {
		t.Errorf("%d names on %d pages", len(got), pages)
	}
}

func TestAPageFailsWithItsSource(t *testing.T) {
	broken := errors.New("broken")
	list, _, err := page{size: 5}.take(func(yield func(string, error) bool) {
		if yield("a", nil) {
			yield("", broken)
		}
	})
	if !errors.Is(err, broken) || list != nil {
		t.Errorf("%q, %v: half a list", list, err)
	}
}

func TestNextPage(t *testing.T) {
	for _, c := range []struct {
		raw, last string
		n         int
		want      string
	}{
		{"/v2/a/b/tags/list", "v1", 1000, `</v2/a/b/tags/list?last=v1&n=1000>; rel="next"`},
		{"/v2/a/b/tags/list?n=5&last=v0", "v5", 5, `</v2/a/b/tags/list?last=v5&n=5>; rel="next"`},
		{"/v2/a/tags/list?n=5&ns=up.example%3A80", "v&5", 5, `</v2/a/tags/list?last=v%265&n=5&ns=up.example%3A80>; rel="next"`},
		{"/v2/_catalog?n=99999", `a>"b`, 1000, `</v2/_catalog?last=a%3E%22b&n=1000>; rel="next"`},
		{"/v2/mirror/up/a/referrers/sha256%3Aab?artifactType=x/y", "sha256:cd", 0, `</v2/mirror/up/a/referrers/sha256%3Aab?artifactType=x%2Fy&last=sha256%3Acd>; rel="next"`},
	} {
		u, err := url.ParseRequestURI(c.raw)
		if err != nil {
			t.Fatal(err)
		}
		if got := next(u, c.n, c.last); got != c.want {
			t.Errorf("after %s of %s:\n got %s\nwant %s", c.last, c.raw, got, c.want)
		}
	}
}

func TestLists(t *testing.T) {
	for want, got := range map[string]func() ([]byte, error){
		`{"name":"a/b","tags":[]}`:        func() ([]byte, error) { return renderTags("a/b", nil) },
		`{"name":"a/b","tags":["x","y"]}`: func() ([]byte, error) { return renderTags("a/b", []string{"x", "y"}) },
		`{"repositories":[]}`:             func() ([]byte, error) { return renderCatalog(nil) },
		`{"repositories":["a/b","c"]}`:    func() ([]byte, error) { return renderCatalog([]string{"a/b", "c"}) },
	} {
		if body, err := got(); err != nil || string(body) != want {
			t.Errorf("%s, %v; want %s", body, err, want)
		}
	}
}
