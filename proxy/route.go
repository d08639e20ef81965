package proxy

import (
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"larder/formats"
)

// find sets the place that canonical segments lead to. The error says that
// there is none; it does not depend on the caller.
func (x *exchange) find(segments []string, trailing bool) error {
	e := x.edge
	first := ""
	if len(segments) > 0 {
		first = segments[0]
	}
	if slices.Contains(probes, first) && e.Handlers[first] != nil {
		if len(segments) > 1 {
			return formats.Refuse(formats.ErrNotFound, "there is nothing below /"+first)
		}
		x.section, x.handler = first, e.Handlers[first]
		return nil
	}
	if m := e.hosts[x.host]; m != nil {
		// The registry sends people to the page that signs them in by its own host.
		if len(segments) == 3 && first == "ui" && segments[1] == "login" && e.Handlers[first] != nil {
			x.section, x.handler = first, e.Handlers[first]
			return nil
		}
		x.at(m, "/", segments)
		return nil
	}
	if e.Containers != nil && e.Containers.Hosts[x.host] != nil && first != "v2" {
		return formats.Refuse(formats.ErrNotFound, "this host name is that of a container registry, which has nothing outside /v2/")
	}
	switch first {
	case "":
		x.section, x.handler = "root", http.HandlerFunc(x.serveRoot)
		return nil
	case "r":
		return x.findRepository(segments[1:])
	case "v2":
		return x.findContainers(segments[1:])
	}
	if h := e.Handlers[first]; h != nil {
		x.section, x.handler = first, h
		return nil
	}
	m := e.mounts[first]
	if m == nil {
		return x.unknown(first)
	}
	x.at(m, "/"+first+"/", segments[1:])
	return nil
}

func (x *exchange) at(m Mount, prefix string, path []string) {
	x.mount, x.format, x.prefix, x.path = m, m.Format(), prefix, path
}

// findRepository reads /r/<owner>/<repository>/<registry>/….
func (x *exchange) findRepository(rest []string) error {
	x.section = "r"
	if len(rest) < 3 || strings.Contains(rest[0]+rest[1], "/") {
		return formats.Refuse(formats.ErrNotFound, "the path must be /r/<owner>/<repository>/<registry>/…, with one of the registries "+x.edge.names)
	}
	m := x.edge.mounts[rest[2]]
	if m == nil {
		return x.unknown(rest[2])
	}
	x.repository = rest[0] + "/" + rest[1]
	x.at(m, "/r/"+url.PathEscape(rest[0])+"/"+url.PathEscape(rest[1])+"/"+rest[2]+"/", rest[3:])
	return nil
}

func (x *exchange) unknown(name string) error {
	if x.edge.names == "" {
		return formats.Refuse(formats.ErrNotFound, "there is no registry "+quote(name)+" here, and none at all: the configuration names no registries")
	}
	return formats.Refuse(formats.ErrNotFound, "there is no registry "+quote(name)+" here. The registries are: "+x.edge.names)
}

// quote cuts what a client sent to a length fit for a sentence.
func quote(s string) string {
	const most = 80
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "") + "…"
	}
	return `"` + s + `"`
}

// serveRoot tells programs which registries there are; browsers go to the pages.
func (x *exchange) serveRoot(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		x.fail(&formats.MethodError{Allow: []string{"GET", "HEAD"}})
		return
	}
	visit, _ := FromContext(r.Context())
	if x.edge.Handlers["ui"] != nil && strings.Contains(r.Header.Get("Accept"), "text/html") {
		w.Header().Set("Location", visit.Origin+"/ui/")
		w.Header().Set("Vary", "Accept")
		w.WriteHeader(http.StatusSeeOther)
		return
	}
	type registry struct {
		Name   string `json:"name"`
		Format string `json:"format"`
		URL    string `json:"url"`
	}
	list := struct {
		Registries []registry `json:"registries"`
	}{[]registry{}}
	for _, m := range x.edge.Mounts {
		list.Registries = append(list.Registries, registry{m.Name(), m.Format().Name(), visit.Origin + "/" + m.Name() + "/"})
	}
	for _, c := range x.edge.Containers.addresses() {
		list.Registries = append(list.Registries, registry{c.Mount.Name(), c.Mount.Format().Name(), visit.Origin + c.Prefix})
	}
	body, err := json.Marshal(list)
	if err != nil {
		x.fail(err)
		return
	}
	err = formats.Reply(w, r, &formats.Content{Bytes: append(body, '\n'), MediaType: "application/json"})
	if err != nil {
		x.fail(err)
	}
}
