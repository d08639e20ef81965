package oci

import (
	"errors"
	"fmt"
	"io"

	"github.com/go-json-experiment/json/jsontext"
)

// maxFarList is the largest list that is taken from an upstream, in bytes: twice
// what lists of referrers may have, and a quarter of a million tags.
const maxFarList = 2 * maxListing

// elements reads an object, and hands on the elements of the array that is its
// field of that name one by one, so that a list takes no more memory than what is
// kept of it. It returns what the field is: '[', 'n' for null, 0 for none. An
// element is good until the next one comes.
func elements(src io.Reader, field string, each func(jsontext.Value) error) (jsontext.Kind, error) {
	dec := jsontext.NewDecoder(&capped{src: src, left: maxFarList})
	if err := expect(dec, '{'); err != nil {
		return 0, err
	}
	var kind jsontext.Kind
	for dec.PeekKind() != '}' {
		name, err := dec.ReadToken()
		if err != nil {
			return 0, err
		}
		if name.String() != field {
			if err := dec.SkipValue(); err != nil {
				return 0, err
			}
			continue
		}
		kind = dec.PeekKind()
		if err := array(dec, each); err != nil {
			return 0, err
		}
	}
	if err := expect(dec, '}'); err != nil {
		return 0, err
	}
	if _, err := dec.ReadToken(); err != io.EOF {
		return 0, errors.Join(errors.New("something follows the list"), err)
	}
	return kind, nil
}

// array reads an array, or null.
func array(dec *jsontext.Decoder, each func(jsontext.Value) error) error {
	if dec.PeekKind() == 'n' {
		return dec.SkipValue()
	}
	if err := expect(dec, '['); err != nil {
		return err
	}
	for dec.PeekKind() != ']' {
		value, err := dec.ReadValue()
		if err != nil {
			return err
		}
		if err := each(value); err != nil {
			return err
		}
	}
	return expect(dec, ']')
}

// expect reads one token of that kind.
func expect(dec *jsontext.Decoder, kind jsontext.Kind) error {
	got, err := dec.ReadToken()
	if err != nil {
		return err
	}
	if got.Kind() != kind {
		return fmt.Errorf("%v stands where there should be %v", got.Kind(), kind)
	}
	return nil
}

// capped is a body that fails where it is longer than it may be.
type capped struct {
	src  io.Reader
	left int64 // bytes
}

// Read reads on.
func (c *capped) Read(p []byte) (int, error) {
	n, err := c.src.Read(p)
	if c.left -= int64(n); c.left < 0 {
		return 0, fmt.Errorf("a list of more than %d bytes", maxFarList)
	}
	return n, err
}
