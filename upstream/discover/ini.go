package discover

import (
	"bufio"
	"bytes"
	"fmt"
	"strings"
)

// setting is one line "key = value" of a file, in its section.
type setting struct{ section, key, value string }

// parseINI reads the lines of npmrc and pip.conf: sections in brackets, values
// after the first of separators, comments with # and ; at the start of a line.
// An indented line continues the value above it where continued is set
// (Python's configparser). Other lines are errors.
func parseINI(data []byte, separators string, continued bool) ([]setting, error) {
	var list []setting
	section := ""
	lines := bufio.NewScanner(bytes.NewReader(bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))))
	lines.Buffer(nil, maxFile)
	for n := 1; lines.Scan(); n++ {
		raw := lines.Text()
		line := strings.TrimSpace(raw)
		switch {
		case line == "" || line[0] == '#' || line[0] == ';':
			continue
		case continued && len(list) > 0 && (raw[0] == ' ' || raw[0] == '\t'):
			list[len(list)-1].value = strings.TrimSpace(list[len(list)-1].value + "\n" + line)
			continue
		case line[0] == '[' && strings.HasSuffix(line, "]"):
			section = strings.TrimSpace(line[1 : len(line)-1])
			continue
		}
		key, value := line, "true" // a bare word is a switch
		if i := strings.IndexAny(line, separators); i >= 0 {
			key, value = strings.TrimSpace(line[:i]), strings.TrimSpace(line[i+1:])
		}
		if key == "" {
			return list, fmt.Errorf("line %d has no key", n)
		}
		list = append(list, setting{section, key, value})
	}
	if err := lines.Err(); err != nil {
		return list, fmt.Errorf("read lines: %w", err)
	}
	return list, nil
}

// unquote takes one pair of quotes away.
func unquote(s string) string {
	if len(s) >= 2 && (s[0] == '"' || s[0] == '\'') && s[len(s)-1] == s[0] {
		return s[1 : len(s)-1]
	}
	return s
}
