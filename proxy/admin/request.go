package admin

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"

	"larder/formats"
)

// maxBody bounds the body of a call, in bytes.
const maxBody = 1 << 20

func bad(format string, args ...any) error {
	return formats.Refuse(formats.ErrBadRequest, fmt.Sprintf(format, args...))
}

// body reads the request's JSON into v. Errors: formats.ErrBadRequest,
// ErrTooLarge, ErrMediaType.
func (c *call) body(v any) error {
	kind, _, err := mime.ParseMediaType(c.r.Header.Get("Content-Type"))
	if err != nil || kind != "application/json" {
		return formats.Refuse(formats.ErrMediaType, "the body must be JSON: send Content-Type: application/json")
	}
	if coding := c.r.Header.Get("Content-Encoding"); coding != "" && coding != "identity" {
		return formats.Refuse(formats.ErrMediaType, "the body must be sent plain: leave out Content-Encoding")
	}
	text, err := io.ReadAll(io.LimitReader(c.r.Body, maxBody+1))
	if err != nil {
		return err
	}
	if len(text) > maxBody {
		return formats.Refuse(formats.ErrTooLarge, fmt.Sprintf("the body is larger than %d bytes", maxBody))
	}
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.DisallowUnknownFields()
	if err := dec.Decode(v); err != nil {
		return bad("the body is not what this call takes: %s", plain(err))
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return bad("the body holds more than one JSON value")
	}
	return nil
}

// plain words an error of the decoder without the names of Go types.
func plain(err error) string {
	var kind *json.UnmarshalTypeError
	if errors.As(err, &kind) {
		return fmt.Sprintf("the field %q cannot be a %s", kind.Field, kind.Value)
	}
	var moment *time.ParseError
	if errors.As(err, &moment) {
		return fmt.Sprintf("%.40s is no time such as 2026-01-31T00:00:00Z", moment.Value)
	}
	if errors.Is(err, io.EOF) {
		return "it is empty"
	}
	return strings.TrimPrefix(err.Error(), "json: ")
}

// flag reads a query parameter that is true or false.
func (c *call) flag(name string) (bool, error) {
	text := c.r.URL.Query().Get(name)
	if text == "" {
		return false, nil
	}
	v, err := strconv.ParseBool(text)
	if err != nil {
		return false, bad("%s=%.20q is neither true nor false", name, text)
	}
	return v, nil
}

// created is an answer with status 201.
type created struct{ body any }

// stream is an answer of many lines: what emit is given, and what is returned,
// one JSON object each. An error becomes the last line.
type stream func(emit func(any)) (any, error)

// reply writes the answer of a call; nil has no body.
func (c *call) reply(answer any) error {
	status := http.StatusOK
	switch v := answer.(type) {
	case nil:
		c.w.WriteHeader(http.StatusNoContent)
		return nil
	case handled:
		return nil
	case stream:
		c.stream(v)
		return nil
	case created:
		status, answer = http.StatusCreated, v.body
	}
	text, err := json.Marshal(answer)
	if err != nil {
		return fmt.Errorf("encode the answer: %w", err)
	}
	c.send(status, "application/json", append(text, '\n'))
	return nil
}

// send writes a whole body. An error of the connection is the client's loss.
func (c *call) send(status int, mediaType string, body []byte) {
	h := c.w.Header()
	h.Set("Content-Type", mediaType)
	h.Set("Content-Length", strconv.Itoa(len(body)))
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	c.w.WriteHeader(status)
	if c.r.Method != http.MethodHead {
		_, _ = c.w.Write(body)
	}
}

// stream runs fn while its lines go out.
func (c *call) stream(fn stream) {
	h := c.w.Header()
	h.Set("Content-Type", "application/x-ndjson")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	c.w.WriteHeader(http.StatusOK)
	enc, flush := json.NewEncoder(c.w), http.NewResponseController(c.w)
	emit := func(line any) {
		// Who went away is noticed by the context.
		_ = enc.Encode(line)
		_ = flush.Flush()
	}
	last, err := fn(emit)
	if err != nil {
		p := c.problem(err)
		last = Line{Problem: &p}
	}
	emit(last)
}
