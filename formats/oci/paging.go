package oci

import (
	"iter"
	"math"
	"net/url"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxPage is how many names a list holds at most, also where a client asks for
// more or for all.
const maxPage = 1000

// page says which part of a list is wanted.
type page struct {
	size int    // 0: an empty list, and no word of what follows
	last string // names after this one, which need not exist
}

// parsePage reads n and last.
func parsePage(q *parameters) (page, error) {
	p := page{size: maxPage, last: q.one("last")}
	if bad := func(r rune) bool { return unicode.IsControl(r) }; !utf8.ValidString(p.last) ||
		strings.ContainsFunc(p.last, bad) || len(p.last) > maxReference {
		q.fail(codeUnsupported, "the parameter last is no name: %s", clip(p.last))
	}
	if _, given := q.values["n"]; given {
		text := q.one("n")
		n, ok := number(text)
		if !ok {
			q.fail(codeUnsupported, "the parameter n must be a whole number that is not negative, not %s", clip(text))
		}
		p.size = int(min(n, maxPage))
	}
	return p, q.err
}

// number reads decimal digits and nothing else; what is too large for an int64
// becomes the largest.
func number(s string) (int64, bool) {
	if s == "" || strings.Trim(s, "0123456789") != "" {
		return 0, false
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return math.MaxInt64, true
	}
	return n, true
}

// take collects a page of names that come in order, and says whether there are
// more.
func (p page) take(names iter.Seq2[string, error]) (list []string, more bool, err error) {
	if p.size == 0 {
		return nil, false, nil
	}
	for name, err := range names {
		switch {
		case err != nil:
			return nil, false, err
		case name <= p.last:
			continue
		case len(list) == p.size:
			return list, true, nil
		}
		list = append(list, name)
	}
	return list, false, nil
}

// next is the value of the Link field that leads to what comes after last:
// the path as the client wrote it, with all its parameters. n is left out for
// lists that have no such parameter.
func next(u *url.URL, n int, last string) string {
	query := u.Query()
	query.Set("last", last)
	if n > 0 {
		query.Set("n", strconv.Itoa(n))
	}
	return "<" + u.EscapedPath() + "?" + query.Encode() + `>; rel="next"`
}
