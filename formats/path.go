package formats

import (
	"fmt"
	"net/url"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Limits of a request's path. They are above what any protocol here needs; a
// format's own grammar is narrower.
const (
	MaxPath     = 4096 // bytes, escaped
	MaxSegments = 64
	MaxSegment  = 512 // bytes, decoded
)

// SplitPath makes the path of u canonical, once and for all: the escaped path
// is split on "/" and each segment is decoded exactly once. What could mean
// something else to another reader is refused: empty, "." and ".." segments
// (also within a segment that holds an encoded slash), NUL and control
// characters, backslashes, invalid UTF-8, escapes left after decoding, and
// names past the limits. One final slash is reported by trailing and yields no
// segment.
//
// On an error, which is an *Error of kind ErrBadRequest, the segments before
// the bad one are returned, so that the right format can word the refusal.
func SplitPath(u *url.URL) (segments []string, trailing bool, err error) {
	// The parser keeps RawPath only where Path alone would lose something, so
	// without it the segments of Path are decoded exactly once already.
	path, escaped := u.RawPath, true
	if path == "" {
		path, escaped = u.Path, false
	}
	if path == "" || path[0] != '/' {
		return nil, false, Refuse(ErrBadRequest, "the request target must be a path that begins with a slash")
	}
	if len(path) > MaxPath || strings.Count(path, "/") > MaxSegments {
		return nil, false, Refuse(ErrBadRequest, fmt.Sprintf(
			"the path is too long: at most %d bytes and %d segments", MaxPath, MaxSegments))
	}
	path = path[1:]
	if path == "" {
		return nil, true, nil
	}
	segments = make([]string, 0, strings.Count(path, "/")+1)
	for more := true; more; {
		var s string
		s, path, more = strings.Cut(path, "/")
		if s == "" && !more {
			return segments, true, nil
		}
		if s, err = segment(s, escaped); err != nil {
			return segments, false, err
		}
		segments = append(segments, s)
	}
	return segments, false, nil
}

// segment decodes and checks one segment.
func segment(s string, escaped bool) (string, error) {
	if escaped && strings.IndexByte(s, '%') >= 0 {
		decoded, err := url.PathUnescape(s)
		if err != nil {
			return "", Refuse(ErrBadRequest, "the path holds an escape that is not two hex digits")
		}
		s = decoded
	}
	if why := badSegment(s); why != "" {
		return "", Refuse(ErrBadRequest, "the path "+why)
	}
	return s, nil
}

// badSegment says what is wrong with a decoded segment, "" when nothing is.
func badSegment(s string) string {
	if len(s) > MaxSegment {
		return fmt.Sprintf("has a segment of more than %d bytes", MaxSegment)
	}
	plain := true
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c < 0x20 || c == 0x7f:
			return "holds a control character"
		case c == '\\':
			return "holds a backslash"
		case c == '%' && i+2 < len(s) && isHex(s[i+1]) && isHex(s[i+2]):
			return "holds an escape within an escape"
		case c >= utf8.RuneSelf:
			plain = false
		}
	}
	if !plain {
		if why := badRunes(s); why != "" {
			return why
		}
	}
	for more := true; more; {
		var part string
		part, s, more = strings.Cut(s, "/")
		if isDots(part) {
			return "has an empty segment or one of dots only"
		}
	}
	return ""
}

func badRunes(s string) string {
	if !utf8.ValidString(s) {
		return "is not valid UTF-8"
	}
	if strings.ContainsFunc(s, unicode.IsControl) {
		return "holds a control character"
	}
	return ""
}

// isDots reports segments that some reader could take for "" "." or "..":
// also with spaces around the dots, or with a parameter behind them ("..;x").
func isDots(s string) bool {
	if len(s) > 0 && s[0] != '.' && s[0] != ' ' && s[0] != ';' {
		return false
	}
	s, _, _ = strings.Cut(s, ";")
	return strings.Trim(s, ". ") == ""
}

func isHex(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}
