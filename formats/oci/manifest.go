package oci

import (
	"time"
)

// The media types of manifests. The first four are taken.
const (
	typeImage       = "application/vnd.oci.image.manifest.v1+json"
	typeIndex       = "application/vnd.oci.image.index.v1+json"
	typeDockerImage = "application/vnd.docker.distribution.manifest.v2+json"
	typeDockerList  = "application/vnd.docker.distribution.manifest.list.v2+json"

	typeSchema1       = "application/vnd.docker.distribution.manifest.v1+json"
	typeSchema1Signed = "application/vnd.docker.distribution.manifest.v1+prettyjws"
	typeArtifact      = "application/vnd.oci.artifact.manifest.v1+json"
)

// isImage and isIndex say which kind of manifest a media type stands for.
func isImage(mediaType string) bool { return mediaType == typeImage || mediaType == typeDockerImage }
func isIndex(mediaType string) bool { return mediaType == typeIndex || mediaType == typeDockerList }

// isForeign reports the layers that their registries may not hand on.
func isForeign(mediaType string) bool {
	switch mediaType {
	case "application/vnd.oci.image.layer.nondistributable.v1.tar",
		"application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
		"application/vnd.oci.image.layer.nondistributable.v1.tar+zstd",
		"application/vnd.docker.image.rootfs.foreign.diff.tar",
		"application/vnd.docker.image.rootfs.foreign.diff.tar.gzip":
		return true
	}
	return false
}

// document is the part of a manifest that means something here. A pointer tells
// a field that is there from one that is not.
type document struct {
	SchemaVersion *int64            `json:"schemaVersion"`
	MediaType     *string           `json:"mediaType"`
	ArtifactType  string            `json:"artifactType"`
	Config        *descriptor       `json:"config"`
	Layers        *[]descriptor     `json:"layers"`
	Manifests     *[]descriptor     `json:"manifests"`
	Subject       *descriptor       `json:"subject"`
	Annotations   map[string]string `json:"annotations"`
	// FSLayers is what the first schema had in place of layers.
	FSLayers *[]struct{} `json:"fsLayers"`
}

// descriptor names content and what is known of it.
type descriptor struct {
	MediaType    string            `json:"mediaType"`
	Digest       string            `json:"digest"`
	Size         *int64            `json:"size"`
	URLs         []string          `json:"urls"`
	Data         *[]byte           `json:"data"`
	ArtifactType string            `json:"artifactType"`
	Annotations  map[string]string `json:"annotations"`
	Platform     *platform         `json:"platform"`
}

type platform struct {
	OS           string `json:"os"`
	Architecture string `json:"architecture"`
	Variant      string `json:"variant"`
}

// String returns os/architecture[/variant].
func (p platform) String() string {
	s := p.OS + "/" + p.Architecture
	if p.Variant != "" {
		s += "/" + p.Variant
	}
	return s
}

// manifest is one that was looked at and found good.
type manifest struct {
	mediaType string
	digest    digest // as pushed, or its SHA-256
	size      int64
	doc       document
	needs     []need
}

// need is something that must be in the same image for a manifest to be put there.
type need struct {
	digest   digest
	size     int64
	manifest bool // else a blob
}

// file is the need's name among the files of an image.
func (n need) file(name string) string {
	if n.manifest {
		return manifestFile(name, n.digest)
	}
	return blobFile(name, n.digest)
}

// artifactType is what a list of referrers says of a manifest: its own word,
// else that of its config, which an index does not have.
func (m *manifest) artifactType() string {
	if m.doc.ArtifactType == "" && m.doc.Config != nil {
		return m.doc.Config.MediaType
	}
	return m.doc.ArtifactType
}

// image is what the config of an image says of it.
type image struct {
	platform
	Created time.Time `json:"created"`
	Config  struct {
		Labels map[string]string `json:"Labels"`
	} `json:"config"`
}

// isConfig reports the types of configs that describe an image to run.
func isConfig(mediaType string) bool {
	return mediaType == "application/vnd.oci.image.config.v1+json" ||
		mediaType == "application/vnd.docker.container.image.v1+json"
}
