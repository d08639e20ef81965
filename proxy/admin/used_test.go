package admin

import (
	"context"
	"encoding/json"
	"iter"
	"net/http/httptest"
	"net/url"
	"slices"
	"testing"
	"time"

	"larder/formats"
	"larder/policy"
	"larder/proxy/registry"
)

// namedMount is a mount under another name.
type namedMount struct {
	*registry.Registry
	name string
}

func (m namedMount) Name() string { return m.name }

// TestUsedImages: of registries below /v2/, by their names and page by page, since
// the day that is asked for; others have no images.
func TestUsedImages(t *testing.T) {
	w := newWorld(t)
	var since []time.Time
	reg := func(name, path string, uses ...formats.Use) Registry {
		return Registry{Mount: namedMount{w.mount, name}, Path: path,
			Used: func(_ context.Context, who policy.Subject, from time.Time, after string) iter.Seq2[registry.Used, error] {
				since = append(since, from)
				return func(yield func(registry.Used, error) bool) {
					for _, u := range uses {
						used := registry.Used{Use: u, Day: time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)}
						if used.Cursor() > after && !yield(used, nil) {
							return
						}
					}
				}
			}}
	}
	opt := w.options(w.mount, NewMetrics("x"))
	opt.Registries = append(opt.Registries,
		reg("oci", "/v2/", formats.Use{Package: "acme/app", Tag: "1"}, formats.Use{Package: "acme/app", Version: "sha256:0"}),
		reg("npm", "", formats.Use{Package: "left-pad", Version: "1"}),
		reg("mirror/up", "/v2/mirror/up/", formats.Use{Package: "library/base", Tag: "12"}))
	handlers, err := New(opt)
	w.must(err)
	page := func(query string) (got []string, next string) {
		t.Helper()
		var list UsedList
		rec := httptest.NewRecorder()
		handlers["api"].ServeHTTP(rec, httptest.NewRequest("GET", "/api/v1/used"+query, nil))
		w.must(json.Unmarshal(rec.Body.Bytes(), &list))
		for _, u := range list.Images {
			got = append(got, u.Image+":"+u.Tag+u.Digest+" "+u.Day)
		}
		return got, list.Next
	}
	all := []string{"mirror/up/library/base:12 2026-03-01", "acme/app:1 2026-03-01", "acme/app:sha256:0 2026-03-01"}
	if got, next := page("?days=3"); !slices.Equal(got, all) || next != "" {
		t.Errorf("%q, next %q", got, next)
	}
	if want := w.Clock.Now().Add(-72 * time.Hour); !since[0].Equal(want) {
		t.Errorf("asked since %s, want %s", since[0], want)
	}
	var got []string
	for at, next := 0, ""; at < 3; at++ {
		part, more := page("?limit=1&after=" + url.QueryEscape(next))
		got, next = append(got, part...), more
	}
	if !slices.Equal(got, all) {
		t.Errorf("page by page %q", got)
	}
	for _, days := range []string{"0", "401", "x"} {
		w.want(400, "GET", "/api/v1/used?days="+days, "", "")
	}
}
