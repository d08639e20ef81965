package oci

import (
	"errors"
	"io"

	"larder/cache"
	"larder/formats"
)

// sent is a manifest that has arrived: its bytes are in a file, so that a client
// that takes its time holds no memory.
type sent struct {
	up   formats.Upload
	blob cache.Blob
}

// receiveManifest takes the body of a push.
func (s *serving) receiveManifest() (*sent, error) {
	limit := s.maxManifest
	tooLarge := refuse(formats.ErrTooLarge, codeManifestInvalid, "the manifest is larger than the limit of %d bytes", limit)
	if s.r.ContentLength > limit {
		return nil, tooLarge
	}
	up, err := s.Registry.Upload(s.r.Context(), s.uploadOptions(s.r.ContentLength, s.t.digest.algorithm()))
	if err != nil {
		return nil, err
	}
	in := &sent{up: up}
	n, err := s.copyBody(up, limit)
	if err == nil && n > limit {
		err = tooLarge
	}
	if err == nil {
		in.blob, err = up.Verify()
	}
	if err != nil {
		s.drop(up)
		return nil, err
	}
	return in, nil
}

// body reads the bytes again.
func (in *sent) body() ([]byte, error) {
	src, err := in.up.Open()
	if err != nil {
		return nil, err
	}
	body := make([]byte, in.blob.Size)
	_, err = io.ReadFull(src, body)
	return body, errors.Join(err, src.Close())
}

// examine checks a manifest, and takes of it and of its config what is kept. The
// rest of it is in memory only here, where no client is waited for.
func (s *serving) examine(in *sent) (*manifest, facts, error) {
	leave, err := s.turns.queue(s.r.Context(), in.blob.Size)
	if err != nil {
		return nil, facts{}, err
	}
	defer leave()
	body, err := in.body()
	if err != nil {
		return nil, facts{}, err
	}
	m, err := checkManifest(s.r.Header["Content-Type"], s.t.digest, body)
	if err != nil {
		return nil, facts{}, err
	}
	config, err := s.config(m)
	if err != nil {
		return nil, facts{}, err
	}
	known := m.facts(config)
	m.doc = document{Subject: m.doc.Subject}
	return m, known, nil
}
