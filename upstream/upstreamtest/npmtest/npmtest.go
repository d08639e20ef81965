// Package npmtest is an npm registry to test and measure against: it serves
// packages it was given, with the faults it was told, and counts who asked.
//
// It speaks the reading half of the protocol as a good public registry does:
// full and abbreviated packuments with publish times, entity tags and gzip,
// tarballs, tags, search and bulk advisories. It takes no writes.
package npmtest

import (
	"net/http"
	"sync"

	"larder/upstream/upstreamtest/faulty"
)

// Fault is what goes wrong, and Request one request that arrived.
type (
	Fault   = faulty.Fault
	Request = faulty.Request
)

// Registry is a scripted npm registry. All methods may be called concurrently.
type Registry struct {
	*faulty.Server

	mu         sync.Mutex
	packages   map[string]*pkg
	advisories map[string]any
}

// Start starts an empty Registry on a free port of 127.0.0.1. The caller closes it.
func Start() (*Registry, error) {
	r := &Registry{packages: make(map[string]*pkg), advisories: make(map[string]any)}
	server, err := faulty.Start(func(q *http.Request, body []byte) faulty.Answer { return r.answer(q, body).sent(q) })
	if err != nil {
		return nil, err
	}
	r.Server = server
	return r, nil
}
