package formats

import (
	"errors"
	"net/url"
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

func TestSplitPath(t *testing.T) {
	tests := []struct {
		raw      string
		want     []string
		trailing bool
	}{
		{"/", nil, true},
		{"/npm", []string{"npm"}, false},
		{"/npm/", []string{"npm"}, true},
		{"/npm/left-pad/-/left-pad-1.0.0.tgz", []string{"npm", "left-pad", "-", "left-pad-1.0.0.tgz"}, false},
		{"/npm/@a%2fb", []string{"npm", "@a/b"}, false},
		{"/npm/@a%2Fb/-/c", []string{"npm", "@a/b", "-", "c"}, false},
		{"/npm/priv%61te", []string{"npm", "private"}, false},
		{"/npm/a%20b", []string{"npm", "a b"}, false},
		{"/npm/100%25", []string{"npm", "100%"}, false},
		{"/npm/a+b", []string{"npm", "a+b"}, false},
		{"/npm/.hidden", []string{"npm", ".hidden"}, false},
		{"/npm/a..b", []string{"npm", "a..b"}, false},
		{"/npm/%C3%A9", []string{"npm", "é"}, false},
		{"/npm/é", []string{"npm", "é"}, false},
		{`/npm/"`, []string{"npm", `"`}, false},
	}
	for _, tt := range tests {
		u, err := url.ParseRequestURI(tt.raw)
		if err != nil {
			t.Fatalf("%s: %v", tt.raw, err)
		}
		got, trailing, err := SplitPath(u)
		if err != nil || !slices.Equal(got, tt.want) || trailing != tt.trailing {
			t.Errorf("SplitPath(%s) = %q, %v, %v; want %q, %v", tt.raw, got, trailing, err, tt.want, tt.trailing)
		}
	}
}

func TestSplitPathRefuses(t *testing.T) {
	long := strings.Repeat("a", MaxSegment+1)
	for _, raw := range []string{
		"/npm//a", "//npm", "/npm/a//", "/npm/./a", "/npm/../a", "/npm/..", "/npm/.",
		"/npm/%2e%2e/a", "/npm/%2E./a", "/npm/a%2f..%2fb", "/npm/a%2f%2e%2e", "/npm/%2fa", "/npm/a%2f", "/npm/a%2f%2fb",
		"/npm/%252e%252e/a", "/npm/a%252fb", "/npm/%25252e", "/npm/a%00", "/npm/a%0a", "/npm/a%7f", "/npm/a%c2%85",
		`/npm/a%5cb`, "/npm/..%5c..%5cx", "/npm/%c0%ae%c0%ae/a", "/npm/%ff", "/npm/..;/a", "/npm/..;x=1/a", "/npm/;/a",
		"/npm/..%20/a", "/npm/%20../a", "/npm/.../a", "/npm/" + long, "/" + strings.Repeat("a/", MaxSegments+1), "/" + strings.Repeat("a", MaxPath),
	} {
		u, err := url.ParseRequestURI(raw)
		if err != nil {
			t.Fatalf("%s: %v", raw, err)
		}
		if got, _, err := SplitPath(u); !errors.Is(err, ErrBadRequest) {
			t.Errorf("SplitPath(%.60s) = %q, %v; want ErrBadRequest", raw, got, err)
		}
	}
}

func TestSplitPathKeepsWhatCameBefore(t *testing.T) {
	got, _, err := SplitPath(&url.URL{Path: "/npm/../x"})
	if err == nil || !slices.Equal(got, []string{"npm"}) {
		t.Errorf("got %q, %v; want the segment before the bad one", got, err)
	}
	if _, _, err := SplitPath(&url.URL{Path: "*"}); err == nil {
		t.Error("a target without a slash was taken")
	}
}

func FuzzSplitPath(f *testing.F) {
	for _, seed := range []string{"/npm/@a%2fb", "/a/%2e%2e/b", "/a//b", "/%25", "/a%5c", "/..;/x", "/\xff", "/a/"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		u, err := url.ParseRequestURI(raw)
		if err != nil {
			return
		}
		segments, _, err := SplitPath(u)
		if err != nil {
			return
		}
		for _, s := range segments {
			if !utf8.ValidString(s) || strings.ContainsFunc(s, unicode.IsControl) || strings.Contains(s, `\`) {
				t.Errorf("%q gave the segment %q", raw, s)
			}
			for part := range strings.SplitSeq(s, "/") {
				if part == "" || part == "." || part == ".." {
					t.Errorf("%q gave the segment %q", raw, s)
				}
			}
		}
	})
}
