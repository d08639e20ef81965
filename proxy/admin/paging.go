package admin

import "iter"

// paging is the part of the query of every list that may be long: Limit items
// that come after what the page before said. The answer has next.
type paging struct {
	Limit int    `query:"limit" min:"1" max:"1000" default:"100" doc:"Most entries of a page."`
	After string `query:"after" max:"1000" doc:"Where the page begins: next of the page before."`
}

// Page is the part of the answer of such a list.
type Page struct {
	Next string `json:"next,omitempty" doc:"What after takes for the next page; absent on the last one."`
}

// paged is implemented by answers that may be one page of many.
type paged interface{ next() string }

func (p Page) next() string { return p.Next }

// link leads to the next page.
func (c *call) link(next string) {
	q := c.r.URL.Query()
	q.Set("after", next)
	c.w.Header().Set("Link", "<"+c.visit.Origin+c.r.URL.Path+"?"+q.Encode()+`>; rel="next"`)
}

// behind yields the items of a list whose keys, which are in order, come after
// one.
func behind[T any](list []T, after string, key func(T) string) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for _, item := range list {
			if key(item) > after && !yield(item, nil) {
				return
			}
		}
	}
}

// pageOf reads one page; next is the cursor of its last item where more follow,
// and "" on the last page.
func pageOf[T any](all iter.Seq2[T, error], limit int, cursor func(T) string) (items []T, next string, err error) {
	items = []T{}
	for item, err := range all {
		switch {
		case err != nil:
			return nil, "", err
		case len(items) == limit:
			return items, cursor(items[limit-1]), nil
		}
		items = append(items, item)
	}
	return items, "", nil
}

// shown turns what a list yields into what the API shows of it; ok is false for
// what the caller may not see.
func shown[T, S any](all iter.Seq2[T, error], show func(T) (s S, ok bool)) iter.Seq2[S, error] {
	return func(yield func(S, error) bool) {
		for item, err := range all {
			if err != nil {
				var none S
				yield(none, err)
				return
			}
			if s, ok := show(item); ok && !yield(s, nil) {
				return
			}
		}
	}
}

// all shows every item of a list.
func all[T, S any](show func(T) S) func(T) (S, bool) {
	return func(item T) (S, bool) { return show(item), true }
}
