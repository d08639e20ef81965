package npm

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"larder/formats"
)

// View is what a rendering of a packument depends on beside the packument.
type View struct {
	// Name of the package that was asked for. A document about another one is refused.
	Name string
	// Base is the registry's URL as the client reached it, with a final slash.
	Base string
	// FirstSeen stands in for publish times that the upstream lacks; packuments
	// cannot be rendered without it.
	FirstSeen time.Time
	// Keep says whether a version may be seen; nil keeps all.
	Keep func(version string) bool
	// Changed is when the view itself changed last (a version that matured, a
	// new rule): modified is never earlier. Zero: never.
	Changed time.Time
}

func (v View) keeps(version string) bool { return v.Keep == nil || v.Keep(version) }

// visitor gets the parts of a packument as they come. Slices are valid during
// the call only.
type visitor interface {
	// member gets every top-level member but versions, dist-tags and time.
	member(name string, value []byte) error
	// version gets one manifest, a JSON object.
	version(version string, manifest []byte) error
}

// tail holds what can be used only once all versions are known.
type tail struct {
	tags        []byte // the object dist-tags, nil if there was none
	times       []byte // the object time, nil if there was none
	unpublished bool
}

// walk reads a packument once, front to back, and hands its parts to v. Any
// fault of the document is ErrDocument, formats.ErrTooLarge included; a failing
// reader or visitor is not.
func walk(src io.Reader, name string, v visitor) (tail, error) {
	// The decoder keeps a table for every object to find duplicate names in it,
	// which costs more than all else; Check looks where they matter.
	s := decode(src, maxPackument, maxValue, true)
	w := walker{source: s, name: name, visit: v, seen: map[string]bool{}}
	err := w.document()
	switch {
	case err == nil:
		return w.tail, nil
	case s.broken() || errors.As(err, new(visitError)):
		return tail{}, fmt.Errorf("packument of %s: %w", name, err)
	}
	return tail{}, fmt.Errorf("packument of %s: %w: %w", name, ErrDocument, err)
}

// visitError marks what came from the visitor.
type visitError struct{ error }

// Unwrap returns the visitor's error.
func (e visitError) Unwrap() error { return e.error }

type walker struct {
	*source
	name     string
	visit    visitor
	tail     tail
	named    bool
	versions bool
	seen     map[string]bool // top-level names
	count    int
}

func (w *walker) document() error {
	if err := w.open(); err != nil {
		return err
	}
	for {
		name, ok, err := w.next()
		if err != nil {
			return err
		}
		if !ok {
			break
		}
		if err := w.part(name); err != nil {
			return err
		}
	}
	w.tail.unpublished = !w.versions && field(w.tail.times, "unpublished") != nil
	switch {
	case !w.named:
		return errors.New("it has no name")
	case !w.versions && !w.tail.unpublished:
		return errors.New("it has no versions")
	}
	return w.end()
}

// part handles one top-level member.
func (w *walker) part(name string) error {
	if w.seen[name] {
		return errTwice(name)
	}
	w.seen[name] = true
	if name == "versions" {
		w.versions = true
		return w.manifests()
	}
	raw, err := w.read()
	if err != nil {
		return err
	}
	switch name {
	case "dist-tags":
		if !isObject(raw) {
			return errors.New("dist-tags is not an object")
		}
		w.tail.tags = append([]byte(nil), raw...)
		return nil
	case "time":
		if isObject(raw) {
			w.tail.times = append([]byte(nil), raw...)
		}
		return nil
	case "name":
		if got, _ := text(raw); got != w.name {
			return fmt.Errorf("it is about %s", quoteShort(got))
		}
		w.named = true
	}
	if err := w.visit.member(name, raw); err != nil {
		return visitError{err}
	}
	return nil
}

func (w *walker) manifests() error {
	if w.kind() != '{' {
		return errors.New("versions is not an object")
	}
	if err := w.open(); err != nil {
		return err
	}
	for {
		version, ok, err := w.next()
		if err != nil || !ok {
			return err
		}
		if w.count++; w.count > maxVersions {
			return fmt.Errorf("it has more than %d versions", maxVersions)
		}
		if len(version) > maxVersion {
			return fmt.Errorf("a version is longer than %d bytes", maxVersion)
		}
		raw, err := w.read()
		if err != nil {
			return err
		}
		if !isObject(raw) {
			return fmt.Errorf("the manifest of %s is not an object", quoteShort(version))
		}
		if err := w.visit.version(version, raw); err != nil {
			return visitError{err}
		}
	}
}

// Check reads an upstream packument to its end. It returns nil for a document
// about the package of that name that has versions, or that says it was
// unpublished. What clients might read in two ways is refused: names that stand
// twice at the top, among the versions, in a manifest or its dist. Errors:
// ErrDocument, those of r.
func Check(r io.Reader, name string) error {
	c := &checker{versions: map[string]bool{}, names: map[string]bool{}}
	t, err := walk(r, name, c)
	twice, ok := errors.AsType[visitError](err)
	switch {
	case ok:
		err = twice.error
	case err != nil:
		return err
	default:
		err = cmp.Or(c.once(t.tags), c.once(t.times))
	}
	if err != nil {
		return fmt.Errorf("packument of %s: %w: %w", name, ErrDocument, err)
	}
	return nil
}

// manyNames is more than any manifest has members.
const manyNames = 1000

type checker struct {
	versions map[string]bool
	names    map[string]bool // of the object looked at
}

func (c *checker) member(string, []byte) error { return nil }

func (c *checker) version(version string, manifest []byte) error {
	if c.versions[version] {
		return errTwice(version)
	}
	c.versions[version] = true
	return cmp.Or(c.once(manifest), c.once(field(manifest, "dist")))
}

// once refuses an object in which a name stands twice.
func (c *checker) once(obj []byte) error {
	if len(c.names) > manyNames {
		c.names = map[string]bool{} // to clear a large table takes its time
	}
	clear(c.names)
	for m := range members(obj) {
		if c.names[string(m.name)] {
			return errTwice(string(m.name))
		}
		c.names[string(m.name)] = true
	}
	return nil
}

func errTwice(name string) error { return fmt.Errorf("%s stands in it twice", quoteShort(name)) }

// notFound is the error of a version or tag that a package lacks.
func notFound(ref string) error {
	return formats.Refuse(formats.ErrNoVersion, "version not found: "+strings.Trim(quoteShort(ref), `"`))
}

// errUnpublished stands for the bare form of an unpublished package, which
// crashes clients: they get a 404 instead.
func errUnpublished(name string) error {
	return formats.Refuse(formats.ErrNotFound, name+" was unpublished")
}
