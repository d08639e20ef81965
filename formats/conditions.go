package formats

import (
	"math"
	"net/http"
	"strings"
	"time"
)

// etag is an entity tag as RFC 9110 section 8.8.3 writes it, without its quotes.
type etag struct {
	opaque string
	weak   bool
}

// cutETag takes one entity tag from the front of s.
func cutETag(s string) (tag etag, rest string, ok bool) {
	s, tag.weak = strings.CutPrefix(s, "W/")
	if len(s) < 2 || s[0] != '"' {
		return etag{}, "", false
	}
	end := strings.IndexByte(s[1:], '"')
	if end < 0 {
		return etag{}, "", false
	}
	tag.opaque = s[1 : 1+end]
	for i := 0; i < len(tag.opaque); i++ {
		if c := tag.opaque[i]; c <= 0x20 || c == 0x7f {
			return etag{}, "", false
		}
	}
	return tag, s[2+end:], true
}

// matchesAny reports whether the list of an If-Match or If-None-Match field
// names current. weak allows weak tags to match; "*" matches whatever exists.
// A list that cannot be read matches up to where it broke.
func matchesAny(list, current string, weak bool) bool {
	list = strings.TrimSpace(list)
	if list == "*" {
		return true
	}
	want, _, ok := cutETag(current)
	if !ok || !weak && want.weak {
		return false
	}
	for list != "" {
		got, rest, ok := cutETag(list)
		if !ok {
			return false
		}
		if got.opaque == want.opaque && (weak || !got.weak) {
			return true
		}
		list = strings.TrimLeft(rest, " \t")
		if list != "" && list[0] != ',' {
			return false
		}
		list = strings.TrimLeft(list, " \t,")
	}
	return false
}

// fieldList joins the lines of a list field. One line, the usual case, is
// returned as it is.
func fieldList(h http.Header, key string) string {
	switch lines := h[key]; len(lines) {
	case 0:
		return ""
	case 1:
		return lines[0]
	default:
		return strings.Join(lines, ",")
	}
}

// outcome is what the conditions of a request come to.
type outcome uint8

const (
	send outcome = iota
	notModified
	failed // 412
)

// conditions evaluates the preconditions in the order of RFC 9110 section
// 13.2.2. tag and modified describe what would be sent.
func conditions(h http.Header, tag string, modified time.Time) outcome {
	if list := fieldList(h, "If-Match"); list != "" && !matchesAny(list, tag, false) {
		return failed
	}
	if list := fieldList(h, "If-None-Match"); list != "" {
		if matchesAny(list, tag, true) {
			return notModified
		}
		return send
	}
	if modified.IsZero() {
		return send
	}
	if lines := h["If-Modified-Since"]; len(lines) == 1 {
		since, err := http.ParseTime(lines[0])
		if err == nil && !modified.Truncate(time.Second).After(since) {
			return notModified
		}
	}
	return send
}

// ifRange reports whether the Range field counts: there is no If-Range field,
// or it names exactly what would be sent (RFC 9110 section 13.1.5).
func ifRange(h http.Header, tag string, modified time.Time) bool {
	lines := h["If-Range"]
	if len(lines) == 0 {
		return true
	}
	if len(lines) > 1 {
		return false
	}
	if strings.HasPrefix(lines[0], `"`) || strings.HasPrefix(lines[0], "W/") {
		return matchesAny(lines[0], tag, false)
	}
	at, err := http.ParseTime(lines[0])
	return err == nil && !modified.IsZero() && modified.Truncate(time.Second).Equal(at)
}

// span is a part of a body: n bytes from off.
type span struct{ off, n int64 }

// parseRange reads a Range field for a body of size bytes. whole means that
// the field is to be ignored: no field, another unit, several ranges (one
// would do, but the whole is always right), or not a range at all. ok is false
// for a range that lies beyond the body (416); strict adds those that
// Content.StrictRange names.
func parseRange(field string, size int64, strict bool) (part span, whole, ok bool) {
	rest, found := strings.CutPrefix(field, "bytes=")
	if !found || size == 0 && !strict {
		return span{}, true, true
	}
	first, last, found := strings.Cut(strings.TrimSpace(rest), "-")
	if !found {
		return span{}, true, true
	}
	if first == "" {
		n, valid := digits(last)
		if !valid {
			return span{}, true, true
		}
		n = min(n, size)
		return span{size - n, n}, false, n > 0
	}
	from, valid := digits(first)
	if !valid {
		return span{}, true, true
	}
	to := size - 1
	if last != "" {
		to, valid = digits(last)
		if !valid || to < from && !strict {
			return span{}, true, true
		}
		if to < from {
			return span{}, false, false
		}
		to = min(to, size-1)
	}
	if from >= size {
		return span{}, false, false
	}
	return span{from, to - from + 1}, false, true
}

// digits reads a decimal number; one too large for an int64 becomes the largest.
func digits(s string) (int64, bool) {
	var n int64
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c < '0' || c > '9' {
			return 0, false
		}
		if n > (math.MaxInt64-9)/10 {
			n = math.MaxInt64
			continue
		}
		n = n*10 + int64(c-'0')
	}
	return n, s != ""
}

// AcceptsGzip reports whether the client takes gzip: named, or covered by "*",
// and not with a quality of zero. A client that says nothing does not: the
// programs that send no Accept-Encoding do not decode either.
func AcceptsGzip(h http.Header) bool {
	star := false
	for _, line := range h["Accept-Encoding"] {
		for more := true; more; {
			var item string
			item, line, more = strings.Cut(line, ",")
			coding, params, _ := strings.Cut(item, ";")
			switch coding = strings.TrimSpace(coding); {
			case strings.EqualFold(coding, "gzip"), strings.EqualFold(coding, "x-gzip"):
				return !zeroQuality(params)
			case coding == "*":
				star = !zeroQuality(params)
			}
		}
	}
	return star
}

// zeroQuality reports a "q=0" of any spelling (0, 0., 0.000).
func zeroQuality(params string) bool {
	for more := true; more; {
		var p string
		p, params, more = strings.Cut(params, ";")
		name, value, _ := strings.Cut(p, "=")
		if !strings.EqualFold(strings.TrimSpace(name), "q") {
			continue
		}
		whole, frac, _ := strings.Cut(strings.TrimSpace(value), ".")
		return whole == "0" && strings.Trim(frac, "0") == ""
	}
	return false
}
