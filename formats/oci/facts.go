package oci

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// Limits of facts.
const (
	maxPlatforms = 100
	maxConfig    = 1 << 20 // bytes of a config that is looked at
	// maxNotes is how many bytes of annotations or labels are kept where nothing
	// but a page shows them.
	maxNotes = 64 << 10
)

// sourceLabel is where an image, by label or annotation, names the repository
// it was built from.
const sourceLabel = "org.opencontainers.image.source"

// facts is what is kept of a manifest beside its bytes: for lists of referrers,
// for rules, and for pages about the package. It is the Meta of a release.
type facts struct {
	MediaType    string            `json:"mediaType"`
	Size         int64             `json:"size"` // of the manifest
	ArtifactType string            `json:"artifactType,omitzero"`
	Subject      digest            `json:"subject,omitzero"`
	Annotations  map[string]string `json:"annotations,omitempty"`

	Config    digest            `json:"config,omitzero"`
	Layers    int               `json:"layers,omitzero"`
	Bytes     int64             `json:"bytes,omitzero"` // of config and layers as they are transferred
	Platforms []string          `json:"platforms,omitempty"`
	Created   time.Time         `json:"created,omitzero"` // as the author says
	Labels    map[string]string `json:"labels,omitempty"`
}

// facts collects what the manifest says, and its config where that is an
// image's: nil for none or one that was not read.
func (m *manifest) facts(config []byte) facts {
	f := facts{
		MediaType: m.mediaType, Size: m.size, ArtifactType: m.artifactType(), Annotations: noted(m.doc.Annotations),
	}
	if m.doc.Subject != nil {
		f.Subject, f.Annotations = digest(m.doc.Subject.Digest), m.doc.Annotations
	}
	if m.doc.Config != nil {
		f.Config = digest(m.doc.Config.Digest)
	}
	for _, n := range m.needs {
		if !n.manifest {
			f.Bytes += n.size
		}
	}
	if m.doc.Layers != nil {
		f.Layers = len(*m.doc.Layers)
	}
	if m.doc.Manifests != nil {
		for _, child := range *m.doc.Manifests {
			f.runsOn(child.Platform)
		}
	}
	f.read(config)
	return f
}

// runsOn adds a platform. What build tools attach to an index calls itself
// unknown/unknown.
func (f *facts) runsOn(p *platform) {
	if p == nil || p.OS == "" || p.OS == "unknown" || len(f.Platforms) == maxPlatforms {
		return
	}
	if s := p.String(); len(s) <= maxReference && !slices.Contains(f.Platforms, s) {
		f.Platforms = append(f.Platforms, s)
	}
}

// read takes what an image's config says. A config may be anything, so one that
// is something else says nothing.
func (f *facts) read(config []byte) {
	if len(config) == 0 || len(config) > maxConfig {
		return
	}
	var i image
	if err := json.Unmarshal(config, &i); err != nil {
		return
	}
	f.runsOn(&i.platform)
	f.Created, f.Labels = i.Created, noted(i.Config.Labels)
}

// noted returns what is kept of annotations or labels: all, or nothing where they
// are very long, but for the source, by which images find their repository.
func noted(all map[string]string) map[string]string {
	size := 0
	for key, value := range all {
		size += len(key) + len(value)
	}
	if size <= maxNotes {
		return all
	}
	if source := all[sourceLabel]; source != "" && len(source) <= maxReference {
		return map[string]string{sourceLabel: source}
	}
	return nil
}

// referrer is the manifest's line in the list of what refers to its subject.
func (f facts) referrer(d digest) referrer {
	return referrer{MediaType: f.MediaType, Digest: d, Size: f.Size, ArtifactType: f.ArtifactType, Annotations: f.Annotations}
}

// repository is the owner/name that the image says it comes from: the path of
// the source's URL, whatever its host. "" where it says nothing of that form.
func (f facts) repository() string {
	source := f.Labels[sourceLabel]
	if source == "" {
		source = f.Annotations[sourceLabel]
	}
	u, err := url.Parse(source)
	if err != nil || u.Host == "" {
		return ""
	}
	path := strings.TrimSuffix(strings.Trim(u.Path, "/"), ".git")
	owner, name, found := strings.Cut(path, "/")
	if !found || owner == "" || name == "" || strings.Contains(name, "/") {
		return ""
	}
	return path
}

// encode makes the bytes of Meta.
func (f facts) encode() ([]byte, error) {
	return json.Marshal(f, json.Deterministic(true), jsontext.AllowInvalidUTF8(true))
}

// decodeFacts reads the bytes of Meta.
func decodeFacts(meta []byte) (facts, error) {
	var f facts
	if err := json.Unmarshal(meta, &f); err != nil {
		return facts{}, fmt.Errorf("read what is kept of a manifest: %w", err)
	}
	return f, nil
}
