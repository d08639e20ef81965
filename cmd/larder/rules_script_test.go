package main

import (
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// cmdUpstreamPublished dates a version: upstream-published NAME PACKAGE VERSION AGE,
// where the age is a duration such as 48h.
func cmdUpstreamPublished(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg || len(args) != 4, "upstream-published NAME PACKAGE VERSION AGE")
	age, err := time.ParseDuration(args[3])
	ts.Check(err)
	ts.Check(npmUpstream(ts, args[0]).Published(args[1], args[2], time.Now().Add(-age)))
}
