package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"larder/cmd/bench/process"
)

// logEnd is how much of a log, in bytes, tells why a server does not start.
const logEnd = 2 << 10

// larder starts larder over a data folder, with an npm upstream; env are
// settings as NAME=value.
func (b *bench) larder(data, upstream string, env ...string) (*server, error) {
	return b.serving(data, []string{"--upstream", "npm=" + upstream}, env)
}

// alone starts larder over a data folder with a configuration file, and no
// upstream unless the file names one.
func (b *bench) alone(data, file string) (*server, error) {
	return b.serving(data, []string{"--config", file}, nil)
}

func (b *bench) serving(data string, flags, env []string) (*server, error) {
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	p, err := process.Start(process.Options{
		Program: b.program,
		Args:    append([]string{"serve", "--listen", address, "--data", data}, flags...),
		Env:     append(os.Environ(), env...),
		Log:     filepath.Join(b.dir, "larder.log"),
	})
	if err != nil {
		return nil, err
	}
	s := &server{Process: p, url: "http://" + address, hit: "X-Cache"}
	if err := p.Ready(startLimit); err != nil {
		log, _ := os.ReadFile(filepath.Join(b.dir, "larder.log")) // what there is of it
		return nil, errors.Join(fmt.Errorf("%w\n%s", err, log[max(0, len(log)-logEnd):]), s.end())
	}
	token, err := os.ReadFile(filepath.Join(data, "admin.token"))
	if err != nil {
		return nil, errors.Join(err, s.end())
	}
	s.token = strings.TrimSpace(string(token))
	return s, nil
}

// larderTLS is larder with a certificate.
func (b *bench) larderTLS(data, upstream string, pair certificate) (*server, error) {
	s, err := b.larder(data, upstream, "LARDER_TLS_CERT="+pair.file, "LARDER_TLS_KEY="+pair.key)
	if err != nil {
		return nil, err
	}
	s.url, s.roots = strings.Replace(s.url, "http:", "https:", 1), pair.roots
	return s, nil
}
