// Package faulty is the half of a registry for tests that knows no protocol: it
// listens, goes down and comes up again at the same address, misbehaves as it
// is told, and remembers who asked for what.
package faulty

import (
	"compress/gzip"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
)

const (
	// readHeaderTimeout ends connections that say nothing.
	readHeaderTimeout = 30 * time.Second
	// maxBody bounds the body of a request, inflated, in bytes.
	maxBody = 16 << 20
)

// Request is one request that arrived.
type Request struct {
	Method string
	Path   string // escaped, as it was sent
	Query  string // raw
	Header http.Header
	Body   []byte // inflated
}

// Answer is what a request gets before any fault.
type Answer struct {
	Status int
	Header http.Header
	ETag   string // with its quotes; a request that names it gets a 304
	Body   []byte
	// Ranges lets a client ask for a part of Body.
	Ranges bool
}

// Server is a scripted server. All methods may be called concurrently.
type Server struct {
	URL string // http://127.0.0.1:port, no slash at the end

	answer func(q *http.Request, body []byte) Answer
	addr   string

	mu     sync.Mutex
	server *http.Server // nil while down
	wake   chan struct{}
	faults []*Fault
	log    []Request
}

// Start starts a Server on a free port of 127.0.0.1 that answers with answer,
// which may be called concurrently. The caller closes it.
func Start(answer func(q *http.Request, body []byte) Answer) (*Server, error) {
	s := &Server{addr: "127.0.0.1:0", answer: answer}
	if err := s.Up(); err != nil {
		return nil, err
	}
	s.URL = "http://" + s.addr
	return s, nil
}

// Up listens again on the address of before. It does nothing when the Server
// is up.
func (s *Server) Up() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.server != nil {
		return nil
	}
	listener, err := net.Listen("tcp", s.addr)
	if err != nil {
		return fmt.Errorf("listen for the test registry: %w", err)
	}
	s.addr = listener.Addr().String()
	s.wake = make(chan struct{})
	s.server = &http.Server{Handler: http.HandlerFunc(s.serve), ReadHeaderTimeout: readHeaderTimeout}
	go func(server *http.Server) {
		// Serve always ends with an error, here the one that Close causes.
		_ = server.Serve(listener)
	}(s.server)
	return nil
}

// Down refuses connections until Up, and breaks those that are open.
func (s *Server) Down() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.server == nil {
		return
	}
	close(s.wake)
	// The listener is gone after Close whatever it returns.
	_ = s.server.Close()
	s.server = nil
}

// Close ends the Server for good.
func (s *Server) Close() { s.Down() }

// Log returns the requests whose escaped path begins with prefix, in the
// order of their arrival.
func (s *Server) Log(prefix string) []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	var found []Request
	for _, q := range s.log {
		if strings.HasPrefix(q.Path, prefix) {
			found = append(found, q)
		}
	}
	return found
}

// Forget empties the log.
func (s *Server) Forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.log = nil
}

func (s *Server) serve(w http.ResponseWriter, q *http.Request) {
	body, err := sentBody(q)
	path := q.URL.EscapedPath()
	s.mu.Lock()
	s.log = append(s.log, Request{Method: q.Method, Path: path, Query: q.URL.RawQuery, Header: q.Header.Clone(), Body: body})
	f, wake := s.fault(path), s.wake
	s.mu.Unlock()
	a := Answer{Status: http.StatusBadRequest, Body: []byte("unreadable body\n")}
	if err == nil {
		a = s.answer(q, body)
	}
	f.reply(w, q, wake, a)
}

// sentBody reads what a client sent, inflated.
func sentBody(q *http.Request) ([]byte, error) {
	if q.Header.Get("Content-Encoding") != "gzip" {
		return io.ReadAll(io.LimitReader(q.Body, maxBody))
	}
	zip, err := gzip.NewReader(q.Body)
	if err != nil {
		return nil, err
	}
	return io.ReadAll(io.LimitReader(zip, maxBody))
}
