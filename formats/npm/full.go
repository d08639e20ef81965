package npm

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strings"
	"time"
)

// ErrNoneLeft says that a package has versions and the view keeps none of them.
var ErrNoneLeft = errors.New("no version is left to see")

// WriteFull renders an upstream packument for clients: every tarball and
// attestation URL below v.Base, dist-tags and time repaired and moved to the
// end, everything else as it came. Errors: ErrDocument, ErrNoneLeft,
// formats.ErrNotFound for an unpublished package, those of src and dst.
func WriteFull(dst io.Writer, src io.Reader, v View) error {
	return render(dst, src, v, false)
}

// WriteAbbreviated renders the short packument that installs need, with time
// beside modified: a superset that spares pnpm a second request. Errors as
// WriteFull.
func WriteAbbreviated(dst io.Writer, src io.Reader, v View) error {
	return render(dst, src, v, true)
}

func render(dst io.Writer, src io.Reader, v View, abbreviated bool) error {
	if v.FirstSeen.IsZero() {
		return fmt.Errorf("render %s: the view does not say when the document was first seen", v.Name)
	}
	r := newRenderer(dst, v, abbreviated)
	t, err := walk(src, v.Name, r)
	if err != nil {
		return err
	}
	if t.unpublished {
		return errUnpublished(v.Name)
	}
	return r.finish(t.tags, t.times)
}

// renderer writes a packument while its parts arrive in any order. It is the
// visitor of upstream documents and the pen of hosted ones.
type renderer struct {
	w           *bufio.Writer // errors stick in it and come out of Flush
	view        View
	abbreviated bool
	tarball     string // URL of the tarballs without version and suffix
	started     bool
	versions    int
	facts       facts
	published   map[string]time.Time // of hosted versions; nil for upstream documents
	scratch     []byte
}

func newRenderer(dst io.Writer, v View, abbreviated bool) *renderer {
	_, bare := splitName(v.Name)
	return &renderer{
		w: bufio.NewWriterSize(dst, 32<<10), view: v, abbreviated: abbreviated,
		tarball: v.Base + escapeName(v.Name) + "/-/" + url.PathEscape(bare) + "-",
	}
}

// escapeName escapes a package name for a URL whose slash stays.
func escapeName(name string) string {
	scope, bare := splitName(name)
	if scope == "" {
		return url.PathEscape(bare)
	}
	return "@" + url.PathEscape(scope) + "/" + url.PathEscape(bare)
}

// member writes a top-level member unless the form leaves it out.
func (r *renderer) member(name string, value []byte) error {
	if r.abbreviated && name != "name" {
		return nil
	}
	r.closeVersions()
	r.key(name)
	_, err := r.w.Write(value)
	return err
}

// key begins a top-level member.
func (r *renderer) key(name string) {
	sep := byte(',')
	if !r.started {
		sep, r.started = '{', true
	}
	r.w.WriteByte(sep)
	r.quote(name)
	r.w.WriteByte(':')
}

func (r *renderer) quote(s string) {
	r.scratch = appendQuoted(r.scratch[:0], s)
	r.w.Write(r.scratch)
}

// version writes one manifest, unless the view hides it.
func (r *renderer) version(version string, manifest []byte) error {
	is := fact{hidden: !r.view.keeps(version), deprecated: isDeprecated(manifest)}
	r.facts.add(version, is)
	if is.hidden {
		return nil
	}
	if r.versions == 0 {
		r.key("versions")
		r.w.WriteByte('{')
	} else {
		r.w.WriteByte(',')
	}
	r.versions++
	r.quote(version)
	r.w.WriteByte(':')
	r.manifest(version, manifest)
	_, err := r.w.Write(nil)
	return err
}

// closeVersions ends the object of versions before another member begins. All
// versions of a document come in one run.
func (r *renderer) closeVersions() {
	if r.versions > 0 {
		r.w.WriteByte('}')
		r.versions = -1
	}
}

// finish writes what depends on all versions and ends the document.
func (r *renderer) finish(tags, times []byte) error {
	switch {
	case r.versions > 0:
		r.closeVersions()
	case r.versions == 0 && len(r.facts.order) > 0:
		return fmt.Errorf("%s: %w", r.view.Name, ErrNoneLeft)
	case r.versions == 0:
		r.key("versions")
		r.w.WriteString("{}")
	}
	r.key("dist-tags")
	r.tags(tags)
	modified := r.times(times)
	if r.abbreviated && !modified.IsZero() {
		r.key("modified")
		r.quote(FormatTime(modified))
	}
	r.w.WriteByte('}')
	return r.w.Flush()
}

func (r *renderer) tags(raw []byte) {
	r.w.WriteByte('{')
	for i, t := range r.facts.repair(raw) {
		if i > 0 {
			r.w.WriteByte(',')
		}
		r.quote(t.name)
		r.w.WriteByte(':')
		r.quote(t.version)
	}
	r.w.WriteByte('}')
}

// times writes the time table and returns its modified: the entries of raw that
// are times and belong to no hidden version, then those of versions that raw
// lacks.
func (r *renderer) times(raw []byte) time.Time {
	r.key("time")
	r.w.WriteByte('{')
	n, all, listed := 0, span{}, map[string]bool{}
	var created, modified time.Time
	entry := func(name string, t time.Time) {
		if n++; n > 1 {
			r.w.WriteByte(',')
		}
		r.quote(name)
		r.w.WriteByte(':')
		r.quote(FormatTime(t))
	}
	for m := range members(raw) {
		s, _ := text(m.value)
		t, ok := parseTime(s)
		name := string(m.name)
		switch {
		case !ok || listed[name]:
		case name == "created":
			created = t
		case name == "modified":
			modified = t
		case r.view.keeps(name):
			listed[name] = true
			all.add(t)
			entry(name, t)
		}
	}
	for _, v := range r.facts.order {
		if r.facts.visible(v) && !listed[v] {
			t := r.fallback(v)
			all.add(t)
			entry(v, t)
		}
	}
	created, modified = r.bounds(created, modified, all)
	if !created.IsZero() {
		entry("created", created)
		entry("modified", modified)
	}
	r.w.WriteByte('}')
	return modified
}

// fallback dates a version that the table lacks: by its own record, else by
// when the document was first seen here. Never by what could make it look old.
func (r *renderer) fallback(version string) time.Time {
	if t, ok := r.published[version]; ok {
		return t
	}
	return r.view.FirstSeen
}

// bounds completes created and modified from the times of the versions, and
// keeps modified from being earlier than the view's own last change.
func (r *renderer) bounds(created, modified time.Time, all span) (time.Time, time.Time) {
	if created.IsZero() {
		created = all.first
	}
	if modified.IsZero() {
		modified = all.last
	}
	if r.view.Changed.After(modified) {
		modified = r.view.Changed
	}
	if created.IsZero() {
		created = modified
	}
	return created, modified
}

// isDeprecated reports whether a manifest carries a deprecation.
func isDeprecated(manifest []byte) bool {
	raw := field(manifest, "deprecated")
	s, ok := text(raw)
	return ok && s != "" || string(raw) == "true"
}

// attestationsURL is where a version's attestations are served. Clients keep
// only its path.
func attestationsURL(base, name, version string) string {
	return base + "-/npm/v1/attestations/" + strings.Replace(escapeName(name), "/", "%2f", 1) + "@" + url.PathEscape(version)
}
