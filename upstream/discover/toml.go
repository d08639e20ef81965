package discover

import (
	"fmt"
	"strings"
)

// tomlLine is one assignment, or with an empty key the begin of a table.
// Arrays of tables keep one pair of brackets: "[registry]".
type tomlLine struct {
	table, key string
	values     []string // of an array: all; else one
}

// parseTOML reads the part of TOML that registries.conf is written in: tables,
// strings in one line, switches, numbers and arrays of these, comments. What
// it does not understand is an error that names the line; the lines before it count.
func parseTOML(text string) ([]tomlLine, error) {
	var list []tomlLine
	table := ""
	lines := strings.Split(strings.TrimPrefix(text, "\ufeff"), "\n")
	for i := 0; i < len(lines); i++ {
		line, _, err := tomlCode(lines[i])
		if err != nil {
			return list, fmt.Errorf("line %d: %w", i+1, err)
		}
		switch {
		case line == "":
			continue
		case line[0] == '[':
			if !strings.HasSuffix(line, "]") {
				return list, fmt.Errorf("line %d: a table without its end", i+1)
			}
			table = strings.ReplaceAll(line[1:len(line)-1], " ", "")
			list = append(list, tomlLine{table: table})
			continue
		}
		key, value, ok := strings.Cut(line, "=")
		key, value = unquote(strings.TrimSpace(key)), strings.TrimSpace(value)
		if !ok || key == "" || value == "" {
			return list, fmt.Errorf("line %d: neither a table nor key = value", i+1)
		}
		first := i
		for {
			_, depth, _ := tomlCode(value)
			if depth <= 0 {
				break
			}
			if i++; i == len(lines) {
				return list, fmt.Errorf("line %d: an array without its end", first+1)
			}
			more, _, err := tomlCode(lines[i])
			if err != nil {
				return list, fmt.Errorf("line %d: %w", i+1, err)
			}
			value += " " + more
		}
		values, err := tomlValues(value)
		if err != nil {
			return list, fmt.Errorf("line %d: %w", first+1, err)
		}
		list = append(list, tomlLine{table, key, values})
	}
	return list, nil
}

// tomlCode returns a line without its comment, and how many brackets it leaves
// open; what stands in quotes is neither.
func tomlCode(line string) (code string, depth int, err error) {
	var quote byte
	for i := 0; i < len(line); i++ {
		c := line[i]
		switch {
		case quote == '"' && c == '\\':
			i++
		case quote != 0:
			if c == quote {
				quote = 0
			}
		case c == '"' || c == '\'':
			quote = c
		case c == '[':
			depth++
		case c == ']':
			depth--
		case c == '#':
			return strings.TrimSpace(line[:i]), depth, nil
		}
	}
	if quote != 0 {
		return "", 0, fmt.Errorf("a string without its end")
	}
	return strings.TrimSpace(line), depth, nil
}

// tomlValues reads one value, or the values of an array of such.
func tomlValues(s string) ([]string, error) {
	inner, isArray := strings.CutPrefix(s, "[")
	if !isArray {
		v, rest, err := tomlValue(s)
		if err == nil && strings.TrimSpace(rest) != "" {
			err = fmt.Errorf("something follows the value")
		}
		return []string{v}, err
	}
	list := []string{}
	for {
		inner = strings.TrimSpace(inner)
		if rest, end := strings.CutPrefix(inner, "]"); end {
			if strings.TrimSpace(rest) != "" {
				return nil, fmt.Errorf("something follows the array")
			}
			return list, nil
		}
		v, rest, err := tomlValue(inner)
		if err != nil {
			return nil, err
		}
		list = append(list, v)
		inner = strings.TrimSpace(rest)
		if next, comma := strings.CutPrefix(inner, ","); comma {
			inner = next
		} else if !strings.HasPrefix(inner, "]") {
			return nil, fmt.Errorf("an array without commas or without its end")
		}
	}
}

// tomlValue reads one string, switch or number from the front of s.
func tomlValue(s string) (value, rest string, err error) {
	if s == "" {
		return "", "", fmt.Errorf("a value is missing")
	}
	if q := s[0]; q == '\'' || q == '"' {
		for i := 1; i < len(s); i++ {
			switch {
			case s[i] == '\\' && q == '"':
				return "", "", fmt.Errorf("strings with escapes are not understood")
			case s[i] == q:
				return s[1:i], s[i+1:], nil
			}
		}
		return "", "", fmt.Errorf("a string without its end")
	}
	end := strings.IndexAny(s, ",] \t")
	if end < 0 {
		end = len(s)
	}
	if end == 0 || strings.ContainsAny(s[:end], `{}="'[`) {
		return "", "", fmt.Errorf("a value of a kind that is not understood")
	}
	return s[:end], s[end:], nil
}
