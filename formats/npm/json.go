package npm

import (
	"bytes"
	"iter"

	"github.com/go-json-experiment/json/jsontext"
)

// This file reads JSON that a decoder has already found valid, without copying
// it. On anything else it ends early, but never reads outside the slice.

// member is one member of a JSON object, as slices of the document.
type member struct {
	key   []byte // the name as written, quotes included
	name  []byte // the name itself
	value []byte
}

// members yields the members of a valid JSON object; none of any other value.
func members(obj []byte) iter.Seq[member] {
	return func(yield func(member) bool) {
		i := skipSpace(obj, 0)
		if i >= len(obj) || obj[i] != '{' {
			return
		}
		for i = skipSpace(obj, i+1); i < len(obj) && obj[i] == '"'; {
			end := skipString(obj, i)
			key := obj[i:end]
			from := skipSpace(obj, end)
			if from < len(obj) && obj[from] == ':' {
				from = skipSpace(obj, from+1)
			}
			i = skipValue(obj, from)
			if !yield(member{key, unquoted(key), obj[from:i]}) {
				return
			}
			if i = skipSpace(obj, i); i < len(obj) && obj[i] == ',' {
				i = skipSpace(obj, i+1)
			}
		}
	}
}

// elements yields the elements of a valid JSON array; none of any other value.
func elements(arr []byte) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		i := skipSpace(arr, 0)
		if i >= len(arr) || arr[i] != '[' {
			return
		}
		for i = skipSpace(arr, i+1); i < len(arr) && arr[i] != ']'; {
			end := skipValue(arr, i)
			if end == i || !yield(arr[i:end]) {
				return
			}
			if i = skipSpace(arr, end); i < len(arr) && arr[i] == ',' {
				i = skipSpace(arr, i+1)
			}
		}
	}
}

// field returns the value of one member, nil if obj has none of that name.
func field(obj []byte, name string) []byte {
	for m := range members(obj) {
		if string(m.name) == name {
			return m.value
		}
	}
	return nil
}

// text returns the value of a JSON string, and whether raw is one.
func text(raw []byte) (string, bool) {
	if len(raw) < 2 || raw[0] != '"' {
		return "", false
	}
	return string(unquoted(raw)), true
}

// textField returns a string member, "" if it is missing or no string.
func textField(obj []byte, name string) string {
	s, _ := text(field(obj, name))
	return s
}

// unquoted returns what a quoted string stands for; without escapes that is a
// slice of raw itself.
func unquoted(raw []byte) []byte {
	if len(raw) < 2 {
		return nil
	}
	if bytes.IndexByte(raw, '\\') < 0 {
		return raw[1 : len(raw)-1]
	}
	// A lone surrogate becomes U+FFFD and is reported as an error: the text is
	// still the best there is.
	s, _ := jsontext.AppendUnquote(nil, raw)
	return s
}

// appendQuoted appends s as a JSON string. Bytes that are no UTF-8 become U+FFFD.
func appendQuoted(dst []byte, s string) []byte {
	dst, _ = jsontext.AppendQuote(dst, s)
	return dst
}

// isObject reports whether a value found by this file is an object.
func isObject(raw []byte) bool { return len(raw) > 0 && raw[0] == '{' }

func skipSpace(b []byte, i int) int {
	for i < len(b) && (b[i] == ' ' || b[i] == '\n' || b[i] == '\t' || b[i] == '\r') {
		i++
	}
	return i
}

// skipString returns the index after the string that begins at i.
func skipString(b []byte, i int) int {
	for i++; i < len(b); {
		n := bytes.IndexByte(b[i:], '"')
		if n < 0 {
			return len(b)
		}
		end := i + n
		slashes := 0
		for end-slashes > i && b[end-slashes-1] == '\\' {
			slashes++
		}
		i = end + 1
		if slashes%2 == 0 {
			return i
		}
	}
	return len(b)
}

// skipValue returns the index after the value that begins at i.
func skipValue(b []byte, i int) int {
	depth := 0
	for i < len(b) {
		switch b[i] {
		case '"':
			i = skipString(b, i)
		case '{', '[':
			depth++
			i++
		case '}', ']':
			if depth == 0 {
				return i
			}
			depth--
			i++
		case ',', ' ', '\n', '\r', '\t':
			if depth == 0 {
				return i
			}
			i++
			continue
		default:
			i++
			if depth == 0 && !scalarEnd(b, i) {
				continue
			}
		}
		if depth == 0 {
			return i
		}
	}
	return len(b)
}

// scalarEnd reports whether a number or literal ends before b[i].
func scalarEnd(b []byte, i int) bool {
	return i >= len(b) || bytes.IndexByte([]byte(",]} \n\r\t:"), b[i]) >= 0
}

// depth returns how deeply objects and arrays are nested in a value.
func depth(raw []byte) int {
	now, most := 0, 0
	for i := 0; i < len(raw); {
		switch raw[i] {
		case '"':
			i = skipString(raw, i)
			continue
		case '{', '[':
			now++
			most = max(most, now)
		case '}', ']':
			now--
		}
		i++
	}
	return most
}
