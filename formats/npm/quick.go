package npm

import (
	"bytes"
	"errors"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// project is how pnpm calls its own project among the dependencies.
const project = "."

// Quick is the body of a quick audit as an upstream may see it.
type Quick struct {
	Asked []byte
	Left  bool // a package is left in it
	// Packages in the tree that the client sent, and those of them that are
	// marked dev, or else optional.
	Total, Dev, Optional int64
}

// QuickNames returns every package name in the body of a quick audit, sorted.
// Errors: formats.ErrBadRequest.
func QuickNames(body []byte) ([]string, error) {
	names := map[string]bool{}
	_, err := FilterQuick(body, func(name string) bool {
		names[name] = true
		return false
	})
	return slices.Sorted(maps.Keys(names)), err
}

// FilterQuick returns what an upstream may see of the body of a quick audit. The
// packages that drop names are taken out: in dependencies and requires of all
// levels, in the lists of what is installed and removed, and as the name of the
// project itself. So is all that no audit needs and that could name them
// otherwise: aliases, URLs, paths and unknown members. It reads the body once,
// however it nests. Errors: formats.ErrBadRequest.
func FilterQuick(body []byte, drop func(name string) bool) (Quick, error) {
	f := quickFilter{
		dec:  jsontext.NewDecoder(bytes.NewBuffer(body), jsontext.AllowInvalidUTF8(true)),
		drop: func(name string) bool { return name != project && drop(name) },
	}
	_, err := f.node(1, true)
	if err == nil {
		if _, err = f.dec.ReadToken(); errors.Is(err, io.EOF) {
			f.found.Asked = f.out.out
			return f.found, nil
		}
	}
	if errors.Is(err, errTooDeep) {
		return Quick{}, bad("the audit nests more than %d levels", maxAuditDepth)
	}
	return Quick{}, bad("the audit is not a tree of dependencies")
}

var errTooDeep = errors.New("too many levels")

type quickFilter struct {
	dec   *jsontext.Decoder
	out   builder
	drop  func(name string) bool
	found Quick
}

// object reads an object; fn reads the value of each member.
func (f *quickFilter) object(level int, fn func(name string) error) error {
	if level > maxAuditDepth {
		return errTooDeep
	}
	tok, err := f.dec.ReadToken()
	if err != nil {
		return err
	}
	if tok.Kind() != '{' {
		return errNotObject
	}
	for f.dec.PeekKind() != '}' {
		name, err := f.dec.ReadToken()
		if err != nil {
			return err
		}
		if err := fn(name.String()); err != nil {
			return err
		}
	}
	_, err = f.dec.ReadToken()
	return err
}

// nodeFacts are what a node says of itself.
type nodeFacts struct {
	foreign       bool // it comes from elsewhere than a registry
	dev, optional bool
}

// node copies a package of the tree, or the project at its top.
func (f *quickFilter) node(level int, top bool) (is nodeFacts, err error) {
	f.out.open()
	err = f.object(level, func(name string) error {
		switch kind := f.dec.PeekKind(); {
		case (name == "dependencies" || name == "requires") && kind == '{':
			return f.tree(name, level+1)
		case top && (name == "install" || name == "remove") && kind == '[':
			return f.list(name)
		case top && name == "metadata":
			return f.metadata()
		}
		return f.member(name, top, &is)
	})
	f.out.close()
	return is, err
}

// member copies what an audit needs of a package beside its dependencies.
func (f *quickFilter) member(name string, top bool, is *nodeFacts) error {
	raw, err := f.dec.ReadValue()
	if err != nil {
		return err
	}
	s, isText := text(raw)
	isFlag := string(raw) == "true" || string(raw) == "false"
	keep := false
	switch name {
	case "name":
		keep = top && isText && !f.drop(s)
	case "version":
		keep = isText && plainRange(s)
		is.foreign = isText && !keep
	case "integrity":
		keep = isText && strongest(s) != ""
	case "requires", "bundled", "peer":
		keep = isFlag
	case "dev":
		keep, is.dev = isFlag, string(raw) == "true"
	case "optional":
		keep, is.optional = isFlag, string(raw) == "true"
	}
	if keep {
		f.out.key(name)
		f.out.value(raw)
	}
	return nil
}

// tree copies the entries of dependencies, objects, or of requires, ranges.
func (f *quickFilter) tree(name string, level int) error {
	f.out.key(name)
	f.out.open()
	err := f.object(level, func(dependency string) error {
		before, left := f.out, f.found.Left
		f.out.key(dependency)
		keep, err := f.dependency(dependency, level+1)
		switch {
		case !keep || f.drop(dependency):
			f.out, f.found.Left = before, left
		case dependency != project:
			f.found.Left = true
		}
		return err
	})
	f.out.close()
	return err
}

// dependency copies one entry and reports whether it may be told.
func (f *quickFilter) dependency(name string, level int) (keep bool, err error) {
	if f.dec.PeekKind() == '{' {
		is, err := f.node(level, false)
		if name != project {
			f.found.count(is)
		}
		return !is.foreign, err
	}
	raw, err := f.dec.ReadValue()
	if err != nil {
		return false, err
	}
	s, ok := text(raw)
	f.out.value(raw)
	return ok && plainRange(s), nil
}

func (q *Quick) count(is nodeFacts) {
	q.Total++
	switch {
	case is.dev:
		q.Dev++
	case is.optional:
		q.Optional++
	}
}

// list copies an array of "name@range".
func (f *quickFilter) list(key string) error {
	raw, err := f.dec.ReadValue()
	if err != nil {
		return err
	}
	f.out.key(key)
	f.out.openArray()
	for e := range elements(raw) {
		s, _ := text(e)
		name, version := s, ""
		if at := strings.LastIndexByte(s, '@'); at > 0 {
			name, version = s[:at], s[at+1:]
		}
		if !f.drop(name) && plainRange(version) && readableName(name) {
			f.out.string(s)
			f.found.Left = true
		}
	}
	f.out.closeArray()
	return nil
}

// metadata copies what describes the client.
func (f *quickFilter) metadata() error {
	raw, err := f.dec.ReadValue()
	if err != nil {
		return err
	}
	f.out.key("metadata")
	f.out.open()
	for _, name := range []string{"npm_version", "node_version", "platform"} {
		if s := textField(raw, name); s != "" && plainRange(s) {
			f.out.text(name, s)
		}
	}
	f.out.close()
	return nil
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

// QuickReply is the reply to a quick audit: what an upstream found, nil for
// nothing, in the form without which older clients crash. The counts are those
// of what the client sent, so that they do not tell how much of it went on.
func QuickReply(found []byte, q Quick) []byte {
	var b builder
	b.open()
	part := func(name string, value []byte, empty string) {
		if len(value) == 0 || value[0] != empty[0] {
			value = []byte(empty)
		}
		b.key(name)
		b.value(value)
	}
	part("actions", field(found, "actions"), "[]")
	part("advisories", field(found, "advisories"), "{}")
	part("muted", field(found, "muted"), "[]")
	b.key("metadata")
	b.open()
	b.key("vulnerabilities")
	b.open()
	severities := field(field(found, "metadata"), "vulnerabilities")
	for _, name := range []string{"info", "low", "moderate", "high", "critical"} {
		// What is no number is none.
		n, _ := strconv.ParseInt(string(field(severities, name)), 10, 64)
		b.int(name, n)
	}
	b.close()
	b.int("dependencies", q.Total-q.Dev-q.Optional)
	b.int("devDependencies", q.Dev)
	b.int("optionalDependencies", q.Optional)
	b.int("totalDependencies", q.Total)
	b.close()
	b.close()
	return b.out
}
