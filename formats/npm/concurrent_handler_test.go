package npm_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"larder/cache/badger"
	"larder/cache/disk"
	"larder/cache/memory"
	"larder/upstream/upstreamtest/npmtest"
)

// onDisk puts a world on the store and the index that a node uses.
func onDisk(w *world) {
	dir := w.T.TempDir()
	store, err := disk.Open(dir, disk.Options{Room: disk.RoomOptions{Floor: 1 << 20}})
	w.Must(err)
	index, err := badger.Open(filepath.Join(dir, "index"), badger.Options{})
	w.Must(err)
	w.T.Cleanup(func() {
		if err := errors.Join(index.Close(), store.Close()); err != nil {
			w.T.Error(err)
		}
	})
	w.Store, w.Index = store, index
}

// backends are what concurrent changes are tried over.
func backends() map[string]setting {
	return map[string]setting{"memory": func(*world) {}, "disk": onDisk}
}

// together runs fn n times at once.
func together(n int, fn func(i int)) {
	start := make(chan struct{})
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() { <-start; fn(i) })
	}
	close(start)
	all.Wait()
}

// TestParallelVersions: section 4.1. All succeed, all are there, and latest is
// the highest, whoever commits last.
func TestParallelVersions(t *testing.T) {
	for name, backend := range backends() {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, backend)
			const n = 20
			finish := make([]func(), n)
			for i := range finish { // all have begun before the first one ends
				finish[i] = w.held("many", fmt.Sprintf("1.0.%d", i))
			}
			together(n, func(i int) { finish[(i*7)%n]() })
			doc := w.document("many", "")
			versions, _ := at(doc, "versions").(map[string]any)
			if len(versions) != n || at(doc, "dist-tags", "latest") != "1.0.19" {
				t.Errorf("%d versions, tags %v", len(versions), at(doc, "dist-tags"))
			}
			w.consistent("many")
			w.publish("admin", "many", "1.0.1-fix.1")
			if got := at(w.document("many", ""), "dist-tags", "latest"); got != "1.0.1-fix.1" {
				t.Errorf("latest is %v after a publish of its own", got)
			}
		})
	}
}

// TestLatest: section 4.1. Of publishes one after the other the last one moves
// latest, of those that overlap the highest, also through others.
func TestLatest(t *testing.T) {
	w := newWorld(t)
	latest := func() any { return at(w.document("good", ""), "dist-tags", "latest") }
	for _, v := range []string{"2.0.0", "1.0.1", "3.0.0-rc.1"} {
		w.publish("admin", "good", v)
		if latest() != v {
			t.Errorf("latest is %v, want %s", latest(), v)
		}
	}
	slow := w.held("good", "1.5.0")
	w.publish("admin", "good", "4.0.0")
	w.publish("admin", "good", "1.2.0")
	if latest() != "1.2.0" {
		t.Errorf("latest is %v before it is known that they overlap", latest())
	}
	slow()
	if latest() != "4.0.0" {
		t.Errorf("latest is %v, want the highest of three that overlap", latest())
	}
	slow = w.held("good", "4.5.0")
	w.want(201, "PUT /-/package/good/dist-tags/latest", "admin", `"2.0.0"`)
	slow()
	if latest() != "4.5.0" {
		t.Errorf("latest is %v: the publish came last", latest())
	}
	slow = w.held("good", "5.0.0-rc.1")
	w.publish("admin", "good", "5.0.0", tagged("next"))
	slow()
	if latest() != "5.0.0-rc.1" {
		t.Errorf("latest is %v: another tag is no rival", latest())
	}
	// npm has looked at the document before, so that what came in between counts.
	w.publish("admin", "good", "6.0.0")
	w.want(201, "PUT /good", "admin", body(t, "good", "5.9.0"), "npm-command: publish")
	if latest() != "6.0.0" {
		t.Errorf("latest is %v, want 6.0.0", latest())
	}
}

