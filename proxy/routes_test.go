package proxy

import (
	"net/http"
	"strings"
	"testing"

	"larder/formats/formattest"
)

func TestRoutes(t *testing.T) {
	answer := func(s string) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			v, ok := FromContext(r.Context())
			if !ok || v.RequestID == "" || v.Origin == "" || !v.Remote.IsValid() {
				t.Errorf("%s: the visit is not whole: %+v", s, v)
			}
			w.Write([]byte(s))
		})
	}
	w := newWorld(t, func(o *Options) {
		o.Handlers = map[string]http.Handler{"api": answer("api"), "ui": answer("ui"), "healthz": answer("well")}
		o.Hosts = map[string]string{"pad.example": "pad"}
	})
	tests := []struct {
		target, host string
		status       int
		body         string // contained
	}{
		{"/pad/a/1", "", 200, "a/1"},
		{"/pad/a", "", 200, "a"},
		{"/pad/@s%2fa/1", "", 200, "@s/a/1"},
		{"/pad/priv%61te/1", "", 200, "private/1"},
		{"/r/acme/tools/pad/a/1", "", 200, "a/1"},
		{"/a/1", "pad.example", 200, "a/1"},
		{"/a/1", "PAD.example:8080", 200, "a/1"},
		{"/healthz", "pad.example", 200, "well"},
		// The registry at that root sends people there to sign in.
		{"/ui/login/CODE", "pad.example", 200, "ui"},
		{"/ui/login", "pad.example", 200, "ui/login"},
		{"/ui", "pad.example", 200, "ui"},
		{"/healthz", "", 200, "well"},
		{"/healthz/x", "", 404, "nothing below"},
		{"/api/v1/users/", "", 200, "api"},
		{"/ui/", "", 200, "ui"},
		{"/readyz", "", 404, "The registries are: pad"},
		{"/nosuch/a", "", 404, "The registries are: pad"},
		{"/r/acme/tools/nosuch/a", "", 404, "The registries are: pad"},
		{"/r/acme/tools", "", 404, "/r/<owner>/<repository>/<registry>/"},
		{"/r/a%2fb/tools/pad/x", "", 404, "/r/<owner>/<repository>/<registry>/"},
		{"/v2/", "", 404, `"errors"`},
		{"/v2/a/manifests/1", "", 404, `"errors"`},
		{"/pad/", "", 404, "no such route"},
		{"/pad", "", 404, "no such route"},
		{"/pad/a/", "", 400, "final slash"},
		{"/", "", 200, `{"registries":[{"name":"pad","format":"plain","url":"http://example.com/pad/"}]}`},
	}
	for _, tt := range tests {
		var lines []string
		if tt.host != "" {
			lines = append(lines, "Host: "+tt.host)
		}
		resp := w.do("GET", tt.target, nil, lines...)
		body := text(t, resp)
		if resp.StatusCode != tt.status || !strings.Contains(body, tt.body) {
			t.Errorf("GET %s (host %q): %d %q, want %d with %q", tt.target, tt.host, resp.StatusCode, body, tt.status, tt.body)
		}
		if resp.StatusCode >= 300 && resp.StatusCode < 400 {
			t.Errorf("GET %s: redirected to %s", tt.target, resp.Header.Get("Location"))
		}
	}
	if resp := w.do("GET", "/", nil, "Accept: text/html"); resp.StatusCode != 303 || resp.Header.Get("Location") != "http://example.com/ui/" {
		t.Errorf("a browser at / got %d", resp.StatusCode)
	}
	if resp := w.do("DELETE", "/", nil); resp.StatusCode != 405 || resp.Header.Get("Allow") != "GET, HEAD" {
		t.Errorf("DELETE /: %d, Allow %q", resp.StatusCode, resp.Header.Get("Allow"))
	}
}

func TestThreat01HostilePathsReachNothing(t *testing.T) {
	w := newWorld(t, func(o *Options) {
		o.Hosts = map[string]string{"pad.example": "pad"}
		o.Containers = fleet(o.Identifier.(*world))
	})
	for _, prefix := range []string{"/pad/", "/r/acme/tools/pad/", "/r/acme/", "/", "/pad/a/", "/api/", "/ui/", "/v2/", "/v2/mirror/", "/v2/mirror/hub/"} {
		for _, bad := range formattest.Hostile() {
			for _, target := range []string{prefix + bad, prefix + bad + "/z"} {
				for _, host := range []string{"larder.example", "pad.example"} {
					r, err := http.ReadRequest(rawRequest("GET " + target + " HTTP/1.1\r\nHost: " + host + "\r\n\r\n"))
					if err != nil {
						continue // net/http itself answers 400
					}
					if status := w.status(r); status != 400 && status != 404 {
						t.Errorf("GET %s (%s): %d, want 400 or 404", target, host, status)
					}
				}
			}
		}
	}
	if len(w.asked) > 0 {
		t.Errorf("policy was asked about %+v", w.asked[0])
	}
}

func TestThreat02OneVerdictForAllSpellings(t *testing.T) {
	w := newWorld(t, nil)
	for _, spelling := range []string{"private", "priv%61te", "%70rivate", "%70%72%69%76%61%74%65"} {
		w.do("GET", "/pad/"+spelling+"/1", nil)
	}
	for _, res := range w.asked {
		if res != w.asked[0] || res.Package != "private" {
			t.Errorf("policy was asked about %+v, then %+v", w.asked[0], res)
		}
	}
	if len(w.asked) != 4 {
		t.Errorf("policy was asked %d times for 4 requests", len(w.asked))
	}
}

func TestAbsoluteTargetsAreRefused(t *testing.T) {
	w := newWorld(t, nil)
	for _, target := range []string{"http://upstream.example/pad/a/1", "https://127.0.0.1/pad/a/1"} {
		if resp := w.do("GET", target, nil); resp.StatusCode != 400 {
			t.Errorf("GET %s: %d, want 400", target, resp.StatusCode)
		}
	}
	r, err := http.ReadRequest(rawRequest("CONNECT upstream.example:443 HTTP/1.1\r\nHost: upstream.example\r\n\r\n"))
	if err != nil {
		t.Fatal(err)
	}
	if status := w.status(r); status != 400 {
		t.Errorf("CONNECT: %d, want 400", status)
	}
	if r, err = http.ReadRequest(rawRequest("OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n")); err != nil || w.status(r) != 400 {
		t.Error("OPTIONS * was not answered with 400")
	}
}
