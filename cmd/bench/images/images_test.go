package images

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path"
	"slices"
	"strings"
	"sync"
	"testing"
)

// registry is what a client needs of one; it breaks what it is told to break.
type registry struct {
	mu     sync.Mutex
	blobs  map[string][]byte
	tags   map[string][]byte
	opened int
	upload []byte
	wrong  bool // blobs come with one other byte
	short  bool // the manifest names a size that is not the blob's
}

func (r *registry) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	r.mu.Lock()
	defer r.mu.Unlock()
	last, body := path.Base(q.URL.Path), []byte(nil)
	if q.Body != nil {
		body, _ = io.ReadAll(q.Body)
	}
	switch q.Method + " " + path.Base(path.Dir(q.URL.Path)) {
	case "POST uploads":
		r.opened++
		w.Header().Set("Location", "1?state=x")
		w.WriteHeader(http.StatusAccepted)
	case "PATCH uploads":
		if q.ContentLength != -1 {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		r.upload = body
		w.Header().Set("Location", "/v2/i/blobs/uploads/2?state=y")
		w.WriteHeader(http.StatusAccepted)
	case "PUT uploads":
		sum := sha256.Sum256(r.upload)
		if d := q.FormValue("digest"); q.FormValue("state") != "y" || d != "sha256:"+hex.EncodeToString(sum[:]) {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		r.blobs[q.FormValue("digest")] = r.upload
		w.WriteHeader(http.StatusCreated)
	case "PUT manifests":
		r.tags[last] = body
		w.WriteHeader(http.StatusCreated)
	case "GET manifests":
		if r.short {
			body = []byte(strings.Replace(string(r.tags[last]), `"size":100`, `"size":101`, 1))
		} else {
			body = r.tags[last]
		}
		_, _ = w.Write(body)
	case "HEAD blobs", "GET blobs":
		content, ok := r.blobs[last]
		if !ok {
			http.NotFound(w, q)
			return
		}
		if r.wrong {
			content = append([]byte{^content[0]}, content[1:]...)
		}
		_, _ = w.Write(content)
	case "GET tags":
		from := len(q.FormValue("last"))
		if from == 0 {
			w.Header().Set("Link", `</v2/i/tags/list?last=a>; rel="next"`)
		}
		_ = json.NewEncoder(w).Encode(map[string][]string{"tags": {fmt.Sprint("t", from)}})
	default:
		http.NotFound(w, q)
	}
}

func started(t *testing.T) (*registry, *Client) {
	t.Helper()
	r := &registry{blobs: make(map[string][]byte), tags: make(map[string][]byte)}
	s := httptest.NewServer(r)
	t.Cleanup(s.Close)
	return r, &Client{URL: s.URL + "/v2/i", Parallel: 1, HTTP: s.Client()}
}

func TestPushAndPull(t *testing.T) {
	r, c := started(t)
	im := NewNoise().Image(1, 2, 100)
	for range 2 {
		if err := c.Push(t.Context(), "one", im); err != nil {
			t.Fatal(err)
		}
	}
	if r.opened != 3 {
		t.Errorf("%d blobs were sent, want each of 3 once", r.opened)
	}
	if got, err := c.Pull(t.Context(), "one", true); err != nil || got != im.Size() || got != 200 {
		t.Errorf("pulled %d bytes, %v", got, err)
	}
	r.wrong = true
	if _, err := c.Pull(t.Context(), "one", true); err == nil {
		t.Error("other bytes were taken")
	}
	r.wrong, r.short = false, true
	if _, err := c.Pull(t.Context(), "one", false); err == nil {
		t.Error("another size was taken")
	}
	if _, err := c.Pull(t.Context(), "two", false); err == nil {
		t.Error("an image that is not there was taken")
	}
}

func TestTags(t *testing.T) {
	_, c := started(t)
	got, err := c.Tags(context.Background())
	if err != nil || !slices.Equal(got, []string{"t0", "t1"}) {
		t.Errorf("got %q, %v", got, err)
	}
}

// TestNoise: layers differ by their numbers from the first bytes on, and read the
// same each time, in reads of any size.
func TestNoise(t *testing.T) {
	noise := NewNoise()
	one, other := noise.Layer(1, 3*block+5), noise.Layer(2, 3*block+5)
	if one.Digest == other.Digest || one.Size != 3*block+5 {
		t.Errorf("got %+v and %+v", one, other)
	}
	sum, small, src := sha256.New(), make([]byte, 7), one.Open()
	if _, err := io.CopyBuffer(sum, struct{ io.Reader }{src}, small); err != nil {
		t.Fatal(err)
	}
	if got := "sha256:" + hex.EncodeToString(sum.Sum(nil)); got != one.Digest {
		t.Errorf("small reads give %s, want %s", got, one.Digest)
	}
}
