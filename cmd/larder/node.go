package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"larder/cache/badger"
	"larder/cache/disk"
	"larder/cache/evict"
	"larder/cache/refs"
	"larder/cache/timed"
	"larder/cmd/larder/config"
	"larder/formats/all"
	"larder/formats/npm"
	"larder/policy"
	"larder/policy/audit"
	"larder/policy/directory"
	"larder/policy/rulebook"
	"larder/proxy"
	"larder/proxy/accounts"
	"larder/proxy/admin"
	"larder/proxy/registry"
)

// node is one running larder: every part, in the order of its opening.
type node struct {
	cfg       *config.Loaded
	log       zerolog.Logger
	requests  zerolog.Logger // access lines
	lines     *accessLog     // behind requests; nil on a terminal
	clock     func() time.Time
	metrics   *admin.Metrics
	store     *disk.Store
	index     *badger.Index
	locks     *refs.Locks
	audit     *audit.Log
	evict     *evict.Evictor
	directory *directory.Directory
	accounts  *accounts.Accounts
	rules     *rulebook.Book
	upstreams *upstreams
	engine    *registry.Engine
	mounts    []*registry.Registry
	// containers are those of the mounts that are below /v2/; nil for none.
	containers *proxy.Containers

	draining sync.Once
	gone     chan struct{} // closed when draining begins
	work     sync.WaitGroup
}

// formatList is every format of this build.
func formatList(c *config.Loaded, clock func() time.Time) (*all.List, error) {
	return all.New(npm.New(npm.Options{MaxTarball: int64(c.Publish.MaxSize), Clock: clock}), containers(c))
}

func formatNames() []string { return []string{"npm", config.Containers} }

func openNode(ctx context.Context, cfg *config.Loaded, log zerolog.Logger, clock func() time.Time) (*node, error) {
	n := &node{cfg: cfg, log: log, clock: clock, locks: &refs.Locks{}, gone: make(chan struct{}), metrics: admin.NewMetrics(version())}
	n.requests = log
	if !pretty(cfg.Log) {
		n.lines = &accessLog{out: os.Stderr}
		n.requests = log.Output(n.lines)
	}
	for _, open := range []func(context.Context) error{n.openCache, n.openPeople, n.openRegistries} {
		if err := open(ctx); err != nil {
			return nil, errors.Join(err, n.close())
		}
	}
	return n, nil
}

// openCache takes the data folder. The store comes first: it makes the room
// that the index needs to open on a full volume.
func (n *node) openCache(context.Context) error {
	var err error
	n.store, err = disk.Open(n.cfg.Data, disk.Options{Room: disk.RoomOptions{
		Floor:   int64(n.cfg.Cache.FreeSpaceFloor),
		Changed: n.tellRoom,
		Failed:  func(err error) { n.log.Error().Err(err).Msg("free space on the data volume is not known") },
	}})
	if err != nil {
		return err
	}
	if err := n.checkVolume(); err != nil {
		return err
	}
	if s := n.store.Room().State(); s != disk.Normal {
		n.tellRoom(s)
	}
	n.index, err = badger.Open(filepath.Join(n.cfg.Data, "index"), badger.Options{
		Critical: n.store.Room().Critical,
		Log: func(level, message string) {
			if level != "info" {
				n.log.Warn().Str("level", level).Msg("index: " + message)
			}
		},
	})
	if err != nil {
		return err
	}
	n.audit = audit.NewLog(timed.Index(n.index, n.metrics.Stored), audit.Chain{Clock: n.clock})
	n.evict, err = evict.New(n.index, n.store, evict.Options{
		Budget: n.budget(), Clock: n.clock, Locks: n.locks,
		Pressure: func() bool { return n.store.Room().State() >= disk.Tight },
		OnEvict:  n.metrics.Evicted,
	})
	n.metrics.Store(n.usage)
	return err
}

