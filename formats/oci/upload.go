package oci

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"

	"larder/cache"
	"larder/formats"
	"larder/policy"
)

// Of a body so much is read before it is hashed and written: a large piece for a
// few uploads at a time, a small one for those beyond, so that any number of
// slow ones takes little memory.
const (
	largeCopy   = 1 << 20 // bytes
	smallCopy   = 64 << 10
	largeCopies = 16
)

// buffer takes the memory for a copy; release gives it back.
func (f *Format) buffer() []byte {
	select {
	case buf := <-f.buffers:
		if buf == nil {
			buf = make([]byte, largeCopy)
		}
		return buf
	default:
		return make([]byte, smallCopy)
	}
}

func (f *Format) release(buf []byte) {
	if len(buf) == largeCopy {
		f.buffers <- buf // one was taken, so that there is room
	}
}

// serveUpload begins a session, or takes a whole blob.
func (s *serving) serveUpload() error {
	if s.t.digest == "" {
		return s.begin()
	}
	if err := s.bounded(0); err != nil {
		return err
	}
	up, err := s.Registry.Upload(s.r.Context(), s.uploadOptions(s.r.ContentLength, s.t.digest.algorithm()))
	if err != nil {
		return err
	}
	defer s.drop(up)
	if _, err := s.copyBody(up, -1); err != nil {
		return err
	}
	blob, err := verify(up, s.t.digest)
	if err != nil {
		return err
	}
	return s.keep(up, blob)
}

// serveMount links a blob of another image, or begins a session for its bytes:
// clients use that at once, and are not told what spoke against the link.
func (s *serving) serveMount() error {
	if s.t.from == "" {
		return s.begin()
	}
	here, err := s.Registry.Mount(s.r.Context(), formats.Mount{
		Package: s.t.name, Name: blobFile(s.t.name, s.t.mount), From: s.t.from,
		Source: func(pkg string) string { return blobFile(pkg, s.t.mount) },
	})
	if err != nil {
		return err
	}
	if !here {
		return s.begin()
	}
	return s.created("blobs", s.t.mount, nil)
}

func (s *serving) begin() error {
	id, err := s.Registry.Begin(s.r.Context(), s.uploadOptions(-1, s.t.algorithm))
	if err != nil {
		return err
	}
	return s.accepted(id, 0)
}

func (s *serving) uploadOptions(size int64, a cache.Algorithm) formats.UploadOptions {
	u := formats.UploadOptions{Package: s.t.name, Size: size, Max: s.maxBlob}
	if a == cache.SHA512 {
		u.Also = []cache.Algorithm{a}
	}
	return u
}

// bounded refuses a body, behind held bytes, that says itself that it is too large.
func (s *serving) bounded(held int64) error {
	if s.r.ContentLength <= s.maxBlob-held {
		return nil
	}
	return refuse(formats.ErrTooLarge, codeSizeInvalid, "the blob is larger than %d bytes, which is the limit of this server", s.maxBlob)
}

// bodyError is a failure to read what the client sends.
type bodyError struct{ error }

// Unwrap returns the failure itself, by which the edge knows it.
func (e bodyError) Unwrap() error { return e.error }

// copyBody writes the request's body in large pieces: each is hashed once, while
// it is in memory. most is how many bytes it may have, -1 for any; of one that
// has more, one byte too many is counted. Errors: bodyError, those of dst.
func (s *serving) copyBody(dst io.Writer, most int64) (n int64, err error) {
	if s.r.Body == nil || s.r.Body == http.NoBody {
		return 0, nil
	}
	buf := s.buffer()
	defer s.release(buf)
	for {
		got, end := fill(buf, s.r.Body)
		if most >= 0 && n+int64(got) > most {
			return most + 1, nil
		}
		if got > 0 {
			wrote, err := dst.Write(buf[:got])
			n += int64(wrote)
			if err != nil {
				return n, err
			}
		}
		switch {
		case end == io.EOF:
			return n, nil
		case end != nil:
			return n, bodyError{end}
		}
	}
}

// fill reads until buf is full or src ends. io.ReadFull would make an end that
// comes too early of every end.
func fill(buf []byte, src io.Reader) (n int, err error) {
	for n < len(buf) && err == nil {
		var got int
		got, err = src.Read(buf[n:])
		n += got
	}
	return n, err
}

// verify checks an upload against the digest that the client gave.
func verify(up formats.Upload, want digest) (cache.Blob, error) {
	blob, err := up.Verify(want.sum())
	if errors.Is(err, cache.ErrCorrupt) {
		return blob, refuse(cache.ErrCorrupt, codeDigestInvalid, "the bytes that arrived do not have the digest %s", want)
	}
	return blob, err
}

// drop lets go of what was not kept.
func (*serving) drop(up formats.Upload) {
	// It can only fail as the sweep of left-overs repairs.
	_ = up.Close()
}

// keep makes verified bytes a blob of the image.
func (s *serving) keep(up formats.Upload, blob cache.Blob) error {
	if err := up.Keep(s.r.Context()); err != nil {
		return err
	}
	err := s.change(policy.Publish, func(tx formats.Tx) error {
		return tx.Link(formats.ReleaseFile{Name: blobFile(s.t.name, s.t.digest), MediaType: mediaBlob, Blob: blob})
	})
	if err != nil {
		return err
	}
	return s.created("blobs", s.t.digest, nil)
}

// change runs fn on the image in one transaction. A push makes it if need be.
func (s *serving) change(a policy.Action, fn func(formats.Tx) error) error {
	// What a client sent whole is kept also if it leaves now.
	ctx := context.WithoutCancel(s.r.Context())
	return s.Registry.Change(ctx, formats.Change{Package: s.t.name, Action: a, Create: a == policy.Publish}, fn)
}

// created answers 201 for a blob or manifest of the image.
func (s *serving) created(what string, d digest, more http.Header) error {
	fields := http.Header{"Location": {s.location(what, string(d))}, contentDigest: {string(d)}}
	for key, values := range more {
		fields[key] = values
	}
	return s.done(http.StatusCreated, fields)
}

// accepted answers 202 for a session: clients send the rest where it says.
func (s *serving) accepted(id string, held int64) error {
	return s.done(http.StatusAccepted, s.progress(id, held))
}

func (s *serving) progress(id string, held int64) http.Header {
	fields := progress(s.location("blobs/uploads", id), held)
	fields["Docker-Upload-Uuid"] = []string{id}
	return fields
}

// location is the path of a thing of the image, as the client reaches this server:
// a path needs no trust in what the request says of our host.
func (s *serving) location(what, which string) string {
	path := s.Base
	if u, err := url.Parse(s.Base); err == nil {
		path = u.Path
	}
	return path + s.t.spoken + "/" + what + "/" + which
}
