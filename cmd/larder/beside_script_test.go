package main

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"larder/cmd/bench/process"
)

// run runs a server until the story ends.
func (s *story) run(ts *testscript.TestScript, name string, args ...string) *process.Process {
	program, err := s.program(args[0])
	ts.Check(err)
	p, err := process.Start(process.Options{
		Program: program, Args: args[1:], Env: environment(ts), Dir: ts.MkAbs("."),
		Log: filepath.Join(ts.Getenv("WORK"), name+".log"),
	})
	ts.Check(err)
	s.beside = append(s.beside, p)
	return p
}

// program finds a client or a server as scripts do.
func (s *story) program(name string) (string, error) {
	if own := filepath.Join(s.bin, name); exists(own) {
		return own, nil
	}
	return exec.LookPath(name)
}

func exists(name string) bool {
	_, err := os.Stat(name)
	return err == nil
}

// answering waits until somebody listens at an address.
func answering(ts *testscript.TestScript, network, address string) {
	for end := time.Now().Add(waitLimit); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		conn, err := net.Dial(network, address)
		if err == nil {
			ts.Check(conn.Close())
			return
		}
	}
	ts.Fatalf("nobody listens at %s", address)
}

// cmdReference starts the reference registry, empty and open: reference NAME
// sets $NAME, in upper case, to its URL and $NAME_HOST to its host.
func cmdReference(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg || len(args) != 1, "reference NAME")
	s, name, address := storyOf(ts), args[0], freeAddress(ts)
	folder := filepath.Join(ts.Getenv("WORK"), name)
	config := jsonText(map[string]any{
		"version": 0.1,
		"log":     map[string]any{"level": "error", "accesslog": map[string]any{"disabled": true}},
		"storage": map[string]any{"filesystem": map[string]any{"rootdirectory": folder}, "delete": map[string]any{"enabled": true}},
		"http":    map[string]any{"addr": address},
	})
	ts.Check(os.WriteFile(folder+".yml", []byte(config), 0o600))
	s.run(ts, name, "registry", "serve", folder+".yml")
	answering(ts, "tcp", address)
	s.announceHost(ts, name, address)
}

// announceHost sets the variables of a registry that runs beside larder.
func (s *story) announceHost(ts *testscript.TestScript, name, address string) {
	s.hosts = append(s.hosts, address)
	ts.Setenv(strings.ToUpper(name), "http://"+address)
	ts.Setenv(strings.ToUpper(name)+"_HOST", address)
}

// cmdSecondLarder starts one more larder with data of its own: second-larder NAME [FLAG]...
// sets $NAME, $NAME_HOST and $NAME_TOKEN, the token of its administrator.
func cmdSecondLarder(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg || len(args) < 1, "second-larder NAME [FLAG]...")
	s, name, address := storyOf(ts), args[0], freeAddress(ts)
	folder := filepath.Join(ts.Getenv("WORK"), name)
	flags := append([]string{"larder", "serve", "--listen", address, "--data", folder}, withUpstream(ts, args[1:])...)
	ts.Check(s.run(ts, name, flags...).Ready(waitLimit))
	token, err := os.ReadFile(filepath.Join(folder, "admin.token"))
	ts.Check(err)
	s.announceHost(ts, name, address)
	ts.Setenv(strings.ToUpper(name)+"_TOKEN", strings.TrimSpace(string(token)))
}

// cmdContainerd starts containerd with all it keeps below the story's folder:
// containerd-start sets $CONTAINERD_ADDRESS, which ctr looks for, and
// $HOSTS, the folder of the hosts that "containers" wrote.
func cmdContainerd(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg || len(args) > 0, "containerd-start")
	s, work := storyOf(ts), ts.Getenv("WORK")
	folder := filepath.Join(work, "containerd")
	// The name of a socket may be hundred characters long, and folders of tests
	// are deep.
	short, err := os.MkdirTemp("/tmp", "ctr")
	ts.Check(err)
	ts.Defer(func() { ts.Check(os.RemoveAll(short)) })
	socket := filepath.Join(short, "s")
	config := fmt.Sprintf(`version = 2
root = %q
state = %q
disabled_plugins = [
  "io.containerd.grpc.v1.cri", "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.zfs",
  "io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.overlayfs",
]
[grpc]
address = %q
[plugins."io.containerd.internal.v1.opt"]
path = %q
`, filepath.Join(folder, "root"), filepath.Join(folder, "state"), socket, filepath.Join(folder, "opt"))
	ts.Check(os.MkdirAll(folder, 0o700))
	ts.Check(os.WriteFile(filepath.Join(folder, "config.toml"), []byte(config), 0o600))
	s.run(ts, "containerd", "containerd", "--config", filepath.Join(folder, "config.toml"))
	answering(ts, "unix", socket)
	ts.Setenv("CONTAINERD_ADDRESS", socket)
	ts.Setenv("HOSTS", filepath.Join(work, "hosts"))
}

// cmdDocker starts the daemon of docker with all it keeps below the story's
// folder: docker-start [MIRROR] sets $DOCKER_HOST, which docker looks for. MIRROR
// is the URL that it asks first for what names no host.
func cmdDocker(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg || len(args) > 1, "docker-start [MIRROR]")
	s, folder := storyOf(ts), filepath.Join(ts.Getenv("WORK"), "dockerd")
	ts.Check(os.MkdirAll(folder, 0o700))
	config := filepath.Join(folder, "daemon.json")
	ts.Check(os.WriteFile(config, []byte(jsonText(map[string]any{"registry-mirrors": args})), 0o600))
	short, err := os.MkdirTemp("/tmp", "dkr") // as for containerd
	ts.Check(err)
	ts.Defer(func() { ts.Check(os.RemoveAll(short)) })
	socket := filepath.Join(short, "s")
	s.run(ts, "dockerd", "dockerd", "--config-file", config, "--data-root", filepath.Join(folder, "root"),
		"--exec-root", short, "--pidfile", filepath.Join(folder, "pid"), "--host", "unix://"+socket,
		"--storage-driver", "vfs", "--bridge", "none", "--iptables=false")
	answering(ts, "unix", socket)
	ts.Setenv("DOCKER_HOST", "unix://"+socket)
	ts.Setenv("DOCKER_CONFIG", filepath.Join(folder, "client"))
}
