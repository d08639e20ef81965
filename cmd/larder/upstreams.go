package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"larder/cmd/larder/config"
	"larder/formats"
	"larder/proxy/admin"
	"larder/proxy/registry"
	"larder/upstream"
	"larder/upstream/discover"
)

// rememberFor is how long addresses found on this machine are believed before
// the clients are asked again at a start.
const rememberFor = 24 * time.Hour

// upstreams are the configured upstreams and the clients that speak to them.
// Those whose address is to be found wait for the search.
type upstreams struct {
	log       zerolog.Logger
	transport *upstream.Transport
	clock     func() time.Time
	searches  map[string]chan struct{} // by format that is searched for; closed when that is over
	saving    sync.Mutex               // of what is remembered of searches

	mu      sync.RWMutex
	cfg     *config.Loaded
	found   map[string]discover.Found // by format
	late    map[string]bool           // formats whose client did not answer yet
	clients map[string]outlet
	mirrors mirrors
}

func newUpstreams(cfg *config.Loaded, log zerolog.Logger, m *admin.Metrics, clock func() time.Time) (*upstreams, error) {
	u := &upstreams{
		log: log, clock: clock, cfg: cfg, searches: map[string]chan struct{}{},
		found: map[string]discover.Found{}, late: map[string]bool{}, clients: map[string]outlet{},
		transport: upstream.NewTransport(upstream.Options{UserAgent: "larder", Hooks: m.Hooks(), Now: clock}),
	}
	for _, format := range u.wanted() {
		u.searches[format] = make(chan struct{})
	}
	return u, u.build(cfg)
}

// build makes a client for each upstream whose address is known.
func (u *upstreams) build(cfg *config.Loaded) error {
	use, err := u.prepare(cfg)
	if err == nil {
		use()
	}
	return err
}

// prepare makes the clients, and returns what puts them in force, with those
// whose addresses were found since.
func (u *upstreams) prepare(cfg *config.Loaded) (use func(), err error) {
	u.mu.RLock()
	defer u.mu.RUnlock()
	made, err := u.make(cfg)
	if err != nil {
		return nil, err
	}
	known := len(u.found)
	return func() {
		u.mu.Lock()
		defer u.mu.Unlock()
		if len(u.found) != known {
			if made, err = u.make(cfg); err != nil {
				u.log.Error().Err(err).Msg("an upstream that was found cannot be used")
				return
			}
		}
		u.cfg, u.clients, u.mirrors = cfg, made, mirrorsOf(cfg, u.found[config.Containers])
	}, nil
}

// make makes the clients of a configuration. The caller holds the lock.
func (u *upstreams) make(cfg *config.Loaded) (map[string]outlet, error) {
	made := map[string]outlet{}
	for id, c := range cfg.Upstreams {
		url, auth := c.URL.Reveal(), upstream.Auth{
			Type: c.Auth.Type, Token: c.Auth.Token.Secret, Username: c.Auth.Username,
			Password: c.Auth.Password.Secret, Header: c.Auth.Header,
		}
		if url == config.Auto {
			found, ok := u.found[c.Format]
			if !ok || found.URL == "" {
				continue
			}
			url = found.URL
			if auth.Type == "" {
				auth = found.Auth
			}
		}
		client, err := upstream.New(upstream.Config{
			ID: id, URL: url, Auth: auth, AllowHosts: c.AllowHosts, Insecure: c.Insecure,
			Fresh: time.Duration(c.Fresh), Offline: cfg.Offline, Concurrency: c.Concurrency, Rate: upstream.Rate(c.Rate),
		}, u.transport)
		if err != nil {
			return nil, fmt.Errorf("upstream %s: %w", id, err)
		}
		if made[id], err = u.outlet(c, client); err != nil {
			return nil, err
		}
	}
	return made, nil
}

// change prepares a changed configuration, once the addresses of this one are
// known.
func (u *upstreams) change(ctx context.Context, cfg *config.Loaded) (use func(), err error) {
	if err := u.settled(ctx, slices.Collect(maps.Keys(u.searches))...); err != nil {
		return nil, err
	}
	return u.prepare(cfg)
}

// noUpstream says how to name an upstream that was not found.
func noUpstream(format string) string {
	return fmt.Sprintf("no upstream for %s was found on this machine, so only hosted packages are served; name one with "+
		"upstreams.%s.url in the config or --upstream %s=https://%s.upstream.example/", format, format, format, format)
}

// wanted lists the formats whose upstream is to be found.
func (u *upstreams) wanted() []string {
	seen := map[string]bool{}
	var list []string
	for _, c := range u.cfg.Upstreams {
		if u.cfg.Offline && c.Format != config.Containers {
			// Asking the clients makes no connection, but nothing would use the answer;
			// of containers it says what their names mean.
			continue
		}
		if c.URL.Reveal() == config.Auto && !seen[c.Format] {
			seen[c.Format] = true
			list = append(list, c.Format)
		}
	}
	return list
}

// sources returns the upstreams of a registry, once they are known.
func (u *upstreams) sources(ctx context.Context, ids []string) ([]registry.Source, error) {
	if err := u.settled(ctx, u.sought(ids...)...); err != nil {
		return nil, err
	}
	u.mu.RLock()
	defer u.mu.RUnlock()
	var list []registry.Source
	for _, id := range ids {
		var serves func(string) bool
		if c := u.cfg.Upstreams[id]; len(c.Allow)+len(c.Deny) > 0 {
			serves = c.Pick
		}
		if u.cfg.Offline {
			list = append(list, registry.Source{ID: id, Fetcher: offline{}, Offline: true, Serves: serves})
		} else if c, ok := u.clients[id]; ok {
			cfg := c.Config()
			private := cfg.Auth.Type != "" || len(cfg.Certificates) > 0
			list = append(list, registry.Source{ID: id, Fetcher: c.fetcher, Fresh: cfg.Fresh, Private: private, Serves: serves})
		} else if u.late[u.cfg.Upstreams[id].Format] {
			list = append(list, registry.Source{ID: id, Fetcher: unanswered{}, Serves: serves})
		}
	}
	return list, nil
}

// hint says how to name an upstream, for registries that have none.
func (u *upstreams) hint(ids []string) string {
	if slices.ContainsFunc(u.sought(ids...), u.searching) {
		return ""
	}
	u.mu.RLock()
	defer u.mu.RUnlock()
	if u.cfg.Offline {
		return ""
	}
	for _, id := range ids {
		if _, ok := u.clients[id]; ok || u.late[u.cfg.Upstreams[id].Format] {
			return ""
		}
	}
	for _, id := range ids {
		return noUpstream(u.cfg.Upstreams[id].Format)
	}
	return ""
}

// offline stands for every upstream of a server that makes no connections:
// what is cached under the upstream's name is served, whatever its address was.
type offline struct{}

func (offline) Fetch(context.Context, upstream.Request) (*upstream.Response, error) {
	return nil, fmt.Errorf("this server is offline and has no copy: %w", upstream.ErrOffline)
}

// unanswered stands for an upstream of which nobody has said yet where it is.
type unanswered struct{}

func (unanswered) Fetch(context.Context, upstream.Request) (*upstream.Response, error) {
	return nil, formats.Refuse(upstream.ErrThrottled,
		"the package client of the server's machine has not said yet where its registry is: try again in a few seconds")
}
