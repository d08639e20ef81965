package npm

import (
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/gzip"

	"larder/formats"
)

// maxTagBody is above any set of tags, bytes.
const maxTagBody = 1 << 20

// body is the request's body, inflated if its headers say so.
func (s *serving) body() (io.Reader, error) {
	switch s.r.Header.Get("Content-Encoding") {
	case "", "identity":
		return s.r.Body, nil
	case "gzip":
		return inflate(s.r.Body)
	}
	return nil, formats.Refuse(formats.ErrMediaType, "the request body must be sent plain or as gzip")
}

// readBody reads a small body whole; most bounds it in bytes, inflated.
func (s *serving) readBody(most int64) ([]byte, error) {
	src, err := s.body()
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(io.LimitReader(src, most+1))
	if err != nil {
		return nil, err
	}
	if int64(len(body)) > most {
		return nil, formats.Refuse(formats.ErrTooLarge, "the request body is larger than this call takes")
	}
	return body, nil
}

// inflate undoes the gzip of a request body. Errors of what it returns: those
// of r, and formats.ErrBadRequest for what is no gzip.
func inflate(r io.Reader) (io.Reader, error) {
	in := &counter{r: r}
	zip, err := gzip.NewReader(in)
	if err != nil {
		return nil, notGzip(in)
	}
	return &inflated{zip: zip, in: in}, nil
}

type inflated struct {
	zip io.Reader
	in  *counter
}

// Read reads on.
func (f *inflated) Read(p []byte) (int, error) {
	n, err := f.zip.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		err = notGzip(f.in)
	}
	return n, err
}

// notGzip prefers what the body failed with to what the inflater made of it.
func notGzip(in *counter) error {
	if in.err != nil {
		return fmt.Errorf("read the request body: %w", in.err)
	}
	return bad("the request body is not the gzip that it should be")
}
