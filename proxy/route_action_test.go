package proxy

import (
	"net/http"
	"strings"
	"testing"

	"larder/formats"
	"larder/formats/formattest"
)

// thoughtless is a format that forgot to say what its requests want.
type thoughtless struct{ formattest.Plain }

func (f thoughtless) Parse(r *http.Request, path []string) (formats.Request, error) {
	req, err := f.Plain.Parse(r, path)
	req.Action = ""
	return req, err
}

type thoughtlessMount struct{ fakeMount }

func (thoughtlessMount) Format() formats.Format { return thoughtless{} }

// TestThreat06ARouteWithoutAnActionIsShut: also to whom policy would allow all.
func TestThreat06ARouteWithoutAnActionIsShut(t *testing.T) {
	w := newWorld(t, nil)
	handler, err := New(Options{Mounts: []Mount{thoughtlessMount{fakeMount{w, "pad"}}}, Identifier: w, Authorizer: w})
	if err != nil {
		t.Fatal(err)
	}
	w.handler = handler
	for _, method := range []string{"GET", "HEAD", "PUT", "DELETE"} {
		resp := w.do(method, "/pad/a/1", strings.NewReader("x"), "Authorization: Bearer alice-token")
		if resp.StatusCode != 403 || len(w.received) != 0 {
			t.Errorf("%s: %d, and %d bytes were taken", method, resp.StatusCode, len(w.received))
		}
	}
}
