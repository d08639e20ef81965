package oci

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"larder/cache"
	"larder/formats"
)

// Limits of a manifest.
const (
	defaultMaxManifest = 8 << 20 // bytes
	maxDepth           = 64      // objects and arrays within each other
	// maxTokens is how many names, values and brackets one may have: an empty
	// descriptor is two bytes, and a hundred times that in memory.
	maxTokens = 100_000
	// maxNeeds is how many different blobs or manifests one may name.
	maxNeeds = 1000
	// maxAnnotations is how many bytes of annotations one with a subject may
	// have: they are a part of every list of referrers.
	maxAnnotations = 1 << 20
	maxMediaType   = 255 // bytes
)

// invalid is a 400 with MANIFEST_INVALID.
func invalid(format string, args ...any) *fault {
	return refuse(formats.ErrBadRequest, codeManifestInvalid, "the manifest "+format, args...)
}

// checkManifest looks at a manifest as far as that goes without the image it is
// for: JSON, media type, structure, digest, in this order. contentType are the
// values of the field; want is the digest by which it is pushed, "" for a tag.
// What it names is in needs.
func checkManifest(contentType []string, want digest, body []byte) (*manifest, error) {
	m := &manifest{size: int64(len(body))}
	if err := checkSyntax(body); err != nil {
		return nil, err
	}
	if err := m.decode(body); err != nil {
		return nil, err
	}
	if err := m.choose(contentType); err != nil {
		return nil, err
	}
	if err := m.structure(); err != nil {
		return nil, err
	}
	m.digest = digestOf(cache.SHA256, body)
	if want != "" && want.algorithm() != cache.SHA256 {
		m.digest = digestOf(want.algorithm(), body)
	}
	if want != "" && m.digest != want {
		return nil, refuse(formats.ErrBadRequest, codeDigestInvalid, "the manifest has the digest %s and was pushed as %s", m.digest, want)
	}
	return m, nil
}

// checkSyntax demands one JSON object, in valid UTF-8, without a name that an
// object has twice, and not too deep.
func checkSyntax(body []byte) error {
	dec := jsontext.NewDecoder(bytes.NewBuffer(body))
	if kind := dec.PeekKind(); kind != '{' && kind != 0 {
		return invalid("is no JSON object")
	}
	for n := 0; ; n++ {
		_, err := dec.ReadToken()
		switch {
		case err == io.EOF && dec.InputOffset() == 0:
			return invalid("is empty")
		case err == io.EOF:
			return nil
		case errors.Is(err, jsontext.ErrDuplicateName):
			return invalid("has a field twice, %s, so that two readers may see two manifests", pointer(err))
		case errors.Is(err, io.ErrUnexpectedEOF):
			return invalid("ends in the middle")
		case err != nil:
			return invalid("is not valid JSON at byte %d", dec.InputOffset())
		case n == maxTokens:
			return invalid("has more than %d names and values", maxTokens)
		case dec.StackDepth() > maxDepth:
			return invalid("is nested deeper than %d levels", maxDepth)
		case dec.StackDepth() == 0 && hasMore(dec):
			return invalid("has something behind its end")
		}
	}
}

