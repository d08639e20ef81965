package oci_test

import (
	"io"
	"strings"
	"testing"
	"time"

	"larder/policy"
)

// meanwhile is a reader of nothing, at which something happens.
type meanwhile func()

func (m meanwhile) Read([]byte) (int, error) {
	m()
	return 0, io.EOF
}

// slowly sends a request during whose body something happens.
func (w *world) slowly(line, who, body string, happens func()) *reply {
	method, path, _ := strings.Cut(line, " ")
	src := io.MultiReader(strings.NewReader(body[:1]), meanwhile(happens), strings.NewReader(body[1:]))
	return w.send(w.request(method, path, who, src, "Content-Type: "+typeImage))
}

// TestThreat29EndsInTheMiddle: a body may take hours. What comes of it is decided
// when it is all there: nothing, where the token was revoked meanwhile, or the one
// that it was traded for.
func TestThreat29EndsInTheMiddle(t *testing.T) {
	w := newWorld(t)
	w.push("olga", "acme/app", "v1", "layer")
	m := written("{}", []string{"layer"})
	for name, scopes := range map[string][]string{"own": nil, "traded": {"repository:acme/app:pull,push"}} {
		at := w.begin("olga", "acme/app")
		for _, c := range []struct{ line, body string }{
			{"PUT /acme/app/manifests/" + name, m},
			{"POST /acme/app/blobs/uploads/?digest=" + digestOf("one "+name), "one " + name},
			{"PUT " + at + "?digest=" + digestOf("two "+name), "two " + name},
		} {
			w.Tokens["lost"] = w.Token("wim", policy.AllScopes()...)
			lost, who := w.Subject("lost"), "lost"
			if scopes != nil {
				who = "its bearer"
				w.bearer(who, "lost", scopes...)
			}
			got := w.slowly(c.line, who, c.body, func() { w.Must(w.Directory.RevokeToken(t.Context(), w.Admin, lost.TokenID)) })
			w.is("401 UNAUTHORIZED revoked", name+" "+c.line, got)
		}
		w.want("404 MANIFEST_UNKNOWN", "GET /acme/app/manifests/"+name, "wim", "")
		w.want("404 BLOB_UNKNOWN", "GET /acme/app/blobs/"+digestOf("one "+name), "wim", "")
		w.want("404 BLOB_UNKNOWN", "GET /acme/app/blobs/"+digestOf("two "+name), "wim", "")
	}
	w.bearer("short", "wim", "repository:acme/app:pull,push")
	got := w.slowly("PUT /acme/app/manifests/late", "short", m, func() { w.Clock.Advance(6 * time.Minute) })
	w.is("201", "what was begun in time", got)
}
