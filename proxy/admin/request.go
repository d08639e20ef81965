package admin

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"

	jsonv2 "github.com/go-json-experiment/json"

	"larder/formats"
	"larder/proxy/admin/openapi"
)

// maxBody bounds the body of a call, in bytes.
const maxBody = 1 << 20

func bad(format string, args ...any) error {
	return formats.Refuse(formats.ErrBadRequest, fmt.Sprintf(format, args...))
}

// body reads the request's JSON into v, after it was held against the schema
// of v. Errors: formats.ErrBadRequest, ErrTooLarge, ErrMediaType.
func (c *call) body(s *openapi.Schema, v any) error {
	text, err := c.text()
	if err != nil {
		return err
	}
	if len(text) == 0 {
		return bad("the body is empty: send JSON")
	}
	var any any
	if err := jsonv2.Unmarshal(text, &any); err != nil { // which takes no name twice
		return bad("the body is no JSON: %s", plain(err))
	}
	if err := c.types.Check(s, any); err != nil {
		return bad("%s", err)
	}
	if err := json.Unmarshal(text, v); err != nil {
		return bad("the body is not what this call takes: %s", plain(err))
	}
	return nil
}

// text reads a body of JSON as it came.
func (c *call) text() ([]byte, error) {
	kind, _, err := mime.ParseMediaType(c.r.Header.Get("Content-Type"))
	if err != nil || kind != "application/json" {
		return nil, formats.Refuse(formats.ErrMediaType, "the body must be JSON: send Content-Type: application/json")
	}
	if coding := c.r.Header.Get("Content-Encoding"); coding != "" && coding != "identity" {
		return nil, formats.Refuse(formats.ErrMediaType, "the body must be sent plain: leave out Content-Encoding")
	}
	text, err := io.ReadAll(io.LimitReader(c.r.Body, maxBody+1))
	if err == nil && len(text) > maxBody {
		err = formats.Refuse(formats.ErrTooLarge, fmt.Sprintf("the body is larger than %d bytes", maxBody))
	}
	return text, err
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
	return strings.TrimPrefix(err.Error(), "json: ")
}

// reply writes the answer of a call.
func (c *call) reply(answer any) error {
	if a, ok := answer.(answerer); ok {
		return a.send(c)
	}
	if p, ok := answer.(paged); ok && p.next() != "" {
		c.link(p.next())
	}
	return c.sendJSON(http.StatusOK, answer)
}

func (c *call) sendJSON(status int, v any) error {
	text, err := json.Marshal(v)
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
