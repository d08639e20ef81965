package registry_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"larder/cache"
	"larder/formats"
	"larder/policy"
	"larder/policy/rules"
	"larder/proxy/registry"
	"larder/upstream"
	"larder/upstream/upstreamtest"
)

const typeOfTags = "application/x-tagged"

// digestOf is how the tests name a version by its bytes.
func digestOf(body []byte) string { return "sha256:" + cache.Digest(sumOf(body).Value).String() }

// tagged is a file of p whose name says what is in it.
func tagged(version string) formats.File {
	d, err := cache.ParseDigest(strings.TrimPrefix(version, "sha256:"))
	if err != nil {
		panic(err)
	}
	f := file("p/"+version, cache.Sum{Algorithm: cache.SHA256, Value: d[:]})
	locate := f.Locate
	f.Locate = func(ctx context.Context) (formats.Location, error) {
		loc, err := locate(ctx)
		loc.Version = version
		return loc, err
	}
	return f
}

func tagOf(name string) formats.Pointer {
	return formats.Pointer{
		Package: "p", Name: name, Path: "p/tags/" + name, Accept: typeOfTags,
		Read: func(h http.Header, size int64) (formats.Target, bool) {
			v := h.Get("Version")
			return formats.Target{Version: v, MediaType: h.Get("Content-Type"), Size: size}, v != ""
		},
		File: tagged,
		Digest: func(body []byte, _ string) (string, error) {
			if len(body) == 0 {
				return "", errors.New("nothing is there")
			}
			return digestOf(body), nil
		},
	}
}

// push lets the scripted upstream have a version, and a tag of it.
func push(far *upstreamtest.Server, tag, text string) (version string) {
	version = digestOf([]byte(text))
	a := upstreamtest.Answer{Body: []byte(text), ETag: `"` + version + `"`, ContentType: typeOfTags}
	far.Serve("/p/"+version, a)
	a.Header = http.Header{"Version": {version}}
	far.Serve("/p/tags/"+tag, a)
	return version
}

// images is plain under the name by which rules know containers.
type images struct{ *plain }

func (images) Name() string { return "oci" }

func (images) Part(file string) bool { return strings.Contains(file, "/blobs/") }

func (images) Whole(pkg string) string { return pkg + "/" }

func (images) Refers(_ string, src io.Reader, _ string) (formats.FileFacts, error) { return words(src) }

// mirror is a bench with a mirror whose pointers are asked for.
type mirror struct {
	*bench
	formats.Registry
	mirrored *registry.Registry
	set      atomic.Pointer[rules.Set]
}

func newMirror(t *testing.T, private bool, settings ...setting) *mirror {
	t.Helper()
	m := &mirror{}
	m.bench = newBench(t, append([]setting{func(_ *bench, o *registry.Options) { o.Rules = m.set.Load }}, settings...)...)
	m.open(func(s *registry.Source) { s.Private = private })
	return m
}

// open begins anew with the upstream changed.
func (m *mirror) open(change func(*registry.Source)) {
	s := m.source("far", m.far)
	change(&s)
	spec := registry.Spec{Name: "mirror/far", Format: images{m.format}, World: "mirror/far", Upstreams: m.only(s)}
	m.mirrored = m.engine.Registry(spec)
	m.Registry = m.mirrored.For(policy.Subject{}, "", base)
}

func (m *mirror) rules(list ...rules.Rule) {
	m.t.Helper()
	set, err := rules.New(list, nil, nil)
	if err != nil {
		m.t.Fatal(err)
	}
	m.set.Store(set)
}

// points resolves a tag and insists on the answer.
func (m *mirror) points(tag, version string, result formats.Result) formats.Target {
	m.t.Helper()
	t, err := m.Resolve(context.Background(), tagOf(tag))
	if err != nil || t.Version != version || t.Result != result {
		m.t.Fatalf("%s is %+v, %v; want %s, %s", tag, t, err, version, result)
	}
	return t
}

// fails resolves a tag and insists on the error.
func (m *mirror) fails(tag string, kind error) {
	m.t.Helper()
	if t, err := m.Resolve(context.Background(), tagOf(tag)); !errors.Is(err, kind) {
		m.t.Fatalf("%s is %+v, %v; want %v", tag, t, err, kind)
	}
}

