package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"larder/cmd/bench/process"
)

// verdaccioPackage pins the server that install compares with. The override
// spares it a dependency that is asked for by a tag, which not every upstream has.
const verdaccioPackage = `{"name": "peer", "version": "1.0.0", "private": true,
  "dependencies": {"verdaccio": "6.2.4"},
  "overrides": {"node-fetch-cjs": "npm:node-fetch@2.6.13", "node-fetch": "2.6.13"}}
`

// verdaccio installs and starts verdaccio in front of an upstream.
func (b *bench) verdaccio(ctx context.Context, far string) (*server, error) {
	entry, err := b.installVerdaccio(ctx)
	if err != nil {
		return nil, err
	}
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	home := filepath.Join(b.dir, "verdaccio")
	conf := filepath.Join(home, "config.yaml")
	text := fmt.Sprintf("storage: %[1]s/storage\nauth: {htpasswd: {file: %[1]s/htpasswd}}\nuplinks: {far: {url: %[2]q, maxage: 30m}}\n"+
		"packages: {\"**\": {access: $all, publish: $authenticated, proxy: far}}\nlog: {type: stdout, level: http}\n", home, far)
	if err := errors.Join(os.MkdirAll(home, 0o755), os.WriteFile(conf, []byte(text), 0o644)); err != nil {
		return nil, err
	}
	p, err := process.Start(process.Options{
		Program: "node", Args: []string{entry, "--config", conf, "--listen", address}, Log: filepath.Join(home, "log"),
	})
	if err != nil {
		return nil, err
	}
	s := &server{Process: p, url: "http://" + address}
	return s, s.answering()
}

func (b *bench) installVerdaccio(ctx context.Context) (string, error) {
	dir, err := filepath.Abs(filepath.Join(b.tools, "peer"))
	if err != nil {
		return "", err
	}
	entry := filepath.Join(dir, "node_modules", "verdaccio", "bin", "verdaccio")
	if _, err := os.Stat(entry); err == nil {
		return entry, nil
	}
	if err := errors.Join(os.MkdirAll(dir, 0o755), os.WriteFile(filepath.Join(dir, "package.json"), []byte(verdaccioPackage), 0o644)); err != nil {
		return "", err
	}
	cmd := exec.CommandContext(ctx, "npm", "install", "--prefix", dir, "--no-audit", "--no-fund")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("install verdaccio: %w\n%s", err, out)
	}
	return entry, nil
}