// tooMany reports whether JSON has more than maxTokens. What is wrong with it
// otherwise is for whoever decodes it.
func tooMany(body []byte) bool {
	dec := jsontext.NewDecoder(bytes.NewBuffer(body), jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	for range maxTokens {
		if _, err := dec.ReadToken(); err != nil {
			return false
		}
	}
	_, err := dec.ReadToken()
	return err == nil
}

// hasMore reports whether anything but white space follows.
func hasMore(dec *jsontext.Decoder) bool {
	kind := dec.PeekKind()
	if kind != 0 {
		return true
	}
	_, err := dec.ReadToken()
	return err != io.EOF
}

// pointer says where in a document an error lies.
func pointer(err error) string {
	var syntax *jsontext.SyntacticError
	var meaning *json.SemanticError
	switch {
	case errors.As(err, &syntax):
		return clip(string(syntax.JSONPointer))
	case errors.As(err, &meaning):
		return clip(string(meaning.JSONPointer))
	}
	return `""`
}

// decode reads the fields that mean something, once as they are spelled and
// once as the many clients read them that do not mind upper and lower case: if
// that makes a difference, two readers would see two manifests.
func (m *manifest) decode(body []byte) error {
	if err := json.Unmarshal(body, &m.doc); err != nil {
		return invalid("has a field that is not what it must be: %s", pointer(err))
	}
	var loose document
	err := json.Unmarshal(body, &loose, json.MatchCaseInsensitiveNames(true))
	if err != nil || !reflect.DeepEqual(m.doc, loose) {
		return invalid("spells a field in another case than the specification, so that two readers may see two manifests")
	}
	return nil
}

// choose finds the media type: that of the request, which the body may repeat
// and not contradict.
func (m *manifest) choose(contentType []string) error {
	if len(contentType) > 1 {
		return invalid("came with %d fields Content-Type", len(contentType))
	}
	if len(contentType) == 1 {
		kind, _, _ := strings.Cut(contentType[0], ";")
		m.mediaType = strings.TrimSpace(kind)
	}
	if own := m.doc.MediaType; own != nil {
		if m.mediaType == "" {
			m.mediaType = *own
		}
		if *own != m.mediaType {
			return invalid("says it is of type %s and was sent as %s", clip(*own), clip(m.mediaType))
		}
	}
	switch {
	case m.mediaType == "":
		return invalid("has no media type: neither the field Content-Type nor mediaType is given")
	case isImage(m.mediaType), isIndex(m.mediaType):
		return nil
	}
	advice := "push it as an OCI image, an OCI index or a Docker image of schema 2"
	switch m.mediaType {
	case typeSchema1, typeSchema1Signed:
		advice = "pull the image with a current client and push it again, which converts it to schema 2"
	case typeArtifact:
		advice = "this type was withdrawn: push the artifact as an OCI image manifest with an artifactType"
	}
	return refuse(formats.ErrMediaType, codeUnsupported, "manifests of type %s are not accepted: %s", clip(m.mediaType), advice)
}

// structure checks what an image and an index must have.
func (m *manifest) structure() error {
	doc := &m.doc
	switch {
	case doc.SchemaVersion == nil || *doc.SchemaVersion != 2:
		return invalid("does not have the schemaVersion 2")
	case len(doc.ArtifactType) > maxMediaType:
		return invalid("has an artifactType of more than %d bytes", maxMediaType)
	case doc.FSLayers != nil:
		return invalid("has fsLayers, which belong to schema 1: push the image with a current client")
	case doc.Manifests != nil && (doc.Config != nil || doc.Layers != nil):
		return invalid("has manifests, as an index, and config or layers, as an image: it can be one of them only")
	case isIndex(m.mediaType) && doc.Manifests == nil:
		return invalid("is an index without the array manifests")
	case isImage(m.mediaType) && doc.Config == nil:
		return invalid("is an image without config")
	case isImage(m.mediaType) && doc.Layers == nil:
		return invalid("is an image without the array layers")
	}
	if err := m.gather(); err != nil {
		return err
	}
	if doc.Subject == nil {
		return nil
	}
	if _, err := checkDescriptor("subject", doc.Subject); err != nil {
		return err
	}
	// Control characters take six times their size.
	written, err := json.Marshal(doc.Annotations, jsontext.AllowInvalidUTF8(true))
	if err != nil {
		return err
	}
	if size := len(written); size > maxAnnotations {
		return invalid("refers to another one and has %d bytes of annotations: at most %d, since they are a part of lists", size, maxAnnotations)
	}
	return nil
}

// gather checks all descriptors of content and collects what the image must hold.
func (m *manifest) gather() error {
	sizes := make(map[need]int64) // of each, without its size
	if m.doc.Config != nil {
		if err := m.collect(sizes, "config", m.doc.Config); err != nil {
			return err
		}
	}
	place, list := "layers", m.doc.Layers
	if isIndex(m.mediaType) {
		place, list = "manifests", m.doc.Manifests
	}
	for i := range *list {
		if err := m.collect(sizes, place+"/"+strconv.Itoa(i), &(*list)[i]); err != nil {
			return err
		}
	}
	return nil
}

// collect adds one descriptor to needs, unless it is there already or need not
// be in the image.
func (m *manifest) collect(sizes map[need]int64, place string, d *descriptor) error {
	named, err := checkDescriptor(place, d)
	if err != nil {
		return err
	}
	if len(d.URLs) > 0 && isForeign(d.MediaType) {
		return nil
	}
	// An index may list other things than manifests: build caches do.
	n := need{digest: named, manifest: isIndex(m.mediaType) && (isImage(d.MediaType) || isIndex(d.MediaType))}
	size, known := sizes[n]
	switch {
	case known && size != *d.Size:
		return invalid("gives %s two sizes, %d and %d", named, size, *d.Size)
	case known:
		return nil
	case len(sizes) == maxNeeds:
		return invalid("names more than %d different blobs or manifests, which is the limit", maxNeeds)
	}
	sizes[n] = *d.Size
	n.size = *d.Size
	m.needs = append(m.needs, n)
	return nil
}

// checkDescriptor checks one descriptor by itself; place says where it stands.
func checkDescriptor(place string, d *descriptor) (digest, error) {
	named, err := parseDigest(d.Digest)
	switch {
	case err != nil:
		return "", invalid("has a descriptor, %s, whose digest is no good: %v", place, err)
	case d.Size == nil:
		return "", invalid("has a descriptor without a size: %s", place)
	case *d.Size < 0:
		return "", invalid("has a descriptor with a size below zero: %s", place)
	case !isMediaType(d.MediaType):
		return "", invalid("has a descriptor without a usable mediaType: %s", place)
	}
	if d.Data == nil {
		return named, nil
	}
	if int64(len(*d.Data)) != *d.Size || digestOf(named.algorithm(), *d.Data) != named {
		return "", invalid("has a descriptor whose data is not what its digest and size say: %s", place)
	}
	return named, nil
}

// isMediaType reports whether s has the form of a media type: two words with a
// slash between them.
func isMediaType(s string) bool {
	kind, sub, found := strings.Cut(s, "/")
	return found && kind != "" && sub != "" && len(s) <= maxMediaType &&
		!strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r >= 0x7f || r == '"' })
}

// missing refuses a manifest whose needs are not all in the image. It names
// every one, so that a client can send them all.
func missing(name string, absent []need) error {
	list := make([]string, len(absent))
	for i, n := range absent {
		list[i] = string(n.digest)
	}
	shown := list[:min(len(list), 5)]
	more := ""
	if len(list) > len(shown) {
		more = fmt.Sprintf(" and %d more", len(list)-len(shown))
	}
	f := refuse(formats.ErrBadRequest, codeManifestBlobUnknown,
		"%s lacks what the manifest names: %s%s; push that first", clip(name), strings.Join(shown, ", "), more)
	f.detail = list
	return f
}

// otherSize refuses a manifest that gives stored bytes another size.
func otherSize(n need, stored int64) error {
	return invalid("says that %s has %d bytes, and it has %d", n.digest, n.size, stored)
}
