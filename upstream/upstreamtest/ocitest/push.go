package ocitest

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
)

// The media types of what is pushed here.
const (
	TypeImage  = "application/vnd.oci.image.manifest.v1+json"
	TypeIndex  = "application/vnd.oci.image.index.v1+json"
	TypeConfig = "application/vnd.oci.image.config.v1+json"
	TypeLayer  = "application/vnd.oci.image.layer.v1.tar+gzip"
)

// image is one repository of the protocol.
type image struct {
	blobs     map[string][]byte // by digest
	manifests map[string]stored // by digest
	tags      map[string]string // to digest
}

type stored struct {
	mediaType string
	body      []byte
	subject   string
	entry     Descriptor // as lists of referrers have it
}

// Descriptor names content.
type Descriptor struct {
	MediaType    string            `json:"mediaType"`
	Digest       string            `json:"digest"`
	Size         int64             `json:"size"`
	ArtifactType string            `json:"artifactType,omitempty"`
	Annotations  map[string]string `json:"annotations,omitempty"`
	Platform     *Platform         `json:"platform,omitempty"`
}

// Platform is what an image runs on.
type Platform struct {
	OS           string `json:"os"`
	Architecture string `json:"architecture"`
	Variant      string `json:"variant,omitempty"`
}

// Image is what Push makes a manifest of.
type Image struct {
	Layers       [][]byte
	Platform     Platform // default linux/amd64
	Labels       map[string]string
	ArtifactType string
	Annotations  map[string]string
	Subject      *Descriptor // what it refers to
}

// document is a manifest of either kind.
type document struct {
	SchemaVersion int               `json:"schemaVersion"`
	MediaType     string            `json:"mediaType"`
	ArtifactType  string            `json:"artifactType,omitempty"`
	Config        *Descriptor       `json:"config,omitempty"`
	Layers        *[]Descriptor     `json:"layers,omitempty"`
	Manifests     *[]Descriptor     `json:"manifests,omitempty"`
	Subject       *Descriptor       `json:"subject,omitempty"`
	Annotations   map[string]string `json:"annotations,omitempty"`
}

