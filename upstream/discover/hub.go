package discover

import (
	"context"
	"errors"
	"net/url"
	"slices"
	"strings"

	"github.com/regclient/regclient/config"
)

// HubNames are the hosts by which container clients know the public hub: that of
// image names comes first. Image names without a host mean it.
func HubNames() []string {
	names := []string{config.DockerRegistry}
	if u, err := url.Parse(config.DockerRegistryAuth); err == nil {
		names = append(names, u.Hostname())
	}
	return append(names, config.DockerRegistryDNS)
}

// IsHub reports whether a host, without a port, is the public hub.
func IsHub(host string) bool { return slices.Contains(HubNames(), strings.ToLower(host)) }

// containerDefault is where container clients go that nobody has configured: the
// hub, unless a file says otherwise of it, or cannot be read and might.
func containerDefault(ctx context.Context, m *machine) ([]Found, error) {
	_, all, errs := m.registries()
	if _, err := dockerMirrors(ctx, m); err != nil || len(errs) > 0 {
		return nil, nil // those whose work it is have told it
	}
	places := all.locations(config.DockerRegistry)
	if len(places) == 0 {
		return nil, errors.New("containers: the default registry of the clients is blocked by registries.conf")
	}
	f, err := m.located(config.DockerRegistry, places[len(places)-1])
	f.Source = "default of container clients"
	return []Found{f}, err
}
