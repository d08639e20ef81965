package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// clients puts one command per package client into a folder and returns it.
// They are where ./.ci/test installs them; npm is the one on the PATH.
func clients(t *testing.T) string {
	t.Helper()
	for _, tool := range []string{"node", "npm"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Fatalf("the stories need %s: install Node.js, then run ./.ci/test", tool)
		}
	}
	modules, err := filepath.Abs("../../.tools/clients/node_modules")
	if err != nil {
		t.Fatal(err)
	}
	bin := t.TempDir()
	for name, entry := range map[string]string{
		"yarn1":  "yarn1/bin/yarn.js",
		"berry":  "berry/bin/yarn.js",
		"pnpm10": "pnpm10/bin/pnpm.cjs",
		"pnpm12": "pnpm12/bin/pnpm.mjs",
	} {
		entry = filepath.Join(modules, entry)
		if _, err := os.Stat(entry); err != nil {
			t.Fatalf("the stories need %s, which ./.ci/test installs: %v", name, err)
		}
		script := fmt.Sprintf("#!/bin/sh\nexec node '%s' \"$@\"\n", entry)
		if err := os.WriteFile(filepath.Join(bin, name), []byte(script), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return bin
}

// ownRegistry returns the registry that npm uses on this machine.
func ownRegistry(t *testing.T) string {
	t.Helper()
	out, err := exec.Command("npm", "config", "get", "registry").Output()
	if err != nil {
		t.Fatalf("ask npm for its registry: %v", err)
	}
	return strings.TrimSpace(string(out))
}

// cmdNpmrc points every client at larder: npmrc [-at PATH] [TOKEN]. PATH is
// /npm/ by default; without a token the clients are anonymous.
func cmdNpmrc(ts *testscript.TestScript, neg bool, args []string) {
	at := "/npm/"
	if len(args) >= 2 && args[0] == "-at" {
		at, args = args[1], args[2:]
	}
	usage(ts, neg || len(args) > 1, "npmrc [-at PATH] [TOKEN]")
	token := ""
	if len(args) == 1 {
		token = args[0]
	}
	registry := ts.Getenv("LARDER") + at
	pointClients(ts, registry, token)
}

func pointClients(ts *testscript.TestScript, registry, token string) {
	caches := ts.Getenv("XDG_CACHE_HOME")
	npmrc := []string{
		"registry=" + registry,
		"cache=" + filepath.Join(caches, "npm"),
		"fetch-retries=1",
		"fetch-retry-mintimeout=100",
		"fetch-retry-maxtimeout=500",
	}
	yarn1 := []string{
		fmt.Sprintf("registry %q", registry),
		fmt.Sprintf("cache-folder %q", filepath.Join(caches, "yarn1")),
		"disable-self-update-check true",
	}
	berry := []string{
		fmt.Sprintf("npmRegistryServer: %q", strings.TrimSuffix(registry, "/")),
		"unsafeHttpWhitelist: [127.0.0.1]",
		fmt.Sprintf("globalFolder: %q", filepath.Join(caches, "berry")),
		"enableTelemetry: false",
		"enableGlobalCache: true",
		"nodeLinker: node-modules",
		"httpRetry: 1",
	}
	if token != "" {
		_, bare, _ := strings.Cut(registry, ":")
		npmrc = append(npmrc, bare+":_authToken="+token)
		berry = append(berry, fmt.Sprintf("npmAuthToken: %q", token), "npmAlwaysAuth: true")
	}
	for name, lines := range map[string][]string{".npmrc": npmrc, ".yarnrc": yarn1, ".yarnrc.yml": berry} {
		text := strings.Join(lines, "\n") + "\n"
		ts.Check(os.WriteFile(filepath.Join(ts.Getenv("HOME"), name), []byte(text), 0o600))
	}
}

// cmdClearCaches makes every client forget what it downloaded: clear-client-caches.
func cmdClearCaches(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg || len(args) > 0, "clear-client-caches")
	caches := ts.Getenv("XDG_CACHE_HOME")
	ts.Check(os.RemoveAll(caches))
	ts.Check(os.MkdirAll(caches, 0o755))
}
