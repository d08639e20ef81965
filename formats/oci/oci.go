package oci

import "strings"

// Options of the format; the zero value is that of a registry of our own.
type Options struct {
	// Mirror says that the registry hands on another one's images: it takes no
	// pushes, and a deletion evicts from the cache.
	Mirror bool
	// Library says that the mirrored registry keeps images with names of one
	// part under library/.
	Library bool
}

// Format is the OCI distribution protocol as a formats.Format.
type Format struct {
	mirror, library bool
}

// New builds the format.
func New(opt Options) *Format {
	return &Format{mirror: opt.Mirror, library: opt.Mirror && opt.Library}
}

// Name is the format's word in configuration, paths and metrics.
func (*Format) Name() string { return "oci" }

// FinalSlash says that a path may end in a slash that counts.
func (*Format) FinalSlash() {}

// Owner is the first part of a name that has more than one, "" of others.
func (*Format) Owner(pkg string) string {
	owner, _, found := strings.Cut(pkg, "/")
	if !found {
		return ""
	}
	return owner
}

// Alias is the name of one part by which clients know an image of a library.
func (f *Format) Alias(pkg string) string {
	short, ok := strings.CutPrefix(pkg, "library/")
	if !f.library || !ok || strings.Contains(short, "/") {
		return ""
	}
	return short
}
