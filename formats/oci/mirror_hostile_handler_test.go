package oci_test

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"larder/upstream/upstreamtest/faulty"
	"larder/upstream/upstreamtest/ocitest"
)

// hostile is an upstream with the image team/app:v1, which answers honestly as long
// as it is not told what else to do.
type hostile struct {
	*world
	manifest, layer string
	lie             atomic.Pointer[http.HandlerFunc] // nil: none; it may answer or leave that to honest
	asked           atomic.Int64
}

func newHostile(t *testing.T) *hostile {
	h := &hostile{layer: strings.Repeat("layer", 100_000)}
	h.manifest = written("{}", []string{h.layer})
	far := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.asked.Add(1)
		if lie := h.lie.Load(); lie != nil {
			(*lie)(w, r)
			return
		}
		h.honest(w, r)
	}))
	t.Cleanup(far.Close)
	h.world = newWorld(t, func(w *world) {
		w.opt.MaxBlob = 4 << 20
		w.far = &ocitest.Registry{Server: &faulty.Server{URL: far.URL}}
	})
	return h
}

func (h *hostile) lies(fn http.HandlerFunc) {
	h.lie.Store(&fn)
	h.asked.Store(0)
}

const hostilePath = "/v2/team/app/"

// content is what the upstream has, by path.
func (h *hostile) content() map[string]string {
	return map[string]string{
		hostilePath + "manifests/v1": h.manifest, hostilePath + "manifests/" + digestOf(h.manifest): h.manifest,
		hostilePath + "blobs/" + digestOf(h.layer): h.layer, hostilePath + "tags/list": `{"name":"team/app","tags":["v1"]}`,
	}
}

func (h *hostile) honest(w http.ResponseWriter, r *http.Request) {
	body, ok := h.content()[r.URL.Path]
	if !ok {
		w.WriteHeader(404)
		return
	}
	w.Header().Set("Content-Type", map[bool]string{true: typeImage, false: "application/octet-stream"}[body == h.manifest])
	w.Header().Set("Docker-Content-Digest", digestOf(body))
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	if r.Method == "GET" {
		_, _ = fmt.Fprint(w, body)
	}
}

// with answers honestly, but for some fields.
func (h *hostile) with(fields map[string]string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		h.honest(&replaced{w, fields}, r)
	}
}

// replaced puts other fields into a reply as its headers leave.
type replaced struct {
	http.ResponseWriter
	fields map[string]string
}

func (r *replaced) set() {
	for name, value := range r.fields {
		r.Header().Set(name, value)
	}
}

func (r *replaced) WriteHeader(status int) {
	r.set()
	r.ResponseWriter.WriteHeader(status)
}

func (r *replaced) Write(p []byte) (int, error) {
	r.set()
	return r.ResponseWriter.Write(p)
}

func sends(status int, mediaType, body string, fields ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", mediaType)
		for i := 0; i+1 < len(fields); i += 2 {
			w.Header().Set(fields[i], fields[i+1])
		}
		w.WriteHeader(status)
		_, _ = fmt.Fprint(w, body)
	}
}

// endlessly sends until nobody reads on, of what claims to be JSON.
func endlessly(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", typeImage)
	if r.Method == "HEAD" {
		return
	}
	block := bytes.Repeat([]byte(" "), 64<<10)
	for {
		if _, err := w.Write(block); err != nil {
			return
		}
	}
}

func packed(h *hostile) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var b bytes.Buffer
		z := gzip.NewWriter(&b)
		_, _ = z.Write([]byte(h.content()[r.URL.Path])) // into memory
		_ = z.Close()
		sends(200, typeImage, b.String(), "Content-Encoding", "gzip", "Docker-Content-Digest", digestOf(h.content()[r.URL.Path]))(w, r)
	}
}

