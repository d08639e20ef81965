package oci

import (
	"net/http"

	"larder/formats"
)

// serveManifest answers with what is stored, whatever the client accepts: old
// clients cope with types that they do not list, and none copes with a 406.
func (s *serving) serveManifest() error {
	if s.t.digest != "" {
		c, err := s.manifestContent(s.t.digest)
		if err != nil {
			return err
		}
		s.used()
		return s.content(c, s.t.digest)
	}
	to, err := s.Registry.Resolve(s.r.Context(), s.pointer(s.t.tag))
	if err != nil {
		return s.lacks(err, codeManifestUnknown, "tag", s.t.tag)
	}
	d := digest(to.Version)
	c, err := s.manifestContent(d)
	if err != nil {
		return err
	}
	// What a tag stands for changes, though the bytes do not.
	c.Immutable = false
	if to.Result != "" {
		c.Result = to.Result
	}
	if len(to.Header) > 0 {
		c.Header = to.Header
	}
	s.used()
	return s.content(c, d)
}

// CopyField is the field of a request whose sender carries images elsewhere: that
// is no use of them, else what is carried once would be carried for ever. Its value
// is "true".
const CopyField = "X-Larder-Copy"

// used notes that a manifest is pulled, or asked about.
func (s *serving) used() {
	if s.r.Header.Get(CopyField) != "true" {
		s.Registry.Used(formats.Use{Package: s.t.name, Tag: s.t.tag, Version: string(s.t.digest)})
	}
}

func (s *serving) manifestContent(d digest) (*formats.Content, error) {
	c, err := s.Registry.File(s.r.Context(), s.manifest(d))
	if err != nil {
		return nil, s.leftOut(s.lacks(err, codeManifestUnknown, "manifest", string(d)), d)
	}
	return c, nil
}

// done answers without a body.
func (s *serving) done(status int, fields http.Header) error {
	h := s.w.Header()
	for key, values := range fields {
		h[key] = values
	}
	h["Content-Length"] = []string{"0"}
	if status == http.StatusNoContent {
		delete(h, "Content-Length")
	}
	h["Cache-Control"] = []string{"no-store"}
	s.w.WriteHeader(status)
	return nil
}

// json sends a list that changes, as one for the caller alone: where strangers may
// read nothing that is so of public images too, and only the engine knows.
func (s *serving) json(mediaType string, body []byte) error {
	return formats.Reply(s.w, s.r, &formats.Content{
		Bytes: body, Size: int64(len(body)), MediaType: mediaType, Private: true, Result: formats.Hosted,
	})
}
