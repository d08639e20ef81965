package oci

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"

	"larder/cache"
	"larder/formats"
	"larder/policy"
)

// failureOf is what the edge makes of an error of Parse or of a check.
func failureOf(err error) *formats.Failure {
	f := &formats.Failure{Err: err, Sentence: "?", Status: 500}
	for _, row := range []struct {
		kind   error
		status int
	}{
		{policy.ErrUnauthenticated, 401}, {policy.ErrDenied, 403}, {formats.ErrBadRequest, 400}, {formats.ErrNotFound, 404},
		{formats.ErrUnsupported, 405}, {formats.ErrExists, 409}, {formats.ErrConflict, 409}, {formats.ErrTooLarge, 413},
		{formats.ErrMediaType, 415}, {formats.ErrRange, 416}, {cache.ErrCorrupt, 400},
	} {
		if errors.Is(err, row.kind) {
			f.Status = row.status
			break
		}
	}
	var own *formats.Error
	if errors.As(err, &own) {
		f.Sentence = own.Sentence
	}
	return f
}

// said is a body of Describe, decoded.
type said struct {
	Code    code            `json:"code"`
	Message string          `json:"message"`
	Detail  json.RawMessage `json:"detail"`
}

func describe(t *testing.T, f *formats.Failure, h http.Header) said {
	t.Helper()
	body := New(Options{}).Describe(f, h)
	var doc struct {
		Errors []said `json:"errors"`
	}
	if err := json.Unmarshal(body, &doc); err != nil || len(doc.Errors) != 1 {
		t.Fatalf("body %s: %v", body, err)
	}
	if h.Get("Content-Type") != "application/json" || h.Get("Docker-Distribution-Api-Version") != "registry/2.0" {
		t.Errorf("header %v", h)
	}
	return doc.Errors[0]
}

func TestCodes(t *testing.T) {
	for _, c := range []struct {
		status int
		err    error
		op     op
		want   code
	}{
		{400, formats.ErrBadRequest, "", codeNameInvalid}, // SplitPath refused the path
		{400, formats.ErrBadRequest, opManifestPut, codeManifestInvalid},
		{400, formats.ErrBadRequest, opChunk, codeBlobUploadInvalid},
		{400, formats.ErrBadRequest, opTags, codeUnsupported},
		{400, cache.ErrCorrupt, opCommit, codeDigestInvalid},
		{400, cache.ErrCorrupt, opUpload, codeDigestInvalid},
		{401, policy.ErrUnauthenticated, opBlob, codeUnauthorized},
		{403, policy.ErrDenied, opUpload, codeDenied},
		// What the edge words itself is the same for hidden and missing.
		{404, formats.ErrNotFound, opManifest, codeNameUnknown},
		{404, formats.ErrNotFound, opBlob, codeNameUnknown},
		{404, formats.ErrNotFound, opTags, codeNameUnknown},
		{404, formats.ErrNotFound, opSession, codeNameUnknown},
		{404, formats.ErrNoVersion, opManifest, codeManifestUnknown},
		{404, formats.ErrNoVersion, opManifestDelete, codeManifestUnknown},
		{404, formats.ErrNoVersion, opBlob, codeBlobUnknown},
		{404, formats.ErrNoVersion, opBlobDelete, codeBlobUnknown},
		{404, formats.ErrNoVersion, opSession, codeBlobUploadUnknown},
		{404, formats.ErrNoVersion, opCommit, codeBlobUploadUnknown},
		{404, formats.ErrNoVersion, opTags, codeNameUnknown},
		{405, &formats.MethodError{Allow: []string{"GET"}}, opBlob, codeUnsupported},
		{408, errors.New("slow"), opChunk, codeBlobUploadInvalid},
		{409, formats.ErrConflict, opChunk, codeBlobUploadInvalid},
		{409, formats.ErrExists, opManifestPut, codeDenied},
		{409, formats.ErrConflict, opManifestPut, codeManifestInvalid},
		{412, formats.ErrPrecondition, opBlob, codeUnsupported},
		{413, formats.ErrTooLarge, opChunk, codeSizeInvalid},
		{413, formats.ErrTooLarge, opManifestPut, codeManifestInvalid},
		{415, formats.ErrMediaType, opManifestPut, codeUnsupported},
		{416, &formats.RangeError{Size: 1}, opBlob, codeSizeInvalid},
		{429, errors.New("too many"), opBlob, codeTooManyRequests},
		{500, errors.New("bug"), opBlob, codeUnknown},
		{502, errors.New("upstream"), opManifest, codeUnknown},
		{503, cache.ErrUnhealthy, opManifestPut, codeUnknown},
		{507, cache.ErrFull, opChunk, codeUnknown},
	} {
		f := &formats.Failure{Status: c.status, Err: c.err, Sentence: "what & why <b>", Request: formats.Request{Op: string(c.op)}}
		got := describe(t, f, http.Header{})
		if got.Code != c.want || got.Message != "what & why <b>" || got.Detail != nil || f.Status != c.status {
			t.Errorf("%d %v of %q: %+v, status %d; want %s", c.status, c.err, c.op, got, f.Status, c.want)
		}
	}
}

