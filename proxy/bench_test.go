package proxy

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/rs/zerolog"

	"larder/formats"
)

// sink is a writer that costs nothing, so that only the edge is measured.
type sink struct{ h http.Header }

func (s *sink) Header() http.Header         { return s.h }
func (s *sink) Write(p []byte) (int, error) { return len(p), nil }
func (s *sink) WriteHeader(int)             {}

// hit returns the edge with its log on, and one request for a small file.
func hit(t testing.TB) (http.Handler, *http.Request) {
	w := &world{}
	small := make([]byte, 1024)
	w.serve = func(formats.File) (*formats.Content, error) {
		return &formats.Content{
			Bytes: small, Size: 1024, MediaType: "application/octet-stream", ETag: `"0123456789abcdef"`, Result: formats.Hit, Immutable: true,
		}, nil
	}
	h, err := New(Options{
		Mounts: []Mount{fakeMount{w, "pad"}}, Identifier: open{}, Authorizer: open{}, Log: zerolog.New(io.Discard),
	})
	if err != nil {
		t.Fatal(err)
	}
	return h, httptest.NewRequest("GET", "/pad/left-pad/1.0.0", nil)
}

func BenchmarkHit(b *testing.B) {
	h, r := hit(b)
	b.ReportAllocs()
	for b.Loop() {
		h.ServeHTTP(&sink{h: http.Header{}}, r)
	}
}

// A hit may cost 40 allocations in all (storage.md section 13), net/http's and
// the engine's with them; the edge and Reply together get half.
func TestHitAllocations(t *testing.T) {
	h, r := hit(t)
	if n := testing.AllocsPerRun(200, func() { h.ServeHTTP(&sink{h: http.Header{}}, r) }); n > 24 {
		t.Errorf("%v allocations, want at most 24", n)
	}
}
