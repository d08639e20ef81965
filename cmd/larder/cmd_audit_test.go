package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"larder/policy/audit"
)

func TestABrokenChainIsAnIntegrityFailure(t *testing.T) {
	cmd, out := &cobra.Command{}, &bytes.Buffer{}
	cmd.SetOut(out)
	report := audit.Report{Records: 6, Fault: &audit.Fault{Seq: 7, Sentence: "record 7: its hash does not fit, so it was edited"}}
	err := auditVerified(cmd, &shared{}, report)
	if exitCode(err) != exitIntegrity || !strings.Contains(err.Error(), "record 7") || !strings.Contains(out.String(), "6") {
		t.Errorf("code %d, %v: %s", exitCode(err), err, out)
	}
	report.Fault = nil
	if err := auditVerified(cmd, &shared{}, report); err != nil {
		t.Error(err)
	}
}

func TestExportsEndInTheirProblem(t *testing.T) {
	out := &bytes.Buffer{}
	err := copyRecords(out, strings.NewReader("{\"seq\":1}\n{\"problem\":{\"status\":500,\"detail\":\"audit record 2 is missing\"}}\n"))
	if err == nil || err.Error() != "audit record 2 is missing" || out.String() != "{\"seq\":1}\n" {
		t.Errorf("%v: %q", err, out)
	}
	if err := copyRecords(out, strings.NewReader("<html>")); err == nil {
		t.Error("a page was taken for records")
	}
}
