// Package npmtest is an npm registry to test and measure against: it serves
// packages it was given, with the faults it was told, and counts who asked.
//
// It speaks the reading half of the protocol as a good public registry does:
// full and abbreviated packuments with publish times, entity tags and gzip,
// tarballs, tags, search and bulk advisories. It takes no writes.
package npmtest

import (
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
)

// readHeaderTimeout ends connections that say nothing.
const readHeaderTimeout = 30 * time.Second

// Request is one request that arrived.
type Request struct {
	Method string
	Path   string // escaped, as it was sent
	Query  string // raw
	Header http.Header
	Body   []byte // inflated
}

// Registry is a scripted npm registry. All methods may be called concurrently.
type Registry struct {
	URL string // http://127.0.0.1:port, no slash at the end

	addr   string
	mu     sync.Mutex
	server *http.Server // nil while down
	wake   chan struct{}

	packages   map[string]*pkg
	advisories map[string]any
	faults     []Fault
	log        []Request
}

// Start starts an empty Registry on a free port of 127.0.0.1. The caller closes it.
func Start() (*Registry, error) {
	r := &Registry{
		addr:       "127.0.0.1:0",
		packages:   make(map[string]*pkg),
		advisories: make(map[string]any),
	}
	if err := r.Up(); err != nil {
		return nil, err
	}
	r.URL = "http://" + r.addr
	return r, nil
}

// Up listens again on the address of before. It does nothing when the
// Registry is up.
func (r *Registry) Up() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.server != nil {
		return nil
	}
	listener, err := net.Listen("tcp", r.addr)
	if err != nil {
		return fmt.Errorf("listen for the npm test registry: %w", err)
	}
	r.addr = listener.Addr().String()
	r.wake = make(chan struct{})
	r.server = &http.Server{Handler: http.HandlerFunc(r.serve), ReadHeaderTimeout: readHeaderTimeout}
	go func(s *http.Server) {
		// Serve always ends with an error, here the one that Close causes.
		_ = s.Serve(listener)
	}(r.server)
	return nil
}

// Down refuses connections until Up, and breaks those that are open.
func (r *Registry) Down() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.server == nil {
		return
	}
	close(r.wake)
	// The listener is gone after Close whatever it returns.
	_ = r.server.Close()
	r.server = nil
}

// Close ends the Registry for good.
func (r *Registry) Close() { r.Down() }

// Log returns the requests whose escaped path begins with prefix, in the
// order of their arrival.
func (r *Registry) Log(prefix string) []Request {
	r.mu.Lock()
	defer r.mu.Unlock()
	var found []Request
	for _, q := range r.log {
		if strings.HasPrefix(q.Path, prefix) {
			found = append(found, q)
		}
	}
	return found
}

// Forget empties the log.
func (r *Registry) Forget() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.log = nil
}
