package oci

import (
	"errors"
	"net/http"

	"larder/cache"
	"larder/formats"
)

// resume takes the session of the request up.
func (s *serving) resume() (formats.Session, error) {
	up, err := s.Registry.Resume(s.r.Context(), s.t.name, s.t.session)
	if errors.Is(err, formats.ErrConflict) {
		return nil, refuse(formats.ErrConflict, codeBlobUploadInvalid,
			"another request is writing to the upload %s: wait until it has ended", clip(s.t.session))
	}
	return up, s.known(err)
}

// known says of which upload it is that there is none.
func (s *serving) known(err error) error {
	if !errors.Is(err, formats.ErrNoVersion) {
		return err
	}
	return refuse(formats.ErrNoVersion, codeBlobUploadUnknown,
		"there is no upload %s of %s, or it is over: begin another", clip(s.t.session), s.t.name)
}

// serveSession says how far an upload is, whoever writes to it.
func (s *serving) serveSession() error {
	held, err := s.Registry.Progress(s.r.Context(), s.t.name, s.t.session)
	if err != nil {
		return s.known(err)
	}
	return s.done(http.StatusNoContent, s.progress(s.t.session, held))
}

// serveCancel ends an upload, whoever writes to it.
func (s *serving) serveCancel() error {
	if err := s.Registry.Cancel(s.r.Context(), s.t.name, s.t.session); err != nil {
		return s.known(err)
	}
	return s.done(http.StatusNoContent, nil)
}

// serveChunk appends to an upload.
func (s *serving) serveChunk() error {
	up, err := s.resume()
	if err != nil {
		return err
	}
	defer s.drop(up)
	if err := s.receive(up); err != nil {
		return err
	}
	held := up.Offset()
	if err := up.Suspend(s.r.Context()); err != nil {
		return err
	}
	return s.accepted(s.t.session, held)
}

// serveCommit appends what the body has, if anything, and makes it all a blob.
func (s *serving) serveCommit() error {
	up, err := s.resume()
	if err != nil {
		return err
	}
	defer s.drop(up)
	if err := s.receive(up); err != nil {
		return err
	}
	blob, err := verify(up, s.t.digest)
	if errors.Is(err, cache.ErrCorrupt) {
		// More bytes would not make it right.
		return errors.Join(err, up.Cancel(s.r.Context()))
	}
	if err != nil {
		return err
	}
	return s.keep(up, blob)
}

// receive writes the body to an upload, where Content-Range says that it goes.
// What came of a body that was cut stays; one that ends elsewhere than it said
// leaves the upload as it was.
func (s *serving) receive(up formats.Session) error {
	part, given, err := parseChunk(s.r.Header)
	if err != nil {
		return err
	}
	held, most := up.Offset(), int64(-1)
	if given {
		if err := part.fits(s.location("blobs/uploads", s.t.session), held, s.r.ContentLength); err != nil {
			return err
		}
		most = part.size()
	}
	if err := s.bounded(held); err != nil {
		return err
	}
	n, err := s.copyBody(up, most)
	var cut bodyError
	switch {
	case errors.As(err, &cut):
		return errors.Join(err, up.Suspend(s.r.Context()))
	case err != nil:
		return err
	case given && n != part.size():
		return shortChunk(part.size(), n)
	}
	return nil
}