// budget is the room for cached blobs: as configured, or by the volume's size
// where nobody said.
func (n *node) budget() int64 {
	want := int64(n.cfg.Cache.MaxSize)
	space, err := disk.OS{}.Statfs(n.cfg.Data)
	if err != nil || n.cfg.Explicit("cache.max_size") {
		return want
	}
	return min(want, space.Total/5*4)
}

// checkVolume refuses a budget that the volume cannot hold.
func (n *node) checkVolume() error {
	space, err := disk.OS{}.Statfs(n.cfg.Data)
	if err != nil {
		return fmt.Errorf("size of the data volume: %w", err)
	}
	if err := n.cfg.CheckVolume(space.Total); err != nil {
		return usageError{err}
	}
	return nil
}

func claims(list []config.Claim) []policy.Claim {
	out := make([]policy.Claim, len(list))
	for i, c := range list {
		out[i] = policy.Claim{ID: c.ID, Formats: c.Formats, Match: c.Match, Repository: c.Repository}
	}
	return out
}

func (n *node) openPeople(ctx context.Context) error {
	var err error
	n.directory, err = directory.Open(ctx, timed.Index(n.index, n.metrics.Stored), directory.Options{
		Clock: n.clock, AnonymousRead: n.cfg.Auth.AnonymousRead, Claims: claims(n.cfg.Policy.Claims),
		DefaultRepository: n.cfg.Publish.DefaultRepository, Formats: formatNames(),
	})
	if err != nil {
		return err
	}
	file := filepath.Join(n.cfg.Data, "admin.token")
	created, err := n.directory.Bootstrap(ctx, file)
	if err != nil {
		return err
	}
	if created {
		n.log.Info().Str("file", file).Msg("the first start made an administrator; its token is in the file")
	}
	n.accounts = accounts.New(n.directory, n.clock)
	return n.openRules(ctx)
}

func (n *node) openRegistries(context.Context) error {
	list, err := formatList(n.cfg, n.clock)
	if err != nil {
		return err
	}
	if n.upstreams, err = newUpstreams(n.cfg, n.log, n.metrics, n.clock); err != nil {
		return err
	}
	c := n.cfg.Cache
	n.engine, err = registry.New(registry.Options{
		Store: timed.Store(n.store, n.metrics.Stored), Index: timed.Index(n.index, n.metrics.Stored), Locks: n.locks, Room: n.evict, Access: n.directory, Observer: observer{n},
		Suspect: n.scrubber().Suspect,
		Lifetimes: registry.Lifetimes{
			Fresh: time.Duration(c.Fresh), StaleWhileRevalidate: time.Duration(c.StaleWhileRevalidate),
			StaleIfError: time.Duration(c.StaleIfError), Negative: time.Duration(c.Negative),
		},
		Rules: n.rules.Set, Clock: n.clock, MaxUpload: int64(n.cfg.Publish.MaxSize), Uploads: uploadLimits(n.cfg.Uploads), PrivateReads: !n.cfg.Auth.AnonymousRead,
	})
	if err != nil {
		return err
	}
	n.metrics.Uploads(n.engine.OpenUploads)
	for name, r := range n.cfg.Registries {
		if name == config.Containers {
			continue
		}
		f, err := list.Find(r.Format)
		if err != nil {
			return fmt.Errorf("registry %s: %w", name, err)
		}
		ids := r.Upstreams
		n.mounts = append(n.mounts, n.engine.Registry(registry.Spec{
			Name: name, Format: f, Hosted: r.Hosted,
			Upstreams: func(ctx context.Context) ([]registry.Source, error) { return n.upstreams.sources(ctx, ids) },
			Hint:      func() string { return n.upstreams.hint(ids) },
		}))
	}
	f, err := list.Find(config.Containers)
	if err != nil {
		return err
	}
	n.openContainers(f)
	return nil
}

func uploadLimits(c config.Uploads) registry.UploadLimits {
	return registry.UploadLimits{PerUser: c.PerUser, Open: c.Open, Bytes: int64(c.MaxSize), Idle: time.Duration(c.Idle)}
}

