package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"larder/upstream/upstreamtest/npmtest"
)

// tried is a request that may break off: what came, and whether it looked whole.
func (l *live) tried(a ask) (status int, body []byte, whole bool) {
	l.t.Helper()
	r, err := http.NewRequest(a.method, l.url+a.path, nil)
	l.must(err)
	w, err := l.client.Do(r)
	if err != nil {
		return 0, nil, false
	}
	defer w.Body.Close()
	body, err = io.ReadAll(w.Body)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
		l.t.Logf("%s broke off: %v", a, err)
	}
	return w.StatusCode, body, err == nil
}

// TestThreat13ChangedBytesUpstream: a version whose bytes change upstream is
// served as it was first seen, and never as it is now.
func TestThreat13ChangedBytesUpstream(t *testing.T) {
	l := liveServer(t, "")
	file := ask{method: "GET", path: "/npm/left/-/left-1.0.0.tgz"}
	first := string(l.upstreamHas("left", "1.0.0"))
	if got := l.want(200, "", file); got.body != first {
		t.Fatal("not the first bytes")
	}
	evil, err := npmtest.Pack(map[string][]byte{"package.json": []byte(`{"name":"left","version":"1.0.0"}`), "evil.js": []byte("evil()")})
	l.must(err)
	l.must(l.far.Add(map[string]any{"name": "left", "version": "1.0.0"}, evil))
	for range 3 {
		l.later(time.Hour) // the document is fetched anew, and with it the new digest
		l.as("", ask{method: "GET", path: "/npm/left"})
		if got := l.as("", file); got.status == 200 && got.body != first || got.status != 200 && got.status != 502 {
			t.Errorf("%d, %d bytes", got.status, len(got.body))
		}
	}
	// Bytes that are not what the document says are nobody's, and are not kept.
	for _, wrong := range []string{"right", "@s/up"} {
		bare := wrong[strings.LastIndexByte(wrong, '/')+1:]
		good := string(l.upstreamHas(wrong, "2.0.0"))
		at := ask{method: "GET", path: "/npm/" + wrong + "/-/" + bare + "-2.0.0.tgz"}
		l.far.Fail(npmtest.Fault{Prefix: "/" + wrong + "/-/", Wrong: true})
		for range 3 {
			if status, body, whole := l.tried(at); whole && status == 200 || len(body) == len(good) {
				t.Errorf("%s: wrong bytes were served whole: %d, %d bytes", wrong, status, len(body))
			}
		}
		l.far.Heal()
		l.later(2 * time.Minute)
		if got := l.want(200, "", at); got.body != good {
			t.Errorf("%s: not the right bytes afterwards", wrong)
		}
	}
}

// TestThreat14NothingHalfIsKept: what breaks off or is no package at all is
// served to nobody as whole, and the next request gets all of it.
func TestThreat14NothingHalfIsKept(t *testing.T) {
	l := liveServer(t, "")
	for name, fault := range map[string]npmtest.Fault{
		"cut": {Cut: true}, "error": {Status: 500}, "gone wrong": {Wrong: true}, "a part": {Status: 206}, "moved": {Status: 302}, "nothing": {Status: 204}, "secret": {Status: 403},
	} {
		pkg := strings.ReplaceAll(name, " ", "-")
		good := string(l.upstreamHas(pkg, "1.0.0"))
		file := ask{method: "GET", path: "/npm/" + pkg + "/-/" + pkg + "-1.0.0.tgz"}
		head := ask{method: "HEAD", path: file.path}
		fault.Prefix = "/" + pkg + "/-/"
		l.far.Fail(fault)
		for range 2 {
			l.tried(head)
			if status, body, whole := l.tried(file); whole && status < 300 || string(body) == good {
				t.Errorf("%s: taken for whole: %d, %d bytes", name, status, len(body))
			}
		}
		l.far.Heal()
		l.later(2 * time.Minute)
		l.want(200, "", head)
		got := l.want(200, "", file)
		if again := l.want(200, "", file); got.body != good || again.body != good {
			t.Errorf("%s: %d and %d bytes afterwards", name, len(got.body), len(again.body))
		}
	}
}

