package proxy

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"larder/formats"
	"larder/policy"
)

// Containers are the registries behind /v2/: one of our own and mirrors of
// others. Which of them a request means is told by its path, its host name and
// its parameter ns, and is settled before anything is looked up.
type Containers struct {
	// Hosted answers for the names that no mirror takes.
	Hosted Mount
	// Mirrors by the ids of their upstreams: /v2/mirror/<id>/.
	Mirrors map[string]Mount
	// Hosts are host names that one of these registries has for itself.
	Hosts map[string]Mount
	// Default, if not nil, is the mirror that is read in the place of Hosted where a
	// name is neither hosted nor claimed here, nor that of an owner.
	Default Mount
	// Upstream returns the id of the upstream that is known by a host, which is in
	// lower case and without the port 443; "" for none. It compares, and never asks
	// the host. It may wait until the upstreams are known. nil: there is none.
	Upstream func(ctx context.Context, host string) (id string, err error)
}

// Placed is a container registry and what of a request is for it.
type Placed struct {
	Mount  Mount
	Prefix string   // path of the registry, with slashes at both ends
	Path   []string // below it
	// Namespace is the parameter ns where it decided.
	Namespace string
}

// mirrors is the first part of the names of all mirrors; no owner has it.
const mirrors = "mirror"

// Place finds the registry of a request: host is the one asked for, with its
// port, ns the values of the parameter, path the segments below /v2/. With an
// error, formats.ErrNotFound or formats.ErrBadRequest, it is Hosted, to word it.
func (c *Containers) Place(ctx context.Context, host string, ns, path []string) (Placed, error) {
	here := Placed{Mount: c.Hosted, Prefix: "/v2/", Path: path}
	if len(path) > 0 && path[0] == mirrors {
		return c.mirror(here)
	}
	if m := c.Hosts[hostname(host)]; m != nil {
		here.Mount = m
		return here, nil
	}
	switch len(ns) {
	case 0:
		return here, nil
	case 1:
		return c.named(ctx, host, ns[0], here)
	}
	return here, formats.Refuse(formats.ErrBadRequest, fmt.Sprintf("the parameter ns is given %d times", len(ns)))
}

// mirror reads mirror/<id>/….
func (c *Containers) mirror(here Placed) (Placed, error) {
	if len(here.Path) == 1 {
		return here, formats.Refuse(formats.ErrNotFound, "the path must go on with the id of an upstream: /v2/mirror/<id>/…")
	}
	id := here.Path[1]
	m := c.Mirrors[id]
	if m == nil {
		return here, formats.Refuse(formats.ErrNotFound, "there is no mirror of an upstream "+quote(id)+" here")
	}
	return Placed{Mount: m, Prefix: here.Prefix + mirrors + "/" + id + "/", Path: here.Path[2:]}, nil
}

// named reads the parameter ns, with which clients say whose image they want of
// a host that they take for a mirror of many. They do so also of that host's own
// images.
func (c *Containers) named(ctx context.Context, host, ns string, here Placed) (Placed, error) {
	unknown := formats.Refuse(formats.ErrNotFound, "there is no mirror of a registry "+quote(ns)+" here")
	if !validHost(ns) {
		return here, unknown
	}
	name, at := plainHost(ns), here
	at.Namespace = ns
	if c.Upstream != nil {
		id, err := c.Upstream(ctx, name)
		if err != nil {
			return here, fmt.Errorf("look for the upstream %q: %w", name, err)
		}
		if m := c.Mirrors[id]; m != nil {
			at.Mount = m
			return at, nil
		}
	}
	if m := c.Hosts[hostname(name)]; m != nil {
		at.Mount = m
		return at, nil
	}
	if name == plainHost(host) {
		return at, nil
	}
	return here, unknown
}

// plainHost is host[:port] as it is compared.
func plainHost(host string) string { return strings.TrimSuffix(strings.ToLower(host), ":443") }

// findContainers reads what is below /v2/.
func (x *exchange) findContainers(path []string) error {
	c := x.edge.Containers
	if c == nil {
		x.section = "v2"
		return formats.Refuse(formats.ErrNotFound, "this server has no container registry: /v2/ is reserved for it")
	}
	var ns []string
	if x.r.URL.RawQuery != "" {
		// What is wrong with a query is the format's to say.
		query, _ := url.ParseQuery(x.r.URL.RawQuery)
		ns = query["ns"]
	}
	at, err := c.Place(x.r.Context(), x.asked, ns, path)
	x.at(at.Mount, at.Prefix, at.Path)
	if at.Namespace != "" {
		// In refusals too: what is hidden looks as what is missing does.
		x.Header().Set("OCI-Namespace", at.Namespace)
	}
	return err
}

// fallBack reads what nobody has here from the default mirror. Whose a name is
// does not depend on the caller.
func (x *exchange) fallBack(req formats.Request) (formats.Request, error) {
	c := x.edge.Containers
	if c == nil || c.Default == nil || x.mount != c.Hosted || req.Action != policy.Read || req.Package == "" {
		return req, nil
	}
	ours, err := c.Hosted.For(policy.Subject{}, "", x.root+x.prefix).Ours(x.r.Context(), []string{req.Package})
	if err != nil || ours[0] {
		return req, err
	}
	x.at(c.Default, x.prefix, x.path)
	return x.format.Parse(x.r, x.path)
}

// checkContainers refuses what would leave a request without one answer.
func (e *edge) checkContainers() error {
	c := e.Containers
	if c == nil {
		return nil
	}
	if c.Hosted == nil {
		return errors.New("containers: a registry for /v2/ is needed beside the mirrors")
	}
	for id := range c.Mirrors {
		if !mountName.MatchString(id) {
			return fmt.Errorf("mirror %q: want lower-case letters, digits, dots, dashes", id)
		}
	}
	for host := range c.Hosts {
		switch {
		case host != strings.ToLower(host) || !validHost(host) || hostname(host) != host:
			return fmt.Errorf("host %s: want a host name in lower case, without a port", host)
		case e.hosts[host] != nil:
			return fmt.Errorf("host %s belongs to the registry %s already", host, e.hosts[host].Name())
		}
	}
	return nil
}

// virtual reports whether a registry has a host name for itself.
func (e *edge) virtual(host string) bool {
	return e.hosts[host] != nil || e.Containers != nil && e.Containers.Hosts[host] != nil
}

// addresses lists the paths of all container registries, by their names.
func (c *Containers) addresses() []Placed {
	if c == nil {
		return nil
	}
	list := []Placed{{Mount: c.Hosted, Prefix: "/v2/"}}
	for id, m := range c.Mirrors {
		list = append(list, Placed{Mount: m, Prefix: "/v2/" + mirrors + "/" + id + "/"})
	}
	slices.SortFunc(list, func(a, b Placed) int { return strings.Compare(a.Prefix, b.Prefix) })
	return list
}
