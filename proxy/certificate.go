package proxy

import (
	"crypto/tls"
	"fmt"
	"sync/atomic"
)

// Certificate is a key pair from two PEM files that can be read again while
// connections are served.
type Certificate struct {
	certFile, keyFile string
	current           atomic.Pointer[tls.Certificate]
}

// LoadCertificate reads the pair.
func LoadCertificate(certFile, keyFile string) (*Certificate, error) {
	c := &Certificate{certFile: certFile, keyFile: keyFile}
	if err := c.Reload(); err != nil {
		return nil, err
	}
	return c, nil
}

// Reload reads the files again. On an error the pair in use stays.
func (c *Certificate) Reload() error {
	use, err := c.Read()
	if err == nil {
		use()
	}
	return err
}

// Read reads the files again, and returns what puts their pair in force.
func (c *Certificate) Read() (use func(), err error) {
	pair, err := tls.LoadX509KeyPair(c.certFile, c.keyFile)
	if err != nil {
		return nil, fmt.Errorf("TLS files %s and %s: %w", c.certFile, c.keyFile, err)
	}
	return func() { c.current.Store(&pair) }, nil
}

func (c *Certificate) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	return c.current.Load(), nil
}
