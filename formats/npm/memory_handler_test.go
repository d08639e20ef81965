package npm_test

import (
	"archive/tar"
	"compress/gzip"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"

	"larder/upstream/upstreamtest"
)

// allocated is how many bytes fn allocates, all goroutines counted.
func allocated(fn func()) int64 {
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	fn()
	runtime.ReadMemStats(&after)
	return int64(after.TotalAlloc - before.TotalAlloc)
}

// discarding is a client that keeps nothing.
type discarding struct {
	header http.Header
	status int
	size   int64
}

func (d *discarding) Header() http.Header { return d.header }

func (d *discarding) WriteHeader(status int) { d.status = status }

func (d *discarding) Write(p []byte) (int, error) {
	d.size += int64(len(p))
	return len(p), nil
}

// FlushError makes it a connection whose answers arrive.
func (*discarding) FlushError() error { return nil }

// discard sends a request whose reply is not kept.
func (w *world) discard(r *http.Request) *discarding {
	d := &discarding{header: http.Header{}, status: 200}
	w.Edge.ServeHTTP(d, r)
	return d
}

// TestBigPublishStreams: a tarball is never held, neither as base64 nor decoded.
func TestBigPublishStreams(t *testing.T) {
	const size = 24 << 20
	w := newWorld(t, onDisk)
	w.publish("admin", "warm", "1.0.0")
	pr, pw := io.Pipe()
	made := make(chan error, 1)
	go func() { made <- errors.Join(writeBig(pw, "big", size), pw.Close()) }()
	var got *discarding
	used := allocated(func() { got = w.discard(w.request("PUT", "/big", "admin", pr)) })
	if err := <-made; err != nil || got.status != 201 {
		t.Fatalf("%d, %v", got.status, err)
	}
	if used > size/10 {
		t.Errorf("a publish of %d MiB allocated %d MiB", size>>20, used>>20)
	}
	used = allocated(func() { got = w.discard(w.request("GET", file("big", "1.0.0"), "", nil)) })
	if got.status != 200 || got.size < size || used > size/10 {
		t.Errorf("reading it: %d, %d bytes, %d MiB allocated", got.status, got.size, used>>20)
	}
}

// writeBig writes a publish document with a tarball that packs to about its size.
func writeBig(w io.Writer, name string, size int) error {
	_, err := fmt.Fprintf(w, `{"_id":%q,"name":%[1]q,"dist-tags":{"latest":"1.0.0"},"versions":{"1.0.0":{"name":%[1]q,"version":"1.0.0"}},"_attachments":{"x.tgz":{"data":"`, name)
	if err != nil {
		return err
	}
	encoder := base64.NewEncoder(base64.StdEncoding, w)
	zip, err := gzip.NewWriterLevel(encoder, gzip.NoCompression)
	if err != nil {
		return err
	}
	archive := tar.NewWriter(zip)
	manifest, block := `{"name":"`+name+`","version":"1.0.0"}`, []byte(noise(1<<16))
	err = errors.Join(
		archive.WriteHeader(&tar.Header{Name: "package/package.json", Mode: 0o644, Size: int64(len(manifest))}), second(io.WriteString(archive, manifest)),
		archive.WriteHeader(&tar.Header{Name: "package/blob", Mode: 0o644, Size: int64(size)}))
	for left := size; left > 0 && err == nil; left -= len(block) {
		_, err = archive.Write(block[:min(left, len(block))])
	}
	err = errors.Join(err, archive.Close(), zip.Close(), encoder.Close())
	return errors.Join(err, second(io.WriteString(w, `"}}}`)))
}

func second(_ int, err error) error { return err }

// TestBigDocument: section 9. Many clients who ask for the same large document
// cost one upstream request and one rendering a form, and those who come after
// cost next to nothing.
func TestBigDocument(t *testing.T) {
	far, upstream := scripted(t)
	w := newWorld(t, upstream, onDisk)
	plain := bigDocument("huge", 600, 8<<10)
	h := http.Header{"Content-Encoding": {"gzip"}}
	far.Serve("/huge", upstreamtest.Answer{Body: squeezed(t, plain), ContentType: "application/json", ETag: `"1"`, Header: h})
	ask := func(lines ...string) *discarding {
		return w.discard(w.request("GET", "/huge", "", nil, append(lines, "Accept-Encoding: gzip")...))
	}
	var mu sync.Mutex
	sizes := map[int64]bool{}
	cold := allocated(func() {
		together(16, func(int) {
			d := ask()
			mu.Lock()
			defer mu.Unlock()
			sizes[d.size] = d.status == 200
		})
	})
	if n := far.Requests("/huge"); n != 1 || len(sizes) != 1 {
		t.Errorf("%d upstream requests, replies %v", n, sizes)
	}
	size := int64(len(plain))
	if cold > 2*size {
		t.Errorf("a document of %d MiB cost 16 clients %d MiB", size>>20, cold>>20)
	}
	if short := allocated(func() { ask(abbreviated) }); short > 2*size {
		t.Errorf("its short form cost %d MiB", short>>20)
	}
	warm := allocated(func() {
		for range 100 {
			ask()
			ask(abbreviated)
		}
	})
	if warm > 200*(64<<10) {
		t.Errorf("200 warm replies allocated %d MiB", warm>>20)
	}
	if one := allocated(func() { w.discard(w.request("GET", "/huge/1.0.1", "", nil)) }); one > 2*size {
		t.Errorf("one manifest of it cost %d MiB", one>>20)
	}
	if n := far.Requests("/huge"); n != 1 {
		t.Errorf("%d upstream requests", n)
	}
}

// bigDocument is a packument of so many versions of so many bytes.
func bigDocument(name string, versions, each int) []byte {
	var b strings.Builder
	fmt.Fprintf(&b, `{"_id":%q,"name":%[1]q,"dist-tags":{"latest":"1.0.0"},"versions":{`, name)
	for i := range versions {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `"1.0.%d":{"name":%q,"version":"1.0.%[1]d","dist":{"tarball":"https://npm.upstream.example/%[2]s/-/%[2]s-1.0.%[1]d.tgz","shasum":"%040[1]d"},"dependencies":{`, i, name)
		for j := 0; j*24 < each; j++ {
			if j > 0 {
				b.WriteByte(',')
			}
			fmt.Fprintf(&b, `"package-%d":"^%d.%d.0"`, j, i%9, j)
		}
		b.WriteString(`}}`)
	}
	b.WriteString(`}}`)
	return []byte(b.String())
}

// TestPublishDoesNotGrow: section 9. What a publish costs does not depend on how
// many versions are there.
func TestPublishDoesNotGrow(t *testing.T) {
	w := newWorld(t)
	const n = 200
	var early, late int64
	for i := range n {
		sent := body(t, "many", fmt.Sprintf("1.0.%d", i))
		used := allocated(func() { w.want(201, "PUT /many", "admin", sent) })
		switch {
		case i >= 10 && i < 30:
			early += used
		case i >= n-20:
			late += used
		}
	}
	if late > early*3/2 {
		t.Errorf("20 publishes allocated %d KiB, and with %d versions there %d KiB", early>>10, n, late>>10)
	}
}
