package oci

import (
	"net/http"
	"testing"

	"larder/formats"
	"larder/policy"
)

func TestChallenge(t *testing.T) {
	const host = "http://larder.example:8080"
	for _, c := range []struct {
		base, line string
		mirror     bool
		narrow     bool
		want       string // after realm and service
	}{
		{host + "/v2/", "GET /", false, false, ``},
		{host + "/v2/", "GET /_catalog", false, false, `,scope="registry:catalog:*"`},
		{host + "/v2/", "GET /a/b/manifests/x", false, false, `,scope="repository:a/b:pull"`},
		{host + "/v2/", "HEAD /a/b/blobs/$256", false, false, `,scope="repository:a/b:pull"`},
		{host + "/v2/", "GET /a/b/tags/list", false, false, `,scope="repository:a/b:pull"`},
		{host + "/v2/", "GET /a/b/referrers/$256", false, false, `,scope="repository:a/b:pull"`},
		{host + "/v2/", "POST /a/b/blobs/uploads/", false, false, `,scope="repository:a/b:pull,push"`},
		{host + "/v2/", "PATCH /a/b/blobs/uploads/X", false, false, `,scope="repository:a/b:pull,push"`},
		{host + "/v2/", "GET /a/b/blobs/uploads/X", false, false, `,scope="repository:a/b:pull,push"`},
		{host + "/v2/", "DELETE /a/b/blobs/uploads/X", false, false, `,scope="repository:a/b:pull,push"`},
		{host + "/v2/", "PUT /a/b/manifests/x", false, true, `,scope="repository:a/b:pull,push",error="insufficient_scope"`},
		{host + "/v2/", "DELETE /a/b/manifests/x", false, false, `,scope="repository:a/b:delete"`},
		{host + "/v2/", "DELETE /a/b/blobs/$256", false, true, `,scope="repository:a/b:delete",error="insufficient_scope"`},
		{host + "/v2/", "POST /a/b/blobs/uploads/?mount=$256&from=c/d", false, false, `,scope="repository:a/b:pull,push repository:c/d:pull"`},
		{host + "/v2/", "POST /a/b/blobs/uploads/?mount=$256", false, false, `,scope="repository:a/b:pull,push"`},
		// The client's spelling, with the mount of the mirror in front.
		{host + "/v2/mirror/up/", "GET /alpine/manifests/x", true, false, `,scope="repository:mirror/up/alpine:pull"`},
		{host + "/v2/mirror/up/", "DELETE /a/b/manifests/x", true, false, `,scope="repository:mirror/up/a/b:delete"`},
	} {
		f := New(Options{Mirror: c.mirror, Library: always})
		req, err := parse(t, f, expand(c.line))
		if err != nil {
			t.Fatalf("%s: %v", c.line, err)
		}
		h := http.Header{}
		f.Describe(&formats.Failure{
			Status: 401, Err: policy.ErrUnauthenticated, Challenge: true, Narrow: c.narrow, Base: c.base, Request: req,
		}, h)
		want := `Bearer realm="` + host + `/v2/token",service="larder.example:8080"` + c.want
		if got := h.Get("WWW-Authenticate"); got != want {
			t.Errorf("%s:\n got %s\nwant %s", c.line, got, want)
		}
	}
}

// The token service asks for what it trades: with a challenge of the other kind
// clients would come back to it for ever.
func TestChallengeOfTheTokenService(t *testing.T) {
	for _, line := range []string{"GET /token", "POST /token"} {
		req, err := parse(t, New(Options{}), line)
		if err != nil {
			t.Fatal(err)
		}
		h := http.Header{}
		New(Options{}).Describe(&formats.Failure{Status: 401, Err: policy.ErrUnauthenticated, Challenge: true, Base: "http://h/v2/", Request: req}, h)
		if got := h.Get("WWW-Authenticate"); got != `Basic realm="larder"` {
			t.Errorf("%s: %s", line, got)
		}
	}
}

func TestChallengeBehindOtherAddresses(t *testing.T) {
	for base, want := range map[string]string{
		"https://hub.example/v2/":          `Bearer realm="https://hub.example/v2/token",service="hub.example"`,
		"https://hub.example/sub/v2/":      `Bearer realm="https://hub.example/sub/v2/token",service="hub.example"`,
		"https://hub.example/v2/mirror/x/": `Bearer realm="https://hub.example/v2/token",service="hub.example"`,
		"https://hub.example/":             `Bearer realm="https://hub.example/v2/token",service="hub.example"`,
	} {
		if got := challenge(base, target{}, false); got != want {
			t.Errorf("%s: %s", base, got)
		}
	}
}

// A challenge without an address would be a relative one, which breaks clients.
func TestNoChallengeUncalledFor(t *testing.T) {
	for _, f := range []formats.Failure{
		{Status: 401, Challenge: true}, {Status: 403, Base: "http://h/v2/"}, {Status: 404, Base: "http://h/v2/"},
	} {
		h := http.Header{}
		New(Options{}).Describe(&f, h)
		if got := h.Get("WWW-Authenticate"); got != "" {
			t.Errorf("%+v: %s", f, got)
		}
	}
}