// TestHostileUpstream: whatever an upstream makes up, nobody gets a byte that is
// not what was asked for, or an outage as absence; nothing of it is kept; and it
// costs a handful of requests.
func TestHostileUpstream(t *testing.T) {
	for name, lie := range map[string]func(h *hostile) http.HandlerFunc{
		"the digest of something else": func(h *hostile) http.HandlerFunc {
			return h.with(map[string]string{"Docker-Content-Digest": digestOf("something else")})
		},
		"another manifest under the digest": func(h *hostile) http.HandlerFunc {
			other := written("{}", []string{"another"})
			return sends(200, typeImage, other, "Docker-Content-Digest", digestOf(h.manifest))
		},
		"a body that is too short": func(h *hostile) http.HandlerFunc {
			return func(w http.ResponseWriter, r *http.Request) {
				body := h.content()[r.URL.Path]
				sends(200, typeImage, body[:len(body)/2], "Docker-Content-Digest", digestOf(body))(w, r)
			}
		},
		"a body that goes on": func(h *hostile) http.HandlerFunc {
			return func(w http.ResponseWriter, r *http.Request) {
				body := h.content()[r.URL.Path]
				sends(200, typeImage, body+" ", "Docker-Content-Digest", digestOf(body))(w, r)
			}
		},
		"more announced than sent": func(h *hostile) http.HandlerFunc {
			return func(w http.ResponseWriter, r *http.Request) {
				body := h.content()[r.URL.Path]
				sends(200, typeImage, body[:1], "Content-Length", strconv.Itoa(len(body)), "Docker-Content-Digest", digestOf(body))(w, r)
			}
		},
		"gzip": packed,
		"a page": func(*hostile) http.HandlerFunc {
			return sends(200, "text/html; charset=utf-8", "<p>sign in first</p>")
		},
		"no end": func(*hostile) http.HandlerFunc { return endlessly },
		"a part": func(h *hostile) http.HandlerFunc {
			return sends(206, typeImage, h.manifest[:10], "Content-Range", fmt.Sprintf("bytes 0-9/%d", len(h.manifest)))
		},
		"nothing":      func(*hostile) http.HandlerFunc { return sends(204, typeImage, "") },
		"not modified": func(*hostile) http.HandlerFunc { return sends(304, typeImage, "") },
		"a loop":       func(*hostile) http.HandlerFunc { return sends(307, "", "", "Location", "/v2/team/app/manifests/v1") },
		"a way down":   func(*hostile) http.HandlerFunc { return sends(307, "", "", "Location", "file:///etc/passwd") },
		"metadata": func(*hostile) http.HandlerFunc {
			return sends(307, "", "", "Location", "http://169.254.169.254/latest/")
		},
		"another port here": func(*hostile) http.HandlerFunc { return sends(307, "", "", "Location", "http://127.0.0.1:1/x") },
		"broken":            func(*hostile) http.HandlerFunc { return sends(500, "", "") },
		"a strange status":  func(*hostile) http.HandlerFunc { return sends(418, "", "") },
		"no status": func(*hostile) http.HandlerFunc {
			return func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHostile(t)
			h.lies(lie(h))
			for _, path := range slices.Sorted(maps.Keys(h.content())) {
				if strings.HasSuffix(path, "/list") && name != "a page" {
					continue // has no digest to be held against
				}
				h.nothing(path, name)
			}
			if n := h.asked.Load(); n > 60 {
				t.Errorf("%d requests", n)
			}
			h.lie.Store(nil)
			h.Clock.Advance(2 * time.Hour)
			for path, body := range h.content() {
				got := h.want("200", "GET /mirror/far"+strings.TrimPrefix(path, "/v2"), "", "")
				if string(got.body) != body {
					t.Errorf("%s afterwards: %d bytes, want %d", path, len(got.body), len(body))
				}
			}
		})
	}
}