// asked insists on the requests since the last look, such as "HEAD /p/tags/t".
func (m *mirror) asked(want ...string) {
	m.t.Helper()
	var got []string
	for _, e := range m.far.Log() {
		got = append(got, e.Method+" "+strings.ReplaceAll(e.Path, "%3A", ":"))
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		m.t.Fatalf("asked %q, want %q", got, want)
	}
	m.far.Forget()
}

func (m *mirror) holds(version, text string) {
	m.t.Helper()
	c, err := m.File(context.Background(), tagged(version))
	if err != nil {
		m.t.Fatal(err)
	}
	if got, err := body(c); err != nil || string(got) != text || c.Result != formats.Hit {
		m.t.Fatalf("%s is %q, %s, %v", version, got, c.Result, err)
	}
}

// TestPointerWindow: no request while fresh, one HEAD afterwards; a tag that
// moved costs one GET by what it stands for now, which is here before the tag moves.
func TestPointerWindow(t *testing.T) {
	m := newMirror(t, false)
	one := push(m.far, "t", "one")
	got := m.points("t", one, formats.Miss)
	if got.Size != 3 || got.MediaType != "application/x-test" || got.Header != nil {
		t.Errorf("target %+v", got)
	}
	if h := m.far.Log()[0].Header; h.Get("Accept") != typeOfTags || h.Get("If-None-Match") != "" {
		t.Errorf("asked with %v", h)
	}
	m.asked("HEAD /p/tags/t", "GET /p/"+one)
	m.clock.advance(5*time.Minute - 1)
	m.points("t", one, formats.Hit)
	m.holds(one, "one")
	m.asked()
	m.clock.advance(1)
	m.points("t", one, formats.Revalidated)
	if h := m.far.Log()[0].Header; h.Get("If-None-Match") != `"`+one+`"` {
		t.Errorf("asked again with %v", h)
	}
	m.asked("HEAD /p/tags/t")
	m.points("t", one, formats.Hit)
	m.clock.advance(5 * time.Minute)
	two := push(m.far, "t", "two")
	m.points("t", two, formats.Miss)
	m.asked("HEAD /p/tags/t", "GET /p/"+two)
	m.holds(two, "two")
	m.holds(one, "one")
	m.asked()
	m.clock.advance(-time.Hour) // set back: what was checked in the future is checked
	m.points("t", two, formats.Revalidated)
	m.asked("HEAD /p/tags/t")
}

// TestPointerWithoutHeader: an upstream that tells no digest is asked for the
// body once, which is stored.
func TestPointerWithoutHeader(t *testing.T) {
	m := newMirror(t, false)
	m.far.Serve("/p/tags/t", upstreamtest.Answer{Body: []byte("one"), ContentType: typeOfTags})
	one := digestOf([]byte("one"))
	if got := m.points("t", one, formats.Miss); got.Size != 3 || got.MediaType != "application/x-test" {
		t.Errorf("target %+v", got)
	}
	m.holds(one, "one")
	m.asked("HEAD /p/tags/t", "GET /p/tags/t")
	m.clock.advance(5 * time.Minute)
	m.points("t", one, formats.Revalidated)
	m.clock.advance(5 * time.Minute)
	for _, bad := range []upstreamtest.Answer{
		{}, {Body: []byte("<html>"), ContentType: "text/html"}, {Body: text(9 << 20)}, {Body: text(100), Cut: true, CutAfter: 50},
	} {
		m.far.Serve("/p/tags/t", bad)
		m.points("t", one, formats.Stale)
		m.clock.advance(time.Minute)
	}
}

// TestPointersTogether: sixteen clients cost one HEAD and one GET, and the
// question goes on when the one who began it leaves.
func TestPointersTogether(t *testing.T) {
	m := newMirror(t, false)
	one := push(m.far, "t", "one")
	wait := make(chan struct{})
	m.far.Serve("/p/tags/t", upstreamtest.Answer{Body: []byte("one"), Header: http.Header{"Version": {one}}, Wait: wait})
	ctx, leave := context.WithCancel(context.Background())
	left := make(chan error)
	go func() {
		_, err := m.Resolve(ctx, tagOf("t"))
		left <- err
	}()
	eventually(t, "the first one is asking", func() bool { return m.far.Requests("/p/tags/t") == 1 })
	leave()
	if err := <-left; !errors.Is(err, context.Canceled) {
		t.Errorf("who left got %v", err)
	}
	go func() {
		time.Sleep(50 * time.Millisecond)
		close(wait)
	}()
	clients(t, 16, func() {
		if got, err := m.Resolve(context.Background(), tagOf("t")); err != nil || got.Version != one {
			t.Errorf("%+v, %v", got, err)
		}
	})
	m.asked("HEAD /p/tags/t", "GET /p/"+one)
}

