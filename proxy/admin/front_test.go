package admin

import (
	"strings"
	"testing"
)

// A person who opens the server in a browser is shown where clients go, by the
// address that the browser used.
func TestFrontPage(t *testing.T) {
	w := newWorld(t)
	for _, path := range []string{"/ui", "/ui/"} {
		rec := w.do("GET", path, "", "", "Accept: text/html")
		if text := rec.Body.String(); rec.Code != 200 || !strings.Contains(text, "<code>http://example.com/npm/</code>") || strings.Contains(text, "reading only") {
			t.Errorf("GET %s: %d %s", path, rec.Code, text)
		}
	}
	rec := w.do("GET", "/", "", "", "Accept: text/html")
	if rec.Code != 303 || rec.Header().Get("Location") != "http://example.com/ui/" {
		t.Errorf("GET /: %d to %q", rec.Code, rec.Header().Get("Location"))
	}
	if rec := w.do("POST", "/ui/", "", "x"); rec.Code != 405 || rec.Header().Get("Allow") != "GET, HEAD" {
		t.Errorf("POST: %d, allow %q", rec.Code, rec.Header().Get("Allow"))
	}
	if rec := w.do("GET", "/ui/other", "", ""); rec.Code != 404 {
		t.Errorf("a page that is not there: %d", rec.Code)
	}
}
