package config

import (
	"fmt"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"larder/policy"
	"larder/policy/typo"
)

// Containers is the format whose registries are below /v2/: one of our own, which
// has this very name, and a mirror for each upstream.
const Containers = "oci"

// component is a part of an image's name. Clients take no other.
var component = regexp.MustCompile(`^[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*$`)

// platform is os/architecture[/variant].
var platform = regexp.MustCompile(`^[a-z0-9]+/[a-z0-9_]+(/[a-z0-9.]+)?$`)

// containerUpstream checks what concerns a mirror alone.
func (k *checker) containerUpstream(name string, u Upstream) {
	key := "upstreams." + name
	if u.Format != Containers {
		for _, own := range []struct {
			key string
			set bool
		}{
			{"library", u.Library}, {"hosts", len(u.Hosts) > 0}, {"namespaces", len(u.Namespaces) > 0},
			{"allow", len(u.Allow) > 0}, {"deny", len(u.Deny) > 0}, {"prefetch", len(u.Prefetch) > 0},
		} {
			if own.set {
				k.fail(key+"."+own.key, "it is for upstreams of the format %s, and this one speaks %s", Containers, u.Format)
			}
		}
		return
	}
	if !component.MatchString(name) {
		k.fail(key, "the name of a container upstream is a part of image names (mirror/%s/…), which clients take as words of a-z and 0-9, joined by one dot, one or two underscores, or dashes", name)
	}
	if address := strings.TrimSuffix(u.URL.Reveal(), "/"); strings.HasSuffix(address, "/v2") {
		k.fail(key+".url", "the address ends before /v2: clients write that themselves")
	}
	k.namespaces(name, u)
	k.patterns(key+".allow", u.Allow)
	k.patterns(key+".deny", u.Deny)
	for _, p := range u.Prefetch {
		if !platform.MatchString(p) {
			k.fail(key+".prefetch", "%q is no platform: write os/architecture[/variant], such as linux/amd64", p)
		}
	}
	k.hosts(key, u.Hosts)
}

// namespaces checks the hosts by which clients know a mirror. Of two upstreams at
// one host only the first has it.
func (k *checker) namespaces(name string, u Upstream) {
	key := "upstreams." + name
	for _, ns := range u.Namespaces {
		if ns == "" || strings.ContainsAny(ns, "/ @?") {
			k.fail(key+".namespaces", "%q is not of the form host or host:port", ns)
		}
	}
	named := func(o Upstream, host string) bool {
		return slices.ContainsFunc(o.Namespaces, func(ns string) bool { return NamedHost(ns) == host })
	}
	for _, other := range k.upstreamsOf(Containers) {
		o := k.Upstreams[other]
		if other >= name {
			break
		}
		for _, ns := range u.Namespaces {
			if named(o, NamedHost(ns)) {
				k.fail(key+".namespaces", "%s belongs to the upstream %s already", ns, other)
			}
		}
		if host := hostOf(u); host != "" && host == hostOf(o) && !named(u, host) && !named(o, host) {
			k.warn("%s.url: it has the host of the upstream %s: clients that say ns=%s get that one; write the host into the namespaces of the one they are to get", key, other, host)
		}
	}
}

// NamedHost is a host of an upstream, host or host:port, as it is compared.
func NamedHost(host string) string { return strings.TrimSuffix(strings.ToLower(host), ":443") }

// hostOf is the host in an upstream's address, "" where that is to be found.
func hostOf(u Upstream) string {
	at, err := url.Parse(u.URL.Reveal())
	if err != nil {
		return "" // said of the address itself
	}
	return NamedHost(at.Host)
}

func (k *checker) patterns(key string, list []string) {
	for _, p := range list {
		if err := policy.CheckPattern(p); err != nil {
			k.fail(key, "%v", err)
		}
	}
}

