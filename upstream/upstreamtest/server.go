// Package upstreamtest is a scripted upstream for tests: it serves what it was
// told, with the faults it was told, and remembers who asked for what.
//
// Conditional requests and ranges are honoured as a good registry would. Every
// Server listens on its own port of 127.0.0.1, so two of them are two origins,
// and one that must not be reached is a canary: look at Connections.
package upstreamtest

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"io"
	"io/fs"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"path"
	"strings"
	"sync"
	"testing"
)

// maxBody is how many bytes of a request's body the log keeps.
const maxBody = 16 << 20

// Entry is one request that arrived.
type Entry struct {
	Method string
	Path   string // escaped, as it was sent
	Query  string // raw
	Host   string
	Header http.Header
	Body   []byte
}

// Server is a scripted upstream. All methods may be called concurrently.
type Server struct {
	URL string // http://127.0.0.1:port, no slash at the end

	http *httptest.Server
	done chan struct{} // ends stalls and delays
	once sync.Once

	mu          sync.Mutex
	scripts     map[string][]Answer // by escaped path, perhaps with a query
	funcs       map[string]func(*http.Request) Answer
	files       fs.FS
	log         []Entry
	connections int
}

// New starts a Server that is closed when the test ends.
func New(t testing.TB) *Server {
	t.Helper()
	s := Start()
	t.Cleanup(s.Close)
	return s
}

// NewTLS is New with https, HTTP/2 and a certificate that Roots trusts.
func NewTLS(t testing.TB) *Server {
	t.Helper()
	s := prepare()
	s.http.EnableHTTP2 = true
	s.http.StartTLS()
	s.URL = s.http.URL
	t.Cleanup(s.Close)
	return s
}

// Start starts a Server; the caller closes it. It panics when no port can be had.
func Start() *Server {
	s := prepare()
	s.http.Start()
	s.URL = s.http.URL
	return s
}

func prepare() *Server {
	s := &Server{
		done:    make(chan struct{}),
		scripts: make(map[string][]Answer),
		funcs:   make(map[string]func(*http.Request) Answer),
	}
	s.http = httptest.NewUnstartedServer(http.HandlerFunc(s.serve))
	// Clients that refuse a certificate or go away are part of the scripts.
	s.http.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.http.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			s.mu.Lock()
			s.connections++
			s.mu.Unlock()
		}
	}
	return s
}

// Close ends all exchanges and the Server; a second Close is harmless.
func (s *Server) Close() {
	s.once.Do(func() {
		close(s.done)
		s.http.CloseClientConnections()
		s.http.Close()
	})
}

// Host returns host:port.
func (s *Server) Host() string { return s.http.Listener.Addr().String() }

// Roots trusts the certificate of a Server made by NewTLS.
func (s *Server) Roots() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(s.http.Certificate())
	return pool
}

// Serve tells what to answer at a path ("/a/b", escaped as clients send it,
// perhaps with "?query"): one answer after the other, the last for ever.
// It replaces what was told for that path before.
func (s *Server) Serve(path string, answers ...Answer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.funcs, path)
	s.scripts[path] = append([]Answer(nil), answers...)
}

// ServeFunc is Serve with an answer that depends on the request. fn may be
// called concurrently; the request's body can be read again.
func (s *Server) ServeFunc(path string, fn func(*http.Request) Answer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.scripts, path)
	s.funcs[path] = fn
}

// ServeFS serves the files of f where nothing else was told, each with an
// ETag made from its bytes. In a folder the file index.json or index.html answers.
func (s *Server) ServeFS(f fs.FS) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.files = f
}

// Requests returns how many requests for a path (escaped or not, without
// query) arrived. HEAD counts too.
func (s *Server) Requests(path string) int {
	n := 0
	for _, e := range s.Log() {
		if e.Path == path || unescaped(e.Path) == path {
			n++
		}
	}
	return n
}

// Log returns all requests in the order of their arrival.
func (s *Server) Log() []Entry {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Entry(nil), s.log...)
}

// Forget empties the log and sets the count of connections to zero.
func (s *Server) Forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.log, s.connections = nil, 0
}

// Connections returns how many connections were accepted.
func (s *Server) Connections() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.connections
}

func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	// What a broken request body holds is of no use to any test.
	data, _ := io.ReadAll(io.LimitReader(r.Body, maxBody))
	r.Body = io.NopCloser(strings.NewReader(string(data)))
	s.mu.Lock()
	s.log = append(s.log, Entry{
		Method: r.Method, Path: r.URL.EscapedPath(), Query: r.URL.RawQuery,
		Host: r.Host, Header: r.Header.Clone(), Body: data,
	})
	s.mu.Unlock()
	s.answer(r).write(w, r, s.done)
}

// answer picks the most exact script: with query, escaped path, plain path, file.
func (s *Server) answer(r *http.Request) Answer {
	s.mu.Lock()
	var fn func(*http.Request) Answer
	for _, key := range []string{r.URL.RequestURI(), r.URL.EscapedPath(), r.URL.Path} {
		if list := s.scripts[key]; len(list) > 0 {
			if len(list) > 1 {
				s.scripts[key] = list[1:]
			}
			s.mu.Unlock()
			return list[0]
		}
		if fn = s.funcs[key]; fn != nil {
			break
		}
	}
	files := s.files
	s.mu.Unlock()
	if fn != nil {
		return fn(r)
	}
	return fromFile(files, r.URL.Path)
}

func fromFile(files fs.FS, name string) Answer {
	missing := Answer{Status: http.StatusNotFound, Body: []byte("not found\n")}
	if files == nil {
		return missing
	}
	name = strings.TrimPrefix(path.Clean("/"+name), "/")
	for _, try := range []string{name, path.Join(name, "index.json"), path.Join(name, "index.html")} {
		data, err := fs.ReadFile(files, try)
		if err != nil {
			continue
		}
		sum := sha256.Sum256(data)
		return Answer{Body: data, ETag: `"` + hex.EncodeToString(sum[:8]) + `"`, ContentType: typeOf(try)}
	}
	return missing
}

func typeOf(name string) string {
	switch path.Ext(name) {
	case ".json":
		return "application/json"
	case ".html":
		return "text/html; charset=utf-8"
	case ".xml", ".pom":
		return "application/xml"
	}
	return "application/octet-stream"
}
