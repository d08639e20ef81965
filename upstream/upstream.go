// Package upstream fetches from other registries. It is the only HTTP client
// of the program: every outgoing connection passes the address guard of one
// Transport, and every credential stays with the origin it was given for.
//
// A Client speaks for one configured upstream and has one verb, Fetch. It
// follows redirects by hand and looks at each hop as if it were new, retries
// what may pass, and keeps a breaker and a limit of concurrent requests for
// each host. It stores nothing and judges no content.
package upstream

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Limits that hold where Config leaves a field zero, and those that are fixed.
const (
	defaultConcurrency = 64               // requests at once to one host
	defaultConnect     = 10 * time.Second // name lookup and TCP, and again TLS
	defaultHeader      = 30 * time.Second // one attempt, until its headers are in
	defaultTotal       = 60 * time.Second // all attempts, until headers are in

	maxAttempts   = 3                // tries of one GET or HEAD
	maxHops       = 5                // redirects followed in one try
	maxRetryAfter = 5 * time.Second  // a longer Retry-After is left to the caller
	maxThrottle   = 10 * time.Minute // longest Retry-After that is believed
	maxPost       = 16 << 20         // bytes of a POST body
	maxHeaders    = 256 << 10        // bytes of response headers
)

// Config describes one upstream. Only URL is needed.
type Config struct {
	ID  string // the name in config, errors and metrics; default: the host of URL
	URL string // base address, http or https; user:password in it becomes Auth
	// Auth is sent to the origin (scheme, host, port) of URL only.
	Auth Auth
	// AllowHosts names further hosts, as "host" or "host:port", that may have
	// private addresses when a document or a redirect of this upstream names them.
	AllowHosts []string
	// Insecure skips the check of the TLS certificate, of URL's origin only.
	Insecure bool
	// Certificates are shown to URL's origin when it asks for one.
	Certificates []tls.Certificate
	// RootCAs replaces the system's for URL's origin and AllowHosts.
	RootCAs *x509.CertPool
	// Concurrency is how many requests may run at once to one host (default 64);
	// a request counts until its body is closed.
	Concurrency int
	// Rate bounds the requests to URL's origin. One that has to wait for its turn
	// waits up to 5 s, and else fails with ErrThrottled.
	Rate     Rate
	Timeouts Timeouts
	// Fresh is how long documents from here need no new check; 0 leaves it to
	// the reader of this Config. The client itself keeps nothing.
	Fresh time.Duration
	// Offline makes every Fetch fail with ErrOffline, without one connection.
	Offline bool
}

// Timeouts bound the time until a response begins; bodies are bounded by the
// context alone. Zero fields take the default.
type Timeouts struct {
	Connect time.Duration // lookup and TCP together, then TLS: each (default 10 s)
	Header  time.Duration // one attempt, until its headers are in (default 30 s)
	Total   time.Duration // queueing, attempts and pauses together (default 60 s)
}

// Auth is a credential. The zero value sends none.
type Auth struct {
	Type     string // "bearer", "basic" or "header"; empty: none
	Token    Secret // for bearer, and the value for header
	Username string // for basic
	Password Secret // for basic
	Header   string // for header: the field's name, such as X-Api-Key
}

// String names the kind of credential and nothing secret.
func (a Auth) String() string {
	if a.Type == "" {
		return "no credential"
	}
	return a.Type + " credential"
}

// Format is String for every verb of fmt.
func (a Auth) Format(f fmt.State, verb rune) { WriteHidden(f, verb, a.String()) }

// MarshalText is String: encoded configs and logs tell no secret.
func (a Auth) MarshalText() ([]byte, error) { return []byte(a.String()), nil }

func (a Auth) check() error {
	switch {
	case a.Type == "":
		return nil
	case a.Type == "bearer" && !a.Token.IsZero():
		return nil
	case a.Type == "basic" && (a.Username != "" || !a.Password.IsZero()):
		return nil
	case a.Type == "header" && a.Header != "" && !a.Token.IsZero():
		return nil
	case a.Type == "bearer" || a.Type == "basic" || a.Type == "header":
		return fmt.Errorf("auth of type %s lacks its values", a.Type)
	}
	return fmt.Errorf("auth type %q is none of bearer, basic, header", a.Type)
}

func (a Auth) apply(r *http.Request) {
	switch a.Type {
	case "bearer":
		r.Header.Set("Authorization", "Bearer "+a.Token.Reveal())
	case "basic":
		r.SetBasicAuth(a.Username, a.Password.Reveal())
	case "header":
		r.Header.Set(a.Header, a.Token.Reveal())
	}
}

