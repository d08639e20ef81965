package main

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
)

// cmdJSON prints a part of what the last command printed, which becomes the
// output for the next: json .name.other[0].third. A pair of brackets that is empty stands
// for each of a list, a line each. With ! there must be no such part.
func cmdJSON(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, len(args) != 1 || !strings.HasPrefix(args[0], "."), "json .PATH")
	var document any
	ts.Check(json.Unmarshal([]byte(ts.ReadFile("stdout")), &document))
	found, ok := parts(document, strings.Split(strings.ReplaceAll(args[0][1:], "[", ".["), "."))
	if ok == neg {
		ts.Fatalf("%s found: %v", args[0], ok)
	}
	for _, v := range found {
		if text, ok := v.(string); ok {
			fmt.Fprintln(ts.Stdout(), text)
			continue
		}
		fmt.Fprintln(ts.Stdout(), jsonText(v))
	}
}

// parts follows a path; ok says that there is something at every step.
func parts(v any, path []string) (found []any, ok bool) {
	if len(path) == 0 {
		return []any{v}, true
	}
	step, rest := path[0], path[1:]
	if step == "" {
		return parts(v, rest)
	}
	text, index := strings.CutPrefix(strings.TrimSuffix(step, "]"), "[")
	switch v := v.(type) {
	case map[string]any:
		if part, ok := v[step]; ok {
			return parts(part, rest)
		}
	case []any:
		if text == "" && index {
			for _, each := range v {
				part, ok := parts(each, rest)
				if !ok {
					return nil, false
				}
				found = append(found, part...)
			}
			return found, true
		}
		if n, err := strconv.Atoi(text); err == nil && n >= 0 && n < len(v) {
			return parts(v[n], rest)
		}
	}
	return nil, false
}
