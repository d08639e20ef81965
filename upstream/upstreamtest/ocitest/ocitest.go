// Package ocitest is a container registry to test against: it serves images
// that it was given, with the faults it was told, and counts who asked.
//
// It speaks the reading half of the protocol as public registries do, each in
// its own way: open, with Basic, or with tokens from a service; with redirects
// of blobs to another port or without; with a list of referrers or with
// fallback tags alone. It takes no writes.
package ocitest

import (
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"larder/upstream/upstreamtest/faulty"
)

// Fault is what goes wrong, and Request one request that arrived.
type (
	Fault   = faulty.Fault
	Request = faulty.Request
)

// Auth is how clients show who they are.
type Auth uint8

// The ways. Open asks nobody.
const (
	Open Auth = iota
	Basic
	Bearer
)

// Options say which kind of registry it is. The zero value is an open one that
// can do everything.
type Options struct {
	Auth Auth
	// User and Password are what Basic and the token service take. The password
	// alone decides where User is "".
	User, Password string
	// Guests may pull: the token service gives tokens to nobody in particular.
	Guests bool
	// TokenLives is what tokens are given for; default 300 s.
	TokenLives time.Duration
	// NoExpiry leaves expires_in out of the answer.
	NoExpiry bool
	// RealmElsewhere puts the token service on a port of its own.
	RealmElsewhere bool
	// Hides answers 401 for images that are not there, as one hub does.
	Hides bool
	// Redirects sends clients to a second port for blobs.
	Redirects bool
	// NoReferrers: the list of referrers is a 404, and fallback tags stand in.
	NoReferrers bool
	// NoDigest leaves Docker-Content-Digest out.
	NoDigest bool
	// NoHead is the status that every HEAD of a manifest or blob gets, such as 405;
	// 0: it is answered.
	NoHead int
	// PageSize is the most that a list holds; default 100.
	PageSize int
}

// Registry is a scripted container registry. All methods may be called
// concurrently.
type Registry struct {
	*faulty.Server // of the registry itself
	// Blobs is where clients are sent for blobs with Redirects, and Tokens where
	// the token service is with RealmElsewhere: servers of their own, with logs
	// and faults of their own. Both are Server otherwise.
	Blobs, Tokens *faulty.Server

	opt Options

	mu     sync.Mutex
	images map[string]*image
	tokens map[string]granted
	links  int // counts the generations of links to Blobs
}

// Start starts an empty Registry on free ports of 127.0.0.1. The caller closes it.
func Start(opt Options) (*Registry, error) {
	if opt.TokenLives == 0 {
		opt.TokenLives = 300 * time.Second
	}
	if opt.PageSize == 0 {
		opt.PageSize = 100
	}
	r := &Registry{opt: opt, images: make(map[string]*image), tokens: make(map[string]granted)}
	var err error
	if r.Server, err = faulty.Start(r.answer); err != nil {
		return nil, err
	}
	r.Blobs, r.Tokens = r.Server, r.Server
	if opt.Redirects {
		if r.Blobs, err = faulty.Start(r.linked); err != nil {
			r.Close()
			return nil, fmt.Errorf("the port of blobs: %w", err)
		}
	}
	if opt.RealmElsewhere {
		if r.Tokens, err = faulty.Start(r.token); err != nil {
			r.Tokens = r.Server
			r.Close()
			return nil, fmt.Errorf("the port of tokens: %w", err)
		}
	}
	return r, nil
}

// Close ends the Registry for good, with its further ports.
func (r *Registry) Close() {
	for _, s := range []*faulty.Server{r.Server, r.Blobs, r.Tokens} {
		if s != nil {
			s.Close()
		}
	}
}

// Down refuses connections until Up, on all ports.
func (r *Registry) Down() {
	r.Server.Down()
	r.Blobs.Down()
	r.Tokens.Down()
}

// Up listens again on the addresses of before.
func (r *Registry) Up() error { return errors.Join(r.Server.Up(), r.Blobs.Up(), r.Tokens.Up()) }

// Forget empties the logs of all ports.
func (r *Registry) Forget() {
	r.Server.Forget()
	r.Blobs.Forget()
	r.Tokens.Forget()
}

// ExpireTokens makes all tokens given so far no good.
func (r *Registry) ExpireTokens() {
	r.mu.Lock()
	defer r.mu.Unlock()
	clear(r.tokens)
}

// ExpireLinks makes all redirects given so far no good: Blobs answers 403.
func (r *Registry) ExpireLinks() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.links++
}

// refusal is an error in the words of the protocol.
func refusal(status int, code string) faulty.Answer {
	return faulty.Answer{
		Status: status, Header: http.Header{"Content-Type": {"application/json"}},
		Body: []byte(`{"errors":[{"code":"` + code + `","message":"scripted registry"}]}`),
	}
}
