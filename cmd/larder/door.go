package main

import (
	"errors"
	"fmt"
	"net"
	"syscall"

	"larder/cmd/larder/config"
	"larder/proxy"
)

// door is where clients come in.
type door struct {
	listener    net.Listener
	certificate *proxy.Certificate // nil: plain http
}

// openDoor reads the certificate and takes the address.
func openDoor(cfg *config.Loaded) (*door, error) {
	certificate, err := loadCertificate(cfg)
	if err != nil {
		return nil, err
	}
	listener, err := net.Listen("tcp", cfg.Listen)
	if err != nil {
		return nil, cannotListen(cfg.Listen, err)
	}
	return &door{listener, certificate}, nil
}

// loadCertificate returns nil where none is configured.
func loadCertificate(cfg *config.Loaded) (*proxy.Certificate, error) {
	if cfg.TLS.Cert == "" {
		return nil, nil
	}
	c, err := proxy.LoadCertificate(cfg.TLS.Cert, cfg.TLS.Key)
	if err != nil {
		return nil, usageError{err}
	}
	return c, nil
}

// cannotListen says why an address cannot be taken, and what to do.
func cannotListen(address string, err error) error {
	advice := "choose another address with --listen"
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		advice = "end the program that listens there (another larder?), or " + advice
	case errors.Is(err, syscall.EACCES):
		advice = "ports below 1024 take a right that this user lacks: " + advice
	}
	var op *net.OpError
	if errors.As(err, &op) {
		err = op.Err // without the address once more
	}
	return fmt.Errorf("cannot listen on %s: %w; %s", address, err, advice)
}