// Digest is the SHA-256 of b as the protocol writes it.
func Digest(b []byte) string {
	sum := sha256.Sum256(b)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// Digest512 is the SHA-512 of b. What is pushed is found by both.
func Digest512(b []byte) string {
	sum := sha512.Sum512(b)
	return "sha512:" + hex.EncodeToString(sum[:])
}

// PushBlob adds a blob to the image of that name.
func (r *Registry) PushBlob(name, mediaType string, content []byte) Descriptor {
	r.mu.Lock()
	defer r.mu.Unlock()
	i := r.image(name)
	i.blobs[Digest(content)], i.blobs[Digest512(content)] = content, content
	return Descriptor{MediaType: mediaType, Digest: Digest(content), Size: int64(len(content))}
}

// Push adds an image with its config and layers, under a tag unless that is "".
func (r *Registry) Push(name, tag string, im Image) (Descriptor, error) {
	if im.Platform.OS == "" {
		im.Platform = Platform{OS: "linux", Architecture: "amd64"}
	}
	contents := make([]string, 0, len(im.Layers))
	for _, layer := range im.Layers {
		contents = append(contents, diffID(layer))
	}
	config, err := json.Marshal(map[string]any{
		"os": im.Platform.OS, "architecture": im.Platform.Architecture, "variant": im.Platform.Variant,
		"config": map[string]any{"Labels": im.Labels}, "rootfs": map[string]any{"type": "layers", "diff_ids": contents},
	})
	if err != nil {
		return Descriptor{}, fmt.Errorf("config of %s: %w", name, err)
	}
	about := r.PushBlob(name, TypeConfig, config)
	layers := make([]Descriptor, 0, len(im.Layers))
	for _, layer := range im.Layers {
		layers = append(layers, r.PushBlob(name, TypeLayer, layer))
	}
	d, err := r.pushDocument(name, tag, document{
		MediaType: TypeImage, ArtifactType: im.ArtifactType, Config: &about, Layers: &layers,
		Subject: im.Subject, Annotations: im.Annotations,
	})
	d.Platform = &im.Platform
	return d, err
}

// diffID is the digest of what is packed in a layer, which clients compare; a
// layer that is not packed stands for itself.
func diffID(layer []byte) string {
	packed, err := gzip.NewReader(bytes.NewReader(layer))
	if err != nil {
		return Digest(layer)
	}
	content, err := io.ReadAll(packed)
	if err != nil {
		return Digest(layer)
	}
	return Digest(content)
}

// PushIndex adds an index of images.
func (r *Registry) PushIndex(name, tag string, children ...Descriptor) (Descriptor, error) {
	if children == nil {
		children = []Descriptor{}
	}
	return r.pushDocument(name, tag, document{MediaType: TypeIndex, Manifests: &children})
}

func (r *Registry) pushDocument(name, tag string, doc document) (Descriptor, error) {
	doc.SchemaVersion = 2
	body, err := json.Marshal(doc)
	if err != nil {
		return Descriptor{}, fmt.Errorf("manifest of %s: %w", name, err)
	}
	return r.PushManifest(name, tag, doc.MediaType, body)
}

// PushManifest adds a manifest as it is, good or bad, under a tag unless that is
// "". What it names need not be there.
func (r *Registry) PushManifest(name, tag, mediaType string, body []byte) (Descriptor, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := stored{mediaType: mediaType, body: body, entry: Descriptor{MediaType: mediaType, Digest: Digest(body), Size: int64(len(body))}}
	var doc document
	if json.Unmarshal(body, &doc) == nil { // a bad one refers to nothing
		s.entry.ArtifactType, s.entry.Annotations = doc.ArtifactType, doc.Annotations
		if doc.ArtifactType == "" && doc.Config != nil {
			s.entry.ArtifactType = doc.Config.MediaType
		}
		if doc.Subject != nil {
			s.subject = doc.Subject.Digest
		}
	}
	i := r.image(name)
	i.manifests[Digest(body)], i.manifests[Digest512(body)] = s, s
	if tag != "" {
		i.tags[tag] = Digest(body)
	}
	if s.subject != "" && r.opt.NoReferrers {
		if err := i.fallBack(s.subject); err != nil {
			return Descriptor{}, fmt.Errorf("fallback tag in %s: %w", name, err)
		}
	}
	return Descriptor{MediaType: mediaType, Digest: Digest(body), Size: int64(len(body))}, nil
}

// fallBack writes the index of a subject's referrers under its fallback tag, as
// clients do themselves where there is no list.
func (i *image) fallBack(subject string) error {
	list := i.referrers(subject)
	body, err := json.Marshal(document{SchemaVersion: 2, MediaType: TypeIndex, Manifests: &list})
	if err != nil {
		return err
	}
	i.manifests[Digest(body)] = stored{mediaType: TypeIndex, body: body}
	i.tags[strings.Replace(subject, ":", "-", 1)[:len("sha256-")+64]] = Digest(body)
	return nil
}

// referrers lists what refers to a digest, in the order of digests.
func (i *image) referrers(subject string) []Descriptor {
	list := []Descriptor{}
	for _, digest := range slices.Sorted(maps.Keys(i.manifests)) {
		if s := i.manifests[digest]; s.subject == subject && digest == s.entry.Digest {
			list = append(list, s.entry)
		}
	}
	return list
}

// Tag moves a tag to a digest, which need not be there.
func (r *Registry) Tag(name, tag, digest string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.image(name).tags[tag] = digest
}

// Remove removes a tag, a manifest or a blob of an image, or the whole image
// when ref is "".
func (r *Registry) Remove(name, ref string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if ref == "" {
		delete(r.images, name)
		return
	}
	i := r.image(name)
	delete(i.tags, ref)
	delete(i.manifests, ref)
	delete(i.blobs, ref)
}

// image returns the image of that name, which comes into being; the caller
// holds r.mu.
func (r *Registry) image(name string) *image {
	i := r.images[name]
	if i == nil {
		i = &image{blobs: make(map[string][]byte), manifests: make(map[string]stored), tags: make(map[string]string)}
		r.images[name] = i
	}
	return i
}
