package formats

import (
	"math"
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestMatchesAny(t *testing.T) {
	tests := []struct {
		list, current string
		weak, want    bool
	}{
		{`"a"`, `"a"`, true, true},
		{`"a"`, `"a"`, false, true},
		{`W/"a"`, `"a"`, true, true},
		{`W/"a"`, `"a"`, false, false},
		{`"a"`, `W/"a"`, true, true},
		{`"a"`, `W/"a"`, false, false},
		{`"b", "a"`, `"a"`, true, true},
		{`"b","a"`, `"a"`, true, true},
		{` , "b" ,, W/"a"`, `"a"`, true, false},
		{`"b" ,, W/"a"`, `"a"`, true, true},
		{`"b" "a"`, `"a"`, true, false},
		{`*`, `"a"`, true, true},
		{` * `, `"a"`, false, true},
		{`a`, `"a"`, true, false},
		{`"a`, `"a"`, true, false},
		{`"a,b"`, `"a,b"`, true, true},
		{`"a"`, ``, true, false},
		{`w/"a"`, `"a"`, true, false},
		{"\"a\x01\"", "\"a\x01\"", true, false},
	}
	for _, tt := range tests {
		if got := matchesAny(tt.list, tt.current, tt.weak); got != tt.want {
			t.Errorf("matchesAny(%s, %s, weak=%v) = %v", tt.list, tt.current, tt.weak, got)
		}
	}
}

func TestConditions(t *testing.T) {
	at := time.Date(2026, 3, 1, 10, 0, 0, 500, time.UTC)
	date := func(d time.Duration) string { return at.Add(d).Format(http.TimeFormat) }
	tests := []struct {
		name string
		h    http.Header
		want outcome
	}{
		{"none", nil, send},
		{"same tag", http.Header{"If-None-Match": {`"a"`}}, notModified},
		{"two lines", http.Header{"If-None-Match": {`"b"`, `W/"a"`}}, notModified},
		{"other tag wins over the date", http.Header{"If-None-Match": {`"b"`}, "If-Modified-Since": {date(0)}}, send},
		{"same date", http.Header{"If-Modified-Since": {date(0)}}, notModified},
		{"older copy", http.Header{"If-Modified-Since": {date(-time.Second)}}, send},
		{"not a date", http.Header{"If-Modified-Since": {"yesterday"}}, send},
		{"If-Match holds", http.Header{"If-Match": {`"b", "a"`}}, send},
		{"If-Match fails", http.Header{"If-Match": {`"b"`}, "If-None-Match": {`"a"`}}, failed},
		{"If-Match is strong", http.Header{"If-Match": {`W/"a"`}}, failed},
	}
	for _, tt := range tests {
		if got := conditions(tt.h, `"a"`, at); got != tt.want {
			t.Errorf("%s: %d, want %d", tt.name, got, tt.want)
		}
	}
	if got := conditions(http.Header{"If-Modified-Since": {date(0)}}, `"a"`, time.Time{}); got != send {
		t.Errorf("without a time: %d, want send", got)
	}
}

func TestIfRange(t *testing.T) {
	at := time.Date(2026, 3, 1, 10, 0, 0, 0, time.UTC)
	for field, want := range map[string]bool{
		`"a"`: true, `W/"a"`: false, `"b"`: false, "nonsense": false,
		at.Format(http.TimeFormat): true, at.Add(time.Hour).Format(http.TimeFormat): false,
	} {
		if got := ifRange(http.Header{"If-Range": {field}}, `"a"`, at); got != want {
			t.Errorf("If-Range: %s: %v, want %v", field, got, want)
		}
	}
	if !ifRange(nil, "", time.Time{}) || ifRange(http.Header{"If-Range": {`"a"`, `"a"`}}, `"a"`, at) {
		t.Error("no field must count, two fields must not")
	}
}

func TestParseRange(t *testing.T) {
	whole := func(off, n int64) (span, bool, bool) { return span{}, true, true }
	part := func(off, n int64) (span, bool, bool) { return span{off, n}, false, true }
	beyond := func(off, n int64) (span, bool, bool) { return span{}, false, false }
	tests := []struct {
		field  string
		size   int64
		want   func(off, n int64) (span, bool, bool)
		off, n int64
	}{
		{"bytes=0-0", 10, part, 0, 1},
		{"bytes=0-", 10, part, 0, 10},
		{"bytes=3-5", 10, part, 3, 3},
		{"bytes=3-99", 10, part, 3, 7},
		{"bytes=3-99999999999999999999", 10, part, 3, 7},
		{"bytes=-4", 10, part, 6, 4},
		{"bytes=-40", 10, part, 0, 10},
		{"bytes=-0", 10, beyond, 0, 0},
		{"bytes=10-", 10, beyond, 0, 0},
		{"bytes=99999999999999999999-", 10, beyond, 0, 0},
		{"bytes=5-3", 10, whole, 0, 0},
		{"bytes=0-1,3-4", 10, whole, 0, 0},
		{"bytes=-", 10, whole, 0, 0},
		{"bytes=", 10, whole, 0, 0},
		{"bytes=a-b", 10, whole, 0, 0},
		{"bytes=1-b", 10, whole, 0, 0},
		{"bytes=+1-2", 10, whole, 0, 0},
		{"bytes=--1", 10, whole, 0, 0},
		{"lines=1-2", 10, whole, 0, 0},
		{"", 10, whole, 0, 0},
		{"bytes=0-", 0, whole, 0, 0},
	}
	for _, tt := range tests {
		got, w, ok := parseRange(tt.field, tt.size, false)
		want, wantWhole, wantOK := tt.want(tt.off, tt.n)
		if w != wantWhole || ok != wantOK || !w && ok && got != want {
			t.Errorf("parseRange(%q, %d) = %+v, %v, %v; want %+v, %v, %v", tt.field, tt.size, got, w, ok, want, wantWhole, wantOK)
		}
	}
}

// TestParseStrictRange differs from the above where a range is one and holds
// nothing, and nowhere else.
func TestParseStrictRange(t *testing.T) {
	for _, tt := range []struct {
		field   string
		size    int64
		strict  bool // refused only if strict
		refused bool // in both
	}{
		{"bytes=5-3", 10, true, false},
		{"bytes=500-0", 10, true, false},
		{"bytes=99999999999999999999-0", 10, true, false},
		{"bytes=0-", 0, true, false},
		{"bytes=0-0", 0, true, false},
		{"bytes=-5", 0, true, false},
		{"bytes=7-", 0, true, false},
		{"bytes=10-", 10, false, true},
		{"bytes=-0", 10, false, true},
		{"bytes=0-0", 10, false, false},
		{"bytes=3-3", 10, false, false},
		{"bytes=-40", 10, false, false},
		{"bytes=0-1,5-3", 10, false, false},
		{"bytes=0-1,3-4", 0, false, false},
		{"bytes=a-b", 0, false, false},
		{"bytes=-", 0, false, false},
		{"lines=5-3", 10, false, false},
		{"", 0, false, false},
	} {
		loose, w, ok := parseRange(tt.field, tt.size, false)
		if ok == tt.refused {
			t.Errorf("parseRange(%q, %d): %v", tt.field, tt.size, ok)
		}
		got, strictW, strictOK := parseRange(tt.field, tt.size, true)
		if strictOK == (tt.refused || tt.strict) {
			t.Errorf("strict parseRange(%q, %d): %v", tt.field, tt.size, strictOK)
		}
		if strictOK && (got != loose || strictW != w) {
			t.Errorf("strict parseRange(%q, %d) = %+v, %v; else %+v, %v", tt.field, tt.size, got, strictW, loose, w)
		}
	}
}

func TestAcceptsGzip(t *testing.T) {
	for field, want := range map[string]bool{
		"gzip": true, "GZIP": true, "x-gzip": true, "br, gzip": true, "gzip;q=0": false, "gzip; q=0.000": false, "gzip;q=0.001": true,
		"*": true, "*;q=0": false, "*, gzip;q=0": false, "gzip;q=0, *": false, "identity": false, "": false, "gzipped": false, "br;q=1, gzip;q=0.5": true,
	} {
		if got := AcceptsGzip(http.Header{"Accept-Encoding": {field}}); got != want {
			t.Errorf("Accept-Encoding: %s: %v, want %v", field, got, want)
		}
	}
	if AcceptsGzip(nil) || !AcceptsGzip(http.Header{"Accept-Encoding": {"br", "gzip"}}) {
		t.Error("no field must not accept, a second line must")
	}
}

func FuzzParseRange(f *testing.F) {
	for _, seed := range []string{"bytes=0-0", "bytes=-5", "bytes=5-", "bytes=1-2,3-4", "bytes=99999999999999999999-"} {
		f.Add(seed, int64(10))
	}
	f.Fuzz(func(t *testing.T, field string, size int64) {
		if size < 0 {
			size = -(size + 1)
		}
		part, whole, ok := parseRange(field, size, false)
		strict, strictWhole, strictOK := parseRange(field, size, true)
		if strictOK && (strict != part || strictWhole != whole) {
			t.Errorf("strict parseRange(%q, %d) = %+v, else %+v", field, size, strict, part)
		}
		if !whole && ok && (part.off < 0 || part.n <= 0 || part.n > size || part.off > size-part.n) {
			t.Errorf("parseRange(%q, %d) = %+v: not within the body", field, size, part)
		}
		if size == math.MaxInt64 && part.off < 0 {
			t.Errorf("overflow: %+v", part)
		}
	})
}

func FuzzMatchesAny(f *testing.F) {
	for _, seed := range []string{`"a"`, `W/"a", "b"`, `*`, `"a" "b"`, `,`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, list string) {
		// A strong match must also be a weak one, and a match must be in the text.
		strong, weak := matchesAny(list, `"tag"`, false), matchesAny(list, `"tag"`, true)
		if strong && !weak {
			t.Errorf("%q matches strongly only", list)
		}
		if weak && !strings.Contains(list, `"tag"`) && strings.TrimSpace(list) != "*" {
			t.Errorf("%q matches a tag it does not hold", list)
		}
		AcceptsGzip(http.Header{"Accept-Encoding": {list}})
	})
}
