package main

import (
	"context"
	"errors"
	"net/http"
	"path/filepath"
	"time"

	"larder/cache"
	"larder/cache/badger"
	"larder/cache/disk"
	"larder/cache/evict"
	"larder/cache/refs"
	"larder/cache/scrub"
	"larder/cache/timed"
	"larder/cmd/larder/config"
	"larder/proxy/admin"
)

// handlers are everything beside the registries: API, pages and probes.
func (n *node) handlers(reload func(context.Context) error) (map[string]http.Handler, error) {
	opt := admin.Options{
		Directory: n.directory, Identifier: n.metrics.Identifier(n.accounts), Pairing: n.accounts.Pairing(),
		Maintenance: maintenance{n}, Rules: n.rules, Audit: timed.Index(n.index, n.metrics.Stored), Upstreams: n.upstreams.states, Reload: reload, Metrics: n.metrics,
		Ready: n.ready, Draining: n.gone, Clock: n.clock,
		Failed: func(id string, err error) { n.log.Error().Str("request_id", id).Err(err).Msg("request failed") },
	}
	for _, m := range n.mounts {
		entry, empty := n.entry(m.Name()), m.Empty()
		opt.Registries = append(opt.Registries, admin.Registry{
			Mount: m, Path: routeOf(m), Hosted: entry.Hosted, Upstreams: entry.Upstreams, Explain: m.Explain, ResetOrigin: m.ResetOrigin, Approve: m.Approve, Used: m.Used,
			Empty: &admin.Registry{Mount: empty, Explain: empty.Explain},
		})
	}
	return admin.New(opt)
}

// ready says whether the store and the index can be used.
func (n *node) ready(context.Context) error {
	return errors.Join(n.store.Health(), n.index.Healthy())
}

// maintenance is the long work on the store that the API starts.
type maintenance struct{ n *node }

func (m maintenance) GC(ctx context.Context, dry bool, progress func(looked int)) (evict.Report, error) {
	start := time.Now()
	report, err := m.n.evict.GC(ctx, dry, progress)
	m.n.metrics.Job("gc", time.Since(start))
	if err == nil && !dry {
		m.n.metrics.Collected(m.n.clock(), report.Bytes)
		m.n.collected(ctx, report)
	}
	return report, err
}

func (m maintenance) Verify(ctx context.Context, repair bool, progress func(done, total int64)) (admin.Verification, error) {
	start := time.Now()
	r, err := m.n.scrubber().Check(ctx, repair, progress)
	m.n.metrics.Job("verify", time.Since(start))
	found := admin.Verification{
		Blobs: r.Blobs, Bytes: r.Bytes, Hosted: r.Hosted, Cached: r.Cached, Repaired: r.Repaired, Findings: r.Findings,
	}
	if repair {
		m.n.repaired(ctx, found) // also what was put right before an error
	}
	return found, err
}

func (n *node) scrubber() *scrub.Scrubber {
	return &scrub.Scrubber{
		Index: n.index, Store: n.store, Locks: n.locks, Clock: n.clock,
		Damaged: n.damaged,
	}
}

// states tells how the upstreams do.
func (u *upstreams) states(context.Context) []admin.Upstream {
	u.mu.RLock()
	defer u.mu.RUnlock()
	var list []admin.Upstream
	for id, c := range u.cfg.Upstreams {
		s := admin.Upstream{ID: id, Format: c.Format, State: "none"}
		client, ok := u.clients[id]
		searching := u.searching(c.Format)
		switch {
		case u.cfg.Offline:
			s.State = "offline"
		case ok:
			h := client.State()
			s.State, s.LastSuccess, s.LastFailure, s.LastError = string(h.State), h.LastSuccess, h.LastFailure, h.LastError
			s.Requests, s.Failures, s.URL = int64(h.Requests), int64(h.Failures), client.Config().URL
		case searching, u.late[c.Format]:
			s.State = "searching"
		default:
			s.Note = noUpstream(c.Format)
		}
		if !searching && c.URL.Reveal() == config.Auto {
			s.Source = u.found[c.Format].Source
		}
		list = append(list, s)
	}
	return list
}

// verifyFolder checks a data folder that no server holds.
func verifyFolder(ctx context.Context, data string, repair bool, progress func(done, total int64)) (found admin.Verification, err error) {
	err = inFolder(data, func(n *node) error {
		found, err = maintenance{n}.Verify(ctx, repair, progress)
		return err
	})
	return found, err
}

// inFolder opens the store and the index of a data folder, and no more.
// Errors: disk.ErrLocked while a server holds it.
func inFolder(data string, fn func(*node) error) error {
	n := &node{locks: &refs.Locks{}, clock: time.Now, metrics: admin.NewMetrics(version())}
	var err error
	if n.store, err = disk.Open(data, disk.Options{}); err != nil {
		return err
	}
	n.index, err = badger.Open(filepath.Join(data, "index"), badger.Options{Critical: n.store.Room().Critical})
	if err != nil {
		return errors.Join(err, n.close())
	}
	return errors.Join(fn(n), n.close())
}

// usage is what the store holds, for metrics.
func (n *node) usage(ctx context.Context) (admin.Usage, error) {
	var u refs.Usage
	err := n.index.View(ctx, func(r cache.Reader) error {
		var err error
		u, err = refs.ReadUsage(r)
		return err
	})
	return admin.Usage{
		CachedBytes: u.CachedBytes, CachedBlobs: u.CachedBlobs,
		HostedBytes: u.KeptBytes, HostedBlobs: u.KeptBlobs, Limit: n.budget(),
	}, err
}
