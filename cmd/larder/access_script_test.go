package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// cmdAccessed asserts how many requests larder has answered since the story, or
// its last reset, began:
//
//	accessed FIELD=VALUE... N    # in lines of the access log with all those values
//	accessed FIELD=VALUE... N+   # or more
//	accessed reset
//
// A value that ends with * fits whatever begins so.
func cmdAccessed(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg || len(args) == 0, "accessed FIELD=VALUE... N[+], or accessed reset")
	s := storyOf(ts)
	log := s.accessLines(ts)
	if args[0] == "reset" {
		s.accesses = len(log)
		return
	}
	want, fields := args[len(args)-1], args[:len(args)-1]
	n, err := strconv.Atoi(strings.TrimSuffix(want, "+"))
	ts.Check(err)
	log = log[s.accesses:]
	found := 0
	var all strings.Builder
	for _, line := range log {
		if line.fits(ts, fields) {
			found++
		}
		fmt.Fprintf(&all, "\n\t%v %v %v %v: %v", line["method"], line["path"], line["op"], line["status"], line["error"])
	}
	if found == n || found > n && strings.HasSuffix(want, "+") {
		return
	}
	ts.Fatalf("%d requests have %s, want %s; there were:%s", found, strings.Join(fields, " "), want, all.String())
}

// accessLine is one line of the access log.
type accessLine map[string]any

func (l accessLine) fits(ts *testscript.TestScript, fields []string) bool {
	for _, field := range fields {
		name, want, ok := strings.Cut(field, "=")
		if !ok {
			ts.Fatalf("%q is not FIELD=VALUE", field)
		}
		value := ""
		if v, ok := l[name]; ok {
			value = fmt.Sprint(v)
		}
		prefix, begins := strings.CutSuffix(want, "*")
		if value != want && !(begins && strings.HasPrefix(value, prefix)) {
			return false
		}
	}
	return true
}

// accessLines reads the access log. Lines are written in batches, and in the
// order in which answers end: once the line of one more request is there, those
// of all before it are.
func (s *story) accessLines(ts *testscript.TestScript) []accessLine {
	if s.server == nil {
		ts.Fatalf("larder does not run")
	}
	s.marks++
	mark := fmt.Sprintf("story-mark-%d", s.marks)
	q, err := http.NewRequest(http.MethodGet, ts.Getenv("LARDER")+"/healthz", nil)
	ts.Check(err)
	q.Header.Set("X-Request-Id", mark)
	w, err := http.DefaultClient.Do(q)
	ts.Check(err)
	ts.Check(w.Body.Close())
	for end := time.Now().Add(waitLimit); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		data, err := os.ReadFile(filepath.Join(ts.Getenv("WORK"), "larder.log"))
		ts.Check(err)
		if lines, ok := parseAccess(data, mark); ok {
			return lines
		}
	}
	ts.Fatalf("the access line of a request did not come")
	return nil
}

// parseAccess returns the lines of requests, and whether that of the mark is
// among them. Marks are left out.
func parseAccess(data []byte, mark string) (lines []accessLine, ok bool) {
	for text := range bytes.Lines(data) {
		var line accessLine
		if json.Unmarshal(text, &line) != nil || line["method"] == nil {
			continue // something else that larder said, or a line still being written
		}
		id, _ := line["request_id"].(string)
		ok = ok || id == mark
		if !strings.HasPrefix(id, "story-mark-") {
			lines = append(lines, line)
		}
	}
	return lines, ok
}