// containerRegistry checks a registry whose format or name is that of containers.
func (k *checker) containerRegistry(name string, r Registry) {
	key := "registries." + name
	for i, keep := range r.Retention {
		k.retention(fmt.Sprintf("%s.retention[%d]", key, i), keep)
	}
	switch {
	case r.Format != Containers && name != Containers:
		if len(r.Retention) > 0 {
			k.warn("%s.retention: it does nothing here, and is for the registry %s: versions of others stay until somebody deletes them", key, Containers)
		}
		if r.DefaultUpstream != "" {
			k.fail(key+".default_upstream", "it is for the registry %s: others have upstreams, which are asked for all names that are not ours", Containers)
		}
		return
	case r.Format != Containers:
		k.fail(key, "the name is that of the container registry: a registry for %s needs another", r.Format)
		return
	case name != Containers:
		k.fail(key, "there is one container registry, at /v2/, and its name is %s: repositories keep teams apart", Containers)
		return
	}
	if len(r.Upstreams) > 0 {
		k.warn("%s.upstreams: images of other registries are not merged with those published here: each upstream of the format %s is at /v2/mirror/<name>/ in any case", key, Containers)
	}
	if u, known := k.Upstreams[r.DefaultUpstream]; r.DefaultUpstream != "" && (!known || u.Format != Containers) {
		names := k.upstreamsOf(Containers)
		k.fail(key+".default_upstream", "there is no container upstream %q%s: they are %s",
			r.DefaultUpstream, maybe(typo.Nearest(r.DefaultUpstream, names)), orNone(names))
	}
	if r.DefaultUpstream != "" {
		k.warn("%s.default_upstream: whoever publishes there a name that nobody has here yet is who people get it from", key)
	}
}

// leastUntagged is how long a version without a tag is kept at least: the parts
// of an image come before the tag, and may take as long.
const leastUntagged = 24 * time.Hour

func (k *checker) retention(key string, r Keep) {
	if r.Untagged.Std() < leastUntagged {
		k.fail(key+".untagged", "it is missing, or less than a day: parts of an image come before its tag")
	}
	if r.Newest < 0 {
		k.fail(key+".keep", "%d is less than nothing", r.Newest)
	}
	k.patterns(key+".match", r.Match)
}

func orNone(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}

// upstreamsOf lists the upstreams of a format, sorted.
func (c *Config) upstreamsOf(format string) []string {
	var names []string
	for _, name := range slices.Sorted(maps.Keys(c.Upstreams)) {
		if c.Upstreams[name].Format == format {
			names = append(names, name)
		}
	}
	return names
}

// mounts lists the names of all registries, mirrors among them.
func (c *Config) mounts() []string {
	names := slices.Sorted(maps.Keys(c.Registries))
	for _, id := range c.Mirrors() {
		names = append(names, MirrorName(id))
	}
	return names
}

// MirrorName is the name of the registry that mirrors an upstream.
func MirrorName(upstream string) string { return "mirror/" + upstream }

// Mirrors lists the upstreams that are served below /v2/mirror/, sorted.
func (c *Config) Mirrors() []string { return c.upstreamsOf(Containers) }

// hosts checks the host names at whose root a registry, or a mirror, answers: one
// each. key is that of the entry.
func (k *checker) hosts(key string, hosts []string) {
	for _, h := range hosts {
		if h == "" || strings.ContainsAny(h, "/: @") {
			k.fail(key+".hosts", "%q is no host name", h)
		}
		if other := k.hostOf(h, key); other != "" {
			k.fail(key+".hosts", "%s belongs to %s already", h, other)
		}
	}
}

// hostOf names the first entry that has a host, of those before the one with
// this key.
func (k *checker) hostOf(host, key string) string {
	has := func(list []string) bool {
		return slices.ContainsFunc(list, func(h string) bool { return strings.EqualFold(h, host) })
	}
	for _, name := range slices.Sorted(maps.Keys(k.Registries)) {
		if own := "registries." + name; own < key && has(k.Registries[name].Hosts) {
			return "the registry " + name
		}
	}
	for _, name := range slices.Sorted(maps.Keys(k.Upstreams)) {
		if own := "upstreams." + name; own < key && has(k.Upstreams[name].Hosts) {
			return "the mirror of " + name
		}
	}
	return ""
}

// caps checks what an upstream is spared.
func (k *checker) caps(key string, u Upstream) {
	const most = 10_000
	if u.Concurrency < 0 || u.Concurrency > most {
		k.fail(key+".concurrency", "%d is out of range: from 1 to %d requests at once, or 0 for the usual", u.Concurrency, most)
	}
}

// Pick reports whether an upstream may be asked for an image.
func (u Upstream) Pick(image string) bool {
	any := func(patterns []string) bool {
		return slices.ContainsFunc(patterns, func(p string) bool { return policy.Match(p, image) })
	}
	return (len(u.Allow) == 0 || any(u.Allow)) && !any(u.Deny)
}
