package oci

import (
	"io"
	"path"
	"strings"

	"larder/formats"
)

// Part reports whether a file of an image is a blob: rules are asked about the
// manifests that name it.
func (*Format) Part(file string) bool { return strings.HasSuffix(path.Dir(file), "/blobs") }

// Whole is what the names of an image's manifests begin with; their digest follows.
func (*Format) Whole(pkg string) string { return manifestFile(pkg, "") }

// Refers says what a manifest of an image names.
func (*Format) Refers(pkg string, src io.Reader, mediaType string) (formats.FileFacts, error) {
	return factsOf(pkg, src, mediaType)
}
