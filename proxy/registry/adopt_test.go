package registry_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"

	"larder/formats"
	"larder/policy"
	"larder/proxy/registry"
	"larder/upstream"
	"larder/upstream/upstreamtest"
)

// blob is a part of a package; adopt says that the package is known to have it.
func blob(pkg string, data []byte, adopt bool) formats.File {
	f := tagged(digestOf(data))
	f.Package, f.Name = pkg, pkg+"/blobs/"+digestOf(data)
	name := f.Name
	f.Locate = func(context.Context) (formats.Location, error) {
		loc := formats.Location{Ref: name, Adopt: adopt}
		loc.Want = append(loc.Want, sumOf(data))
		return loc, nil
	}
	return f
}

// naming is a manifest of p that names parts by their bytes.
func naming(parts ...[]byte) []byte {
	text := "ok"
	for _, part := range parts {
		text += " p/blobs/" + digestOf(part)
	}
	return []byte(text)
}

// manifest is a file whose words behind the first are what it needs.
func manifest(data []byte) formats.File { return manifestAt(digestOf(data)) }

func manifestAt(version string) formats.File {
	f := tagged(version)
	f.MediaType = ""
	f.Check = func(src io.Reader, _ string) (formats.FileFacts, error) { return words(src) }
	return f
}

func words(src io.Reader) (formats.FileFacts, error) {
	all, err := io.ReadAll(src)
	return formats.FileFacts{Needs: strings.Fields(string(all))[1:]}, err
}

func (m *mirror) serve(f formats.File, a upstreamtest.Answer) {
	m.t.Helper()
	loc, err := f.Locate(context.Background())
	if err != nil {
		m.t.Fatal(err)
	}
	m.far.Serve("/"+loc.Ref, a)
}

func (m *mirror) fetches(f formats.File, data []byte) {
	m.t.Helper()
	c, err := m.File(context.Background(), f)
	if err != nil {
		m.t.Fatalf("%s: %v", f.Name, err)
	}
	if got, err := body(c); err != nil || !bytes.Equal(got, data) {
		m.t.Fatalf("%s: %d bytes, %v", f.Name, len(got), err)
	}
}

// settled waits until nothing is under way.
func (m *mirror) settled() {
	m.t.Helper()
	eventually(m.t, "no flight is under way", func() bool { return m.engine.Flying() == 0 })
}

// TestAdopt: bytes that came from an upstream serve for every package of it that
// is known to have them, and those from elsewhere do not.
func TestAdopt(t *testing.T) {
	for name, set := range map[string][]setting{"memory": nil, "disk": {onDisk(1 << 30)}} {
		t.Run(name, func(t *testing.T) {
			m := newMirror(t, false, set...)
			data, ours := text(300<<10), append(text(300<<10), 1)
			for _, f := range []formats.File{blob("a", data, false), blob("b", data, false), blob("a", ours, false)} {
				m.serve(f, upstreamtest.Answer{Body: append([]byte(nil), map[bool][]byte{true: ours, false: data}[strings.HasSuffix(f.Name, digestOf(ours))]...)})
			}
			m.fetches(blob("a", data, false), data)
			m.settled()
			m.fetches(blob("c", data, true), data)
			m.settled()
			m.asked("GET /a/blobs/" + digestOf(data))
			m.fetches(blob("b", data, false), data) // of which that is not known
			m.settled()
			m.asked("GET /b/blobs/" + digestOf(data))
			m.fetches(blob("c", data, true), data)
			m.asked()
			if err := publish(m.as("alice", ""), "mine", "1", ours); err != nil {
				t.Fatal(err)
			}
			m.far.Forget()
			m.fetches(blob("a", ours, true), ours)
			m.asked("GET /a/blobs/" + digestOf(ours))
			other := m.apart("other", m.far).For(policy.Subject{}, "", base)
			c, err := other.File(context.Background(), blob("a", data, true))
			if err != nil {
				t.Fatal(err)
			}
			if got, err := body(c); err != nil || !bytes.Equal(got, data) {
				t.Errorf("%d bytes, %v", len(got), err)
			}
			m.asked("GET /a/blobs/" + digestOf(data))
		})
	}
}

// TestAdoptByManifest: a manifest of the package that was used here tells that
// the upstream has the parts it names there.
func TestAdoptByManifest(t *testing.T) {
	m := newMirror(t, false)
	data := text(1000)
	man := naming(data)
	m.serve(blob("a", data, false), upstreamtest.Answer{Body: data})
	m.serve(manifest(man), upstreamtest.Answer{Body: man})
	m.fetches(blob("a", data, false), data)
	m.settled()
	m.fetches(manifest(man), man)
	m.far.Forget()
	m.fetches(blob("p", data, false), data)
	m.asked()
}