// edge builds the HTTP handler.
func (n *node) edge(reload func(context.Context) error) (http.Handler, error) {
	handlers, err := n.handlers(reload)
	if err != nil {
		return nil, err
	}
	opt := proxy.Options{
		Identifier: n.metrics.Identifier(n.accounts), Authorizer: n.metrics.Authorizer(n.directory), Accounts: n.metrics.Accounts(n.accounts),
		PublicURL: n.cfg.PublicURL, Log: n.requests, Metrics: n.metrics, Hosts: map[string]string{},
		Handlers: handlers, Refusals: refusals{n}, Containers: n.containers,
	}
	for _, m := range n.mounts {
		if m.Format().Name() != config.Containers {
			opt.Mounts = append(opt.Mounts, m)
		}
	}
	for name, r := range n.cfg.Registries {
		for _, host := range r.Hosts {
			if name == config.Containers {
				break
			}
			opt.Hosts[host] = name
		}
	}
	for _, p := range n.cfg.TrustedProxies {
		prefix, err := config.ParseNetwork(p)
		if err != nil {
			return nil, fmt.Errorf("trusted_proxies: %w", err)
		}
		opt.TrustedProxies = append(opt.TrustedProxies, prefix)
	}
	return proxy.New(opt)
}

// start begins the work beside requests.
func (n *node) start(ctx context.Context, address string) {
	n.upstreams.start(ctx, address)
	report := func(err error) { n.log.Error().Err(err).Msg("background work failed") }
	n.work.Go(func() { n.store.Room().Run(ctx) })
	n.work.Go(func() { n.audit.Run(ctx, report) })
	n.work.Go(func() { n.directory.Run(ctx, report) })
	n.work.Go(func() { n.rules.Run(ctx, report) })
	n.work.Go(func() { n.evict.Run(ctx, report) })
	n.work.Go(func() { n.scrubber().Run(ctx, report) })
	n.work.Go(func() { n.engine.Run(ctx, report) })
	n.work.Go(func() { n.retainDaily(ctx, report) })
}

// announce says that connections are accepted, and where.
func (n *node) announce(a net.Addr) {
	scheme := "http"
	if n.cfg.TLS.Cert != "" {
		scheme = "https"
	}
	if tcp, ok := a.(*net.TCPAddr); ok && !tcp.IP.IsLoopback() && n.cfg.Auth.AnonymousRead {
		n.log.Warn().Msg("anybody who reaches " + a.String() + " may read public packages; set auth.anonymous_read: false to require tokens")
	}
	n.log.Info().Str("url", scheme+"://"+a.String()).Str("data", n.cfg.Data).Msg("ready")
}

// drain tells the probes and the log that the end has begun.
func (n *node) drain() {
	n.draining.Do(func() {
		close(n.gone)
		n.log.Info().Msg("ending: no new connections, and transfers under way may finish")
	})
}

// close ends every part that was opened, the last first.
func (n *node) close() error {
	var errs []error
	if n.lines != nil {
		errs = append(errs, n.lines.Close())
	}
	if n.engine != nil {
		errs = append(errs, n.engine.Close())
	}
	n.work.Wait()
	if n.evict != nil {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second) // the end of everything has no caller
		if n.engine != nil {
			errs = append(errs, n.engine.FlushUses(ctx))
		}
		errs = append(errs, n.evict.Flush(ctx))
		cancel()
	}
	if n.index != nil {
		errs = append(errs, n.index.Close())
	}
	if n.store != nil {
		errs = append(errs, n.store.Close())
	}
	return errors.Join(errs...)
}

// defaultData is where a server without configuration keeps what it has.
func defaultData() (string, error) {
	if dir := os.Getenv("XDG_DATA_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "larder"), nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", fmt.Errorf("no data folder: %w; name one with --data", err)
	}
	return filepath.Join(home, ".local", "share", "larder"), nil
}
