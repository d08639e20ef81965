package npm

import (
	"encoding/json"
	"fmt"
	"iter"
	"strconv"
	"time"

	"larder/formats"
)

// provenanceType is the predicate of the bundles that npm publishes.
const provenanceType = "https://slsa.dev/provenance/v1"

// maxStars bounds who may star a package, so that its row keeps its size.
const maxStars = 500

// about is what a hosted package knows beside its versions: Package.Meta.
type about struct {
	Maintainers []Person        `json:"maintainers,omitempty"`
	Users       map[string]bool `json:"users,omitempty"`
	// Moves are the last publishes that moved latest; whoever moves it by other
	// means forgets them.
	Moves []moved `json:"moves,omitempty"`
	// Summary describes the version that latest names, for search.
	Summary summary `json:"summary,omitzero"`
}

type summary struct {
	Version     string            `json:"version,omitempty"`
	Description string            `json:"description,omitempty"`
	Keywords    []string          `json:"keywords,omitempty"`
	Date        time.Time         `json:"date,omitzero"`
	Links       map[string]string `json:"links,omitempty"`
	Publisher   Person            `json:"publisher,omitzero"`
}

func readAbout(p *formats.Package) (about, error) {
	var a about
	if len(p.Meta) == 0 {
		return a, nil
	}
	if err := json.Unmarshal(p.Meta, &a); err != nil {
		return a, fmt.Errorf("metadata of %s: %w", p.Name, err)
	}
	return a, nil
}

func (a about) store(p *formats.Package) error {
	raw, err := json.Marshal(a)
	if err != nil {
		return fmt.Errorf("metadata of %s: %w", p.Name, err)
	}
	p.Meta = raw
	return nil
}

// Limits of what search keeps of a manifest, in bytes and entries.
const (
	maxDescription = 1 << 10
	maxKeywords    = 32
	maxKeyword     = 128
	maxLink        = 1 << 10
)

func summarize(version string, manifest []byte, at time.Time, by Person) summary {
	s := summary{Version: version, Date: at, Publisher: by, Links: map[string]string{}}
	s.Description = shorten(textField(manifest, "description"), maxDescription)
	for k := range elements(field(manifest, "keywords")) {
		if word, ok := text(k); ok && len(word) <= maxKeyword && len(s.Keywords) < maxKeywords {
			s.Keywords = append(s.Keywords, word)
		}
	}
	for name, link := range map[string]string{
		"homepage": textField(manifest, "homepage"), "repository": textField(field(manifest, "repository"), "url"),
		"bugs": textField(field(manifest, "bugs"), "url"),
	} {
		if link != "" && len(link) <= maxLink {
			s.Links[name] = link
		}
	}
	return s
}

func shorten(s string, most int) string {
	if len(s) > most {
		s = s[:most]
	}
	return s
}

// releaseMeta is what is kept of a version: the manifest, its readme and the
// provenance that came with it.
func releaseMeta(manifest []byte, pub *Publication) []byte {
	b := builder{out: make([]byte, 0, len(manifest)+len(pub.Readme)+len(pub.Provenance)+64)}
	b.open()
	b.key("manifest")
	b.value(manifest)
	if readme := pub.readme(); readme != "" {
		b.text("readme", readme)
	}
	if len(pub.Provenance) > 0 {
		b.key("provenance")
		b.value(pub.Provenance)
	}
	b.close()
	return b.out
}

// readme is where the client put it: npm in the manifest, others beside it.
func (p *Publication) readme() string {
	if p.Readme != "" {
		return p.Readme
	}
	return cutReadme(textField(p.Manifest, "readme"))
}

func releaseManifest(meta []byte) []byte { return field(meta, "manifest") }

// withManifest returns a version's meta with another manifest in it.
func withManifest(meta, manifest []byte) []byte {
	b := builder{out: make([]byte, 0, len(meta)+len(manifest))}
	b.open()
	for m := range members(meta) {
		if string(m.name) == "manifest" {
			m.value = manifest
		}
		b.member(m)
	}
	b.close()
	return b.out
}

// revision is the _rev of a package: clients give it back in changes.
func revision(p *formats.Package) string { return strconv.FormatUint(p.Revision, 10) + "-larder" }

// hostedOf turns the engine's records into what a packument is built from.
func hostedOf(p *formats.Package, releases iter.Seq2[*formats.Release, error], withReadme bool) (Hosted, error) {
	a, err := readAbout(p)
	if err != nil {
		return Hosted{}, err
	}
	h := Hosted{
		Name: p.Name, Rev: revision(p), Created: p.Created, Modified: p.Modified, Tags: p.Tags,
		Maintainers: a.Maintainers, Users: a.Users,
		Versions: func(yield func(HostedVersion, error) bool) {
			for r, err := range releases {
				var v HostedVersion
				if err == nil {
					v = HostedVersion{Version: r.Version, Published: r.Published, Manifest: releaseManifest(r.Meta)}
				}
				if !yield(v, err) || err != nil {
					return
				}
			}
		},
	}
	if !withReadme {
		return h, nil
	}
	for r, err := range releases {
		if err != nil {
			return h, err
		}
		if r.Version == p.Tags["latest"] {
			h.Readme = textField(r.Meta, "readme")
			break
		}
	}
	return h, nil
}
