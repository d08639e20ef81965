// Package proxy is the HTTP edge: it finds the registry, identifies the caller,
// asks policy once, calls the format, turns any error into a reply and logs
// the request in one line.
//
// A request passes, in this order: framing and path (formats.SplitPath), the
// client's address, Format.Parse, Identify, Mount.Resource, Authorize, and only
// then Format.Serve, which may read the body. Of a credential that is no good the
// client hears first, whatever else is wrong. Statuses of 400 and more are
// written in fault.go and nowhere else. Bodies leave through formats.Reply.
//
// Paths never go through http.ServeMux and are never answered by a redirect:
// its cleaning would let two spellings of a path reach two verdicts.
package proxy

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/rs/zerolog"

	"larder/formats"
	"larder/policy"
)

// Mount is one registry as the edge sees it.
type Mount interface {
	// Name is the first segment of the registry's paths.
	Name() string
	Format() formats.Format
	// Resource says what policy needs to know of the thing asked for.
	// repository is "owner/name" under /r/, else "".
	Resource(ctx context.Context, repository string, req formats.Request) (policy.Resource, error)
	// For binds the registry to a caller and to the URL it was reached by, which
	// ends with a slash.
	For(caller policy.Subject, repository, base string) formats.Registry
}

// Identifier finds out who asks.
type Identifier interface {
	// Identify returns the zero Subject when no credential is there. Errors:
	// policy.ErrUnauthenticated for one that is no good, formats.ErrBadRequest
	// for several, and one with a method RetryAfter() time.Duration for a
	// caller who tries too often (429).
	Identify(r *http.Request, remote netip.Addr) (policy.Subject, error)
}

// Authorizer decides; it refuses whenever it cannot tell.
type Authorizer interface {
	Authorize(ctx context.Context, caller policy.Subject, action policy.Action, res policy.Resource) policy.Decision
}

// Metrics counts requests. Both methods are called on the request's goroutine
// and must not block.
type Metrics interface {
	Began()
	Ended(o Observation)
}

// Observation is one finished request. All strings come from fixed sets.
type Observation struct {
	Format string // "" outside registries
	Op     string // the format's word; the first path segment outside registries
	Method string // "OTHER" for methods HTTP does not define
	Status int    // 499: the client went away before the reply
	Bytes  int64  // of the body sent
	Result formats.Result
	Took   time.Duration
}

// Options are the parts and settings of the edge.
type Options struct {
	Mounts     []Mount
	Identifier Identifier
	Authorizer Authorizer
	Accounts   formats.Accounts
	// Handlers answer below a first path segment: "api", "ui", "healthz",
	// "readyz", "metrics". They identify and authorize by themselves; FromContext
	// tells them what the edge knows.
	Handlers map[string]http.Handler
	// Hosts mounts registries at the root of a host name: name to registry.
	// Probes answer there too.
	Hosts map[string]string
	// Containers are the registries below /v2/; nil: none.
	Containers *Containers
	// PublicURL, when set, is the base of all generated links, and requests for
	// hosts that are neither its own, nor in Hosts, nor loopback get 421.
	PublicURL string
	// TrustedProxies may say by X-Forwarded-* who asked and for which URL.
	TrustedProxies []netip.Prefix
	// MaxBody bounds a request body in bytes; 0 is DefaultMaxBody.
	MaxBody int64
	Log     zerolog.Logger // access lines at info, faults of ours at error
	Metrics Metrics        // may be nil
	// Refusals keeps refusals, those of Handlers too; nil: they are only logged.
	Refusals Refusals
}

// DefaultMaxBody is above any package; engine and formats hold the real limits.
const DefaultMaxBody = 16 << 30 // bytes

// probes answer whatever the Host.
var probes = []string{"healthz", "readyz", "metrics"}

// reserved first segments can be no registry's name (design.md section 3).
var reserved = []string{"v2", "r", "api", "ui", "healthz", "readyz", "metrics", "mirror"}

var mountName = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,63}$`)

// edge is the handler. It does not change once made.
type edge struct {
	Options
	mounts  map[string]Mount
	hosts   map[string]Mount
	names   string // of the mounts, for people
	public  string // PublicURL without a final slash
	pubHost string
	sites   *http.CrossOriginProtection
	ids     *requestIDs
}

// New checks the options and returns the handler. Use it outermost: it keeps
// io.ReaderFrom of net/http's own writer, which sendfile needs.
func New(o Options) (http.Handler, error) {
	if o.Identifier == nil || o.Authorizer == nil {
		return nil, errors.New("edge: an Identifier and an Authorizer are needed")
	}
	if o.MaxBody == 0 {
		o.MaxBody = DefaultMaxBody
	}
	e := &edge{Options: o, mounts: map[string]Mount{}, hosts: map[string]Mount{}, sites: http.NewCrossOriginProtection(), ids: newRequestIDs()}
	if err := e.addMounts(); err != nil {
		return nil, err
	}
	if err := e.setPublic(o.PublicURL); err != nil {
		return nil, err
	}
	return e, nil
}

func (e *edge) addMounts() error {
	var names []string
	for _, m := range e.Mounts {
		name := m.Name()
		switch {
		case slices.Contains(reserved, name):
			return fmt.Errorf("registry %q: the name is reserved", name)
		case !mountName.MatchString(name):
			return fmt.Errorf("registry %q: want lower-case letters, digits, dots, dashes", name)
		case e.mounts[name] != nil:
			return fmt.Errorf("registry %q is there twice", name)
		}
		e.mounts[name] = m
		names = append(names, name)
	}
	slices.Sort(names)
	e.names = strings.Join(names, ", ")
	for host, name := range e.Hosts {
		m := e.mounts[name]
		if m == nil {
			return fmt.Errorf("host %s: no registry %q", host, name)
		}
		e.hosts[strings.ToLower(host)] = m
	}
	return e.checkContainers()
}

func (e *edge) setPublic(raw string) error {
	if raw == "" {
		return nil
	}
	u, err := url.Parse(raw)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || !validHost(u.Host) || u.RawQuery != "" || u.Fragment != "" || u.User != nil {
		return fmt.Errorf("public URL %q: want http(s)://host, and perhaps a path", raw)
	}
	e.public, e.pubHost = strings.TrimSuffix(raw, "/"), strings.ToLower(hostname(u.Host))
	return e.sites.AddTrustedOrigin(u.Scheme + "://" + strings.ToLower(u.Host))
}

// ServeHTTP answers one request.
func (e *edge) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	x := e.begin(w, r)
	defer x.end()
	if err := x.handle(); err != nil {
		x.fail(err)
	}
}