// TestPointerGone: a tag that went upstream goes here at once, what it stood for
// stays, and the answer lives for ten seconds.
func TestPointerGone(t *testing.T) {
	m := newMirror(t, false)
	one := push(m.far, "t", "one")
	m.points("t", one, formats.Miss)
	m.far.Serve("/p/tags/t", upstreamtest.Answer{Status: 404})
	m.points("t", one, formats.Hit)
	m.clock.advance(5 * time.Minute)
	m.far.Forget()
	m.fails("t", formats.ErrNotFound)
	if keys := m.rows("y"); len(keys) != 0 {
		t.Errorf("rows %q", keys)
	}
	m.holds(one, "one")
	push(m.far, "t", "one")
	m.clock.advance(10*time.Second - 1)
	m.fails("t", formats.ErrNotFound)
	m.asked("HEAD /p/tags/t")
	m.clock.advance(1)
	m.points("t", one, formats.Miss)
	m.asked("HEAD /p/tags/t") // what it stands for is here
}

// TestPointerRefused: an upstream that refuses us has no such name, for clients.
// What came by a credential is not shown without one; what was there for
// everybody is, for a while.
func TestPointerRefused(t *testing.T) {
	for _, status := range []int{401, 403} {
		for _, private := range []bool{false, true} {
			m := newMirror(t, private)
			one := push(m.far, "t", "one")
			m.points("t", one, formats.Miss)
			m.far.Serve("/p/tags/t", upstreamtest.Answer{Status: status})
			m.far.Serve("/p/tags/u", upstreamtest.Answer{Status: status})
			m.fails("u", formats.ErrNotFound)
			m.clock.advance(5 * time.Minute)
			m.far.Forget()
			if private {
				m.fails("t", formats.ErrNotFound)
				m.fails("t", formats.ErrNotFound)
			} else {
				m.points("t", one, formats.Stale)
				m.points("t", one, formats.Stale)
			}
			m.asked("HEAD /p/tags/t")
			push(m.far, "t", "one")
			m.clock.advance(time.Minute)
			m.points("t", one, formats.Revalidated) // the row was kept
			m.far.Serve("/p/tags/t", upstreamtest.Answer{Status: status})
			m.clock.advance(8 * 24 * time.Hour)
			m.fails("t", formats.ErrNotFound)
		}
	}
}

// TestPointerOutage: what is held is served with a warning, and the upstream
// left alone for half a minute or as long as it asks; what is not held fails as
// it is, and is never missing.
func TestPointerOutage(t *testing.T) {
	for name, tt := range map[string]struct {
		answer upstreamtest.Answer
		kind   error
		rest   time.Duration
		all    bool // pointers rest
	}{
		"failing":   {upstreamtest.Answer{Status: 500}, upstream.ErrUnavailable, 30 * time.Second, false},
		"throttled": {upstreamtest.Answer{Status: 429, Header: http.Header{"Retry-After": {"90"}}}, upstream.ErrThrottled, 90 * time.Second, true},
		"silent":    {upstreamtest.Answer{NoReply: true}, upstream.ErrUnavailable, 30 * time.Second, true},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMirror(t, false)
			one, two := push(m.far, "t", "one"), push(m.far, "u", "two")
			m.points("t", one, formats.Miss)
			m.points("u", two, formats.Miss)
			m.clock.advance(5 * time.Minute)
			checked := m.clock.now().Add(-5 * time.Minute)
			m.far.Serve("/p/tags/t", tt.answer)
			got := m.points("t", one, formats.Stale)
			if want := `299 - "upstream unreachable, cached copy from ` + checked.Format(time.RFC3339) + `"`; got.Header.Get("Warning") != want || got.Header.Get("Age") != "300" {
				t.Errorf("header %v, want %s", got.Header, want)
			}
			m.far.Forget()
			m.clock.advance(tt.rest - 1)
			m.points("t", one, formats.Stale)
			m.asked()
			if tt.all {
				m.points("u", two, formats.Stale)
				m.asked()
			}
			m.clock.advance(1)
			push(m.far, "t", "one")
			m.points("t", one, formats.Revalidated)
			m.asked("HEAD /p/tags/t")
			m.points("u", two, formats.Revalidated)
			m.clock.advance(7*24*time.Hour + 1)
			m.far.Serve("/p/tags/t", tt.answer)
			m.fails("t", tt.kind)
			m.clock.advance(2 * time.Minute)
			m.far.Serve("/p/tags/v", tt.answer)
			m.fails("v", tt.kind)
		})
	}
}

