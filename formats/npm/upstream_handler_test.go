package npm_test

import (
	"crypto/sha1"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"
	"time"

	"larder/upstream/upstreamtest"
	"larder/upstream/upstreamtest/npmtest"
)

// leftDocument is an upstream's document of left with one version.
func leftDocument(version, dist string) string {
	return `{"name":"left","dist-tags":{"latest":"` + version + `"},"versions":{"` + version + `":{"name":"left","version":"` + version + `","dist":` + dist + `}},"time":{"` + version + `":"2025-01-01T00:00:00.071000+00:00"}}`
}

// TestBadUpstreamDocuments: section 8.2. What is no document of the package is a
// fault of the upstream; the one that is held stays.
func TestBadUpstreamDocuments(t *testing.T) {
	good := leftDocument("1.0.0", `{}`)
	for name, a := range map[string]upstreamtest.Answer{
		"HTML":             {Body: []byte("<html>sign in</html>"), ContentType: "text/html"},
		"no versions":      answering(`{"name":"left"}`),
		"another package":  answering(strings.Replace(good, `"name":"left"`, `"name":"right"`, 1)),
		"cut JSON":         answering(good[:len(good)-9]),
		"cut body":         {Body: []byte(good), Cut: true, CutAfter: 20},
		"two documents":    answering(good + good),
		"two of a version": answering(strings.Replace(good, `"versions":{`, `"versions":{"1.0.0":{},`, 1)),
		"broken gzip":      {Body: []byte("\x1f\x8b\x08 no"), Header: map[string][]string{"Content-Encoding": {"gzip"}}},
		"500":              {Status: 500}, "403": {Status: 403}, "401": {Status: 401}, "no reply": {NoReply: true},
	} {
		far, upstream := scripted(t)
		w := newWorld(t, upstream)
		far.Serve("/left", a)
		if got := w.do("GET", "/left", "", ""); got.StatusCode != 502 || at(w.object(got), "error") == nil {
			t.Errorf("%s at first: %d %.200s", name, got.StatusCode, got.text())
		}
		far.Serve("/left", answering(good), a)
		w.Clock.Advance(10 * time.Minute)
		w.want(200, "GET /left", "", "")
		w.Clock.Advance(3 * time.Hour)
		if got := w.do("GET", "/left", "", ""); got.StatusCode != 200 || !strings.Contains(got.text(), "1.0.0") || got.Header.Get("X-Cache") != "stale" {
			t.Errorf("%s afterwards: %d %s %.200s", name, got.StatusCode, got.Header.Get("X-Cache"), got.text())
		}
	}
}

// TestUpstreamStates: sections 3.1 and 8.2.
func TestUpstreamStates(t *testing.T) {
	far, upstream := scripted(t)
	w := newWorld(t, upstream)
	far.Serve("/gone", answering(`{"_id":"gone","name":"gone","time":{"created":"2020-01-01T00:00:00.000Z","unpublished":{"name":"eve","time":"2020-01-02T00:00:00.000Z"}}}`))
	far.Serve("/empty", answering(`{"name":"empty","dist-tags":{},"versions":{}}`))
	far.Serve("/left", answering(leftDocument("1.0.0", `{"shasum":"x"}`)))
	far.Serve("/busy", upstreamtest.Answer{Status: 429, Header: map[string][]string{"Retry-After": {"120"}}})
	w.run([]call{
		{name: "unpublished", method: "GET", path: "/gone", status: 404},
		{name: "unpublished, tags", method: "GET", path: "/-/package/gone/dist-tags", status: 404},
		{name: "unpublished, tarball", method: "GET", path: file("gone", "1.0.0"), status: 404},
		{name: "empty", method: "GET", path: "/empty", status: 200, has: []string{`"versions":{}`, `"dist-tags":{}`, `"time":{`}},
		{name: "times of all kinds", method: "GET", path: "/left", status: 200, has: []string{`"1.0.0":"2025-01-01T00:00:00.071Z"`}},
		{name: "throttled", method: "GET", path: "/busy", status: 503, has: []string{"Retry-After: "}},
	})
	w.Clock.Advance(3 * time.Minute)
	// A name that was missing is here as soon as it is published.
	w.want(404, "GET /fresh", "", "")
	w.publish("admin", "fresh", "1.0.0")
	w.want(200, "GET /fresh", "", "")
	// And one that comes up there, after a minute.
	w.want(404, "GET /late", "", "")
	far.Serve("/late", answering(strings.ReplaceAll(leftDocument("1.0.0", "{}"), "left", "late")))
	w.want(404, "GET /late", "", "")
	w.Clock.Advance(61 * time.Second)
	w.want(200, "GET /late", "", "")
}