// held begins a publish whose last bytes are sent by the function returned.
func (w *world) held(name, version string) (finish func()) {
	w.T.Helper()
	sent := body(w.T, name, version)
	pr, pw := io.Pipe()
	done := make(chan int)
	go func() { done <- w.send(w.request("PUT", path(name), "admin", pr)).StatusCode }()
	if _, err := io.WriteString(pw, sent[:len(sent)/2]); err != nil {
		w.T.Fatal(err)
	}
	return func() {
		w.T.Helper()
		_, err := io.WriteString(pw, sent[len(sent)/2:])
		w.Must(errors.Join(err, pw.Close()))
		if status := <-done; status != 201 {
			w.T.Errorf("%s: %d", version, status)
		}
	}
}

// TestParallelSameVersion: one wins, with all that is shown of it.
func TestParallelSameVersion(t *testing.T) {
	for name, backend := range backends() {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, backend)
			const n = 16
			bodies := make([]string, n)
			sums := make([]string, n)
			for i := range bodies {
				tarball := packed(t, entry{name: "package/package.json", text: fmt.Sprintf(`{"name":"once","version":"1.0.0","i":%d}`, i)})
				bodies[i], sums[i] = body(t, "once", "1.0.0", carrying(tarball)), npmtest.Integrity(tarball)
			}
			var mu sync.Mutex
			var won []string
			together(n, func(i int) {
				switch got := w.do("PUT", "/once", "admin", bodies[i]); got.StatusCode {
				case 201:
					mu.Lock()
					won = append(won, sums[i])
					mu.Unlock()
				case 409:
				default:
					t.Errorf("%d: %d %s", i, got.StatusCode, got.text())
				}
			})
			if len(won) != 1 || at(w.document("once", ""), "versions", "1.0.0", "dist", "integrity") != won[0] {
				t.Errorf("%d won", len(won))
			}
			w.consistent("once")
		})
	}
}

// TestParallelChanges: whatever is done at once, what is left fits together.
func TestParallelChanges(t *testing.T) {
	for name, backend := range backends() {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, backend)
			w.publish("admin", "busy", "1.0.0")
			together(24, func(i int) {
				v := fmt.Sprintf("1.%d.0", 1+i/6)
				switch i % 6 {
				case 0, 1:
					w.do("PUT", "/busy", "admin", body(t, "busy", v))
				case 2:
					w.do("PUT", "/-/package/busy/dist-tags/t"+v[2:3], "admin", `"`+v+`"`)
				case 3:
					w.do("PUT", "/busy", "admin", `{"_id":"busy","name":"busy","versions":{"`+v+`":{"deprecated":"x"}}}`)
				case 4:
					w.do("PUT", "/busy", "bob", `{"_id":"busy","users":{"bob":true}}`, "npm-command: star")
				case 5:
					rev, _ := at(w.document("busy", ""), "_rev").(string)
					w.do("DELETE", file("busy", v)+"/-rev/"+rev, "admin", "")
				}
			})
			w.consistent("busy")
			if at(w.document("busy", ""), "users", "bob") != true {
				t.Error("a star got lost")
			}
		})
	}
}

// consistent fails unless every tag names a version that is there, and every
// version has its file.
func (w *world) consistent(name string) {
	w.T.Helper()
	doc := w.document(name, "admin")
	versions, _ := at(doc, "versions").(map[string]any)
	tags, _ := at(doc, "dist-tags").(map[string]any)
	for tag, v := range tags {
		if version, _ := v.(string); versions[version] == nil {
			w.T.Errorf("tag %s names %v, which is not there", tag, v)
		}
	}
	if len(versions) > 0 && tags["latest"] == nil {
		w.T.Error("no latest")
	}
	for v, m := range versions {
		got := w.want(200, "GET "+file(name, v), "admin", "")
		if npmtest.Integrity(got.raw) != at(m, "dist", "integrity") || at(doc, "time", v) == nil {
			w.T.Errorf("%s: other bytes than the document says, or no time", v)
		}
	}
}

