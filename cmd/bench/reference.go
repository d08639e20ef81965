package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"larder/cmd/bench/process"
)

// reference starts the reference registry of containers over a data folder,
// empty and open; it mirrors an upstream where one is named. ".ci/test install"
// installs it.
func (b *bench) reference(data, upstream string) (*server, error) {
	program, err := filepath.Abs(filepath.Join(b.tools, "bin", "registry"))
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(program); err != nil {
		return nil, fmt.Errorf("the reference registry is missing, .ci/test install installs it: %w", err)
	}
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	settings := map[string]any{
		"version": 0.1,
		"log":     map[string]any{"level": "error", "accesslog": map[string]any{"disabled": true}},
		"storage": map[string]any{"filesystem": map[string]any{"rootdirectory": data}, "delete": map[string]any{"enabled": true}},
		"http":    map[string]any{"addr": address, "draintimeout": "10s"}, // without, it ends by the signal
	}
	if upstream != "" {
		settings["proxy"] = map[string]any{"remoteurl": upstream}
	}
	config, err := json.Marshal(settings)
	file := data + ".yml"
	if err := errors.Join(err, os.WriteFile(file, config, 0o600)); err != nil {
		return nil, err
	}
	p, err := process.Start(process.Options{Program: program, Args: []string{"serve", file}, Log: data + ".log"})
	if err != nil {
		return nil, err
	}
	s := &server{Process: p, url: "http://" + address}
	return s, s.answering()
}