// Request is one question to an upstream.
type Request struct {
	Method string // GET (default), HEAD or POST
	// Ref is a path below the upstream's base, in its escaped form and perhaps
	// with a query, or an absolute URL that the upstream named.
	Ref             string
	Accept          string
	AcceptEncoding  string // default identity
	IfNoneMatch     string
	IfModifiedSince time.Time
	Range           string // such as bytes=100-
	IfRange         string
	Body            []byte // POST only, at most 16 MiB
	ContentType     string // of Body
	// Header goes to the first origin only, and only if that is the
	// upstream's own or named in AllowHosts. An Authorization in it replaces
	// the configured one.
	Header http.Header
	// Login sends the configured credential although Ref names another origin,
	// if AllowHosts names that (a token realm). Redirects from there lose it.
	Login bool
}

func (r Request) method() string {
	if r.Method == "" {
		return http.MethodGet
	}
	return r.Method
}

func (r Request) conditional() bool { return r.IfNoneMatch != "" || !r.IfModifiedSince.IsZero() }

func (r Request) check() error {
	switch m := r.method(); {
	case m != http.MethodGet && m != http.MethodHead && m != http.MethodPost:
		return fmt.Errorf("method %q is none of GET, HEAD, POST", m)
	case m != http.MethodPost && len(r.Body) > 0:
		return fmt.Errorf("a %s carries no body", m)
	case len(r.Body) > maxPost:
		return fmt.Errorf("body of %d bytes, the limit is %d", len(r.Body), maxPost)
	}
	return nil
}

// Response is what an upstream answered: Status 200, 206 (a Range was asked)
// or 304 (a condition was). The caller closes Body, also of an empty one.
type Response struct {
	Status int
	// Header lacks Set-Cookie, the fields that concern one connection, and those
	// that tell our rate budget.
	Header   http.Header
	Body     io.ReadCloser // ends with the context given to Fetch
	Size     int64         // bytes of Body (for HEAD: of the GET), -1 when not announced
	URL      string        // the address that answered, after redirects; may hold secrets
	ETag     string        // as sent, with quotes and W/
	Modified time.Time     // Last-Modified; zero when absent or unreadable
	Encoding string        // Content-Encoding, lower case; empty for identity
	Date     time.Time     // the upstream's clock; zero when absent
	// Unframed says that Body has neither a length nor an end of its own: it ends
	// with the connection, so that one that was cut looks whole.
	Unframed bool
}

func newResponse(r *http.Response, u *url.URL, body io.ReadCloser) *Response {
	h := r.Header.Clone()
	for _, name := range strings.Split(h.Get("Connection"), ",") {
		h.Del(strings.TrimSpace(name))
	}
	for _, name := range []string{"Set-Cookie", "Set-Cookie2", "Connection", "Keep-Alive", "Proxy-Authenticate",
		"Proxy-Connection", "Te", "Trailer", "Transfer-Encoding", "Upgrade", "Alt-Svc"} {
		h.Del(name)
	}
	for name := range h {
		if strings.HasPrefix(name, "Ratelimit") || strings.HasPrefix(name, "X-Ratelimit") || strings.HasPrefix(name, "Docker-Ratelimit") {
			h.Del(name)
		}
	}
	enc := strings.ToLower(strings.TrimSpace(h.Get("Content-Encoding")))
	if enc == "identity" {
		enc = ""
	}
	return &Response{
		Status: r.StatusCode, Header: h, Body: body, Size: r.ContentLength, URL: u.String(),
		ETag: h.Get("ETag"), Modified: httpTime(h.Get("Last-Modified")), Encoding: enc, Date: httpTime(h.Get("Date")),
		Unframed: r.ContentLength < 0 && r.ProtoMajor == 1 && len(r.TransferEncoding) == 0,
	}
}

// httpTime reads an HTTP date; what is no date counts as absent.
func httpTime(s string) time.Time {
	t, err := http.ParseTime(s)
	if err != nil {
		return time.Time{}
	}
	return t
}

// parseBase checks an upstream's address and takes a credential out of it.
func parseBase(cfg Config) (*url.URL, Auth, error) {
	u, err := url.Parse(cfg.URL)
	if err != nil {
		// url.Error repeats the address, which may hold a password.
		return nil, Auth{}, errors.New("its url cannot be read")
	}
	auth := cfg.Auth
	if u.User != nil {
		password, _ := u.User.Password()
		if auth.Type == "" {
			auth = Auth{Type: "basic", Username: u.User.Username(), Password: Hide(password)}
		}
		u.User = nil
	}
	switch {
	case u.Scheme != "http" && u.Scheme != "https":
		return nil, Auth{}, fmt.Errorf("url %q: want http:// or https://", u)
	case u.Hostname() == "":
		return nil, Auth{}, fmt.Errorf("url %q names no host", u)
	case u.RawQuery != "" || u.Fragment != "":
		return nil, Auth{}, fmt.Errorf("url %q: a base address has no query and no fragment", u)
	}
	return u, auth, auth.check()
}
