package main

import (
	"encoding/json"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"larder/upstream/upstreamtest/faulty"
	"larder/upstream/upstreamtest/npmtest"
)

// waitLimit bounds every wait for something that a script says will happen.
const waitLimit = 60 * time.Second

// cmdUpstream starts a scripted npm upstream: upstream NAME [DIR]. It serves
// the packages below DIR ("upstream" by default, which may be missing) and sets
// $NAME, in upper case, to its URL.
func cmdUpstream(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg || len(args) < 1 || len(args) > 2, "upstream NAME [DIR]")
	s, dir := storyOf(ts), "upstream"
	if len(args) == 2 {
		dir = args[1]
	}
	r, err := npmtest.Start()
	ts.Check(err)
	s.upstreams[args[0]] = r
	ts.Setenv(strings.ToUpper(args[0]), r.URL)
	if _, err := os.Stat(ts.MkAbs(dir)); err == nil || len(args) == 2 {
		ts.Check(r.AddFS(os.DirFS(ts.MkAbs(dir))))
	}
}

// cmdUpstreamAdd adds the packages of another folder: upstream-add NAME DIR.
func cmdUpstreamAdd(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg || len(args) != 2, "upstream-add NAME DIR")
	ts.Check(npmUpstream(ts, args[0]).AddFS(os.DirFS(ts.MkAbs(args[1]))))
}

// cmdUpstreamRemove removes a version or a package: upstream-remove NAME PACKAGE [VERSION].
func cmdUpstreamRemove(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg || len(args) < 2 || len(args) > 3, "upstream-remove NAME PACKAGE [VERSION]")
	npmUpstream(ts, args[0]).Remove(args[1], append(args, "")[2])
}

// scripted is an upstream of any protocol, which a script can ask what it saw
// and tell how to misbehave.
type scripted interface {
	Log(prefix string) []faulty.Request
	Forget()
	Fail(faulty.Fault)
	Heal()
	Down()
	Up() error
	Close()
}

func upstreamOf(ts *testscript.TestScript, name string) scripted {
	r := storyOf(ts).upstreams[name]
	if r == nil {
		ts.Fatalf("no upstream %q was started", name)
	}
	return r
}

func npmUpstream(ts *testscript.TestScript, name string) *npmtest.Registry {
	r, ok := upstreamOf(ts, name).(*npmtest.Registry)
	if !ok {
		ts.Fatalf("the upstream %q is none of npm", name)
	}
	return r
}

// cmdUpstreamFail makes an upstream of any kind misbehave, everywhere or below a path:
//
//	upstream-fail NAME status=500|cut|stall|wrong|slow=30s [PREFIX]
//	upstream-fail NAME down    # refuses connections
//	upstream-fail NAME up      # well again, and listening
func cmdUpstreamFail(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg || len(args) < 2 || len(args) > 3, "upstream-fail NAME status=N|cut|stall|wrong|slow=D|down|up [PREFIX]")
	r := upstreamOf(ts, args[0])
	f := faulty.Fault{}
	if len(args) == 3 {
		f.Prefix = args[2]
	}
	kind, value, _ := strings.Cut(args[1], "=")
	var err error
	switch kind {
	case "down":
		r.Down()
		return
	case "up":
		r.Heal()
		ts.Check(r.Up())
		return
	case "status":
		f.Status, err = strconv.Atoi(value)
	case "slow":
		f.Delay, err = time.ParseDuration(value)
	case "cut":
		f.Cut = true
	case "stall":
		f.Stall = true
	case "wrong":
		f.Wrong = true
	default:
		ts.Fatalf("unknown failure %q", args[1])
	}
	ts.Check(err)
	r.Fail(f)
}

// cmdRequests asserts how many requests for paths with a prefix reached an
// upstream: requests NAME PREFIX N. With a + behind N more are as good.
func cmdRequests(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg || len(args) != 3, "requests NAME PREFIX N[+]")
	n, err := strconv.Atoi(strings.TrimSuffix(args[2], "+"))
	ts.Check(err)
	log := upstreamOf(ts, args[0]).Log(args[1])
	if len(log) == n || len(log) > n && strings.HasSuffix(args[2], "+") {
		return
	}
	ts.Fatalf("%s got %d requests below %s, want %s:%s", args[0], len(log), args[1], args[2], lines(log))
}

func lines(log []faulty.Request) string {
	var b strings.Builder
	for _, q := range log {
		b.WriteString("\n\t" + q.Method + " " + q.Path)
	}
	return b.String()
}

// cmdRequestsReset forgets the requests so far: requests-reset NAME.
func cmdRequestsReset(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg || len(args) != 1, "requests-reset NAME")
	upstreamOf(ts, args[0]).Forget()
}

// cmdRequestsWait waits until at least N requests arrived: requests-wait NAME PREFIX N.
func cmdRequestsWait(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg || len(args) != 3, "requests-wait NAME PREFIX N")
	n, err := strconv.Atoi(args[2])
	ts.Check(err)
	for end := time.Now().Add(waitLimit); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if len(upstreamOf(ts, args[0]).Log(args[1])) >= n {
			return
		}
	}
	ts.Fatalf("%s did not get %d requests below %s", args[0], n, args[1])
}

// cmdRequestsShow prints the requests below a prefix, one JSON object a line
// with method, path, header and body: requests-show NAME PREFIX.
func cmdRequestsShow(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg || len(args) != 2, "requests-show NAME PREFIX")
	out := json.NewEncoder(ts.Stdout())
	out.SetEscapeHTML(false)
	for _, q := range upstreamOf(ts, args[0]).Log(args[1]) {
		ts.Check(out.Encode(map[string]any{"method": q.Method, "path": q.Path, "header": q.Header, "body": string(q.Body)}))
	}
}