// TestTamperedTarball: sections 3.3 and 8.2. Other bytes than announced never
// end well, and are not kept.
func TestTamperedTarball(t *testing.T) {
	data := noise(300_000)
	for name, dist := range map[string]string{
		"integrity":           `{"integrity":"` + npmtest.Integrity([]byte(data)) + `"}`,
		"shasum":              `{"shasum":"` + shasum(data) + `"}`,
		"both":                `{"integrity":"` + npmtest.Integrity([]byte(data)) + `","shasum":"` + shasum(data) + `"}`,
		"the weaker one lies": `{"integrity":"` + npmtest.Integrity([]byte(data)) + `","shasum":"` + strings.Repeat("0", 40) + `"}`,
	} {
		far, upstream := scripted(t)
		w := newWorld(t, upstream)
		far.Serve("/left", answering(leftDocument("1.0.0", dist)))
		for i, bad := range []upstreamtest.Answer{{Body: []byte(data), Wrong: true}, {Body: []byte(data[:1000])}, {Body: []byte(data), Cut: true, CutAfter: 100_000}, {Body: []byte("<html>"), ContentType: "text/html"}} {
			far.Serve("/left/-/left-1.0.0.tgz", bad)
			got := w.do("GET", file("left", "1.0.0"), "", "")
			if got.StatusCode == 200 && !got.cut {
				t.Errorf("%s, %d: %d bytes look whole", name, i, len(got.raw))
			}
			if n := w.blobs(); n > 1 { // the document may be one
				t.Errorf("%s, %d: %d blobs are kept", name, i, n)
			}
			w.Clock.Advance(2 * time.Minute)
		}
		far.Serve("/left/-/left-1.0.0.tgz", upstreamtest.Answer{Body: []byte(data)})
		if got := w.do("GET", file("left", "1.0.0"), "", ""); got.StatusCode != 200 || string(got.raw) != data || got.cut {
			t.Errorf("%s: the right bytes: %d, %d bytes", name, got.StatusCode, len(got.raw))
		}
	}
}

func shasum(data string) string {
	sum := sha1.Sum([]byte(data))
	return hex.EncodeToString(sum[:])
}

// TestForeignURLs: section 7. Where a document leads is not for it to decide:
// private addresses are not asked, and no credential goes anywhere.
func TestForeignURLs(t *testing.T) {
	canary := upstreamtest.New(t)
	for i, url := range []string{
		canary.URL + "/x.tgz", "http://192.168.0.1/x.tgz", "http://[::1]/x.tgz", "http://user:secret@" + canary.Host() + "/x.tgz", "file:///etc/passwd", "gopher://x/", "//" + canary.Host() + "/x.tgz", "",
	} {
		far, upstream := scripted(t)
		w := newWorld(t, upstream)
		far.Serve("/left", answering(leftDocument("1.0.0", fmt.Sprintf(`{"tarball":%q}`, url))))
		got := w.do("GET", file("left", "1.0.0"), "", "")
		if got.StatusCode == 200 {
			t.Errorf("%s: 200", url)
		}
		if text := w.want(200, "GET /left", "", "").text(); url != "" && strings.Contains(text, url) {
			t.Errorf("%d: the document shows %s", i, url)
		}
	}
	if n := canary.Connections(); n != 0 {
		t.Errorf("%d connections to an address that nobody allowed", n)
	}
}

// TestMirror: a registry without hosted packages takes no writes.
func TestMirror(t *testing.T) {
	w := newWorld(t, func(w *world) { w.hosted = false })
	w.upstream("left", "1.0.0")
	w.run([]call{
		{name: "read", method: "GET", path: "/left", status: 200},
		{name: "publish", method: "PUT", path: "/mine", who: "admin", body: body(t, "mine", "1.0.0"), status: 405, has: []string{"Allow: GET, HEAD", "only mirrors"}},
		{name: "tag", method: "PUT", path: "/-/package/left/dist-tags/next", who: "admin", body: `"1.0.0"`, status: 405, has: []string{"Allow: GET, HEAD"}},
		{name: "unpublish", method: "DELETE", path: "/left/-rev/1", who: "admin", status: 405},
		{name: "nobody", method: "PUT", path: "/mine", body: "{}", status: 401},
	})
}
