package oci

import (
	"path"
	"strings"
)

// Part reports whether a file of an image is a blob: rules are asked about the
// manifests that name it.
func (*Format) Part(file string) bool { return strings.HasSuffix(path.Dir(file), "/blobs") }