// nothing asks for something in both ways, and wants no whole answer that is not
// the right one, and no absence.
func (h *hostile) nothing(path, name string) {
	h.T.Helper()
	for _, method := range []string{"GET", "HEAD", "GET"} {
		got := h.do(method+" /mirror/far"+strings.TrimPrefix(path, "/v2"), "", "")
		switch {
		case got.StatusCode == 200 && method == "GET" && !got.cut && string(got.body) != h.content()[path]:
			h.T.Errorf("%s %s: %d bytes came whole", method, path, len(got.body))
		case got.StatusCode == 200 && got.cut && got.ContentLength >= 0 && int64(len(got.body)) >= got.ContentLength:
			h.T.Errorf("%s %s: all of %d wrong bytes came", method, path, len(got.body))
		case got.StatusCode == 404:
			h.T.Errorf("%s %s: %s is told as absence: %s", method, path, name, got.body)
		}
	}
}

// TestHostileDigestHeader: what is no digest is not believed, and what is one of
// another algorithm is held against the bytes.
func TestHostileDigestHeader(t *testing.T) {
	h := newHostile(t)
	for _, field := range []string{"", "sha256:" + strings.Repeat("0", 63), "md5:d41d8cd98f00b204e9800998ecf8427e", strings.Repeat("x", 50_000), "../../etc", digest512(h.manifest)} {
		h.lies(h.with(map[string]string{"Docker-Content-Digest": field}))
		if strings.HasPrefix(field, "sha512:") {
			long := h.with(map[string]string{"Docker-Content-Digest": field})
			h.lies(func(w http.ResponseWriter, r *http.Request) {
				r.URL.Path = strings.Replace(r.URL.Path, field, "v1", 1)
				long(w, r)
			})
		}
		h.Clock.Advance(time.Hour)
		got := h.want("200", "GET /mirror/far/team/app/manifests/v1", "", "")
		if string(got.body) != h.manifest {
			t.Errorf("%.80s: %s", field, got.body)
		}
		if d := got.Header.Get("Docker-Content-Digest"); d != digestOf(h.manifest) && d != field {
			t.Errorf("%.80s: digest %.80s", field, d)
		}
	}
}

// TestHostileTypes: a manifest is served as the type that it says itself it has,
// and never as a page.
func TestHostileTypes(t *testing.T) {
	for field, want := range map[string]string{
		typeImage + "; charset=utf-8": "200", "application/json": "200", "text/plain": "200", "": "200", "text/html": "502", "application/xhtml+xml": "502",
	} {
		h := newHostile(t)
		h.lies(h.with(map[string]string{"Content-Type": field}))
		got := h.want(want, "GET /mirror/far/team/app/manifests/v1", "", "")
		if kind := got.Header.Get("Content-Type"); want == "200" && kind != typeImage {
			t.Errorf("%q came as %q", field, kind)
		}
	}
}

// TestThrottledUpstream: who is told to wait does, is told how long, and gets what
// is held meanwhile.
func TestThrottledUpstream(t *testing.T) {
	h := newHostile(t)
	const at = "/mirror/far/team/app/"
	h.want("200", "GET "+at+"manifests/v1", "", "")
	h.lies(sends(429, "", "", "Retry-After", "600"))
	h.Clock.Advance(time.Hour)
	for range 3 {
		if got := h.want("200", "GET "+at+"manifests/v1", "", ""); got.Header.Get("Warning") == "" {
			t.Errorf("what is held: %v", got.Header)
		}
		for _, thing := range []string{"manifests/v2", "blobs/" + digestOf(h.layer), "tags/list", "referrers/" + digestOf("x")} {
			got := h.want("503", "GET "+at+thing, "", "")
			if seconds, err := strconv.Atoi(got.Header.Get("Retry-After")); err != nil || seconds < 1 || seconds > 600 {
				t.Errorf("%s: Retry-After %q", thing, got.Header.Get("Retry-After"))
			}
		}
	}
	if n := h.asked.Load(); n > 2 {
		t.Errorf("%d requests although it said to wait", n)
	}
	h.lie.Store(nil)
	h.Clock.Advance(20 * time.Minute)
	h.want("200", "GET "+at+"blobs/"+digestOf(h.layer), "", "")
}

