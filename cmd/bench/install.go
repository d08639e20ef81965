package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// project is what install installs: some five hundred packages in all.
const project = `{"name": "project", "version": "1.0.0", "private": true, "dependencies": {
  "eslint": "10.15.0", "express": "5.3.0", "jest": "30.5.2", "prettier": "3.10.1",
  "webpack": "5.112.2", "webpack-cli": "7.3.1"}}
`

// install times a real project, always with an empty client cache: directly, and
// through two servers that hold nothing of it (cold) and all of it (warm).
func install(ctx context.Context, b *bench) error {
	if _, err := needed("npm"); err != nil {
		return err
	}
	out, err := exec.CommandContext(ctx, "npm", "config", "get", "registry").Output()
	if err != nil {
		return fmt.Errorf("ask npm for its registry: %w", err)
	}
	far := strings.TrimSuffix(strings.TrimSpace(string(out)), "/")
	ours, err := b.larder(filepath.Join(b.dir, "install"), far)
	if err != nil {
		return err
	}
	peer, err := b.verdaccio(ctx, far)
	if err != nil {
		return errors.Join(err, ours.end())
	}
	rows, err := b.installs(ctx, far, ours.url+"/npm/", peer.url+"/")
	table(b.out, "npm install, empty client cache | time | against direct, line", rows)
	return errors.Join(err, ours.end(), peer.Kill())
}

func (b *bench) installs(ctx context.Context, far, ours, peer string) ([][]string, error) {
	type run struct {
		name, registry string
		rounds         int
	}
	var rows [][]string
	var direct time.Duration
	lines := map[string]float64{"larder, cold": 1.25, "larder, warm": 1}
	for _, r := range []run{
		{"direct", far, b.rounds},
		{"larder, cold", ours, 1},
		{"larder, warm", ours, b.rounds},
		{"verdaccio, cold", peer, 1},
		{"verdaccio, warm", peer, b.rounds},
	} {
		var took []time.Duration
		for range r.rounds {
			one, err := b.npmInstall(ctx, r.registry)
			if err != nil {
				return rows, fmt.Errorf("%s: %w", r.name, err)
			}
			took = append(took, one)
		}
		if r.registry == far {
			direct = median(took)
		}
		against := over(median(took), direct)
		rows = append(rows, []string{r.name, fmt.Sprintf("%.1f s", median(took).Seconds()), ratio(against) + b.most(against, lines[r.name])})
	}
	return rows, nil
}

// npmInstall installs the project into a new folder with a new cache.
func (b *bench) npmInstall(ctx context.Context, registry string) (time.Duration, error) {
	dir, err := os.MkdirTemp(b.dir, "project-")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(dir)
	if err := os.WriteFile(filepath.Join(dir, "package.json"), []byte(project), 0o644); err != nil {
		return 0, err
	}
	cmd := exec.CommandContext(ctx, "npm", "install", "--ignore-scripts", "--no-audit", "--no-fund",
		"--registry", registry, "--cache", filepath.Join(dir, "cache"))
	cmd.Dir = dir
	begin := time.Now()
	if out, err := cmd.CombinedOutput(); err != nil {
		return 0, fmt.Errorf("npm install: %w\n%s", err, out)
	}
	return time.Since(begin), nil
}
