package oci

import (
	"net/http"
	"strconv"
	"strings"

	"larder/formats"
)

// chunk is the part of a blob that a request says it carries.
type chunk struct {
	from, to int64 // the first and the last byte
}

// parseChunk reads Content-Range as this protocol has it, "first-last" without a
// unit. given is false where the field is missing: the bytes are then the next
// ones, however many.
func parseChunk(h http.Header) (c chunk, given bool, err error) {
	lines := h["Content-Range"]
	if len(lines) == 0 {
		return chunk{}, false, nil
	}
	first, last, found := strings.Cut(lines[0], "-")
	var okFirst, okLast bool
	c.from, okFirst = offset(first)
	c.to, okLast = offset(last)
	if len(lines) > 1 || !found || !okFirst || !okLast || c.to < c.from {
		return chunk{}, false, refuse(formats.ErrBadRequest, codeBlobUploadInvalid,
			"the field Content-Range must be first-last, two byte positions in their order, not %s", clip(strings.Join(lines, ", ")))
	}
	return c, true, nil
}

// offset reads a position that leaves room to count past it.
func offset(s string) (int64, bool) {
	n, ok := number(s)
	return n, ok && n < 1<<62
}

// size is how many bytes the chunk has.
func (c chunk) size() int64 { return c.to - c.from + 1 }

// fits checks a chunk against an upload that holds held bytes already. length
// is that of the body, -1 where it was not announced.
func (c chunk) fits(location string, held, length int64) error {
	if c.from != held {
		f := refuse(formats.ErrRange, codeBlobUploadInvalid,
			"the upload goes on at byte %d, and this chunk begins at byte %d", held, c.from)
		f.header = progress(location, held)
		return f
	}
	if length >= 0 && length != c.size() {
		return shortChunk(c.size(), length)
	}
	return nil
}

func shortChunk(announced, got int64) error {
	return refuse(formats.ErrBadRequest, codeSizeInvalid,
		"the field Content-Range announces %d bytes, and the body has %d", announced, got)
}

// progress is the header that tells a client where an upload is and how far. An
// empty one has the range of one byte: the protocol has no other word for it.
func progress(location string, held int64) http.Header {
	return http.Header{
		"Location": {location},
		"Range":    {"0-" + strconv.FormatInt(max(held-1, 0), 10)},
	}
}
