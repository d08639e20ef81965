package images

import (
	"bytes"
	"encoding/json"
	"io"
)

// The media types of what is pushed.
const (
	typeManifest = "application/vnd.oci.image.manifest.v1+json"
	typeConfig   = "application/vnd.oci.image.config.v1+json"
	typeLayer    = "application/vnd.oci.image.layer.v1.tar"
)

type manifest struct {
	SchemaVersion int          `json:"schemaVersion"`
	MediaType     string       `json:"mediaType"`
	Config        descriptor   `json:"config"`
	Layers        []descriptor `json:"layers"`
}

type descriptor struct {
	MediaType string `json:"mediaType"`
	Digest    string `json:"digest"`
	Size      int64  `json:"size"`
}

// manifest returns the manifest of im.
func (im Image) manifest() ([]byte, error) {
	m := manifest{SchemaVersion: 2, MediaType: typeManifest, Config: descriptor{typeConfig, im.Config.Digest, im.Config.Size}}
	for _, l := range im.Layers {
		m.Layers = append(m.Layers, descriptor{typeLayer, l.Digest, l.Size})
	}
	return json.Marshal(m)
}

func text(s string) Blob {
	open := func() io.Reader { return bytes.NewReader([]byte(s)) }
	return Blob{digestOf(open()), int64(len(s)), open}
}
