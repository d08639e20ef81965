package npm

import (
	"io"
	"iter"
	"maps"
	"slices"
	"time"
)

// Hosted is a package published here, as its packument shows it.
type Hosted struct {
	Name        string
	Rev         string
	Created     time.Time
	Modified    time.Time
	Tags        map[string]string
	Maintainers []Person
	Users       map[string]bool // who starred it
	Readme      string
	// Versions yields the stored manifests in the order of their publication.
	Versions iter.Seq2[HostedVersion, error]
}

// HostedVersion is one version of a Hosted package.
type HostedVersion struct {
	Version   string
	Published time.Time
	Manifest  []byte // as StoreManifest made it
}

// BuildFull writes the full packument of a hosted package; base is the
// registry's URL with a final slash. One manifest is held at a time; what
// describes the package as a whole is taken from the version that latest
// names. Errors: those of h.Versions and dst.
func BuildFull(dst io.Writer, h Hosted, base string) error { return build(dst, h, base, false) }

// BuildAbbreviated writes the abbreviated packument of a hosted package, as BuildFull.
func BuildAbbreviated(dst io.Writer, h Hosted, base string) error { return build(dst, h, base, true) }

func build(dst io.Writer, h Hosted, base string, abbreviated bool) error {
	r := newRenderer(dst, View{Name: h.Name, Base: base, FirstSeen: h.Created, Changed: h.Modified}, abbreviated)
	r.published = map[string]time.Time{}
	if err := writeMembers(r, h); err != nil {
		return err
	}
	var about []member
	for v, err := range h.Versions {
		if err != nil {
			return err
		}
		r.published[v.Version] = v.Published
		if err := r.version(v.Version, v.Manifest); err != nil {
			return err
		}
		if v.Version == h.Tags["latest"] && !abbreviated {
			about = aboutPackage(v.Manifest)
		}
	}
	for _, m := range about {
		if err := r.member(string(m.name), m.value); err != nil {
			return err
		}
	}
	return r.finish(tagsObject(h.Tags), timesObject(h.Created, h.Modified))
}

// writeMembers writes what stands before the versions.
func writeMembers(r *renderer, h Hosted) error {
	quoted := func(s string) []byte { return appendQuoted(nil, s) }
	list := []member{
		{name: []byte("_id"), value: quoted(h.Name)},
		{name: []byte("_rev"), value: quoted(h.Rev)},
		{name: []byte("name"), value: quoted(h.Name)},
		{name: []byte("maintainers"), value: people(h.Maintainers)},
		{name: []byte("users"), value: stars(h.Users)},
		{name: []byte("readme"), value: quoted(h.Readme)},
		{name: []byte("_attachments"), value: []byte("{}")},
	}
	for _, m := range list {
		if err := r.member(string(m.name), m.value); err != nil {
			return err
		}
	}
	return nil
}

func people(list []Person) []byte {
	var b builder
	b.openArray()
	for _, p := range list {
		b.open()
		b.text("name", p.Name)
		b.text("email", p.Email)
		b.close()
	}
	b.closeArray()
	return b.out
}

func stars(users map[string]bool) []byte {
	var b builder
	b.open()
	for _, u := range slices.Sorted(maps.Keys(users)) {
		if users[u] {
			b.bool(u, true)
		}
	}
	b.close()
	return b.out
}

// aboutPackage copies the manifest members that also describe the package.
func aboutPackage(manifest []byte) []member {
	var list []member
	for m := range members(manifest) {
		switch string(m.name) {
		case "description", "readmeFilename", "repository", "license", "author", "keywords", "homepage", "bugs":
			list = append(list, member{name: slices.Clone(m.name), value: slices.Clone(m.value)})
		}
	}
	return list
}

func tagsObject(tags map[string]string) []byte {
	var b builder
	b.open()
	for _, t := range slices.Sorted(maps.Keys(tags)) {
		b.text(t, tags[t])
	}
	b.close()
	return b.out
}

func timesObject(created, modified time.Time) []byte {
	var b builder
	b.open()
	b.text("created", FormatTime(created))
	b.text("modified", FormatTime(modified))
	b.close()
	return b.out
}

// BuildManifest writes the manifest of one hosted version as it stands in the
// full packument.
func BuildManifest(dst io.Writer, name, version string, manifest []byte, base string) error {
	r := newRenderer(dst, View{Name: name, Base: base}, false)
	r.manifest(version, manifest)
	return r.w.Flush()
}
