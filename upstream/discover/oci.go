package discover

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"

	"github.com/regclient/regclient/config"

	"larder/upstream"
)

// containerRegistries reads registries.conf of the containers tools: the
// registries in which short names are looked for, each at its first mirror
// or other location where one is set.
func containerRegistries(_ context.Context, m *machine) ([]Found, error) {
	path, all, errs := m.registries()
	var found []Found
	for _, host := range all.hosts() {
		for _, at := range all.locations(host) {
			f, err := m.located(host, at)
			f.Source = path + ", registry " + host
			found, errs = append(found, f), append(errs, err)
			if u, err := url.Parse(f.URL); err != nil || !m.isSelf(u) {
				break
			}
		}
	}
	return found, errors.Join(errs...)
}

// registries reads all files, and names the one that counts, for people.
func (m *machine) registries() (path string, all registries, errs []error) {
	path, files := m.registriesPaths()
	for _, p := range files {
		data, err := m.file(p)
		if err == nil {
			err = all.add(data)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("containers: %s: %w", p, err))
		}
	}
	return path, all, errs
}

// located is the registry that images of a host are asked of.
func (m *machine) located(host string, at location) (Found, error) {
	f := Found{URL: containerURL(at.at, at.insecure)}
	if at.at != host {
		f.Host = host
	}
	auth, err := m.containerAuth(at.at)
	if IsHub(at.at) {
		// What images are called by is no host that serves them.
		f.URL, f.Host = containerURL(config.DockerRegistryDNS, false), config.DockerRegistry
		auth, err = m.hubAuth()
	}
	f.Auth = auth
	return f, err
}

// registriesPaths returns the file that counts, for people, and all that are read.
func (m *machine) registriesPaths() (string, []string) {
	if v := m.env("CONTAINERS_REGISTRIES_CONF"); v != "" {
		return v, []string{m.systemPath(v)}
	}
	main, dir := m.systemPath("/etc/containers/registries.conf"), m.systemPath("/etc/containers/registries.conf.d")
	user := m.configPath("containers", "registries.conf")
	if data, err := m.file(user); err == nil && data != nil {
		main, dir = user, user+".d"
	}
	// The only error of Glob is a bad pattern, and this is a good one.
	more, _ := filepath.Glob(filepath.Join(dir, "*.conf"))
	return main, append([]string{main}, more...)
}

func containerURL(location string, insecure bool) string {
	if insecure {
		return "http://" + location
	}
	return "https://" + location
}

// registry is one [[registry]] table.
type registry struct {
	prefix, location  string
	insecure, blocked bool
	mirrors           []registry
}

type registries struct {
	search []string // unqualified-search-registries
	list   []registry
}

func (rs *registries) add(data []byte) error {
	lines, err := parseTOML(string(data))
	for _, l := range lines {
		switch {
		case l.table == "" && l.key == "unqualified-search-registries":
			rs.search = l.values // the last file wins
		case l.table == "[registry]" && l.key == "":
			rs.list = append(rs.list, registry{})
		case l.table == "[registry.mirror]" && l.key == "" && len(rs.list) > 0:
			last := &rs.list[len(rs.list)-1]
			last.mirrors = append(last.mirrors, registry{})
		case l.table == "[registry]" && len(rs.list) > 0:
			rs.list[len(rs.list)-1].set(l)
		case l.table == "[registry.mirror]" && len(rs.list) > 0 && len(rs.list[len(rs.list)-1].mirrors) > 0:
			mirrors := rs.list[len(rs.list)-1].mirrors
			mirrors[len(mirrors)-1].set(l)
		}
	}
	return err
}

func (r *registry) set(l tomlLine) {
	if len(l.values) != 1 {
		return
	}
	switch v := l.values[0]; l.key {
	case "prefix":
		r.prefix = v
	case "location":
		r.location = v
	case "insecure":
		r.insecure = v == "true"
	case "blocked":
		r.blocked = v == "true"
	}
}

func (r registry) name() string { return firstOf(r.prefix, r.location) }

// hosts are those to look for short names in; without them, the hub where it is
// described: what is said of another registry is no word on where images come from
// that name none.
func (rs *registries) hosts() []string {
	if len(rs.search) > 0 {
		return rs.search
	}
	for _, r := range rs.list {
		if n := r.name(); IsHub(n) {
			return []string{n}
		}
	}
	return nil
}

// location is where a registry is asked.
type location struct {
	at       string // host, perhaps with a path
	insecure bool
}

// locations says where a registry is asked, in the order of trial; none for a
// blocked one.
func (rs *registries) locations(host string) []location {
	for _, r := range rs.list {
		if r.name() != host {
			continue
		}
		if r.blocked {
			return nil
		}
		var list []location
		for _, mirror := range r.mirrors {
			if mirror.location != "" {
				list = append(list, location{mirror.location, mirror.insecure})
			}
		}
		return append(list, location{firstOf(r.location, host), r.insecure})
	}
	return []location{{at: host}}
}

// dockerMirrors reads the mirrors of Docker's daemon.
func dockerMirrors(_ context.Context, m *machine) ([]Found, error) {
	path := m.systemPath("/etc/docker/daemon.json")
	data, err := m.file(path)
	if err != nil || data == nil {
		return nil, err
	}
	var f struct {
		Mirrors []string `json:"registry-mirrors"`
	}
	if err := json.Unmarshal(data, &f); err != nil {
		return nil, fmt.Errorf("docker: %s: %w", path, err)
	}
	var found []Found
	for _, mirror := range f.Mirrors {
		// The daemon knows mirrors of the hub alone.
		found = append(found, Found{URL: mirror, Host: config.DockerRegistry, Source: path + ", registry-mirrors"})
	}
	return found, nil
}

// containerAuth finds the credential of a location as the tools do: by the
// longest path, then by the host.
func (m *machine) containerAuth(location string) (upstream.Auth, error) {
	var keys []string
	for key := location; key != "."; key = filepath.Dir(key) {
		keys = append(keys, key)
	}
	return m.keptAuth(keys)
}

// hubAuth finds that of the public hub, which tools keep under several names.
func (m *machine) hubAuth() (upstream.Auth, error) {
	return m.keptAuth(append([]string{config.DockerRegistryAuth}, HubNames()...))
}

// keptAuth finds the credential kept under the first of some keys, in the first
// file that has one.
func (m *machine) keptAuth(keys []string) (upstream.Auth, error) {
	paths := []string{}
	if v := m.env("REGISTRY_AUTH_FILE"); v != "" {
		paths = append(paths, m.systemPath(v))
	}
	if v := m.env("XDG_RUNTIME_DIR"); v != "" {
		paths = append(paths, m.systemPath(v, "containers", "auth.json"))
	}
	paths = append(paths, m.configPath("containers", "auth.json"), m.userPath(".docker", "config.json"))
	var errs []error
	for _, path := range paths {
		data, err := m.file(path)
		if err != nil || data == nil {
			errs = append(errs, err)
			continue
		}
		var f struct {
			Auths map[string]struct {
				Auth string `json:"auth"`
			} `json:"auths"`
		}
		if err := json.Unmarshal(data, &f); err != nil {
			// What is wrong is not repeated: it may be a part of a secret.
			errs = append(errs, fmt.Errorf("containers: %s is no JSON of credentials", path))
			continue
		}
		for _, key := range keys {
			if a := basicAuth(f.Auths[key].Auth); a.Type != "" {
				return a, errors.Join(errs...)
			}
		}
	}
	return upstream.Auth{}, errors.Join(errs...)
}
