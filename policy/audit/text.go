package audit

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"larder/policy/token"
)

const ellipsis = "…"

// clean returns what may be recorded of a text: valid UTF-8 without control and
// format characters, tokens and userinfo, in at most that many bytes. Secrets go
// before the text is cut, which could leave the half of one.
func clean(s string, most int) string {
	if strings.ContainsFunc(s, unprintable) {
		s = strings.Map(func(c rune) rune {
			if unprintable(c) {
				return utf8.RuneError
			}
			return c
		}, s)
	}
	s = withoutUserinfo(token.Redact(s))
	if len(s) <= most {
		return s
	}
	end := most - len(ellipsis)
	for end > 0 && !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end] + ellipsis
}

// unprintable characters could forge lines, colours or the order of what a
// terminal or editor shows. Broken UTF-8 reads as RuneError.
func unprintable(c rune) bool {
	if c < utf8.RuneSelf {
		return c < ' ' || c == 0x7f
	}
	return c == utf8.RuneError || unicode.In(c, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp)
}

// withoutUserinfo takes user names and passwords out of the URLs in a text.
func withoutUserinfo(s string) string {
	const scheme = "://"
	for from := 0; ; {
		i := strings.Index(s[from:], scheme)
		if i < 0 {
			return s
		}
		from += i + len(scheme)
		authority := s[from:]
		if end := strings.IndexAny(authority, "/?# \"'<>"); end >= 0 {
			authority = authority[:end]
		}
		if at := strings.LastIndexByte(authority, '@'); at >= 0 {
			s = s[:from] + "redacted" + s[from+at:]
		}
	}
}
