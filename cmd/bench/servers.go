package main

import (
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os/exec"
	"strings"
	"time"

	"larder/cmd/bench/process"
)

// startLimit bounds the start of a server, and stopLimit its end.
const (
	startLimit = 2 * time.Minute
	stopLimit  = time.Minute
)

// server is one of the programs compared.
type server struct {
	*process.Process
	url   string         // no slash at the end
	token string         // of the administrator, where there is one
	roots *x509.CertPool // who signed its certificate; nil without TLS
	hit   string         // field that says whether a reply came from a cache; "" for none
}

// answering waits until connections are accepted.
func (s *server) answering() error {
	for end := time.Now().Add(startLimit); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		conn, err := net.Dial("tcp", strings.TrimPrefix(s.url, "http://"))
		if err == nil {
			return conn.Close()
		}
	}
	return errors.Join(fmt.Errorf("%s does not accept connections", s.url), s.end())
}

// end stops a server; one that ended by itself is an error.
func (s *server) end() error { return s.Stop(stopLimit) }

func needed(program string) (string, error) {
	path, err := exec.LookPath(program)
	if err != nil {
		return "", fmt.Errorf("%s is missing: install Debian's package %s", program, program)
	}
	return path, nil
}

func freeAddress() (string, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return listener.Addr().String(), listener.Close()
}
