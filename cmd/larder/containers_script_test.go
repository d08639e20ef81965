package main

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// containerClients links the clients of containers that ./.ci/test builds into a
// folder of commands, and looks for those that it takes from the system.
func containerClients(t *testing.T, bin string) {
	t.Helper()
	for _, name := range []string{"podman", "skopeo", "buildah", "containerd", "ctr"} {
		if _, err := exec.LookPath(name); err != nil {
			t.Fatalf("the stories need %s, which ./.ci/test installs: %v", name, err)
		}
	}
	for _, name := range []string{"crane", "regctl", "helm", "docker", "dockerd", "registry", "conformance"} {
		program, err := filepath.Abs(filepath.Join("../../.tools/bin", name))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(program); err != nil {
			t.Fatalf("the stories need %s, which ./.ci/test installs: %v", name, err)
		}
		if err := os.Symlink(program, filepath.Join(bin, name)); err != nil {
			t.Fatal(err)
		}
	}
}

// pair is a host and what goes with it.
type pair struct{ host, value string }

// cmdContainers points all clients of containers at the registries that the
// story has started, which speak plain http:
//
//	containers [-login HOST TOKEN]... [-mirror HOST PLACE]... [TOKEN]
//
// TOKEN is for larder; without one the clients are anonymous there. A mirror is
// what is asked in the place of a host, such as "$LARDER_HOST/mirror/far". All
// that the clients keep is below the story's folder.
func cmdContainers(ts *testscript.TestScript, neg bool, args []string) {
	const form = "containers [-login HOST TOKEN]... [-mirror HOST PLACE]... [TOKEN]"
	var logins, mirrors []pair
	for len(args) >= 3 && strings.HasPrefix(args[0], "-") {
		switch args[0] {
		case "-login":
			logins = append(logins, pair{args[1], args[2]})
		case "-mirror":
			mirrors = append(mirrors, pair{args[1], args[2]})
		default:
			ts.Fatalf("usage: %s", form)
		}
		args = args[3:]
	}
	usage(ts, neg || len(args) > 1, form)
	if len(args) == 1 {
		logins = append(logins, pair{ts.Getenv("LARDER_HOST"), args[0]})
	}
	s, work := storyOf(ts), ts.Getenv("WORK")
	hosts := s.hosts
	if s.address != "" {
		hosts = append([]string{s.address}, hosts...)
	}
	files := clientFiles(work, hosts, logins, mirrors)
	for name, text := range files {
		ts.Check(os.MkdirAll(filepath.Dir(name), 0o700))
		ts.Check(os.WriteFile(name, []byte(text), 0o600))
	}
	ts.Check(os.MkdirAll(filepath.Join(work, "run"), 0o700))
	for name, value := range map[string]string{
		"XDG_RUNTIME_DIR":         "run",
		"CONTAINERS_STORAGE_CONF": "storage.conf",
		"CONTAINERS_CONF":         "containers.conf",
		"REGISTRY_AUTH_FILE":      "docker/config.json",
		"DOCKER_CONFIG":           "docker",
		"REGCTL_CONFIG":           "regctl.json",
	} {
		ts.Setenv(name, filepath.Join(work, filepath.FromSlash(value)))
	}
}

// clientFiles are the settings of podman, skopeo, buildah, crane, regctl and
// containerd, by the name of their file.
func clientFiles(work string, hosts []string, logins, mirrors []pair) map[string]string {
	auths, known := map[string]any{}, map[string]any{}
	for _, l := range logins {
		auths[l.host] = map[string]string{"auth": base64.StdEncoding.EncodeToString([]byte("user:" + l.value))}
	}
	registries := []string{`short-name-mode="disabled"`}
	for _, h := range hosts {
		known[h] = map[string]any{"tls": "disabled", "hostname": h, "reqConcurrent": 3}
		registries = append(registries, "[[registry]]", fmt.Sprintf("location=%q", h), "insecure=true")
	}
	files := map[string]string{}
	for _, m := range mirrors {
		registries = append(registries, "[[registry]]", fmt.Sprintf("prefix=%q", m.host), fmt.Sprintf("location=%q", m.host),
			"[[registry.mirror]]", fmt.Sprintf("location=%q", m.value), "insecure=true")
		host, place, _ := strings.Cut(m.value, "/")
		// With a path the client takes the address as it is; without, it adds ns=.
		lines := []string{fmt.Sprintf("[host.%q]", "http://"+host), `capabilities=["pull","resolve"]`}
		if place != "" {
			lines = []string{fmt.Sprintf("[host.%q]", "http://"+host+"/v2/"+place), `capabilities=["pull","resolve"]`, "override_path=true"}
		}
		files[filepath.Join(work, "hosts", m.host, "hosts.toml")] = strings.Join(lines, "\n") + "\n"
	}
	for name, text := range map[string]string{
		"docker/config.json": jsonText(map[string]any{"auths": auths}),
		"regctl.json":        jsonText(map[string]any{"hosts": known}),
		"home/.config/containers/registries.conf": strings.Join(registries, "\n") + "\n",
		"storage.conf": fmt.Sprintf("[storage]\ndriver=\"vfs\"\ngraphroot=%q\nrunroot=%q\n",
			filepath.Join(work, "graph"), filepath.Join(work, "run", "containers")),
		"containers.conf": fmt.Sprintf("[engine]\nevents_logger=\"none\"\ncgroup_manager=\"cgroupfs\"\nlock_type=\"file\"\ntmp_dir=%q\n[network]\nnetwork_config_dir=%q\n",
			filepath.Join(work, "run", "libpod"), filepath.Join(work, "networks")),
	} {
		files[filepath.Join(work, filepath.FromSlash(name))] = text
	}
	return files
}

func jsonText(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err) // maps of strings can be encoded
	}
	return string(text)
}
