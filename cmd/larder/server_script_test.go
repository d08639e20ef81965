package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"larder/cmd/bench/process"
)

// serverRegistry is the variable that holds what the server, and no client, is
// to find as npm's configured registry.
const serverRegistry = "SERVER_NPM_REGISTRY"

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
	p, err := process.Start(process.Options{
		Program: program, Args: append([]string{"serve"}, flags...), Env: environment(ts),
		Dir: ts.MkAbs("."), Log: filepath.Join(ts.Getenv("WORK"), "larder.log"),
	})
	ts.Check(err)
	if err := p.Ready(waitLimit); err != nil {
		if !neg || !errors.Is(err, process.ErrEnded) {
			// It may have ended; that it did not get ready is what counts.
			_ = p.Kill()
			ts.Fatalf("%v", err)
		}
		s.flags = nil
		return
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
	for _, name := range []string{"PATH", "LARDER_TEST_CLOCK_OFFSET", "LARDER_OFFLINE", "LARDER_CACHE_FRESH", "LARDER_CACHE_NEGATIVE"} {
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
	return append(slices.Clone(flags), "--upstream", "npm="+ts.Getenv("NOTHING"), "--upstream", "oci="+ts.Getenv("NOTHING"))
}

func freeAddress(ts *testscript.TestScript) string {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	defer listener.Close()
	return listener.Addr().String()
}

func running(ts *testscript.TestScript) *process.Process {
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
	ts.Check(running(ts).Stop(waitLimit))
}

// cmdKill ends larder as a power cut does: larder-kill.
func cmdKill(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg || len(args) > 0, "larder-kill")
	ts.Check(running(ts).Kill())
}

// cmdLog prints what larder wrote so far: larder-log.
func cmdLog(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg || len(args) > 0, "larder-log")
	fmt.Fprint(ts.Stdout(), ts.ReadFile(filepath.Join(ts.Getenv("WORK"), "larder.log")))
}

// cmdReload sends SIGHUP and waits until the log tells the outcome:
// larder-reload. With ! it must be a refusal.
func cmdReload(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, len(args) > 0, "larder-reload")
	s := storyOf(ts)
	if s.server == nil {
		ts.Fatalf("larder does not run")
	}
	outcomes := func() (taken, refused int) {
		log := ts.ReadFile(filepath.Join(ts.Getenv("WORK"), "larder.log"))
		return strings.Count(log, `"message":"reloaded"`), strings.Count(log, `"message":"reload refused`)
	}
	taken, refused := outcomes()
	ts.Check(syscall.Kill(s.server.ID(), syscall.SIGHUP))
	for end := time.Now().Add(waitLimit); ; time.Sleep(20 * time.Millisecond) {
		switch t, r := outcomes(); {
		case t > taken && !neg, r > refused && neg:
			return
		case t > taken || r > refused || time.Now().After(end):
			ts.Fatalf("the reload ended otherwise, or not at all")
		}
	}
}

// cmdCertificate makes a key pair for this machine's own address: certificate
// NAME writes NAME.crt and NAME.key.
func cmdCertificate(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg || len(args) != 1, "certificate NAME")
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	ts.Check(err)
	form := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: args[0]},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	certificate, err := x509.CreateCertificate(rand.Reader, form, form, &key.PublicKey, key)
	ts.Check(err)
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	ts.Check(err)
	for name, block := range map[string]*pem.Block{
		".crt": {Type: "CERTIFICATE", Bytes: certificate}, ".key": {Type: "PRIVATE KEY", Bytes: secret},
	} {
		ts.Check(os.WriteFile(ts.MkAbs(args[0]+name), pem.EncodeToMemory(block), 0o600))
	}
}
