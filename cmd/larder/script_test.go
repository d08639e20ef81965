package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"larder/cmd/bench/process"
)

// TestMain makes this test binary stand in for larder when it is started under
// that name: every story runs the real program as a process of its own, which
// can be killed.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"larder": main, "curl": curl})
}

// TestScript runs the stories of testdata/script: one user's story per file,
// told with the real clients. Nothing they do leaves this machine.
func TestScript(t *testing.T) {
	testscript.Run(t, params(t, "testdata/script"))
}

// TestReal runs the stories of testdata/real against the upstream that this
// machine's own clients are configured with. It needs LARDER_REAL=1, because it
// loads some hundred packages from there.
func TestReal(t *testing.T) {
	if os.Getenv("LARDER_REAL") != "1" {
		t.Log("LARDER_REAL is not 1: the stories that need a network are left to the continuous run")
		return
	}
	p := params(t, "testdata/real")
	registry := ownRegistry(t)
	setup := p.Setup
	p.Setup = func(env *testscript.Env) error {
		for _, name := range []string{"HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "SSL_CERT_FILE", "NODE_EXTRA_CA_CERTS"} {
			env.Setenv(name, os.Getenv(name))
		}
		// The program is to find its upstream as on any machine, though the
		// home of a story has no configuration of the clients.
		env.Setenv(serverRegistry, registry)
		return setup(env)
	}
	testscript.Run(t, p)
}

func params(t *testing.T, dir string) testscript.Params {
	bin := clients(t)
	containerClients(t, bin)
	return testscript.Params{
		Dir:                dir,
		RequireUniqueNames: true,
		Setup:              func(env *testscript.Env) error { return setup(env, bin) },
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"upstream":            cmdUpstream,
			"upstream-add":        cmdUpstreamAdd,
			"upstream-remove":     cmdUpstreamRemove,
			"upstream-fail":       cmdUpstreamFail,
			"upstream-published":  cmdUpstreamPublished,
			"requests":            cmdRequests,
			"requests-reset":      cmdRequestsReset,
			"requests-wait":       cmdRequestsWait,
			"requests-show":       cmdRequestsShow,
			"larder-start":        cmdStart,
			"larder-stop":         cmdStop,
			"larder-kill":         cmdKill,
			"larder-reload":       cmdReload,
			"larder-log":          cmdLog,
			"certificate":         cmdCertificate,
			"npmrc":               cmdNpmrc,
			"clear-client-caches": cmdClearCaches,
			"http":                cmdHTTP,
			"http-hold":           cmdHold,
			"publish-body":        cmdPublishBody,
			"publish-many":        cmdPublishMany,
			"crash-publishes":     cmdCrashPublishes,
			"crash-pushes":        cmdCrashPushes,
			"crash-pulls":         cmdCrashPulls,
			"web-login":           cmdWebLogin,
			"capture":             cmdCapture,
			"accessed":            cmdAccessed,
			"containers":          cmdContainers,
			"containerd-start":    cmdContainerd,
			"docker-start":        cmdDocker,
			"reference":           cmdReference,
			"second-larder":       cmdSecondLarder,
			"conformance":         cmdConformance,
			"oci-upstream":        cmdOCIUpstream,
			"oci-image":           cmdOCIImage,
			"oci-tags":            cmdOCITags,
			"noise":               cmdNoise,
			"json":                cmdJSON,
			"expand":              cmdExpand,
		},
	}
}

// story is what the commands of one script share.
type story struct {
	env       *testscript.Env
	bin       string // folder of clients
	upstreams map[string]scripted
	server    *process.Process
	flags     []string // of the last start, for a restart
	address   string
	beside    []*process.Process // whatever else runs until the story ends
	hosts     []string           // of the registries that speak plain http
	accesses  int                // lines of the access log that were reset
	marks     int                // requests that only mark a place in the log
}

type storyKey struct{}

func storyOf(ts *testscript.TestScript) *story { return ts.Value(storyKey{}).(*story) }

// setup gives a script a home, caches and clients of its own.
func setup(env *testscript.Env, bin string) error {
	s := &story{env: env, bin: bin, upstreams: make(map[string]scripted)}
	env.Values[storyKey{}] = s
	env.Defer(s.close)
	home := filepath.Join(env.WorkDir, "home")
	cache := filepath.Join(env.WorkDir, "client-caches")
	for _, dir := range []string{home, cache} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return fmt.Errorf("prepare a story: %w", err)
		}
	}
	for name, value := range map[string]string{
		"PATH":            bin + string(filepath.ListSeparator) + env.Getenv("PATH"),
		"HOME":            home,
		"XDG_CONFIG_HOME": filepath.Join(home, ".config"),
		"XDG_DATA_HOME":   filepath.Join(cache, "share"), // where pnpm keeps its store
		"XDG_STATE_HOME":  filepath.Join(home, ".local", "state"),
		"XDG_CACHE_HOME":  cache,
		"NO_COLOR":        "1",
		"LARDER_DATA":     filepath.Join(env.WorkDir, "larder-data"),
		// Clients that draw progress or ask for updates make noise, or requests.
		"npm_config_update_notifier": "false",
		"npm_config_fund":            "false",
		"npm_config_progress":        "false",
		"YARN_ENABLE_TELEMETRY":      "0",
		"PNPM_HOME":                  filepath.Join(home, "pnpm"),
	} {
		env.Setenv(name, value)
	}
	return nil
}

// close ends what a script left running, and shows the log of a story that failed.
func (s *story) close() {
	t, ok := s.env.T().(interface{ Failed() bool })
	failed := ok && t.Failed()
	if s.server != nil && failed {
		// Its last access lines are still to be written.
		_ = s.server.Stop(waitLimit)
	} else if s.server != nil {
		// A story may end with a server that has ended already.
		_ = s.server.Kill()
	}
	for _, p := range s.beside {
		// It may have ended by itself.
		_ = p.Kill()
	}
	for _, u := range s.upstreams {
		u.Close()
	}
	if failed {
		log, err := os.ReadFile(filepath.Join(s.env.WorkDir, "larder.log"))
		if err == nil {
			s.env.T().Log("the log of larder, its end:\n" + tail(string(log), 60))
		}
	}
}

func tail(text string, lines int) string {
	all := strings.Split(strings.TrimRight(text, "\n"), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}

// cmdCapture puts the output of the last command, or a field of the answer that
// the last http got, into a variable: capture NAME [FIELD].
func cmdCapture(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg || len(args) < 1 || len(args) > 2, "capture NAME [FIELD]")
	if len(args) == 1 {
		ts.Setenv(args[0], strings.TrimSpace(ts.ReadFile("stdout")))
		return
	}
	for line := range strings.Lines(ts.ReadFile("stderr")) {
		if value, ok := strings.CutPrefix(line, args[1]+": "); ok {
			ts.Setenv(args[0], strings.TrimSpace(value))
			return
		}
	}
	ts.Fatalf("the answer has no field %s", args[1])
}

// cmdExpand puts the values of variables into files, in the place of $NAME:
// expand FILE...
func cmdExpand(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg || len(args) == 0, "expand FILE...")
	for _, name := range args {
		text := os.Expand(ts.ReadFile(name), ts.Getenv)
		ts.Check(os.WriteFile(ts.MkAbs(name), []byte(text), 0o600))
	}
}

func usage(ts *testscript.TestScript, wrong bool, text string) {
	if wrong {
		ts.Fatalf("usage: %s", text)
	}
}
