package main

import (
	"context"
	"io"
	"net/http"
	"net/url"

	"github.com/spf13/cobra"
)

// gather asks for all pages of a list; part takes a page apart into its items
// and what the next one comes after, "" for the last one.
func gather[P, T any](ctx context.Context, c *client, path string, query url.Values, part func(P) ([]T, string)) ([]T, error) {
	all := []T{}
	query.Set("limit", "1000")
	for {
		var page P
		if err := c.call(ctx, http.MethodGet, path, query, nil, &page); err != nil {
			return nil, err
		}
		items, next := part(page)
		if all = append(all, items...); next == "" {
			return all, nil
		}
		query.Set("after", next)
	}
}

// listing shows a list of the server: the names of the columns, and the cells of
// each item.
type listing[P, T any] struct {
	columns []string
	part    func(P) ([]T, string)
	cells   func(T) []string
}

func (l listing[P, T]) run(cmd *cobra.Command, s *shared, path string, query url.Values) error {
	c, err := s.open()
	if err != nil {
		return err
	}
	all, err := gather(cmd.Context(), c, path, query, l.part)
	if err != nil {
		return err
	}
	return s.show(cmd, all, func(w io.Writer) {
		row(w, l.columns...)
		for _, item := range all {
			row(w, l.cells(item)...)
		}
	})
}

// order is a call that has no answer.
type order struct {
	method, path string
	query        url.Values
	body         any
}

// do makes a call and says that it is done.
func (s *shared) do(cmd *cobra.Command, o order, format string, args ...any) error {
	c, err := s.open()
	if err != nil {
		return err
	}
	if err := c.call(cmd.Context(), o.method, o.path, o.query, o.body, nil); err != nil {
		return err
	}
	s.say(cmd, format, args...)
	return nil
}
