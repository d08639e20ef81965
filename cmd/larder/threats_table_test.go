package main

import (
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// threats is how many rows the table has (policy.md section 12).
const threats = 37

// awaited are features that a threat may wait for. A format among them stops to
// count once this program speaks it.
func awaited() []string {
	return []string{"oci", "rubygems", "forward proxy", "webhooks", "trusted publishing"}
}

var (
	threatRow  = regexp.MustCompile(`(?m)^\| (\d+) \|.*\| ([^|]+) \|$`)
	threatFunc = regexp.MustCompile(`(?m)^func (TestThreat(\d\d)\w+)\(`)
	quoted     = regexp.MustCompile("`([^`]+)`")
)

// TestThreatsAreListed holds docs/threats.md against the tests there are.
func TestThreatsAreListed(t *testing.T) {
	text, err := os.ReadFile("../../docs/threats.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, complaint := range threatComplaints(string(text), threatTests(t), formatNames()) {
		t.Error(complaint)
	}
}

// threatTests returns the tests of the whole repository by name, with the
// number in it.
func threatTests(t *testing.T) map[string]int {
	t.Helper()
	found := map[string]int{}
	err := filepath.WalkDir("../..", func(path string, e fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case e.IsDir() && path != "../.." && strings.HasPrefix(e.Name(), "."):
			return fs.SkipDir
		case e.IsDir() || !strings.HasSuffix(path, "_test.go"):
			return nil
		}
		source, err := os.ReadFile(path)
		for _, m := range threatFunc.FindAllStringSubmatch(string(source), -1) {
			found[m[1]], _ = strconv.Atoi(m[2]) // two digits
		}
		return err
	})
	if err != nil || len(found) == 0 {
		t.Fatalf("%d tests of threats: %v", len(found), err)
	}
	return found
}

// threatComplaints says what a table lacks, or has too much.
func threatComplaints(table string, tests map[string]int, formats []string) []string {
	var found []string
	listed, rows := map[string]bool{}, map[int]bool{}
	for _, m := range threatRow.FindAllStringSubmatch(table, -1) {
		number, _ := strconv.Atoi(m[1])
		if rows[number] || number < 1 || number > threats {
			found = append(found, "row "+m[1]+" is there twice, or no threat")
		}
		rows[number] = true
		if feature, waits := strings.CutPrefix(m[2], "waits for "); waits {
			if !slices.Contains(awaited(), feature) || slices.Contains(formats, feature) {
				found = append(found, "row "+m[1]+" waits for "+feature+", which is here or is no feature: it needs a test")
			}
			continue
		}
		names := quoted.FindAllStringSubmatch(m[2], -1)
		if len(names) == 0 {
			found = append(found, "row "+m[1]+" has no test")
		}
		for _, n := range names {
			listed[n[1]] = true
			if of, ok := tests[n[1]]; !ok || of != number {
				found = append(found, "row "+m[1]+" names "+n[1]+", which is not there or of another row")
			}
		}
	}
	for n := range threats {
		if !rows[n+1] {
			found = append(found, "row "+strconv.Itoa(n+1)+" is missing")
		}
	}
	for _, name := range slices.Sorted(maps.Keys(tests)) {
		if !listed[name] {
			found = append(found, name+" is in no row")
		}
	}
	return found
}

// TestThreatComplaints shows that the table can fail.
func TestThreatComplaints(t *testing.T) {
	var rows strings.Builder
	tests := map[string]int{}
	for n := 2; n <= threats; n++ {
		name := "TestThreat" + strconv.Itoa(n)
		rows.WriteString("| " + strconv.Itoa(n) + " | a | b | `" + name + "` |\n")
		tests[name] = n
	}
	tests["TestThreat01X"] = 1
	for row, want := range map[string]string{
		"| 1 | a | b | `TestThreat01X` |": "",
		"":                                "row 1 is missing",
		"| 1 | a | b | none |":            "row 1 has no test",
		"| 1 | a | b | `TestThreat01Y` |": "row 1 names TestThreat01Y",
		"| 1 | a | b | `TestThreat01X` `TestThreat2` |": "row 1 names TestThreat2",
		"| 1 | a | b | waits for npm |":                 "row 1 waits for npm",
		"| 1 | a | b | waits for oci |":                 "TestThreat01X is in no row",
		"| 2 | a | b | `TestThreat01X` |":               "row 2 is there twice",
	} {
		got := strings.Join(threatComplaints(rows.String()+row+"\n", tests, []string{"npm"}), "; ")
		if want == "" && got != "" || !strings.Contains(got, want) {
			t.Errorf("%q: %q, want %q", row, got, want)
		}
	}
	if got := threatComplaints(rows.String()+"| 1 | a | b | waits for oci |\n", map[string]int{}, []string{"npm", "oci"}); !strings.Contains(strings.Join(got, ";"), "row 1 waits for oci") {
		t.Errorf("a format that has come: %q", got)
	}
}