// The message is for a terminal: nothing in it is escaped for a browser.
func TestMessagesAreNotEscapedForBrowsers(t *testing.T) {
	f := &formats.Failure{Status: 404, Err: formats.ErrNotFound, Sentence: "<a> & 'b' \xff"}
	body := New(Options{}).Describe(f, http.Header{})
	if want := `{"errors":[{"code":"NAME_UNKNOWN","message":"<a> & 'b' ` + "\uFFFD" + `"}]}`; string(body) != want {
		t.Errorf("%s\nwant %s", body, want)
	}
}

func TestFaultsBringTheirOwn(t *testing.T) {
	err := missing("acme/app", []need{{digest: "sha256:a"}, {digest: "sha256:b"}})
	f := failureOf(err)
	got := describe(t, f, http.Header{})
	if f.Status != 400 || got.Code != codeManifestBlobUnknown || string(got.Detail) != `["sha256:a","sha256:b"]` ||
		!strings.Contains(got.Message, "sha256:a, sha256:b") || !strings.Contains(got.Message, `"acme/app"`) {
		t.Errorf("%d %+v %s", f.Status, got, got.Detail)
	}
	var many []need
	for range 1000 {
		many = append(many, need{digest: digest("sha256:" + hexOf(64))})
	}
	got = describe(t, failureOf(missing("a/b", many)), http.Header{})
	if n := strings.Count(string(got.Detail), "sha256:"); n != 1000 || len(got.Message) > 1000 || !strings.Contains(got.Message, "995 more") {
		t.Errorf("of 1000 missing ones the detail has %d, and the message %d bytes: %s", n, len(got.Message), got.Message)
	}
	f = failureOf(tooManyTags(101))
	if got := describe(t, f, http.Header{}); f.Status != http.StatusRequestURITooLong || got.Code != codeUnsupported {
		t.Errorf("too many tags: %d %+v", f.Status, got)
	}
	h := http.Header{}
	f = failureOf(chunk{5, 9}.fits("/v2/a/blobs/uploads/x", 3, -1))
	if describe(t, f, h); f.Status != 416 || h.Get("Location") != "/v2/a/blobs/uploads/x" || h.Get("Range") != "0-2" {
		t.Errorf("a gap: %d, header %v", f.Status, h)
	}
}

func TestARefusalByPolicyNamesItsDecision(t *testing.T) {
	h := http.Header{"X-Larder-Policy": {"cool"}, "X-Larder-Decision": {"d1"}}
	got := describe(t, &formats.Failure{Status: 403, Err: policy.ErrDenied, Sentence: "too young"}, h)
	if got.Code != codeDenied || got.Message != "too young" || string(got.Detail) != `{"rule":"cool","decision":"d1"}` {
		t.Errorf("%+v %s", got, got.Detail)
	}
	got = describe(t, &formats.Failure{Status: 404, Err: formats.ErrNotFound, Sentence: "no"}, h)
	if got.Detail != nil {
		t.Errorf("a 404 tells of a decision: %s", got.Detail)
	}
}

func TestWarning(t *testing.T) {
	for text, want := range map[string]string{
		"stale":               `299 - "stale"`,
		"a \"b\" \\ c\r\nd":   `299 - "a 'b' ' c  d"`,
		"\xff":                `299 - "?"`,
		"cached copy from 5m": `299 - "cached copy from 5m"`,
	} {
		if got := warning(text); got != want {
			t.Errorf("warning(%q) = %s", text, got)
		}
	}
	if got := warning(strings.Repeat("é", 4096)); len(got) > 4096 || !strings.HasSuffix(got, `é"`) {
		t.Errorf("a warning of %d bytes ends in %q", len(got), got[len(got)-4:])
	}
}
