package oci

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"unicode"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"larder/cache"
	"larder/formats"
)

// code is an error code of the protocol.
type code string

// The codes. Clients know these and no others, but for UNKNOWN, which stands
// for faults of ours.
const (
	codeBlobUnknown         code = "BLOB_UNKNOWN"
	codeBlobUploadInvalid   code = "BLOB_UPLOAD_INVALID"
	codeBlobUploadUnknown   code = "BLOB_UPLOAD_UNKNOWN"
	codeDigestInvalid       code = "DIGEST_INVALID"
	codeManifestBlobUnknown code = "MANIFEST_BLOB_UNKNOWN"
	codeManifestInvalid     code = "MANIFEST_INVALID"
	codeManifestUnknown     code = "MANIFEST_UNKNOWN"
	codeNameInvalid         code = "NAME_INVALID"
	codeNameUnknown         code = "NAME_UNKNOWN"
	codeSizeInvalid         code = "SIZE_INVALID"
	codeUnauthorized        code = "UNAUTHORIZED"
	codeDenied              code = "DENIED"
	codeUnsupported         code = "UNSUPPORTED"
	codeTooManyRequests     code = "TOOMANYREQUESTS"
	codeUnknown             code = "UNKNOWN"
)

// fault is a refusal with what the protocol adds to it.
type fault struct {
	refusal *formats.Error
	code    code
	status  int         // 0: as the kind of the refusal has it
	detail  any         // for programs; nil for none
	header  http.Header // sent along
}

// Error returns the sentence.
func (f *fault) Error() string { return f.refusal.Sentence }

// Unwrap returns the *formats.Error, whose kind decides the status.
func (f *fault) Unwrap() error { return f.refusal }

// refuse builds a fault. What a client sent goes through clip first.
func refuse(kind error, c code, format string, args ...any) *fault {
	return &fault{refusal: &formats.Error{Kind: kind, Sentence: fmt.Sprintf(format, args...)}, code: c}
}

// clip quotes what a client sent, for a sentence shown to it: control
// characters escaped, at most 150 bytes, so that a digest is seen whole.
func clip(s string) string {
	if len(s) > 150 {
		s = strings.ToValidUTF8(s[:147], "") + "..."
	}
	return strconv.Quote(s)
}

// Describe words a failure as the protocol has it: {"errors": [{code, message,
// detail}]}. The message is what clients print.
func (*Format) Describe(f *formats.Failure, h http.Header) []byte {
	h.Set("Content-Type", "application/json")
	h.Set(apiVersion, apiVersionValue)
	said := struct {
		Code    code   `json:"code"`
		Message string `json:"message"`
		Detail  any    `json:"detail,omitzero"`
	}{codeOf(f), f.Sentence, decisionDetail(f, h)}
	var own *fault
	if errors.As(f.Err, &own) {
		said.Detail = own.detail
		if own.status != 0 {
			f.Status = own.status
		}
		for key, values := range own.header {
			h[key] = values
		}
	}
	t, _ := f.Request.Detail.(target)
	if f.Challenge && f.Base != "" {
		h.Set("WWW-Authenticate", challenge(f.Base, t, f.Narrow))
	}
	body, err := json.Marshal(map[string]any{"errors": []any{said}}, jsontext.AllowInvalidUTF8(true))
	if err != nil { // strings and numbers always encode
		panic(err)
	}
	return body
}

// decisionDetail names the rule and the decision of a refusal by policy, which
// the edge has put into the header.
func decisionDetail(f *formats.Failure, h http.Header) any {
	id := h.Get("X-Larder-Decision")
	if f.Status != http.StatusForbidden || id == "" {
		return nil
	}
	return struct {
		Rule     string `json:"rule,omitzero"`
		Decision string `json:"decision"`
	}{h.Get("X-Larder-Policy"), id}
}

// codeOf finds the code of a failure: its own, or the one that its status and
// the operation call for. A 404 of the edge is NAME_UNKNOWN always: nothing may
// tell a hidden image from a missing one.
func codeOf(f *formats.Failure) code {
	var own *fault
	if errors.As(f.Err, &own) {
		return own.code
	}
	o := op(f.Request.Op)
	switch f.Status {
	case http.StatusUnauthorized:
		return codeUnauthorized
	case http.StatusForbidden:
		return codeDenied
	case http.StatusNotFound:
		if errors.Is(f.Err, formats.ErrNoVersion) {
			return o.missing()
		}
		return codeNameUnknown
	case http.StatusConflict:
		switch {
		case o.uploads():
			return codeBlobUploadInvalid
		case errors.Is(f.Err, formats.ErrExists): // an immutable tag, a name that an upstream owns
			return codeDenied
		}
		return codeManifestInvalid
	case http.StatusRequestEntityTooLarge, http.StatusRequestedRangeNotSatisfiable:
		if o == opManifestPut {
			return codeManifestInvalid
		}
		return codeSizeInvalid
	case http.StatusTooManyRequests:
		return codeTooManyRequests
	case http.StatusBadRequest, http.StatusRequestTimeout:
		return badRequest(f.Err, o)
	}
	if f.Status >= http.StatusInternalServerError {
		return codeUnknown
	}
	return codeUnsupported
}

func badRequest(err error, o op) code {
	switch {
	case errors.Is(err, cache.ErrCorrupt):
		return codeDigestInvalid
	case o == "": // the path could not be read
		return codeNameInvalid
	case o == opManifestPut:
		return codeManifestInvalid
	case o.uploads():
		return codeBlobUploadInvalid
	}
	return codeUnsupported
}

// warning is the value of a Warning field: agent "-", no date, at most 4096
// bytes in all.
func warning(text string) string {
	const room = 4096 - len(`299 - ""`)
	text = strings.Map(func(r rune) rune {
		switch {
		case unicode.IsControl(r):
			return ' '
		case r == '"' || r == '\\':
			return '\''
		}
		return r
	}, strings.ToValidUTF8(text, "?"))
	if len(text) > room {
		text = strings.ToValidUTF8(text[:room], "")
	}
	return `299 - "` + text + `"`
}
