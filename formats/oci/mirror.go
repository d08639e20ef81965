package oci

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/go-json-experiment/json"

	"larder/cache"
	"larder/formats"
)

// accepted are the types that an upstream is asked for: without them it would
// convert to the first schema.
const accepted = typeIndex + ", " + typeImage + ", " + typeDockerList + ", " + typeDockerImage

// upstreamPath is a path of an upstream. Names, tags and digests need no escapes.
func upstreamPath(name, what, which string) string {
	return "v2/" + name + "/" + what + "/" + which
}

func located(l formats.Location) func(context.Context) (formats.Location, error) {
	return func(context.Context) (formats.Location, error) { return l, nil }
}

// manifest is a manifest of the image as the engine knows it.
func (s *serving) manifest(d digest) formats.File {
	f := formats.File{Package: s.t.name, Version: string(d), Name: manifestFile(s.t.name, d), Head: s.head()}
	if s.mirror {
		f.Locate = located(formats.Location{
			Ref: upstreamPath(s.t.name, "manifests", string(d)), Want: []cache.Sum{d.sum()},
			Accept: accepted, Limit: s.maxManifest,
		})
		f.Check = func(src io.Reader, mediaType string) (formats.FileFacts, error) {
			return s.mirrored(src, mediaType)
		}
		if platforms := s.prefetch(); len(platforms) > 0 {
			f.Next = func(src io.Reader, mediaType string) ([]formats.File, error) {
				return s.images(src, bareType(mediaType), platforms)
			}
		}
	}
	return f
}

// pointer is a tag of the image, here or at the upstream.
func (s *serving) pointer(tag string) formats.Pointer {
	return formats.Pointer{
		Package: s.t.name, Name: tag, Path: upstreamPath(s.t.name, "manifests", tag), Accept: accepted,
		Read: readTarget,
		File: func(version string) formats.File {
			f := s.manifest(digest(version))
			f.Head = false
			return f
		},
		Digest: func(body []byte, mediaType string) (string, error) {
			return string(digestOf(cache.SHA256, body)), checkType(bareType(mediaType))
		},
		Limit: s.maxManifest,
	}
}

// readTarget reads what a tag stands for from the headers of an answer.
func readTarget(h http.Header, size int64) (formats.Target, bool) {
	d, err := parseDigest(h.Get(contentDigest))
	if err != nil {
		return formats.Target{}, false
	}
	return formats.Target{Version: string(d), MediaType: bareType(h.Get("Content-Type")), Size: size}, true
}

// bareType is a media type without its parameters.
func bareType(field string) string {
	kind, _, _ := strings.Cut(field, ";")
	return strings.TrimSpace(kind)
}

// checkType refuses the first schema. It was never signed by what it is asked by,
// so that nothing can vouch for it.
func checkType(mediaType string) error {
	if mediaType != typeSchema1 && mediaType != typeSchema1Signed {
		return nil
	}
	return refuse(formats.ErrNoVersion, codeManifestUnknown,
		"the upstream has this image as a manifest of schema 1 only, which is not taken: its owner can push it again with a current client")
}

// mirrored looks at an upstream's manifest, which has arrived whole, in its turn.
func (s *serving) mirrored(src io.Reader, mediaType string) (formats.FileFacts, error) {
	// It is looked at for everybody who waits for it, and whoever asked first may
	// have left. No client is waited for: the turn comes.
	leave, err := s.turns.wait(context.WithoutCancel(s.r.Context()))
	if err != nil {
		return formats.FileFacts{}, err
	}
	defer leave()
	return factsOf(s.t.name, src, mediaType)
}

// factsOf looks at an upstream's manifest. Its bytes are what their digest says,
// so that nothing is held against them but what makes them no manifest at all;
// what they name is for the rules about images.
func factsOf(name string, src io.Reader, mediaType string) (formats.FileFacts, error) {
	body, err := io.ReadAll(src)
	if err != nil {
		return formats.FileFacts{}, err
	}
	if tooMany(body) {
		return formats.FileFacts{}, fmt.Errorf("the manifest of %s has more than %d names and values: %w", name, maxTokens, formats.ErrBadRequest)
	}
	var m manifest
	if err := json.Unmarshal(body, &m.doc); err != nil || !bytes.HasPrefix(bytes.TrimLeft(body, " \t\r\n"), []byte("{")) {
		return formats.FileFacts{}, fmt.Errorf("the manifest of %s is no JSON object: %w", name, errors.Join(formats.ErrBadRequest, err))
	}
	m.mediaType = bareType(mediaType)
	if !isImage(m.mediaType) && !isIndex(m.mediaType) && m.doc.MediaType != nil {
		m.mediaType = *m.doc.MediaType
	}
	if err := checkType(m.mediaType); err != nil {
		return formats.FileFacts{}, err
	}
	facts := formats.FileFacts{MediaType: m.mediaType}
	if !isImage(m.mediaType) && !isIndex(m.mediaType) || m.structure() != nil {
		return facts, nil // whatever it names is of no kind that is known here
	}
	for _, n := range m.needs {
		facts.Needs = append(facts.Needs, n.file(name))
	}
	return facts, nil
}
