package policy

import (
	"errors"
	"fmt"
	"strings"
)

// maxPattern bounds a name pattern, in bytes; no format has longer names that
// anyone would claim.
const maxPattern = 256

// maxStars bounds the wildcards of one pattern, so that matching stays cheap.
const maxStars = 4

// CheckPattern validates a name pattern:
//
//   - any run of characters without a slash
//     /**  at the end: everything below (@acme/**, acme/**)
//     .**  at the end: the name itself and everything below (com.acme.**)
//
// Everything else stands for itself. A pattern that ends in ** holds no other
// wildcard.
func CheckPattern(pattern string) error {
	head, deep := strings.CutSuffix(pattern, "**")
	switch {
	case pattern == "":
		return errors.New("a name pattern is empty")
	case len(pattern) > maxPattern:
		return fmt.Errorf("pattern %.40q… is longer than %d bytes", pattern, maxPattern)
	case strings.HasPrefix(pattern, "pkg:"):
		return fmt.Errorf("pattern %q is a package URL: write the name alone", pattern)
	case strings.ContainsFunc(pattern, notName):
		return fmt.Errorf("pattern %q holds a blank or a character that no name has", pattern)
	case strings.Contains(head, "**"):
		return fmt.Errorf("pattern %q: ** stands only at the end", pattern)
	case deep && head != "" && !strings.HasSuffix(head, "/") && !strings.HasSuffix(head, "."):
		return fmt.Errorf("pattern %q: ** stands only behind / or . (or use a single *)", pattern)
	case deep && strings.Contains(head, "*"):
		return fmt.Errorf("pattern %q: with ** at the end there can be no other *", pattern)
	case strings.Count(pattern, "*") > maxStars:
		return fmt.Errorf("pattern %q holds more than %d wildcards", pattern, maxStars)
	}
	return nil
}

// notName: names are printable and free of blanks, backslashes and of the
// wildcards that other pattern languages know.
func notName(c rune) bool {
	return c <= ' ' || c == 0x7f || strings.ContainsRune("\\?[]{}!\"'", c) || c == '�'
}

// Match reports whether a pattern covers a name. It allocates nothing. A
// pattern that CheckPattern refuses has no defined meaning here.
func Match(pattern, name string) bool {
	head, deep := strings.CutSuffix(pattern, "**")
	if !deep {
		return matchStars(pattern, name)
	}
	if rest, ok := strings.CutPrefix(name, head); ok && rest != "" {
		return true
	}
	base, dotted := strings.CutSuffix(head, ".")
	if !dotted {
		return false
	}
	// A Maven package is named group:artifact, and the pattern means its group.
	rest, ok := strings.CutPrefix(name, base)
	return ok && base != "" && (rest == "" || rest[0] == ':')
}

// matchStars matches with * for any run without a slash. It goes back to the
// last * only: an earlier one that took more could not help, since a later one
// can take the same characters.
func matchStars(pattern, name string) bool {
	p, n := 0, 0
	star, mark := -1, 0
	for n < len(name) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, mark = p, n
			p++
		case p < len(pattern) && pattern[p] == name[n]:
			p++
			n++
		case star >= 0 && name[mark] != '/':
			mark++
			p, n = star+1, mark
		default:
			return false
		}
	}
	for p < len(pattern) && pattern[p] == '*' {
		p++
	}
	return p == len(pattern)
}

// within reports whether every name that inner covers is covered by outer. It
// may say no where the answer is yes, never the other way round.
func within(inner, outer string) bool {
	if inner == outer {
		return true
	}
	// A character that no name holds stands for what a wildcard of inner may
	// take; behind ** that may hold slashes.
	head, deep := strings.CutSuffix(inner, "**")
	sample := strings.ReplaceAll(head, "*", "\x00")
	if !deep {
		return Match(outer, sample)
	}
	if base, dotted := strings.CutSuffix(head, "."); dotted && !Match(outer, base) {
		return false
	}
	return strings.HasSuffix(outer, "**") && Match(outer, sample+"\x00/\x00")
}

// weight orders patterns by how exactly they name something: those without a
// wildcard first, then by the characters that stand for themselves.
func weight(pattern string) int {
	literal := len(pattern) - strings.Count(pattern, "*")
	if literal == len(pattern) {
		return maxPattern + literal
	}
	return literal
}
