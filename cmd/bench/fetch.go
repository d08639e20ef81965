package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"time"
)

// fetched tells how one GET went.
type fetched struct {
	first, total time.Duration
	size         int64
	header       http.Header
}

// read makes one GET of a server, as fetch does, with a place for the body.
func (s *server) read(ctx context.Context, path string, into io.Writer, header ...string) (fetched, error) {
	q, err := asking(ctx, s.url+path, header)
	if err != nil {
		return fetched{}, err
	}
	return get(s.roots, q, into)
}

// fetch makes one GET over a connection of its own and wants a 200.
func fetch(ctx context.Context, url string, header ...string) (fetched, error) {
	q, err := asking(ctx, url, header)
	if err != nil {
		return fetched{}, err
	}
	return get(nil, q, io.Discard)
}

func asking(ctx context.Context, url string, header []string) (*http.Request, error) {
	q, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	for i := 0; i+1 < len(header); i += 2 {
		q.Header.Set(header[i], header[i+1])
	}
	return q, nil
}

func get(roots *x509.CertPool, q *http.Request, into io.Writer) (fetched, error) {
	client := http.Client{Transport: &http.Transport{
		DisableKeepAlives: true, DisableCompression: true, TLSClientConfig: &tls.Config{RootCAs: roots},
	}}
	begin := time.Now()
	w, err := client.Do(q)
	if err != nil {
		return fetched{}, err
	}
	defer w.Body.Close()
	if w.StatusCode != http.StatusOK {
		return fetched{}, fmt.Errorf("GET %s answered %s", q.URL, w.Status)
	}
	var one [1]byte
	if _, err := io.ReadFull(w.Body, one[:]); err != nil {
		return fetched{}, fmt.Errorf("GET %s: %w", q.URL, err)
	}
	f := fetched{first: time.Since(begin), header: w.Header}
	n, err := io.Copy(into, io.MultiReader(bytes.NewReader(one[:]), w.Body))
	f.total, f.size = time.Since(begin), n
	if err != nil {
		return f, fmt.Errorf("GET %s: %w", q.URL, err)
	}
	return f, nil
}

// expect is fetch for a body of so many bytes.
func expect(ctx context.Context, url string, size int64, header ...string) (fetched, error) {
	f, err := fetch(ctx, url, header...)
	if err == nil && f.size != size {
		err = fmt.Errorf("%s sent %d bytes, want %d", url, f.size, size)
	}
	return f, err
}
