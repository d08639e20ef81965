package npm

import (
	"maps"
	"slices"
	"strings"
)

// project is how pnpm calls its own project among the dependencies.
const project = "."

// QuickNames returns every package name in the body of a quick audit, sorted.
// Errors: formats.ErrBadRequest.
func QuickNames(body []byte) ([]string, error) {
	names := map[string]bool{}
	_, _, err := FilterQuick(body, func(name string) bool {
		names[name] = name != project
		return false
	})
	delete(names, project)
	return slices.Sorted(maps.Keys(names)), err
}

// FilterQuick returns what an upstream may see of the body of a quick audit,
// and whether any package is left in it. The packages that drop names are taken
// out: in dependencies and requires of all levels, in the lists of what is
// installed and removed, and as the name of the project itself. So is all that
// no audit needs and that could name them otherwise: aliases, URLs, paths and
// unknown members. Errors: formats.ErrBadRequest.
func FilterQuick(body []byte, drop func(name string) bool) (asked []byte, left bool, err error) {
	raw, err := value(body)
	if err != nil || !isObject(raw) {
		return nil, false, bad("the audit is not a tree of dependencies")
	}
	if depth(raw) > maxAuditDepth {
		return nil, false, bad("the audit nests more than %d levels", maxAuditDepth)
	}
	f := quickFilter{drop: func(name string) bool { return drop(name) && name != project }}
	f.node(raw, true)
	return f.out.out, f.left, nil
}

type quickFilter struct {
	out  builder
	drop func(name string) bool
	left bool // a package was kept
}

// node copies a package of the tree, or the project at its top.
func (f *quickFilter) node(obj []byte, top bool) {
	f.out.open()
	for m := range members(obj) {
		s, isText := text(m.value)
		switch name := string(m.name); {
		case name == "dependencies" || name == "requires":
			f.tree(m)
		case top && (name == "install" || name == "remove"):
			f.list(m)
		case top && name == "metadata":
			f.metadata(m)
		case top && name == "name" && isText && !f.drop(s),
			name == "version" && isText && plainRange(s),
			name == "integrity" && isText && strongest(s) != "",
			flag(m):
			f.out.member(m)
		}
	}
	f.out.close()
}

// flag reports one of the marks that a package may carry.
func flag(m member) bool {
	switch string(m.name) {
	case "dev", "optional", "bundled", "peer":
		return string(m.value) == "true" || string(m.value) == "false"
	}
	return false
}

// tree copies dependencies or requires; npm also writes true for the latter.
func (f *quickFilter) tree(m member) {
	if !isObject(m.value) {
		if string(m.value) == "true" || string(m.value) == "false" {
			f.out.member(m)
		}
		return
	}
	f.out.memberKey(m)
	f.out.open()
	for d := range members(m.value) {
		f.dependency(d)
	}
	f.out.close()
}

// dependency copies an entry of dependencies, an object, or of requires, a
// range. One that comes from elsewhere than a registry is of no use to an audit.
func (f *quickFilter) dependency(d member) {
	name := string(d.name)
	if f.drop(name) {
		return
	}
	from := d.value
	if isObject(d.value) {
		from = field(d.value, "version")
	}
	if s, ok := text(from); ok && !plainRange(s) {
		return
	}
	switch {
	case isObject(d.value):
		f.out.memberKey(d)
		f.node(d.value, false)
	case from[0] == '"':
		f.out.member(d)
	default:
		return
	}
	f.left = f.left || name != project
}

// list copies an array of "name@range".
func (f *quickFilter) list(m member) {
	f.out.memberKey(m)
	f.out.openArray()
	for e := range elements(m.value) {
		s, ok := text(e)
		if !ok {
			continue
		}
		name, version := s, ""
		if at := strings.LastIndexByte(s, '@'); at > 0 {
			name, version = s[:at], s[at+1:]
		}
		if !f.drop(name) && plainRange(version) && readableName(name) {
			f.out.string(s)
			f.left = true
		}
	}
	f.out.closeArray()
}

// metadata copies what describes the client.
func (f *quickFilter) metadata(m member) {
	f.out.memberKey(m)
	f.out.open()
	for _, name := range []string{"npm_version", "node_version", "platform"} {
		if s := textField(m.value, name); s != "" && plainRange(s) {
			f.out.text(name, s)
		}
	}
	f.out.close()
}

// plainRange reports whether s holds only what versions, ranges and tags are
// made of, so that it is no alias, URL or path.
func plainRange(s string) bool {
	for i := 0; i < len(s); i++ {
		if !isAlnum(s[i]) && strings.IndexByte(" .-+_^~<>=|*", s[i]) < 0 {
			return false
		}
	}
	return len(s) <= maxVersion
}