// TestPointerSlow: a client with something at hand does not wait for long, and
// those behind it not at all.
func TestPointerSlow(t *testing.T) {
	m := newMirror(t, false, func(_ *bench, o *registry.Options) { o.Pace.Patience = 20 * time.Millisecond })
	one := push(m.far, "t", "one")
	m.points("t", one, formats.Miss)
	m.clock.advance(5 * time.Minute)
	wait := make(chan struct{})
	m.far.Serve("/p/tags/t", upstreamtest.Answer{Wait: wait, Status: 404})
	m.far.Forget()
	m.points("t", one, formats.Stale)
	m.points("t", one, formats.Stale)
	m.asked("HEAD /p/tags/t")
	close(wait)
	eventually(t, "the answer is heard all the same", func() bool { return len(m.rows("y")) == 0 })
	m.fails("t", formats.ErrNotFound)
}

// TestPointerOffline: whatever is held is served, however old, and nobody asked.
func TestPointerOffline(t *testing.T) {
	m := newMirror(t, false)
	one := push(m.far, "t", "one")
	m.points("t", one, formats.Miss)
	m.open(func(s *registry.Source) { s.Offline = true })
	m.far.Forget()
	m.clock.advance(365 * 24 * time.Hour)
	m.points("t", one, formats.Hit)
	m.holds(one, "one")
	m.asked()
}

// TestPointerLands: a tag does not move to bytes that cannot be had.
func TestPointerLands(t *testing.T) {
	m := newMirror(t, false)
	one := push(m.far, "t", "one")
	m.points("t", one, formats.Miss)
	for _, bad := range []upstreamtest.Answer{{Status: 404}, {Status: 500}, {Body: []byte("two"), Wrong: true}, {Body: []byte("two"), Cut: true, CutAfter: 1}} {
		m.clock.advance(5 * time.Minute)
		two := push(m.far, "t", "two")
		m.far.Serve("/p/"+two, bad)
		m.points("t", one, formats.Stale)
		m.points("t", one, formats.Stale)
	}
	m.clock.advance(5 * time.Minute)
	two := push(m.far, "t", "two")
	m.points("t", two, formats.Miss)
	m.holds(two, "two")
}

// TestPointerFull: what cannot be stored is served all the same, and not noted.
func TestPointerFull(t *testing.T) {
	m := newMirror(t, false)
	m.room.full.Store(true)
	one := push(m.far, "t", "one")
	m.points("t", one, formats.Miss)
	c, err := m.File(context.Background(), tagged(one))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := body(c); err != nil || string(got) != "one" || c.Result != formats.Pass {
		t.Errorf("%q, %s, %v", got, c.Result, err)
	}
	m.points("t", one, formats.Miss)
	if keys := m.rows("y"); len(keys) != 0 {
		t.Errorf("rows %q", keys)
	}
}

// TestPointerAnsweredOnTheWay: what somebody else had answered between the look
// at what is held and the question is not asked again.
func TestPointerAnsweredOnTheWay(t *testing.T) {
	index := &meanwhile{}
	m := newMirror(t, false, func(b *bench, _ *registry.Options) { index.Index, b.index = b.index, index })
	one := push(m.far, "t", "one")
	m.fails("u", formats.ErrNotFound) // whose the name is, is known from now on
	m.far.Forget()
	ask := func() {
		if _, err := m.Resolve(context.Background(), tagOf("t")); err != nil {
			t.Error(err)
		}
	}
	index.next.Store(&ask)
	m.points("t", one, formats.Hit)
	m.asked("HEAD /p/tags/t", "GET /p/"+one)
	m.clock.advance(time.Hour)
	index.next.Store(&ask)
	m.points("t", one, formats.Hit)
	m.asked("HEAD /p/tags/t")
}
