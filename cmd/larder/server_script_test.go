package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// serverRegistry is the variable that holds what the server, and no client, is
// to find as npm's configured registry.
const serverRegistry = "SERVER_NPM_REGISTRY"

// process is a running larder.
type process struct {
	cmd   *exec.Cmd
	ready chan struct{} // closed by the ready line
	done  chan struct{} // closed when the process has ended
	err   error         // how it ended, valid after done
}

// start runs larder with its output appended to logFile.
func start(program string, env, flags []string, dir, logFile string) (*process, error) {
	log, err := os.OpenFile(logFile, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, fmt.Errorf("start larder: %w", err)
	}
	reader, writer := io.Pipe()
	p := &process{
		cmd:   exec.Command(program, append([]string{"serve"}, flags...)...),
		ready: make(chan struct{}),
		done:  make(chan struct{}),
	}
	p.cmd.Env, p.cmd.Dir = env, dir
	p.cmd.Stdout, p.cmd.Stderr = writer, writer
	if err := p.cmd.Start(); err != nil {
		log.Close()
		return nil, fmt.Errorf("start larder: %w", err)
	}
	var drained sync.WaitGroup
	drained.Go(func() { p.watch(reader, log) })
	go func() {
		p.err = p.cmd.Wait()
		writer.Close()
		drained.Wait()
		log.Close()
		close(p.done)
	}()
	return p, nil
}

// watch copies the output to the log and looks for the ready line.
func (p *process) watch(output io.Reader, log io.Writer) {
	ready, scan := false, bufio.NewScanner(output)
	for scan.Scan() {
		fmt.Fprintln(log, scan.Text())
		var line struct{ Message string }
		if !ready && json.Unmarshal(scan.Bytes(), &line) == nil && line.Message == "ready" {
			ready = true
			close(p.ready)
		}
	}
	// A line too long to scan must not block the program.
	_, _ = io.Copy(log, output)
}

func (p *process) kill() {
	// It may have ended by itself; then there is nothing to kill.
	_ = p.cmd.Process.Kill()
	<-p.done
}

// cmdStart starts larder on a free port, or the one of before, and waits until
// it is ready: larder-start [FLAG]... Without flags those of the last start
// hold. A start without an upstream gets an empty one. It sets $LARDER,
// $LARDER_URL and $ADMIN_TOKEN. With ! the start must fail by itself.
func cmdStart(ts *testscript.TestScript, neg bool, args []string) {
	s := storyOf(ts)
	if s.server != nil {
		ts.Fatalf("larder runs already")
	}
	if len(args) > 0 || s.flags == nil {
		s.flags = withUpstream(ts, args)
	}
	if s.address == "" {
		s.address = freeAddress(ts)
	}
	program, err := exec.LookPath("larder")
	ts.Check(err)
	flags := append([]string{"--listen", s.address, "--data", ts.Getenv("LARDER_DATA")}, s.flags...)
	p, err := start(program, environment(ts), flags, ts.MkAbs("."), filepath.Join(ts.Getenv("WORK"), "larder.log"))
	ts.Check(err)
	select {
	case <-p.ready:
	case <-p.done:
		if !neg {
			ts.Fatalf("larder ended instead of getting ready: %v", p.err)
		}
		s.flags = nil
		return
	case <-time.After(waitLimit):
		p.kill()
		ts.Fatalf("larder did not get ready within %s", waitLimit)
	}
	s.server = p
	if neg {
		ts.Fatalf("larder started, and should not have")
	}
	s.announce(ts)
}

func (s *story) announce(ts *testscript.TestScript) {
	token, err := os.ReadFile(filepath.Join(ts.Getenv("LARDER_DATA"), "admin.token"))
	ts.Check(err)
	ts.Setenv("LARDER", "http://"+s.address)
	ts.Setenv("LARDER_URL", "http://"+s.address)
	ts.Setenv("LARDER_HOST", s.address)
	ts.Setenv("ADMIN_TOKEN", strings.TrimSpace(string(token)))
	ts.Setenv("LARDER_TOKEN", strings.TrimSpace(string(token)))
}

// environment is what the server sees: that of the script, less what is meant
// for the management commands. Of what a script sets itself only the names
// below reach the server.
func environment(ts *testscript.TestScript) []string {
	env := slices.DeleteFunc(slices.Clone(storyOf(ts).env.Vars), func(v string) bool {
		return strings.HasPrefix(v, "LARDER_DATA=")
	})
	for _, name := range []string{"LARDER_TEST_CLOCK_OFFSET", "LARDER_OFFLINE", "LARDER_CACHE_FRESH", "LARDER_CACHE_NEGATIVE"} {
		if value := ts.Getenv(name); value != "" {
			env = append(env, name+"="+value)
		}
	}
	if registry := ts.Getenv(serverRegistry); registry != "" {
		env = append(env, "NPM_CONFIG_REGISTRY="+registry)
	}
	return env
}

// withUpstream adds an upstream that has nothing to flags that name none, so
// that no story asks the one of this machine.
func withUpstream(ts *testscript.TestScript, flags []string) []string {
	for _, f := range flags {
		if slices.Contains([]string{"--upstream", "--config", "--offline", "--discovered"}, strings.SplitN(f, "=", 2)[0]) {
			return slices.DeleteFunc(slices.Clone(flags), func(f string) bool { return f == "--discovered" })
		}
	}
	cmdUpstream(ts, false, []string{"nothing", ts.Getenv("HOME")})
	return append(slices.Clone(flags), "--upstream", "npm="+ts.Getenv("NOTHING"))
}

func freeAddress(ts *testscript.TestScript) string {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	defer listener.Close()
	return listener.Addr().String()
}

func running(ts *testscript.TestScript) *process {
	s := storyOf(ts)
	if s.server == nil {
		ts.Fatalf("larder does not run")
	}
	p := s.server
	s.server = nil
	return p
}

// cmdStop ends larder as an operator does, and wants exit status 0: larder-stop.
func cmdStop(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg || len(args) > 0, "larder-stop")
	p := running(ts)
	ts.Check(p.cmd.Process.Signal(syscall.SIGTERM))
	select {
	case <-p.done:
	case <-time.After(waitLimit):
		p.kill()
		ts.Fatalf("larder did not end within %s of SIGTERM", waitLimit)
	}
	if p.err != nil {
		ts.Fatalf("larder ended with %v", p.err)
	}
}

// cmdKill ends larder as a power cut does: larder-kill.
func cmdKill(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg || len(args) > 0, "larder-kill")
	p := running(ts)
	p.kill()
	var exit *exec.ExitError
	if !errors.As(p.err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
		ts.Fatalf("larder had ended before it was killed: %v", p.err)
	}
}

// cmdLog prints what larder wrote so far: larder-log.
func cmdLog(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg || len(args) > 0, "larder-log")
	fmt.Fprint(ts.Stdout(), ts.ReadFile(filepath.Join(ts.Getenv("WORK"), "larder.log")))
}
