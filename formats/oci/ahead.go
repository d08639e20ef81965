package oci

import (
	"fmt"
	"io"
	"slices"

	"github.com/go-json-experiment/json"

	"larder/formats"
)

// maxAhead is how many images of one index are fetched before they are asked for.
const maxAhead = 16

// images returns the images of an index that are for the platforms given, each with
// its parts to follow. Of what is no index, or not a good one, there are none.
func (s *serving) images(src io.Reader, mediaType string, platforms []string) ([]formats.File, error) {
	m, err := readAhead(src, mediaType)
	if err != nil || !isIndex(m.mediaType) {
		return nil, err
	}
	var list []formats.File
	for _, d := range *m.doc.Manifests {
		if d.Platform == nil || !d.Platform.among(platforms) || !isImage(d.MediaType) || len(list) == maxAhead {
			continue
		}
		f := s.manifest(digest(d.Digest))
		f.Head = false
		f.Next = func(src io.Reader, mediaType string) ([]formats.File, error) {
			return s.contents(src, bareType(mediaType))
		}
		list = append(list, f)
	}
	return list, nil
}

// contents returns the config and the layers of an image.
func (s *serving) contents(src io.Reader, mediaType string) ([]formats.File, error) {
	m, err := readAhead(src, mediaType)
	if err != nil || !isImage(m.mediaType) {
		return nil, err
	}
	var list []formats.File
	for _, n := range m.needs {
		f := s.blob(n.digest)
		f.Head = false
		list = append(list, f)
	}
	return list, nil
}

// readAhead reads an upstream's manifest. One that names things in a way that is not
// known here has no type.
func readAhead(src io.Reader, mediaType string) (*manifest, error) {
	body, err := io.ReadAll(src)
	if err != nil {
		return nil, err
	}
	m := &manifest{mediaType: mediaType}
	if err := json.Unmarshal(body, &m.doc); err != nil {
		return nil, fmt.Errorf("read a manifest: %w", err)
	}
	if m.structure() != nil {
		m.mediaType = ""
	}
	return m, nil
}

// among reports whether a platform is one of those given. One that is given without
// a variant stands for all of them.
func (p platform) among(list []string) bool {
	return slices.Contains(list, p.String()) || slices.Contains(list, p.OS+"/"+p.Architecture)
}