// TestShare: two packages of one upstream that want the same bytes at once cost
// one download, which both follow as it arrives.
func TestShare(t *testing.T) {
	m := newMirror(t, false)
	data := text(1 << 20)
	wait := make(chan struct{})
	m.serve(blob("a", data, true), upstreamtest.Answer{Body: data, Wait: wait})
	done := make(chan error, 16)
	get := func(pkg string) {
		c, err := m.File(context.Background(), blob(pkg, data, true))
		if err == nil {
			var got []byte
			if got, err = body(c); err == nil && !bytes.Equal(got, data) {
				err = errors.New("other bytes")
			}
		}
		done <- err
	}
	go get("a")
	eventually(t, "the first is asking", func() bool { return len(m.far.Log()) == 1 })
	for _, pkg := range strings.Split("bbbbbcccccddddd", "") {
		go get(pkg)
	}
	eventually(t, "all are on the way", func() bool { return m.engine.Flying() == 4 })
	close(wait)
	for range 16 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	m.settled()
	m.asked("GET /a/blobs/" + digestOf(data))
	for _, pkg := range []string{"a", "b", "c", "d"} {
		m.fetches(blob(pkg, data, false), data)
	}
	m.asked()
}

// TestShareFailing: who shares a download that fails before it begins has a try
// of his own; after that all fail, and nothing is stored.
func TestShareFailing(t *testing.T) {
	m := newMirror(t, false)
	data := text(300 << 10)
	wait := make(chan struct{})
	second := make(chan error)
	begin := func(a upstreamtest.Answer) {
		t.Helper()
		a.Wait = wait
		m.serve(blob("a", data, true), a)
		go func() { m.File(context.Background(), blob("a", data, true)) }()
		eventually(t, "the first is asking", func() bool { return len(m.far.Log()) > 0 })
		go func() {
			c, err := m.File(context.Background(), blob("b", data, true))
			if err == nil {
				_, err = body(c)
			}
			second <- err
		}()
		eventually(t, "the second waits for the first", func() bool { return m.engine.Flying() == 2 && running("registry.(*flight).share(") })
		close(wait)
	}
	// The first may have failed before the second looks at it, which then tries itself.
	m.serve(blob("b", data, true), upstreamtest.Answer{Body: data, Wrong: true})
	begin(upstreamtest.Answer{Body: data, Wrong: true})
	if err := <-second; !errors.Is(err, upstream.ErrCorrupt) {
		t.Errorf("the second got %v", err)
	}
	m.settled()
	if n := m.blobs(); n != 0 {
		t.Errorf("%d blobs", n)
	}
	m.clock.advance(1 << 40)
	m.far.Forget()
	wait = make(chan struct{})
	m.serve(blob("b", data, true), upstreamtest.Answer{Body: data})
	begin(upstreamtest.Answer{Status: 404})
	if err := <-second; err != nil {
		t.Errorf("the second got %v", err)
	}
	m.settled()
}

// TestAdoptEvicted: what is gone is fetched.
func TestAdoptEvicted(t *testing.T) {
	m := newMirror(t, false)
	data := text(1000)
	m.serve(blob("a", data, false), upstreamtest.Answer{Body: data})
	m.serve(blob("b", data, true), upstreamtest.Answer{Body: data})
	m.fetches(blob("a", data, false), data)
	m.settled()
	m.evict(data)
	m.fetches(blob("b", data, true), data)
	m.settled()
	m.fetches(blob("a", data, true), data)
	m.settled()
	m.asked("GET /a/blobs/"+digestOf(data), "GET /b/blobs/"+digestOf(data))
}

// TestAdoptDamaged: bytes that went bad are fetched anew, however many packages
// refer to them.
func TestAdoptDamaged(t *testing.T) {
	store := &rotten{}
	m := newMirror(t, false, func(b *bench, _ *registry.Options) { store.Store, b.store = b.store, store })
	data := text(100 << 10) // too long for the memory
	for _, pkg := range []string{"a", "b", "c"} {
		m.serve(blob(pkg, data, true), upstreamtest.Answer{Body: data})
	}
	for _, pkg := range []string{"a", "b"} {
		m.fetches(blob(pkg, data, true), data)
		m.settled()
	}
	m.asked("GET /a/blobs/" + digestOf(data))
	store.set(rots["cut"])
	m.fetches(blob("b", data, true), data)
	m.settled()
	m.asked("GET /b/blobs/" + digestOf(data))
	store.set(rots["cut"])
	m.fetches(blob("c", data, true), data)
	m.settled()
	m.asked("GET /c/blobs/" + digestOf(data))
	m.fetches(blob("a", data, true), data)
	m.asked()
}
