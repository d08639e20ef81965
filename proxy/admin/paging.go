package admin

import (
	"iter"
	"strconv"
)

// Bounds of a page of a list.
const (
	defaultPage = 100
	maxPage     = 1000
	maxCursor   = 1000 // bytes
)

// window reads which part of a list a call asks for: limit items that come
// after what the page before said. Every list has these two parameters, and
// answers with next.
func (c *call) window() (limit int, after string, err error) {
	q := c.r.URL.Query()
	limit, after = defaultPage, q.Get("after")
	if text := q.Get("limit"); text != "" {
		limit, err = strconv.Atoi(text)
		if err != nil || limit < 1 || limit > maxPage {
			return 0, "", bad("limit is a number from 1 to %d", maxPage)
		}
	}
	if len(after) > maxCursor {
		return 0, "", bad("after is what the page before called next, and never longer than %d bytes", maxCursor)
	}
	return limit, after, nil
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