// payloads are what would run if a page or a client took it for more than text.
func payloads() []string {
	return []string{
		`<script>alert(1)</script>`, `"><img src=x onerror=alert(1)>`, `javascript:alert(1)`, `<svg/onload=alert(1)>`, `'-alert(1)-'`, `{{constructor.constructor('alert(1)')()}}`,
		`</title><script>alert(1)</script>`, "\u202e\u0007\x1b[31mred", `<!--`, `&lt;script&gt;`, `]]><script>alert(1)</script>`, `<iframe src=//evil.example>`,
	}
}

// TestThreat21NothingOfAPackageRuns: whatever a publisher writes into every
// field, no reply is a page, and what is one is escaped and may run nothing.
func TestThreat21NothingOfAPackageRuns(t *testing.T) {
	l := liveServer(t, "")
	for i, evil := range payloads() {
		pkg := fmt.Sprintf("evil-%d", i)
		var doc map[string]any
		l.must(json.Unmarshal([]byte(npmPublicationOf(t, pkg, "1.0.0", map[string][]byte{"README.md": []byte(evil), "index.html": []byte(evil)})), &doc))
		manifest := doc["versions"].(map[string]any)["1.0.0"].(map[string]any)
		for _, field := range []string{"description", "homepage", "license", "readme", "readmeFilename", "author", "deprecated", "main"} {
			manifest[field], doc[field] = evil, evil
		}
		manifest["keywords"], manifest["repository"], manifest["bugs"] = []string{evil}, map[string]string{"type": evil, "url": evil}, map[string]string{"url": evil}
		if got := l.as(l.admin, ask{method: "PUT", path: "/npm/" + pkg, body: string(encoded(t, doc))}); got.status != 201 && got.status != 400 {
			t.Errorf("%q: %d %s", evil, got.status, got.body)
		}
		for _, path := range []string{
			"/npm/" + pkg, "/npm/" + pkg + "/1.0.0", "/npm/" + pkg + "/-/" + pkg + "-1.0.0.tgz", "/npm/-/v1/search?text=evil", "/npm/-/package/" + pkg + "/dist-tags", "/api/v1/packages",
			"/api/v1/package?purl=pkg:npm/" + pkg, "/npm/" + pathOf(evil), "/" + pathOf(evil), "/r/" + pathOf(evil), "/ui/" + pathOf(evil), "/ui/login/" + pathOf(evil), "/ui/why/" + pathOf(evil), "/api/v1/decisions/" + pathOf(evil),
			"/npm/-/v1/search?text=" + pathOf(evil), "/api/v1/policy/explain?purl=pkg:npm/" + pathOf(evil), "/api/v1/package?purl=" + pathOf(evil), "/",
		} {
			for _, accept := range []string{"Accept: text/html,*/*", "Accept: application/json"} {
				l.harmless(evil, ask{method: "GET", path: path, header: []string{accept}})
			}
		}
	}
}

// pathOf escapes every byte.
func pathOf(s string) string {
	out := ""
	for i := range len(s) {
		out += fmt.Sprintf("%%%02x", s[i])
	}
	return out
}

func (l *live) harmless(evil string, a ask) {
	l.t.Helper()
	got := l.as("", a)
	kind, _, _ := strings.Cut(got.header.Get("Content-Type"), ";")
	csp := got.header.Get("Content-Security-Policy")
	switch {
	case strings.Contains(fmt.Sprint(got.header), evil):
		l.t.Errorf("%s: the payload is in a header: %v", a, got.header)
	case got.body == "":
	case kind == "text/html":
		if strings.Contains(got.body, evil) && strings.ContainsAny(evil, "<>") || !strings.Contains(csp, "default-src 'none'") || strings.Contains(got.body, "<script") {
			l.t.Errorf("%s: a page that is not escaped: %s: %s", a, csp, got.body)
		}
	case got.header.Get("X-Content-Type-Options") != "nosniff" && kind != "application/json":
		l.t.Errorf("%s: browsers may guess what %q is: %v", a, kind, got.header)
	case strings.Contains(kind, "html"), strings.Contains(kind, "svg"), strings.Contains(kind, "xml"), strings.Contains(kind, "javascript"):
		l.t.Errorf("%s: sent as %s", a, kind)
	case strings.HasSuffix(a.path, ".tgz") && got.status == 200 && (!strings.HasPrefix(got.header.Get("Content-Disposition"), "attachment") || !strings.Contains(csp, "sandbox")):
		l.t.Errorf("%s: package bytes that a browser may show: %v", a, got.header)
	}
}
