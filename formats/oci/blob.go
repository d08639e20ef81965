package oci

import (
	"errors"
	"net/http"

	"larder/cache"
	"larder/formats"
)

const (
	mediaBlob     = "application/octet-stream"
	contentDigest = "Docker-Content-Digest"
)

func (s *serving) serveBlob() error {
	c, err := s.Registry.File(s.r.Context(), s.blob(s.t.digest))
	if err != nil {
		return s.lacks(err, codeBlobUnknown, "blob", string(s.t.digest))
	}
	return s.content(c, s.t.digest)
}

// blob is a blob of the image as the engine knows it.
func (s *serving) blob(d digest) formats.File {
	f := formats.File{Package: s.t.name, Name: blobFile(s.t.name, d), MediaType: mediaBlob, Head: s.head()}
	if s.mirror {
		f.Locate = located(formats.Location{Ref: upstreamPath(s.t.name, "blobs", string(d)), Want: []cache.Sum{d.sum()}, Limit: s.maxBlob})
	}
	return f
}

func (s *serving) head() bool { return s.r.Method == http.MethodHead }

// content sends a blob or manifest under the digest that the client asked for.
func (s *serving) content(c *formats.Content, d digest) error {
	c.ETag, c.StrictRange = `"`+string(d)+`"`, true
	s.w.Header()[contentDigest] = []string{string(d)}
	err := formats.Reply(s.w, s.r, c)
	if err != nil {
		s.w.Header().Del(contentDigest)
	}
	return err
}

// lacks words a 404 for those who may read the image: what it has not. All others
// get the answer for a missing image, whether there is one or not. A HEAD by digest
// is how clients ask whether to send the bytes: those that were lost are to come again.
func (s *serving) lacks(err error, c code, what, which string) error {
	if s.head() && s.t.tag == "" && errors.Is(err, formats.ErrDamaged) {
		return refuse(formats.ErrNoVersion, c, "%s has lost its %s %s: send it again", s.t.name, what, which)
	}
	if !errors.Is(err, formats.ErrNotFound) || s.mirror {
		return err
	}
	if !errors.Is(err, formats.ErrNoVersion) {
		if _, unseen := s.Registry.Package(s.r.Context(), s.t.name); unseen != nil {
			return err
		}
	}
	return refuse(formats.ErrNoVersion, c, "%s has no %s %s", s.t.name, what, which)
}
