package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"math"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
)

// How many tests there are at least: of everything, and of reading one image.
const (
	conformanceTests = 700
	conformanceReads = 6
)

// conformanceTold is how many lines a story prints of what failed.
const conformanceTold = 80

// cmdConformance runs the protocol's own test against a registry, all of it, or
// what can be read of an image by anybody:
//
//	conformance HOST VERSION [TOKEN]
//	conformance HOST VERSION IMAGE TAG MANIFEST BLOB
//
// It prints what was skipped. Whatever fails, ends in an error or is not run at all
// fails the story. The exit status of the test tells less: it is 0 when the
// test could not begin.
func cmdConformance(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg || len(args) < 2 || len(args) > 3 && len(args) != 6, "conformance HOST VERSION [TOKEN | IMAGE TAG MANIFEST BLOB]")
	ctx, cancel := context.WithTimeout(context.Background(), 2*waitLimit)
	defer cancel()
	program, err := storyOf(ts).program("conformance")
	ts.Check(err)
	cmd := exec.CommandContext(ctx, program)
	cmd.Dir = ts.MkAbs(".")
	cmd.Env = append(environment(ts), "OCI_REGISTRY="+args[0], "OCI_TLS=disabled", "OCI_VERSION="+args[1], "OCI_LOG=error",
		"OCI_REPO1=conformance/one", "OCI_REPO2=conformance/two", "OCI_RESULTS_DIR="+filepath.Join(ts.Getenv("WORK"), "results"))
	atLeast := conformanceTests
	switch len(args) {
	case 3:
		cmd.Env = append(cmd.Env, "OCI_USERNAME=user", "OCI_PASSWORD="+args[2])
	case 6:
		atLeast = conformanceReads
		cmd.Env = append(cmd.Env, "OCI_REPO1="+args[2], "OCI_RO_DATA_TAGS="+args[3], "OCI_RO_DATA_MANIFESTS="+args[4],
			"OCI_RO_DATA_REFERRERS="+args[4], "OCI_RO_DATA_BLOBS="+args[5])
		// Of an image that it has not pushed, the test does not look at the field
		// whose absence it then tells.
		for _, off := range []string{"PUSH", "BLOBS_DELETE", "MANIFESTS_DELETE", "TAGS_DELETE", "MANIFESTS_DIGEST_HEADER"} {
			cmd.Env = append(cmd.Env, "OCI_API_"+off+"=false")
		}
	}
	out, err := cmd.CombinedOutput()
	judgeConformance(ts, atLeast, out, err)
}

var (
	conformanceTotal = regexp.MustCompile(`(?m)^  (Skip|Pass|FAIL|Error|Total)\.*: +(\d+)$`)
	conformanceTest  = regexp.MustCompile(`^ +(\S.*): (Skip|FAIL|Error)$`)
)

// judgeConformance reads what the test printed: a tree of tests with a sentence
// below each that did not pass, and a table of counts.
func judgeConformance(ts *testscript.TestScript, atLeast int, out []byte, ended error) {
	counts := map[string]int{"FAIL": math.MaxInt, "Error": math.MaxInt}
	for _, m := range conformanceTotal.FindAllSubmatch(out, -1) {
		n, err := strconv.Atoi(string(m[2]))
		ts.Check(err)
		counts[string(m[1])] = n
	}
	var bad strings.Builder
	telling := false
	for lines := bufio.NewScanner(bytes.NewReader(out)); lines.Scan(); {
		line := lines.Text()
		m := conformanceTest.FindStringSubmatch(line)
		switch {
		case m != nil && m[2] == "Skip":
			fmt.Fprintln(ts.Stdout(), "skipped: "+m[1])
			telling = false
		case m != nil:
			bad.WriteString("\n" + line)
			telling = true
		case strings.HasPrefix(line, "OCI Conformance Result"):
			telling = false
		case strings.HasSuffix(line, ": Pass") || strings.HasSuffix(line, ": Disabled"):
			telling = false
		case telling:
			bad.WriteString("\n\t" + line)
		}
	}
	if counts["FAIL"] == 0 && counts["Error"] == 0 && counts["Total"] >= atLeast &&
		bytes.Contains(out, []byte("OCI Conformance Result: Pass")) {
		return
	}
	if bad.Len() == 0 {
		bad.WriteString("\n" + tail(string(out), 20))
	}
	told := head(bad.String(), conformanceTold)
	ts.Fatalf("of %d tests %d failed and %d had an error (%v):%s", counts["Total"], counts["FAIL"], counts["Error"], ended, told)
}

func head(text string, lines int) string {
	all := strings.Split(text, "\n")
	return strings.Join(all[:min(lines, len(all))], "\n")
}
