package registry_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"larder/formats"
	"larder/upstream"
	"larder/upstream/upstreamtest"
)

// list is a document of a mirror that follows the window alone.
type list struct {
	*mirror
	formats.Document
}

const nextPage = `</next>; rel="next"`

func newList(t *testing.T, private bool) *list {
	l := &list{mirror: newMirror(t, private)}
	l.Document = l.format.document("p")
	l.Age, l.Header = formats.Checked, []string{"Link", "X-None"}
	return l
}

// has lets the upstream have the list.
func (l *list) has(text string) {
	l.far.Serve("/p", upstreamtest.Answer{Body: []byte("p: " + text), ETag: `"` + text + `"`, Header: map[string][]string{
		"Link": {nextPage}, "X-Other": {"1"},
	}})
}

// sees insists on what is answered, and on the fields that come along.
func (l *list) sees(want string, result formats.Result) *formats.Content {
	l.t.Helper()
	got, c, err := doc(l.mirror.Registry, l.Document)
	if err != nil || got != base+" p: "+want || c.Result != result {
		l.t.Fatalf("%q, %+v, %v; want %s, %s", got, c, err, want, result)
	}
	if h := c.Header; h.Get("Link") != nextPage || h.Get("X-Other") != "" {
		l.t.Errorf("header %v", h)
	}
	return c
}

func (l *list) missing() {
	l.t.Helper()
	if got, _, err := doc(l.mirror.Registry, l.Document); !errors.Is(err, formats.ErrNotFound) {
		l.t.Errorf("%q, %v", got, err)
	}
}

// TestCheckedDocument: a list is fresh for the window, asked for at once after
// it, and old only while the upstream is in trouble; its fields come along.
func TestCheckedDocument(t *testing.T) {
	l := newList(t, false)
	l.has("one")
	l.sees("one", formats.Miss)
	l.clock.advance(5*time.Minute - 1)
	l.sees("one", formats.Hit)
	l.asked("GET /p")
	l.clock.advance(1)
	l.sees("one", formats.Revalidated)
	l.has("two")
	l.clock.advance(5 * time.Minute)
	l.sees("two", formats.Miss)
	checked := l.clock.now()
	l.clock.advance(5 * time.Minute)
	l.far.Serve("/p", upstreamtest.Answer{Status: 503})
	l.far.Forget()
	c := l.sees("two", formats.Stale)
	if w := c.Header.Get("Warning"); w != `299 - "upstream unreachable, cached copy from `+checked.Format(time.RFC3339)+`"` {
		t.Errorf("warning %q", w)
	}
	tries := len(l.far.Log()) // a client of upstreams tries more than once
	l.clock.advance(29 * time.Second)
	l.sees("two", formats.Stale)
	if n := len(l.far.Log()); n != tries {
		t.Errorf("asked while it should rest: %d requests, and %d of the first", n, tries)
	}
	l.clock.advance(time.Second)
	l.has("two")
	l.sees("two", formats.Revalidated)
	l.far.Serve("/q", upstreamtest.Answer{Status: 500})
	l.Document = l.format.document("q")
	l.Age = formats.Checked
	if got, _, err := doc(l.mirror.Registry, l.Document); err == nil || errors.Is(err, formats.ErrNotFound) {
		t.Errorf("an outage with nothing held: %q, %v", got, err)
	}
}

// TestCheckedDocumentFields: a field that comes in several is one, and without one
// that is too long a list would look whole.
func TestCheckedDocumentFields(t *testing.T) {
	l := newList(t, false)
	l.far.Serve("/p", upstreamtest.Answer{Body: []byte("p: one"), Header: map[string][]string{"Link": {"<a>; rel=prev", "<b>; rel=next"}}})
	if _, c, err := doc(l.mirror.Registry, l.Document); err != nil || c.Header.Get("Link") != "<a>; rel=prev, <b>; rel=next" {
		t.Errorf("%+v, %v", c, err)
	}
	l.far.Serve("/q", upstreamtest.Answer{Body: []byte("q: one"), Header: map[string][]string{"Link": {"<" + strings.Repeat("x", 5000) + ">; rel=next"}}})
	d := l.format.document("q")
	d.Age, d.Header = l.Age, l.Header
	if got, _, err := doc(l.mirror.Registry, d); !errors.Is(err, upstream.ErrUnavailable) {
		t.Errorf("%q, %v", got, err)
	}
}

// TestCheckedDocumentRefused: to clients an upstream that refuses us has no such
// list; what came without a credential is shown for a while.
func TestCheckedDocumentRefused(t *testing.T) {
	for _, private := range []bool{false, true} {
		l := newList(t, private)
		l.has("one")
		l.sees("one", formats.Miss)
		l.clock.advance(5 * time.Minute)
		l.far.Serve("/p", upstreamtest.Answer{Status: 401})
		l.far.Forget()
		if private {
			l.missing()
			l.missing()
		} else {
			l.sees("one", formats.Stale)
			l.sees("one", formats.Stale)
		}
		l.asked("GET /p")
		l.clock.advance(time.Minute)
		l.has("one")
		l.sees("one", formats.Revalidated)
		l.far.Serve("/p", upstreamtest.Answer{Status: 403})
		l.clock.advance(8 * 24 * time.Hour)
		l.missing()
		l.Document = l.format.document("q")
		l.Age = formats.Checked
		l.far.Serve("/q", upstreamtest.Answer{Status: 403})
		l.missing()
	}
}
