package admin

import (
	"cmp"
	"iter"
	"slices"
	"strings"
	"time"

	"larder/proxy/registry"
)

// UsedImage is an image that was pulled by a tag or a digest.
type UsedImage struct {
	Image  string `json:"image" doc:"Name as clients write it behind the host; that of a mirror begins with mirror/."`
	Tag    string `json:"tag,omitempty" doc:"Tag by which it was pulled."`
	Digest string `json:"digest,omitempty" doc:"Digest by which it was pulled, where that was no tag."`
	Day    string `json:"used_on" doc:"Last day of that, in UTC."`
	cursor string
}

// UsedList is the answer of GET /api/v1/used.
type UsedList struct {
	Images []UsedImage `json:"images" doc:"By registry, image, and tags before digests."`
	Page
}

type usedQuery struct {
	Days int `query:"days" min:"1" max:"400" default:"30" doc:"Only what was pulled in the last so many days; today is one more."`
	paging
}

// listUsed lists what was pulled lately. Some of it may be gone by now.
func (c *call) listUsed(q usedQuery, _ none) (UsedList, error) {
	since := c.Clock().Add(-time.Duration(q.Days) * 24 * time.Hour)
	images, next, err := pageOf(c.usedSince(since, q.After), q.Limit, func(u UsedImage) string { return u.cursor })
	return UsedList{images, Page{next}}, err
}

// usedSince goes through the registries whose packages are called by their path.
func (c *call) usedSince(since time.Time, after string) iter.Seq2[UsedImage, error] {
	from, rest, _ := strings.Cut(after, " ")
	places := slices.DeleteFunc(slices.Clone(c.Registries), func(r Registry) bool {
		return r.Used == nil || !strings.HasPrefix(r.Path, "/v2/") || r.Mount.Name() < from
	})
	slices.SortFunc(places, func(a, b Registry) int { return cmp.Compare(a.Mount.Name(), b.Mount.Name()) })
	return func(yield func(UsedImage, error) bool) {
		for _, r := range places {
			name := r.Mount.Name()
			if name != from {
				rest = ""
			}
			all := shown(r.Used(c.r.Context(), c.caller, since, rest), func(u registry.Used) (UsedImage, bool) {
				return UsedImage{
					Image: strings.TrimPrefix(r.Path, "/v2/") + u.Package, Tag: u.Tag, Digest: u.Version,
					Day: u.Day.Format(time.DateOnly), cursor: name + " " + u.Cursor(),
				}, true
			})
			for u, err := range all {
				if !yield(u, err) || err != nil {
					return
				}
			}
		}
	}
}