// TestInterruptedPublish: a body that ends in its middle leaves nothing behind.
func TestInterruptedPublish(t *testing.T) {
	for name, backend := range backends() {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, backend)
			sent := body(t, "good", "1.0.0", carrying(packed(t,
				entry{name: "package/package.json", text: `{"name":"good","version":"1.0.0"}`}, entry{name: "package/x", text: noise(200_000)})))
			for i := range 16 {
				half := strings.NewReader(sent[:len(sent)*i/16])
				for _, end := range []error{io.ErrUnexpectedEOF, errEnd} {
					got := w.send(w.request("PUT", "/good", "admin", io.MultiReader(half, iotest.ErrReader(end))))
					if got.StatusCode == 201 {
						t.Errorf("cut after %d/16: 201", i)
					}
				}
				ctx, cancel := context.WithCancel(t.Context())
				r := w.request("PUT", "/good", "admin", io.MultiReader(strings.NewReader(sent[:len(sent)*i/16]), leaving{cancel}))
				if got := w.send(r.WithContext(ctx)); got.StatusCode == 201 {
					t.Errorf("left after %d/16: 201", i)
				}
			}
			if n := w.blobs(); n != 0 {
				t.Errorf("%d blobs are left", n)
			}
			w.want(404, "GET /good", "admin", "")
			w.want(201, "PUT /good", "admin", sent)
			w.consistent("good")
		})
	}
}

// leaving is a client that goes away.
type leaving struct{ cancel func() }

func (l leaving) Read([]byte) (int, error) {
	l.cancel()
	return 0, context.Canceled
}

// noise is a text that does not compress.
func noise(n int) string {
	b := make([]byte, n)
	for i, x := 0, uint32(1); i < len(b); i++ {
		x = x*1664525 + 1013904223
		b[i] = byte(x >> 24)
	}
	return string(b)
}

// TestFullStore: a publish without room is refused and reads go on.
func TestFullStore(t *testing.T) {
	w := newWorld(t, func(w *world) { w.Store = memory.NewStoreOf(100_000) })
	w.publish("admin", "good", "1.0.0")
	big := body(t, "good", "1.0.1", carrying(packed(t,
		entry{name: "package/package.json", text: `{"name":"good","version":"1.0.1"}`}, entry{name: "package/x", text: noise(200_000)})))
	for range 3 {
		got := w.want(507, "PUT /good", "admin", big)
		if at(w.object(got), "error") == nil || got.Header.Get("Retry-After") == "" {
			t.Errorf("%v %s", got.Header, got.text())
		}
	}
	w.consistent("good")
	w.publish("admin", "good", "1.0.2")
}

// TestRowsHaveAnEnd: what one package's row can hold is bounded, and the
// refusal says so.
func TestRowsHaveAnEnd(t *testing.T) {
	w := newWorld(t)
	w.publish("admin", "good", "1.0.0")
	tags := map[string]string{}
	for i := range 5000 {
		tags[fmt.Sprintf("tag-%d", i)] = "1.0.0"
	}
	raw, err := json.Marshal(tags)
	w.Must(err)
	w.want(413, "PUT /-/package/good/dist-tags", "admin", string(raw))
	owners := strings.Repeat(`{"name":"x"},`, 10)
	for i := range 3000 {
		owners += fmt.Sprintf(`{"name":"owner-%d","email":"o@mail.example"},`, i)
	}
	w.want(413, "PUT /good/-rev/"+w.rev("good", "admin"), "admin", `{"_id":"good","maintainers":[`+strings.TrimSuffix(owners, ",")+`]}`)
	w.want(413, "PUT /good", "admin", body(t, "good", "1.0.1", manifest("x", strings.Repeat("y", 5<<20))))
	w.consistent("good")
	w.Clock.Advance(time.Second)
	w.publish("admin", "good", "1.0.1")
}
