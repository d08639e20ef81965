package token

import "strings"

// Redact takes tokens out of a text that is to be logged or recorded: whatever
// begins like one, whole or not, keeps its prefix alone. Redacting twice changes
// nothing more.
func Redact(s string) string {
	const begin, end = "ldr", '_'
	for from := 0; ; {
		i := strings.Index(s[from:], begin)
		if i < 0 {
			return s
		}
		start := from + i + prefix
		if start > len(s) {
			return s
		}
		from += i + len(begin)
		if s[start-1] != end || !Kind(s[start-prefix:start-1]).Valid() {
			continue
		}
		stop := start
		for stop < len(s) && partOf(Kind(s[start-prefix:start-1]), s[stop:]) {
			stop++
		}
		if stop > start {
			s = s[:start] + "redacted" + s[stop:]
		}
	}
}

// partOf reports whether a token goes on with the first byte of rest. Those that
// are signed have two parts in base64url, and a dot between them; one at the end
// of a sentence is not theirs.
func partOf(k Kind, rest string) bool {
	switch c := rest[0]; {
	case c == '_' || strings.IndexByte(digits, c) >= 0:
		return true
	case k != Bearer:
		return false
	case c == '.':
		return len(rest) > 1 && rest[1] != '.' && partOf(k, rest[1:])
	default:
		return c == '-'
	}
}
