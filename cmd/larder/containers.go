package main

import (
	"context"
	"net/url"
	"strings"
	"time"

	"larder/cmd/larder/config"
	"larder/formats"
	"larder/formats/oci"
	"larder/proxy"
	"larder/proxy/registry"
	"larder/upstream/discover"
)

// missingImages is how long an upstream's "not found" is remembered at most: an
// image that was just pushed there is what somebody waits for.
const missingImages = 10 * time.Second

// containers is the format of the registry of our own. One that takes nothing is
// like a mirror of nothing. Layers are larger than other packages, so that only a
// limit that somebody has set is theirs too.
func containers(cfg *config.Loaded) formats.Format {
	opt := oci.Options{Mirror: !cfg.Registries[config.Containers].Hosted}
	if cfg.Explicit("publish.max_size") {
		opt.MaxBlob = int64(cfg.Publish.MaxSize)
	}
	return oci.New(opt)
}

// openContainers makes the registry at /v2/ and a mirror for each upstream of its
// format. There is none of them where nobody wants either.
func (n *node) openContainers(format formats.Format) {
	own, wanted := n.cfg.Registries[config.Containers]
	ids := n.cfg.Mirrors()
	if !wanted && len(ids) == 0 {
		return
	}
	n.containers = &proxy.Containers{Mirrors: map[string]proxy.Mount{}, Hosts: map[string]proxy.Mount{}, Upstream: n.upstreams.mirrored}
	add := func(hosts []string, spec registry.Spec) proxy.Mount {
		spec.Negative = missingImages
		m := n.engine.Registry(spec)
		n.mounts = append(n.mounts, m)
		for _, h := range hosts {
			n.containers.Hosts[strings.ToLower(h)] = m
		}
		return m
	}
	n.containers.Hosted = add(own.Hosts, registry.Spec{
		Name: config.Containers, Format: format, Hosted: own.Hosted,
		Retention: retention(own.Retention), FollowSubject: own.FollowSubject,
	})
	for _, id := range ids {
		name := config.MirrorName(id)
		m := add(n.cfg.Upstreams[id].Hosts, registry.Spec{
			Name: name, World: name,
			Format:    oci.New(oci.Options{Mirror: true, Library: func(ctx context.Context) bool { return n.upstreams.library(ctx, id) }, Prefetch: func() []string { return n.upstreams.prefetch(id) }}),
			Upstreams: func(ctx context.Context) ([]registry.Source, error) { return n.upstreams.sources(ctx, []string{id}) },
			Hint:      func() string { return n.upstreams.hint([]string{id}) },
		})
		n.containers.Mirrors[id] = m
		if id == own.DefaultUpstream {
			n.containers.Default = m
		}
	}
}

// entry is a registry as the configuration has it, or would have a mirror.
func (n *node) entry(name string) config.Registry {
	if id, ok := strings.CutPrefix(name, config.MirrorName("")); ok {
		return config.Registry{Format: config.Containers, Upstreams: []string{id}}
	}
	return n.cfg.Registries[name]
}

// routeOf is where clients find a registry that is not at its name; "" for others.
func routeOf(m *registry.Registry) string {
	if m.Format().Name() != config.Containers {
		return ""
	}
	return "/v2" + strings.TrimPrefix("/"+m.Name()+"/", "/"+config.Containers)
}

// mirrors is what is known of container upstreams beside how they are asked.
type mirrors struct {
	names   map[string]string // hosts by which clients know them: to their ids
	library map[string]bool   // ids of those that keep names of one part below library/
}

// mirrorsOf finds it out. Of two upstreams with one name the first keeps it, and
// a name that somebody wrote down goes before one that is an address.
func mirrorsOf(cfg *config.Loaded, found discover.Found) mirrors {
	m := mirrors{map[string]string{}, map[string]bool{}}
	for _, id := range cfg.Mirrors() {
		m.add(id, cfg.Upstreams[id].Namespaces)
	}
	for _, id := range cfg.Mirrors() {
		c := cfg.Upstreams[id]
		hosts := []string{}
		address := c.URL.Reveal()
		if address == config.Auto {
			address = found.URL
			hosts = append(hosts, found.Host)
		}
		hosts = append(hosts, hostsOf(address)...)
		m.library[id] = c.Library
		for _, h := range hosts {
			if discover.IsHub(h) {
				hosts, m.library[id] = append(hosts, discover.HubNames()...), true
				break
			}
		}
		m.add(id, hosts)
	}
	return m
}

func (m mirrors) add(id string, hosts []string) {
	for _, h := range hosts {
		h = config.NamedHost(h)
		if _, taken := m.names[h]; h != "" && !taken {
			m.names[h] = id
		}
	}
}

// hostsOf are the spellings of an address's host.
func hostsOf(address string) []string {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" {
		return nil
	}
	if u.Scheme == "http" && u.Port() == "" {
		return []string{u.Host, u.Host + ":80"}
	}
	return []string{u.Host}
}

// mirrored says which upstream clients know by a host, "" for none; see
// proxy.Containers. Where somebody has yet to say where the upstreams are, it
// waits.
func (u *upstreams) mirrored(ctx context.Context, host string) (id string, err error) {
	if err := u.settled(ctx, config.Containers); err != nil {
		return "", err
	}
	u.mu.RLock()
	defer u.mu.RUnlock()
	return u.mirrors.names[host], nil
}

// library reports whether an upstream keeps images with names of one part below
// library/. It waits until its address is known.
func (u *upstreams) library(ctx context.Context, id string) bool {
	if err := u.settled(ctx, u.sought(id)...); err != nil {
		return false // nobody waits for the answer any more
	}
	u.mu.RLock()
	defer u.mu.RUnlock()
	return u.mirrors.library[id]
}

// prefetch lists the platforms that are fetched with an upstream's indexes.
func (u *upstreams) prefetch(id string) []string {
	u.mu.RLock()
	defer u.mu.RUnlock()
	return u.cfg.Upstreams[id].Prefetch
}