// TestHostileTags: a list leads only on below the path that the client knows, and
// ends where it would lead to itself.
func TestHostileTags(t *testing.T) {
	h := newHostile(t)
	const at = "/mirror/far/team/app/tags/list"
	for link, want := range map[string]string{
		`</v2/team/app/tags/list?last=v1&n=1>; rel="next"`:           `</v2` + at + `?last=v1&n=1>; rel="next"`,
		`<https://evil.example/v2/x/tags/list?last=v1>; rel="next"`:  `</v2` + at + `?last=v1>; rel="next"`,
		`<//evil.example/../../etc?last=%0d%0aX-Own:%201>; rel=next`: `</v2` + at + `?last=%0D%0AX-Own%3A+1>; rel="next"`,
		`</v2/team/app/tags/list>; rel="next"`:                       "",
		`<?>; rel="next"`:                                            "",
		`<:bad:>; rel="next"`:                                        "",
		`no link at all`:                                             "",
		`<?last=a>; rel="prev", <?last=b>; rel="next"`:               `</v2` + at + `?last=b>; rel="next"`,
		`<?last=` + strings.Repeat("x", 10_000) + `>; rel="next"`:    "502",
	} {
		h.lies(sends(200, "application/json", `{"name":"another","tags":["v1","<b>"]}`, "Link", link))
		h.Clock.Advance(time.Hour)
		if want == "502" {
			h.want("502", "GET "+at+"?last=x", "", "")
			continue
		}
		got := h.want("200", "GET "+at, "", "")
		if l := got.Header.Get("Link"); l != want {
			t.Errorf("%.100s leads to %q, want %q", link, l, want)
		}
		if got.Header.Get("X-Own") != "" || !strings.HasPrefix(string(got.body), `{"name":"team/app"`) {
			t.Errorf("%.100s: %v %s", link, got.Header, got.body)
		}
	}
	// A page that leads to itself would be read for ever.
	h.lies(sends(200, "application/json", `{"name":"x","tags":["v1"]}`, "Link", `<?last=v1>; rel="next"`))
	h.Clock.Advance(time.Hour)
	if got := h.want("200", "GET "+at+"?last=v1", "", ""); got.Header.Get("Link") != "" {
		t.Errorf("it leads to itself: %v", got.Header)
	}
	for _, body := range []string{`{"tags":{}}`, `{"tags":[1]}`, `[]`, `{"name":"x"}`, `{"tags":["v1"]`, ``, `{"errors":[]}`} {
		h.lies(sends(200, "application/json", body))
		h.Clock.Advance(8 * 24 * time.Hour) // so that nothing old is served
		h.want("502", "GET "+at+"?n=7", "", "")
	}
}

// TestThreat16MirrorCanary: wherever an upstream leads to, nothing on this machine
// or near it is connected to.
func TestThreat16MirrorCanary(t *testing.T) {
	var hits atomic.Int64
	canary := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { hits.Add(1) }))
	t.Cleanup(canary.Close)
	_, port, _ := strings.Cut(strings.TrimPrefix(canary.URL, "http://"), ":")
	for _, host := range []string{"127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "0.0.0.0", "127.1", "2130706433", "user:pw@127.0.0.1"} {
		h := newHostile(t)
		for _, status := range []int{301, 302, 303, 307, 308} {
			h.lies(sends(status, "", "", "Location", "http://"+host+":"+port+"/x"))
			for _, path := range slices.Sorted(maps.Keys(h.content())) {
				h.nothing(path, host)
			}
			h.Clock.Advance(2 * time.Hour)
		}
		h.lies(sends(401, "", "", "WWW-Authenticate", `Bearer realm="http://`+host+`:`+port+`/token",service="x"`))
		h.do("GET /mirror/far/team/app/manifests/v1", "", "")
	}
	if n := hits.Load(); n != 0 {
		t.Errorf("%d connections", n)
	}
}
