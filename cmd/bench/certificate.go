package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// certificate is one that signs itself, for this machine.
type certificate struct {
	file, key string // PEM
	roots     *x509.CertPool
}

// certificate makes one, good for a day, that all servers of a run share.
func (b *bench) certificate() (certificate, error) {
	c := certificate{file: filepath.Join(b.dir, "cert.pem"), key: filepath.Join(b.dir, "key.pem"), roots: x509.NewCertPool()}
	secret, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return c, fmt.Errorf("make a key: %w", err)
	}
	names := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "bench"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true,
	}
	public, err := x509.CreateCertificate(rand.Reader, names, names, &secret.PublicKey, secret)
	if err != nil {
		return c, fmt.Errorf("make a certificate: %w", err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(secret)
	if err != nil {
		return c, fmt.Errorf("write a key: %w", err)
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: public})
	if !c.roots.AppendCertsFromPEM(text) {
		return c, errors.New("the certificate made is none")
	}
	return c, errors.Join(
		os.WriteFile(c.file, text, 0o600),
		os.WriteFile(c.key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}), 0o600),
	)
}
