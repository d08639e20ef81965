package image

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"larder/cache"
)

// Limits of what is read.
const (
	maxManifest = 8 << 20  // bytes
	maxIndex    = 32 << 20 // bytes, of index.json and referrers.json: some 80 000 images
	maxDepth    = 8        // manifests that name or refer to each other
	maxPages    = 1000     // of a list of referrers
	maxNamed    = 20       // digests in a sentence
)

// The annotations of an entry of index.json. The first is that of the
// specification; clients find images by it. The second is what containerd and
// those that store images in it write beside; the others are our own.
const (
	noteTag       = "org.opencontainers.image.ref.name"
	noteForeign   = "io.containerd.image.name"
	noteName      = "larder.image.name"      // HOST/NAME:TAG or HOST/NAME@DIGEST
	notePlatforms = "larder.image.platforms" // those that were chosen, with commas between
)

const (
	typeIndex       = "application/vnd.oci.image.index.v1+json"
	typeImage       = "application/vnd.oci.image.manifest.v1+json"
	typeDockerList  = "application/vnd.docker.distribution.manifest.list.v2+json"
	typeDockerImage = "application/vnd.docker.distribution.manifest.v2+json"
)

// ErrLayout says that what is read is no image layout, or not a whole one.
var ErrLayout = errors.New("not a good image layout")

// descriptor names bytes and what is known of them.
type descriptor struct {
	MediaType    string            `json:"mediaType"`
	Digest       string            `json:"digest"`
	Size         int64             `json:"size"`
	URLs         []string          `json:"urls,omitempty"`
	Annotations  map[string]string `json:"annotations,omitempty"`
	ArtifactType string            `json:"artifactType,omitempty"`
	Platform     *platform         `json:"platform,omitempty"`
}

type platform struct {
	OS           string `json:"os"`
	Architecture string `json:"architecture"`
	Variant      string `json:"variant,omitempty"`
}

// document is what counts here of an image or an index.
type document struct {
	SchemaVersion int          `json:"schemaVersion"`
	MediaType     string       `json:"mediaType,omitempty"`
	Config        *descriptor  `json:"config,omitempty"`
	Layers        []descriptor `json:"layers,omitempty"`
	Manifests     []descriptor `json:"manifests"`
}

func (d descriptor) isManifest() bool {
	return slices.Contains([]string{typeIndex, typeImage, typeDockerList, typeDockerImage}, d.MediaType)
}

// away reports layers that their registries may not hand on, and that are
// fetched from elsewhere.
func (d descriptor) away() bool {
	return len(d.URLs) > 0 && (strings.Contains(d.MediaType, "nondistributable") || strings.Contains(d.MediaType, "foreign"))
}

// blobs are the parts of a manifest that are no manifests, each once.
func (d *document) blobs() []descriptor {
	list := slices.Clone(d.Layers)
	if d.Config != nil {
		list = append(list, *d.Config)
	}
	for _, m := range d.Manifests {
		if !m.isManifest() { // build caches list layers
			list = append(list, m)
		}
	}
	seen := map[string]bool{}
	return slices.DeleteFunc(list, func(b descriptor) bool {
		was := seen[b.Digest]
		seen[b.Digest] = true
		return was || b.away()
	})
}

// decode reads a manifest. Its bytes are what their digest says already.
func decode(body []byte) (*document, error) {
	var d document
	if err := json.Unmarshal(body, &d); err != nil {
		return nil, fmt.Errorf("a manifest is no JSON object: %w: %w", ErrLayout, err)
	}
	for _, part := range slices.Concat(d.Layers, d.Manifests) {
		if err := part.check(); err != nil {
			return nil, err
		}
	}
	if d.Config != nil {
		return &d, d.Config.check()
	}
	return &d, nil
}

func (d descriptor) check() error {
	if _, err := sumOf(d.Digest); err != nil {
		return err
	}
	if d.Size < 0 {
		return fmt.Errorf("%s has a size below zero: %w", d.Digest, ErrLayout)
	}
	return nil
}

// sumOf reads a digest. It has no other spelling, so that it can be a file name.
func sumOf(digest string) (cache.Sum, error) {
	algorithm, value, _ := strings.Cut(digest, ":")
	size, ok := map[string]int{"sha256": 32, "sha512": 64}[algorithm]
	raw, err := hex.DecodeString(value)
	if !ok || err != nil || len(raw) != size || hex.EncodeToString(raw) != value {
		return cache.Sum{}, fmt.Errorf("%.150q is no digest: %w", digest, ErrLayout)
	}
	return cache.Sum{Algorithm: cache.Algorithm(algorithm), Value: raw}, nil
}

// pathOf is where a layout has the bytes of a good digest.
func pathOf(digest string) string {
	algorithm, value, _ := strings.Cut(digest, ":")
	return "blobs/" + algorithm + "/" + value
}

// prove reads src to its end and holds it against a descriptor. It reads at most
// one byte more than that says. Errors: cache.ErrCorrupt.
func prove(src io.Reader, d descriptor) error {
	want, err := sumOf(d.Digest)
	if err != nil {
		return err
	}
	found, size, err := cache.SumsOf(io.LimitReader(src, d.Size+1), want.Algorithm)
	if err != nil {
		return fmt.Errorf("read %s: %w", d.Digest, err)
	}
	if size != d.Size || !found[0].Equal(want) {
		return fmt.Errorf("the bytes of %s are not those that it names: %w", d.Digest, cache.ErrCorrupt)
	}
	return nil
}

// readManifest reads what a descriptor names, into memory. Errors: cache.ErrCorrupt.
func readManifest(src io.Reader, d descriptor) ([]byte, error) {
	if d.Size > maxManifest {
		return nil, fmt.Errorf("the manifest %s has %d bytes, the limit is %d: %w", d.Digest, d.Size, maxManifest, ErrLayout)
	}
	body, err := io.ReadAll(io.LimitReader(src, d.Size+1))
	if err != nil {
		return nil, fmt.Errorf("read the manifest %s: %w", d.Digest, err)
	}
	return body, prove(bytes.NewReader(body), d)
}
