package formats

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"time"
)

// Result says how a reply came about; it is the value of X-Cache and a metric label.
type Result string

// The results.
const (
	Hit         Result = "hit"
	Miss        Result = "miss"
	Join        Result = "join" // shared another client's miss
	Stale       Result = "stale"
	Revalidated Result = "revalidated"
	Negative    Result = "negative"
	Hosted      Result = "hosted"
	Pass        Result = "pass" // from the upstream, not stored
)

// Content is the body of a reply with what its headers need. Exactly one of
// Bytes, File and Follow is set; none is for a HEAD.
type Content struct {
	Size      int64 // bytes as sent; -1 while unknown
	MediaType string
	Encoding  string // "gzip" or ""
	ETag      string // quoted; "" while unknown
	Modified  time.Time
	Result    Result
	// Immutable bytes never change under their URL.
	Immutable bool
	// StrictRange refuses (416) a range that ends before it begins, and any range
	// of an empty body: RFC 9110 would have them ignored, OCI clients would not.
	StrictRange bool
	// Private forbids shared caches: not everyone may read this.
	Private bool
	// Notice is a sentence for people about what the bytes leave out; formats
	// show it where their clients print such a thing. "" for none.
	Notice string
	// Header holds further headers, such as Age and Warning of stale documents.
	Header http.Header

	Bytes []byte
	File  io.ReadSeekCloser
	// Follow reads n bytes from off (n < 0: to the end) of a body that is still
	// arriving. An error in mid-body must cut the connection.
	Follow func(ctx context.Context, off, n int64) (io.ReadCloser, error)
}

// Close releases the body. It is harmless when there is none.
func (c *Content) Close() error {
	if c == nil || c.File == nil {
		return nil
	}
	return c.File.Close()
}

// All reads the whole body, and closes it. Errors: ErrTooLarge beyond so many bytes.
func (c *Content) All(ctx context.Context, most int64) ([]byte, error) {
	defer c.Close()
	var src io.Reader = bytes.NewReader(c.Bytes)
	switch {
	case c.File != nil:
		src = c.File
	case c.Follow != nil:
		body, err := c.Follow(ctx, 0, -1)
		if err != nil {
			return nil, err
		}
		defer body.Close()
		src = body
	}
	body, err := io.ReadAll(io.LimitReader(src, most+1))
	if err == nil && int64(len(body)) > most {
		err = fmt.Errorf("a file of more than %d bytes: %w", most, ErrTooLarge)
	}
	return body, err
}
