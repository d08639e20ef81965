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
		for stop < len(s) && (s[stop] == end || strings.IndexByte(digits, s[stop]) >= 0) {
			stop++
		}
		if stop > start {
			s = s[:start] + "redacted" + s[stop:]
		}
	}
}
