package oci

import (
	"context"
	"strings"
)

// How large a blob may be, in bytes, where nobody says: one that is sent here, and
// one of an upstream, of which only that it has an end is certain.
const (
	defaultMaxBlob = 10 << 30
	defaultMaxFar  = 64 << 30
)

// Options of the format; the zero value is that of a registry of our own.
type Options struct {
	// Mirror says that the registry hands on another one's images: it takes no
	// pushes, and a deletion evicts from the cache.
	Mirror bool
	// Library says whether the mirrored registry keeps images with names of one
	// part under library/. It may wait until that is known; nil: it does not.
	Library func(ctx context.Context) bool
	// Prefetch returns the platforms, os/architecture[/variant], whose images a mirror
	// fetches as soon as it has an index that names them; nil: none.
	Prefetch func() []string
	// MaxBlob is the largest blob that is taken, in bytes; default 10 GiB, and of a
	// mirrored registry 64 GiB.
	MaxBlob int64
}

// Format is the OCI distribution protocol as a formats.Format.
type Format struct {
	mirror      bool
	library     func(ctx context.Context) bool
	prefetch    func() []string
	maxBlob     int64       // bytes
	maxManifest int64       // bytes
	buffers     chan []byte // of uploads under way; nil ones are yet to be made
	turns       *turns      // of manifests
}

// New builds the format.
func New(opt Options) *Format {
	switch {
	case opt.MaxBlob > 0:
	case opt.Mirror:
		opt.MaxBlob = defaultMaxFar
	default:
		opt.MaxBlob = defaultMaxBlob
	}
	if opt.Library == nil || !opt.Mirror {
		opt.Library = func(context.Context) bool { return false }
	}
	if opt.Prefetch == nil || !opt.Mirror {
		opt.Prefetch = func() []string { return nil }
	}
	f := &Format{
		mirror: opt.Mirror, library: opt.Library, prefetch: opt.Prefetch, maxBlob: opt.MaxBlob, maxManifest: defaultMaxManifest,
		buffers: make(chan []byte, largeCopies), turns: newTurns(),
	}
	for range largeCopies {
		f.buffers <- nil
	}
	return f
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

// Meant is the image that clients mean by a name: one of a library where the name
// has one part and the registry is a mirror of such a one.
func (f *Format) Meant(ctx context.Context, name string) string {
	if strings.Contains(name, "/") || !f.library(ctx) {
		return name
	}
	return "library/" + name
}

// Alias is the name of one part by which clients know an image of a library.
func (f *Format) Alias(ctx context.Context, pkg string) string {
	short, ok := strings.CutPrefix(pkg, "library/")
	if !ok || strings.Contains(short, "/") || !f.library(ctx) {
		return ""
	}
	return short
}
